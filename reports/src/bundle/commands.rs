//! `commands.md`: per row, how to read again what was observed.
use std::collections::BTreeSet;
use std::fmt::Write;

use crate::journals::Journals;
use crate::spec::Specification;

pub(super) fn markdown(journals: &Journals, specification: &Specification) -> String {
    let mut text = String::from(
        "# Commands and queries\nMade from the observations of this run: what was read, and how to read it again.\n",
    );
    for row in &specification.rows {
        let queries: BTreeSet<(&str, &str, &str)> = journals
            .observations
            .iter()
            .map(|line| &line.value)
            .filter(|observation| row.scenarios.contains(&observation.key.scenario))
            .map(|observation| {
                (
                    observation.key.scenario.as_str(),
                    observation.source.title(),
                    observation.query.as_str(),
                )
            })
            .collect();
        if queries.is_empty() {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n## {}\n{}\n", row.id, row.must_show);
        for (scenario, source, query) in queries {
            let _ = writeln!(
                text,
                "- {scenario}, {source}: `{}`",
                query.replace('`', "'")
            );
        }
    }
    text
}

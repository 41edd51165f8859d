//! The table of stages (L-6): what a run of each trigger label is.
use super::SpecError;
use super::text::{SpecText, code_words, section, table_cells};

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRow {
    /// Name, such as `doc-audit`.
    pub stage: String,
    /// Label that starts it.
    pub work_label: String,
    /// Label that revises it, for the stages that have one.
    pub revise_label: Option<String>,
    /// Role of the agent.
    pub agent: String,
    /// `full-env` or `code-only`.
    pub mode: String,
    /// Environment: `ai`, `LIVE_ENV`, or none.
    pub target_env: Option<String>,
    /// Access profile: `candidate`, `production-readonly`, or none.
    pub access_profile: Option<String>,
    /// What the agent may change.
    pub write_scope: String,
}

/// L-6 counts fifteen stages.
const STAGES: usize = 15;

pub(super) fn read(text: &SpecText) -> Result<Vec<StageRow>, SpecError> {
    let chapter = text.chapter("labels-and-stages.md");
    let part = section(chapter, "### 1.1").unwrap_or_default();
    let rows: Vec<StageRow> = part
        .lines()
        .filter_map(table_cells)
        .filter(|cells| cells.len() == 9 && cells[0] != "Stage")
        .filter_map(|cells| row(&cells))
        .collect();
    if rows.len() != STAGES {
        return Err(SpecError::Disagreement(format!(
            "the table of L-6 has {} readable rows, not {STAGES}",
            rows.len()
        )));
    }
    Ok(rows)
}

fn row(cells: &[&str]) -> Option<StageRow> {
    let first = |cell: &str| code_words(cell).first().map(|word| (*word).to_owned());
    let (target_env, access_profile) = match cells[5].split_once('/') {
        Some((target, access)) => (
            Some(first(target).unwrap_or_else(|| target.trim().to_owned())),
            first(access),
        ),
        None => (None, None),
    };
    Some(StageRow {
        stage: cells[0].to_owned(),
        work_label: first(cells[1])?,
        revise_label: first(cells[2]),
        agent: first(cells[3])?,
        mode: first(cells[4])?,
        target_env,
        access_profile,
        write_scope: first(cells[7])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_as_people_read_it() {
        let rows = read(&SpecText::embedded()).expect("the table is readable");
        let line = |stage: &str| {
            let row = rows.iter().find(|row| row.stage == stage).expect(stage);
            format!(
                "{} {:?} {} {} {:?} {:?} {}",
                row.work_label,
                row.revise_label.as_deref(),
                row.agent,
                row.mode,
                row.target_env.as_deref(),
                row.access_profile.as_deref(),
                row.write_scope
            )
        };
        assert_eq!(
            line("intake"),
            "run:intake Some(\"run:intake:revise\") pm code-only None None markdown_only"
        );
        assert_eq!(
            line("dev"),
            "run:dev Some(\"run:dev:revise\") dev full-env Some(\"ai\") Some(\"candidate\") any"
        );
        assert_eq!(
            line("ops"),
            "run:ops Some(\"run:ops:revise\") sre full-env Some(\"LIVE_ENV\") Some(\"production-readonly\") markdown_only"
        );
        assert_eq!(
            line("ai-repair"),
            "run:ai-repair None sre code-only Some(\"LIVE_ENV\") None any"
        );
    }
}

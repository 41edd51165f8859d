//! `gonogo plan`: what would run, without bringing anything up.

use std::collections::BTreeSet;

use serde_json::json;
use steps::{
    Options, runner,
    selection::{CAPABILITY_TAGS, Eligibility},
};

use crate::{
    cli::{Output, Selection},
    exit_code::ExitStatus,
    gate::Failure,
    output::print_line,
};

/// Capabilities that the embedded target never has; the others are known only when it is up.
const NEVER_EMBEDDED: [&str; 6] = [
    "container-isolation",
    "network-policy",
    "image-build",
    "ingress",
    "acme",
    "ssh-host",
];

/// Lists the selection.
///
/// # Errors
/// When the feature files or the selection are wrong.
pub fn plan(selection: &Selection, output: Output) -> Result<ExitStatus, Failure> {
    let capabilities: BTreeSet<String> = CAPABILITY_TAGS
        .iter()
        .map(|tag| tag.trim_start_matches("needs-"))
        .filter(|name| !NEVER_EMBEDDED.contains(name))
        .map(str::to_owned)
        .collect();
    let options = Options {
        features: selection.features.clone(),
        tags: selection.tags.clone(),
        jobs: 1,
        repeat: 1,
        capabilities,
        only: None,
    };
    let listed = runner::plan(&options).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    let state = |verdict: &Eligibility| match verdict {
        Eligibility::Runs => "runs".to_owned(),
        Eligibility::Waiting(tag) => format!("waits (@{tag})"),
        Eligibility::NotProvableHere(tag) => format!("not provable here (@{tag})"),
    };
    if output == Output::Json {
        let items: Vec<_> = listed
            .iter()
            .map(|scenario| json!({"id": scenario.id, "feature": scenario.feature, "line": scenario.line, "name": scenario.name, "state": state(&scenario.verdict)}))
            .collect();
        print_line(&serde_json::to_string_pretty(&items).unwrap_or_default());
        return Ok(ExitStatus::Go);
    }
    for scenario in &listed {
        print_line(&format!(
            "{:6} {:<24} {}",
            scenario.id,
            state(&scenario.verdict),
            scenario.name
        ));
    }
    let ids: BTreeSet<_> = listed.iter().map(|scenario| &scenario.id).collect();
    print_line(&format!(
        "{} scenarios, {} distinct ids",
        listed.len(),
        ids.len()
    ));
    Ok(ExitStatus::Go)
}

//! `traceability.json`: Issue → run → pull request → documents → row, one chain per run.
use serde::Serialize;

use crate::spec::Specification;
use crate::verdict::Judgement;

/// Row whose chain is shown on its own (S3-5).
const CHECKPOINT_ROW: &str = "S3-5";

/// All chains.
#[derive(Debug, Serialize)]
pub(super) struct Chains {
    /// One chain per run.
    chains: Vec<Chain>,
    /// Runs of the checkpoint of Issue #128.
    checkpoint_issue_128: Vec<String>,
    /// What the chains do not hold yet.
    not_joined: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Chain {
    issue: String,
    trigger_label: String,
    run_id: String,
    status: String,
    pull_request: Option<i64>,
    scenario: Option<String>,
    rows: Vec<String>,
}

pub(super) fn chains(judgement: &Judgement, specification: &Specification) -> Chains {
    let chains: Vec<Chain> = judgement
        .timelines
        .runs
        .iter()
        .map(|run| Chain {
            issue: run.thread.clone(),
            trigger_label: run.trigger_label.clone(),
            run_id: run.run_id.clone(),
            status: run.status.clone(),
            pull_request: run.pr_number,
            rows: run
                .scenario
                .iter()
                .flat_map(|scenario| specification.rows_of(scenario))
                .map(ToOwned::to_owned)
                .collect(),
            scenario: run.scenario.clone(),
        })
        .collect();
    Chains {
        checkpoint_issue_128: chains
            .iter()
            .filter(|chain| chain.rows.iter().any(|row| row == CHECKPOINT_ROW))
            .map(|chain| chain.run_id.clone())
            .collect(),
        chains,
        not_joined: vec!["documents"],
    }
}

//! Candidate lineage: the namespace and pull request that dev, qa and release of one Issue share
//! (L-65, L-66, R-33).

use std::collections::BTreeSet;

use super::Undecided;
use super::facts::Context;
use crate::events::PullRequest;
use crate::ids::NamespaceName;
use crate::resolver::STAGE_HISTORY_RUNS;
use crate::snapshot::{Read, RunFacts};
use crate::stages::{RuntimeMode, Stage};

/// Pull requests that are looked up on GitHub at most, newest first.
const LOOKUP_LIMIT: usize = 3;

/// Identity of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub namespace: NamespaceName,
    pub pull_request: PullRequest,
}

/// Newest run of the Issue with a known namespace and an open pull request. With `errors_refuse` a
/// pull request that cannot be looked up counts as none (L-66); otherwise the decision waits.
pub(super) fn find(
    context: &Context<'_>,
    history: &[RunFacts],
    errors_refuse: bool,
) -> Result<Option<Candidate>, Undecided> {
    let candidates = history
        .iter()
        .take(STAGE_HISTORY_RUNS)
        .filter(|run| is_candidate(run));
    let mut looked_up = BTreeSet::new();
    for run in candidates {
        let (Some(namespace), Some(number)) = (&run.namespace, run.pr_number) else {
            continue;
        };
        if !looked_up.insert(number) || looked_up.len() > LOOKUP_LIMIT {
            continue;
        }
        let found = match context.pull_request_fact(Read::PullRequest(number)) {
            Err(Undecided::Unreadable { .. }) if errors_refuse => return Ok(None),
            other => other?,
        };
        if let Some(pull_request) = found.as_ref().filter(|pull_request| pull_request.is_open()) {
            return Ok(Some(Candidate {
                namespace: namespace.clone(),
                pull_request: pull_request.clone(),
            }));
        }
    }
    Ok(None)
}

/// Lineage of a reviewed pull request: its newest run with a known namespace.
pub(super) fn of_pull_request<'a>(
    history: impl Iterator<Item = &'a RunFacts>,
    pull_request: Option<&PullRequest>,
) -> Option<Candidate> {
    let pull_request = pull_request?;
    let newest = history
        .filter(|run| {
            is_candidate(run)
                && run.pr_number == Some(pull_request.number)
                && run.namespace.is_some()
        })
        .max_by_key(|run| run.created_at)?;
    Some(Candidate {
        namespace: newest.namespace.clone()?,
        pull_request: pull_request.clone(),
    })
}

fn is_candidate(run: &RunFacts) -> bool {
    run.runtime_mode == RuntimeMode::FullEnv
        && run
            .stage()
            .is_some_and(|stage| matches!(stage, Stage::Dev | Stage::Qa | Stage::Release))
}

/// The open pull request linked to the Issue whose branch a labelled run works on (L-50), that of the same stage first
/// (L-60). A rethink opens one of its own, and nobody else works on that.
pub(super) fn open_pull_request(
    context: &Context<'_>,
    issue_number: Option<i64>,
    history: &[RunFacts],
    stage: Stage,
) -> Result<Option<PullRequest>, Undecided> {
    if matches!(stage, Stage::Rethink | Stage::AiRepair) {
        return Ok(None);
    }
    let Some(branch) = issue_number.map(issue_branch) else {
        return Ok(None);
    };
    let of_stage = history.iter().filter(|run| run.stage() == Some(stage));
    let others = history.iter().filter(|run| {
        run.stage()
            .is_some_and(|found| found != stage && found != Stage::Rethink)
    });
    let mut looked_up = BTreeSet::new();
    for number in of_stage.chain(others).filter_map(|run| run.pr_number) {
        if !looked_up.insert(number) || looked_up.len() > LOOKUP_LIMIT {
            continue;
        }
        let found = context.pull_request_fact(Read::PullRequest(number))?;
        let found = found
            .as_ref()
            .filter(|pull_request| pull_request.is_open() && pull_request.head_ref == branch);
        if let Some(pull_request) = found {
            return Ok(Some(pull_request.clone()));
        }
    }
    Ok(None)
}

/// Branch of an Issue's work (L-50).
pub(super) fn issue_branch(number: i64) -> String {
    format!("codex/issue-{number}")
}

//! Which stage a review that requests changes means (L-53 to L-58). There is never a best guess.

use std::collections::BTreeSet;

use crate::labels::{Catalogue, CatalogueLabel};
use crate::snapshot::RunFacts;
use crate::stages::{Stage, TriggerKind, spelled};

/// Newest runs of a pull request that tell its Issue (L-54).
pub const LINKED_ISSUE_RUNS: usize = 20;

/// Newest stage-runs that tell the stage (L-56).
pub const STAGE_HISTORY_RUNS: usize = 50;

spelled!(
    /// `resolver_source` of the events of L-52.
    ResolverSource {
        /// Labels of the pull request.
        PrLabels = "pr_labels",
        /// Runs of the pull request name several Issues.
        RunContext = "run_context",
        /// Labels of the linked Issue.
        IssueLabels = "issue_labels",
        /// Newest stage-run of the pull request.
        LastRunContext = "last_run_context",
        /// Newest stage-run of the Issue.
        IssueHistory = "issue_history",
        /// Nothing found.
        StageNotResolved = "stage_not_resolved",
    }
);

/// What the resolver found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// One stage.
    Resolved {
        stage: Stage,
        source: ResolverSource,
    },
    /// Several.
    Ambiguous {
        source: ResolverSource,
        conflicting_labels: Vec<String>,
        suggested_labels: Vec<String>,
    },
    /// None.
    NotResolved { suggested_labels: Vec<String> },
}

/// Issues that the newest runs of a pull request belong to (L-54).
pub fn linked_issues(pull_request_history: &[RunFacts]) -> BTreeSet<i64> {
    pull_request_history
        .iter()
        .take(LINKED_ISSUE_RUNS)
        .filter_map(|run| run.issue_number)
        .collect()
}

/// The one linked Issue, if there is exactly one.
pub fn single_linked_issue(pull_request_history: &[RunFacts]) -> Option<i64> {
    let issues = linked_issues(pull_request_history);
    issues.first().copied().filter(|_| issues.len() == 1)
}

/// What the resolver looks at. Later sources are asked for only when earlier ones do not decide.
pub struct ResolverInput<'a, E> {
    /// Live labels of the pull request.
    pub pull_request_labels: &'a [String],
    /// Runs of the pull request, newest first.
    pub pull_request_history: &'a [RunFacts],
    /// The linked Issue when at most one is known: from the runs, else from the branch name of L-50.
    pub linked_issue: Option<i64>,
    /// Live labels of the linked Issue.
    pub issue_labels: &'a dyn Fn(i64) -> Result<Vec<String>, E>,
    /// Runs of the linked Issue, newest first.
    pub issue_history: &'a dyn Fn(i64) -> Result<Vec<RunFacts>, E>,
}

/// Runs the chain of L-53 to L-57.
pub fn resolve<E>(input: &ResolverInput<'_, E>, catalogue: &Catalogue) -> Result<Resolution, E> {
    if let Some(resolution) = by_labels(
        input.pull_request_labels,
        ResolverSource::PrLabels,
        catalogue,
    ) {
        return Ok(resolution);
    }
    let issues = linked_issues(input.pull_request_history);
    if issues.len() > 1 {
        return Ok(Resolution::Ambiguous {
            source: ResolverSource::RunContext,
            conflicting_labels: issues
                .iter()
                .map(|number| format!("issue#{number}"))
                .collect(),
            suggested_labels: Vec::new(),
        });
    }
    let issue = issues.first().copied().or(input.linked_issue);
    if let Some(number) = issue {
        let labels = (input.issue_labels)(number)?;
        if let Some(resolution) = by_labels(&labels, ResolverSource::IssueLabels, catalogue) {
            return Ok(resolution);
        }
    }
    match newest_stage(input.pull_request_history) {
        Some(stage) if stage.has_revise() => {
            return Ok(Resolution::Resolved {
                stage,
                source: ResolverSource::LastRunContext,
            });
        }
        Some(_) => return Ok(not_resolved(catalogue)),
        None => {}
    }
    if let Some(number) = issue {
        let history = (input.issue_history)(number)?;
        if let Some(stage) = newest_stage(&history).filter(|stage| stage.has_revise()) {
            return Ok(Resolution::Resolved {
                stage,
                source: ResolverSource::IssueHistory,
            });
        }
    }
    Ok(not_resolved(catalogue))
}

fn by_labels(
    labels: &[String],
    source: ResolverSource,
    catalogue: &Catalogue,
) -> Option<Resolution> {
    let kinds: BTreeSet<TriggerKind> = catalogue
        .triggers(labels)
        .into_iter()
        .filter(|kind| kind.stage().is_some_and(Stage::has_revise))
        .collect();
    let stages: BTreeSet<Stage> = kinds.iter().filter_map(|kind| kind.stage()).collect();
    match stages.len() {
        0 => None,
        1 => stages.first().map(|stage| Resolution::Resolved {
            stage: *stage,
            source,
        }),
        _ => Some(Resolution::Ambiguous {
            source,
            conflicting_labels: sorted(
                kinds.iter().map(|kind| CatalogueLabel::Trigger(*kind)),
                catalogue,
            ),
            suggested_labels: sorted(
                stages
                    .iter()
                    .filter_map(|stage| CatalogueLabel::revise(*stage)),
                catalogue,
            ),
        }),
    }
}

fn newest_stage(history: &[RunFacts]) -> Option<Stage> {
    history
        .iter()
        .filter(|run| run.is_stage_run())
        .take(STAGE_HISTORY_RUNS)
        .find_map(RunFacts::stage)
}

fn not_resolved(catalogue: &Catalogue) -> Resolution {
    let all = Stage::ALL.into_iter().filter(|stage| stage.has_revise());
    let labels = all.flat_map(|stage| {
        [
            Some(CatalogueLabel::work(stage)),
            CatalogueLabel::revise(stage),
        ]
    });
    Resolution::NotResolved {
        suggested_labels: sorted(labels.flatten(), catalogue),
    }
}

fn sorted(labels: impl Iterator<Item = CatalogueLabel>, catalogue: &Catalogue) -> Vec<String> {
    let mut names: Vec<String> = labels
        .map(|label| catalogue.name(label).to_owned())
        .collect();
    names.sort();
    names
}

//! Stage order and acceptance gate (L-69 to L-71).

use super::approval::{self, Obstacle};
use super::facts::Context;
use super::{Actor, IgnoreReason, Undecided};
use crate::labels::{CatalogueLabel, StateLabel};
use crate::next_steps::matrix_row;
use crate::runs::RunStatus;
use crate::snapshot::{Read, RunFacts};
use crate::stages::{Stage, TriggerKind};

/// On which terms a trigger passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Passage {
    /// An approver left the shipped flow here (`run.stage.skipped`).
    pub skipped_from: Option<Stage>,
    /// The stage is accepted by starting the next one (L-71).
    pub implicit_approval: bool,
}

/// Stage of the newest succeeded stage-run (L-69).
pub(crate) fn current_stage(history: &[RunFacts]) -> Option<Stage> {
    newest_succeeded(history).and_then(RunFacts::stage)
}

pub(super) fn newest_succeeded(history: &[RunFacts]) -> Option<&RunFacts> {
    history
        .iter()
        .find(|run| run.is_stage_run() && run.status == RunStatus::Succeeded)
}

fn main_stage(history: &[RunFacts]) -> Option<usize> {
    history
        .iter()
        .filter(|run| run.status == RunStatus::Succeeded)
        .filter_map(RunFacts::stage)
        .find_map(Stage::main_path_position)
}

pub(super) fn judge(
    context: &Context<'_>,
    issue_number: i64,
    kind: TriggerKind,
    history: &[RunFacts],
    actor: &Actor,
) -> Result<Result<Passage, IgnoreReason>, Undecided> {
    let (Some(current), Some(target)) = (current_stage(history), kind.stage()) else {
        return Ok(Ok(Passage::default()));
    };
    let mut passage = Passage::default();
    if !in_order(context, current, kind, history)? {
        if !actor.is_approver {
            return Ok(Err(IgnoreReason::StageTransitionNotAllowed));
        }
        passage.skipped_from = Some(current);
    }
    let (Some(main), Some(wanted)) = (main_stage(history), target.main_path_position()) else {
        return Ok(Ok(passage));
    };
    if wanted <= main {
        return Ok(Ok(passage));
    }
    let labels = context.label_names(Read::IssueLabels(issue_number))?;
    let bears = |state| {
        context
            .policy
            .labels
            .bears(labels, CatalogueLabel::State(state))
    };
    let linked = newest_succeeded(history).is_some_and(|run| run.has_link);
    if !linked {
        return Ok(Err(IgnoreReason::StageGateNotPassed));
    }
    if bears(StateLabel::Approved) {
        return Ok(Ok(passage));
    }
    if bears(StateLabel::InReview) && actor.is_approver {
        let issue = context.issue_thread(issue_number);
        let obstacle: Option<Obstacle> = approval::obstacle(context, &issue, labels, history)?;
        if obstacle.is_none() {
            passage.implicit_approval = true;
            return Ok(Ok(passage));
        }
    }
    Ok(Err(IgnoreReason::StageGateNotPassed))
}

fn in_order(
    context: &Context<'_>,
    current: Stage,
    kind: TriggerKind,
    history: &[RunFacts],
) -> Result<bool, Undecided> {
    let Some(target) = kind.stage() else {
        return Ok(true);
    };
    let at_any_time = matches!(
        target,
        Stage::Rethink | Stage::DocAudit | Stage::SelfImprove | Stage::AiRepair
    );
    let follows = matrix_row(current)
        .is_some_and(|row| row.targets.iter().any(|(stage, _)| *stage == target));
    let back_to_dev =
        kind == TriggerKind::Work(Stage::Dev) && matches!(current, Stage::Qa | Stage::Release);
    if target == current || at_any_time || back_to_dev || (follows && !kind.is_revise()) {
        return Ok(true);
    }
    if kind.is_revise() {
        let newest = history
            .iter()
            .filter(|run| run.stage() == Some(target))
            .find_map(|run| run.pr_number);
        if let Some(number) = newest {
            let found = context.pull_request_fact(Read::PullRequest(number))?;
            return Ok(found
                .as_ref()
                .is_some_and(|pull_request| pull_request.is_open()));
        }
    }
    Ok(false)
}

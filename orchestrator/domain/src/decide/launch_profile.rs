//! The launch profile of an Issue: chosen by a step, raised by a risk that a person or a run names, set by a person
//! (L-95, L-96).

use std::collections::BTreeSet;

use super::order::current_stage;
use super::step_request::InvalidField;
use super::{Consequences, ThreadStateChange};
use crate::audit::{Actor, AuditEvent, AuditRecord, StageFlowPayload};
use crate::effects::{Effect, EffectPlan, refreshed_status_comment};
use crate::events::Thread;
use crate::ids::{CorrelationId, ProjectId, RunId};
use crate::launch_profiles::{IssueFlow, LaunchProfile, RiskSignal};
use crate::next_steps::{DisplayVariant, shown_offers};
use crate::runs::RunStatus;
use crate::snapshot::{RunFacts, UserFacts};
use crate::stages::Stage;

/// A request as it came, every member optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowInput {
    /// Issue.
    pub issue_number: Option<i64>,
    /// Spellings of [`RiskSignal`]s.
    pub risk_signals: Option<Vec<String>>,
    /// Spelling of a [`LaunchProfile`].
    pub launch_profile: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A request that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRequest {
    /// Issue.
    pub issue_number: i64,
    /// Risks that the person names.
    pub signals: BTreeSet<RiskSignal>,
    /// Profile that the person wants.
    pub profile: Option<LaunchProfile>,
}

/// Reads a request.
pub fn read_flow(input: &FlowInput) -> Result<FlowRequest, InvalidField> {
    let issue_number = input
        .issue_number
        .ok_or_else(|| InvalidField::new("issue_number", "this member is required"))?;
    if issue_number <= 0 {
        let message = "expected a positive number";
        return Err(InvalidField::new("issue_number", message));
    }
    let signals = input
        .risk_signals
        .iter()
        .flatten()
        .map(|text| {
            RiskSignal::from_text(text).ok_or_else(|| {
                let known: Vec<&str> = RiskSignal::ALL.iter().map(|known| known.as_str()).collect();
                InvalidField::new(
                    "risk_signals",
                    format!("expected some of {}", known.join(", ")),
                )
            })
        })
        .collect::<Result<BTreeSet<_>, _>>()?;
    let profile = input
        .launch_profile
        .as_deref()
        .map(|text| {
            LaunchProfile::from_text(text).ok_or_else(|| {
                let known: Vec<&str> = LaunchProfile::ALL
                    .iter()
                    .map(|known| known.as_str())
                    .collect();
                InvalidField::new(
                    "launch_profile",
                    format!("expected one of {}", known.join(", ")),
                )
            })
        })
        .transpose()?;
    if signals.is_empty() && profile.is_none() {
        let message = "name a risk signal or a launch profile";
        return Err(InvalidField::new("launch_profile", message));
    }
    if input
        .reason
        .as_deref()
        .is_none_or(|reason| reason.trim().is_empty())
    {
        return Err(InvalidField::new("reason", "this member is required"));
    }
    Ok(FlowRequest {
        issue_number,
        signals,
        profile,
    })
}

/// The path of an Issue after a request.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowDecision {
    /// As it is from now on.
    pub flow: IssueFlow,
    /// All that is written down.
    pub consequences: Consequences,
}

/// A path that only a platform owner may shorten (L-95).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only the platform owner may go back from {current} to {wanted}")]
pub struct ShorterPath {
    /// Profile of the Issue.
    pub current: LaunchProfile,
    /// Profile that was asked for.
    pub wanted: LaunchProfile,
}

/// What a decision about a path knows.
#[derive(Debug, Clone, Copy)]
pub struct FlowFacts<'a> {
    /// The Issue.
    pub issue: &'a Thread,
    /// Its project.
    pub project_id: ProjectId,
    /// Its path so far.
    pub flow: &'a IssueFlow,
    /// Its runs, newest first.
    pub history: &'a [RunFacts],
}

/// In whose name the path of an Issue changes, and which decision this is.
struct Author<'a> {
    actor: Actor,
    run: Option<RunId>,
    correlation_id: &'a CorrelationId,
    scope: &'a str,
}

/// Decides what a person says about the path of an Issue: risks first, then the wish. `scope` names this decision and
/// no other in the keys of its effects.
pub fn change_flow(
    facts: &FlowFacts<'_>,
    request: &FlowRequest,
    person: &UserFacts,
    correlation_id: &CorrelationId,
    scope: &str,
) -> Result<FlowDecision, ShorterPath> {
    let before = facts.flow;
    let escalated = before.escalated(&request.signals);
    let mut flow = escalated.clone();
    if let Some(wanted) = request.profile {
        if let Some(current) = escalated.profile
            && wanted < current
            && !person.is_platform_owner
        {
            return Err(ShorterPath { current, wanted });
        }
        flow.profile = Some(wanted);
    }
    let author = Author {
        actor: Actor::Human(person.id),
        run: None,
        correlation_id,
        scope,
    };
    Ok(written(facts, &escalated, flow, author))
}

/// Decides what the report of a run says about the path of its Issue: it may get longer, never shorter (L-96).
/// `scope` names this decision and no other in the keys of its effects.
pub fn escalate_flow(
    facts: &FlowFacts<'_>,
    signals: &BTreeSet<RiskSignal>,
    run: (RunId, &str),
    correlation_id: &CorrelationId,
    scope: &str,
) -> FlowDecision {
    let escalated = facts.flow.escalated(signals);
    let (run_id, agent_key) = run;
    let author = Author {
        actor: Actor::Agent(agent_key.to_owned()),
        run: Some(run_id),
        correlation_id,
        scope,
    };
    written(facts, &escalated, escalated.clone(), author)
}

/// What is written down of a path that goes from `facts.flow` over `escalated`, where the risks lead, to `flow`.
fn written(
    facts: &FlowFacts<'_>,
    escalated: &IssueFlow,
    flow: IssueFlow,
    author: Author<'_>,
) -> FlowDecision {
    let before = facts.flow;
    let mut consequences = Consequences::default();
    if flow == *before {
        return FlowDecision { flow, consequences };
    }
    let stage = current_stage(facts.history);
    let number = facts.issue.number;
    let mut events: Vec<AuditEvent> = escalated
        .signals
        .difference(&before.signals)
        .map(|signal| {
            AuditEvent::RunStageEscalated(StageFlowPayload {
                signal: Some(signal.to_string()),
                next_stage: signal.added_stage().map(|stage| stage.to_string()),
                ..payload(number, before, escalated, stage)
            })
        })
        .collect();
    if flow.profile != before.profile {
        events.push(resolved(number, before, &flow, stage, None, None));
    }
    consequences.audit = events
        .into_iter()
        .map(|event| {
            let (actor, correlation_id) = (author.actor.clone(), author.correlation_id.clone());
            let record =
                AuditRecord::new(event, actor, correlation_id).project(Some(facts.project_id));
            match author.run {
                Some(run_id) => record.run(run_id),
                None => record,
            }
        })
        .collect();
    consequences.thread_states.push(ThreadStateChange::FlowSet {
        thread: facts.issue.clone(),
        flow: flow.clone(),
    });
    let mut plan = EffectPlan::new(author.scope);
    for effect in facts
        .history
        .iter()
        .filter(|run| run.status == RunStatus::Succeeded && offers_change(run, before, &flow))
        .filter_map(refreshed_status_comment)
    {
        plan.push(effect);
    }
    consequences.effects = plan.into_vec();
    FlowDecision { flow, consequences }
}

fn offers_change(run: &RunFacts, before: &IssueFlow, after: &IssueFlow) -> bool {
    run.stage()
        .is_some_and(|stage| shown_offers(stage, before) != shown_offers(stage, after))
}

/// The comment whose steps people are looking at: that of the newest succeeded stage-run.
pub(super) fn shown_anew(history: &[RunFacts]) -> Option<Effect> {
    super::order::newest_succeeded(history).and_then(refreshed_status_comment)
}

/// `stage.launch_profile.resolved` (L-95).
pub(super) fn resolved(
    issue_number: i64,
    before: &IssueFlow,
    after: &IssueFlow,
    current: Option<Stage>,
    next: Option<Stage>,
    variant: Option<DisplayVariant>,
) -> AuditEvent {
    AuditEvent::StageLaunchProfileResolved(StageFlowPayload {
        next_stage: next.map(|stage| stage.to_string()),
        display_variant: variant.map(|variant| variant.to_string()),
        ..payload(issue_number, before, after, current)
    })
}

fn payload(
    issue_number: i64,
    before: &IssueFlow,
    after: &IssueFlow,
    current: Option<Stage>,
) -> StageFlowPayload {
    StageFlowPayload {
        issue_number: Some(issue_number),
        current_stage: current.map(|stage| stage.to_string()),
        launch_profile: after.profile.map(|profile| profile.to_string()),
        previous_profile: before.profile.map(|profile| profile.to_string()),
        ..StageFlowPayload::default()
    }
}

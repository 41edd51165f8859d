//! Which steps follow a stage: matrix L-92, variants L-93, links L-90.
//!
//! The same rows decide which triggers are in order (L-70).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::labels::{Catalogue, CatalogueLabel, NeedLabel, StateLabel};
use crate::launch_profiles::{IssueFlow, LaunchProfile, RiskSignal, flow_targets};
use crate::policy::Policy;
use crate::runs::RunStatus;
use crate::snapshot::RunFacts;
use crate::stages::{Stage, spelled};

spelled!(
    /// What an action does (L-89).
    ActionKind {
        /// Sets a stage label on the Issue.
        IssueStageTransition = "issue_stage_transition",
        /// Sets `need:reviewer` on the pull request.
        PullRequestLabelAdd = "pull_request_label_add",
    }
);

spelled!(
    /// The eighteen variants (L-93).
    DisplayVariant {
        /// Revise the stage.
        Revise = "revise",
        /// Next stage of the whole path.
        FullFlow = "full_flow",
        /// Next stage of the shortened path.
        ShortenedFlow = "shortened_flow",
        /// Next stage of the shortest path.
        VeryShortFlow = "very_short_flow",
        /// Merged target.
        FullOrShortenedFlow = "full_or_shortened_flow",
        /// Merged target.
        FullOrVeryShortFlow = "full_or_very_short_flow",
        /// Merged target.
        ShortenedOrVeryShortFlow = "shortened_or_very_short_flow",
        /// Merged target.
        AllFlows = "all_flows",
        /// Pre-review.
        Reviewer = "reviewer",
        /// Start anew.
        Rethink = "rethink",
        /// Compare code and docs.
        DocAudit = "doc_audit",
        /// Improve prompts and tools.
        SelfImprove = "self_improve",
        /// Plan the findings.
        PreparePlan = "prepare_plan",
        /// Straight to code.
        GoToDev = "go_to_dev",
        /// Straight to tests.
        GoToQa = "go_to_qa",
        /// Begin again, whole path.
        RestartFull = "restart_full",
        /// Begin again, shortened path.
        RestartShortened = "restart_shortened",
        /// Begin again, shortest path.
        RestartVeryShort = "restart_very_short",
    }
);

/// One row of L-92.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixRow {
    /// The stage has a revise action.
    pub revise: bool,
    /// Flow targets in order.
    pub targets: Vec<(Stage, DisplayVariant)>,
    /// Offered when there is a pull request.
    pub reviewer: bool,
    /// Offered.
    pub rethink: bool,
    /// Offered.
    pub doc_audit: bool,
    /// Offered.
    pub self_improve: bool,
}

/// The row of a stage; none for `ai-repair` (L-91).
pub fn matrix_row(stage: Stage) -> Option<MatrixRow> {
    row_with(stage, &BTreeSet::new())
}

/// The row of a stage on an Issue whose risks may have added stages to its path (L-94, L-96).
pub fn row_with(stage: Stage, signals: &BTreeSet<RiskSignal>) -> Option<MatrixRow> {
    use DisplayVariant as V;
    let mut targets = flow_targets(stage, signals);
    match stage {
        Stage::Design => targets.push((Stage::Dev, V::GoToDev)),
        Stage::DocAudit => targets.extend([
            (Stage::Plan, V::PreparePlan),
            (Stage::Dev, V::GoToDev),
            (Stage::Qa, V::GoToQa),
        ]),
        Stage::SelfImprove => targets.push((Stage::Qa, V::GoToQa)),
        Stage::Rethink => targets.extend([
            (Stage::Intake, V::RestartFull),
            (Stage::Prd, V::RestartShortened),
            (Stage::Plan, V::RestartVeryShort),
        ]),
        _ => {}
    }
    const Y: bool = true;
    const N: bool = false;
    let [reviewer, rethink, doc_audit, self_improve] = match stage {
        Stage::Intake | Stage::SelfImprove => [Y, N, N, N],
        Stage::Vision
        | Stage::Prd
        | Stage::Arch
        | Stage::Design
        | Stage::Plan
        | Stage::DocAudit => [Y, Y, N, N],
        Stage::Dev | Stage::Qa | Stage::Release => [Y, Y, Y, N],
        Stage::Postdeploy | Stage::Ops => [Y, Y, Y, Y],
        Stage::Rethink => [N, N, N, N],
        Stage::AiRepair => return None,
    };
    Some(MatrixRow {
        revise: stage.has_revise(),
        targets,
        reviewer,
        rethink,
        doc_audit,
        self_improve,
    })
}

/// An offered step (L-89).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    /// What it does.
    pub action_kind: ActionKind,
    /// Configured name of the label it sets.
    pub target_label: String,
    /// How it is shown.
    pub display_variant: DisplayVariant,
    /// Link into the console, when a base and an Issue are known (L-90).
    pub url: Option<String>,
}

/// The threads that the steps are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepThreads<'a> {
    /// `owner/name`.
    pub repository_full_name: &'a str,
    /// Issue.
    pub issue_number: Option<i64>,
    /// Pull request.
    pub pr_number: Option<i64>,
}

/// What a row offers, in the order of L-92: revise, flow targets, reviewer, rethink, doc-audit, self-improve.
pub fn offers_of(
    stage: Stage,
    flow: &IssueFlow,
) -> Vec<(ActionKind, CatalogueLabel, DisplayVariant)> {
    let Some(row) = row_with(stage, &flow.signals) else {
        return Vec::new();
    };
    let transition = |label, variant| (ActionKind::IssueStageTransition, label, variant);
    let mut offers = Vec::new();
    if let Some(label) = CatalogueLabel::revise(stage) {
        offers.push(transition(label, DisplayVariant::Revise));
    }
    for (target, variant) in row.targets {
        offers.push(transition(CatalogueLabel::work(target), variant));
    }
    if row.reviewer {
        offers.push((
            ActionKind::PullRequestLabelAdd,
            CatalogueLabel::Need(NeedLabel::Reviewer),
            DisplayVariant::Reviewer,
        ));
    }
    let extras = [
        (row.rethink, Stage::Rethink, DisplayVariant::Rethink),
        (row.doc_audit, Stage::DocAudit, DisplayVariant::DocAudit),
        (
            row.self_improve,
            Stage::SelfImprove,
            DisplayVariant::SelfImprove,
        ),
    ];
    for (_, target, variant) in extras.into_iter().filter(|(offered, ..)| *offered) {
        offers.push(transition(CatalogueLabel::work(target), variant));
    }
    offers
}

/// The same without the shortest path where a risk has closed it (L-96).
pub fn shown_offers(
    stage: Stage,
    flow: &IssueFlow,
) -> Vec<(ActionKind, CatalogueLabel, DisplayVariant)> {
    let mut offers = offers_of(stage, flow);
    if flow.hides_very_short() {
        offers.retain(|(_, _, variant)| {
            LaunchProfile::chosen_by(*variant) != Some(LaunchProfile::QuickFix)
        });
    }
    offers
}

/// The steps after a succeeded stage as people see them; a pre-review only where there is a pull request (L-92).
pub fn steps_after(
    stage: Stage,
    flow: &IssueFlow,
    threads: &StepThreads<'_>,
    catalogue: &Catalogue,
    public_base_url: Option<&str>,
) -> Vec<NextStep> {
    shown_offers(stage, flow)
        .into_iter()
        .filter(|(kind, ..)| {
            *kind != ActionKind::PullRequestLabelAdd || threads.pr_number.is_some()
        })
        .map(|(action_kind, label, display_variant)| {
            let target_label = catalogue.name(label).to_owned();
            let url = step_url(
                action_kind,
                &target_label,
                display_variant,
                threads,
                public_base_url,
            );
            NextStep {
                action_kind,
                target_label,
                display_variant,
                url,
            }
        })
        .collect()
}

/// The steps that the status comment of a run offers (L-91): after a stage that succeeded, unless the Issue is blocked
/// or abandoned.
pub fn offered_after_run(
    run: &RunFacts,
    issue_labels: &[String],
    flow: &IssueFlow,
    policy: &Policy,
) -> Vec<NextStep> {
    let withheld = [StateLabel::Blocked, StateLabel::Abandoned]
        .iter()
        .any(|state| {
            policy
                .labels
                .bears(issue_labels, CatalogueLabel::State(*state))
        });
    let (Some(stage), RunStatus::Succeeded, false) = (run.stage(), run.status, withheld) else {
        return Vec::new();
    };
    let threads = StepThreads {
        repository_full_name: &run.repository_full_name,
        issue_number: run.issue_number,
        pr_number: run.pr_number,
    };
    steps_after(
        stage,
        flow,
        &threads,
        &policy.labels,
        policy.public_base_url.as_deref(),
    )
}

fn step_url(
    action_kind: ActionKind,
    target_label: &str,
    display_variant: DisplayVariant,
    threads: &StepThreads<'_>,
    public_base_url: Option<&str>,
) -> Option<String> {
    let base = public_base_url?.trim_end_matches('/');
    let issue_number = threads.issue_number?;
    let pull_request = threads
        .pr_number
        .map(|number| format!("&pull_request_number={number}"))
        .unwrap_or_default();
    Some(format!(
        "{base}/?modal=next-step&repository_full_name={}&issue_number={issue_number}{pull_request}&action_kind={action_kind}&target_label={}&display_variant={display_variant}",
        query_escaped(threads.repository_full_name),
        query_escaped(target_label),
    ))
}

fn query_escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

//! Which steps follow a stage: matrix L-92, variants L-93, links L-90.
//!
//! The same rows decide which triggers are in order (L-70).

use serde::{Deserialize, Serialize};

use crate::labels::{Catalogue, CatalogueLabel, NeedLabel};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixRow {
    /// The stage has a revise action.
    pub revise: bool,
    /// Flow targets in order.
    pub targets: &'static [(Stage, DisplayVariant)],
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
    use DisplayVariant as V;
    let row = |targets, [reviewer, rethink, doc_audit, self_improve]: [bool; 4]| MatrixRow {
        revise: stage.has_revise(),
        targets,
        reviewer,
        rethink,
        doc_audit,
        self_improve,
    };
    const Y: bool = true;
    const N: bool = false;
    Some(match stage {
        Stage::Intake => row(
            &[
                (Stage::Vision, V::FullFlow),
                (Stage::Prd, V::ShortenedFlow),
                (Stage::Plan, V::VeryShortFlow),
            ],
            [Y, N, N, N],
        ),
        Stage::Vision => row(
            &[
                (Stage::Prd, V::FullOrShortenedFlow),
                (Stage::Plan, V::VeryShortFlow),
            ],
            [Y, Y, N, N],
        ),
        Stage::Prd => row(
            &[
                (Stage::Arch, V::FullFlow),
                (Stage::Design, V::ShortenedFlow),
                (Stage::Plan, V::VeryShortFlow),
            ],
            [Y, Y, N, N],
        ),
        Stage::Arch => row(
            &[
                (Stage::Design, V::FullOrShortenedFlow),
                (Stage::Plan, V::VeryShortFlow),
            ],
            [Y, Y, N, N],
        ),
        Stage::Design => row(
            &[(Stage::Plan, V::AllFlows), (Stage::Dev, V::GoToDev)],
            [Y, Y, N, N],
        ),
        Stage::Plan => row(&[(Stage::Dev, V::AllFlows)], [Y, Y, N, N]),
        Stage::Dev => row(&[(Stage::Qa, V::AllFlows)], [Y, Y, Y, N]),
        Stage::Qa => row(&[(Stage::Release, V::AllFlows)], [Y, Y, Y, N]),
        Stage::Release => row(&[(Stage::Postdeploy, V::AllFlows)], [Y, Y, Y, N]),
        Stage::Postdeploy => row(&[(Stage::Ops, V::AllFlows)], [Y, Y, Y, Y]),
        Stage::Ops => row(&[], [Y, Y, Y, Y]),
        Stage::DocAudit => row(
            &[
                (Stage::Plan, V::PreparePlan),
                (Stage::Dev, V::GoToDev),
                (Stage::Qa, V::GoToQa),
            ],
            [Y, Y, N, N],
        ),
        Stage::SelfImprove => row(&[(Stage::Qa, V::GoToQa)], [Y, N, N, N]),
        Stage::Rethink => row(
            &[
                (Stage::Intake, V::RestartFull),
                (Stage::Prd, V::RestartShortened),
                (Stage::Plan, V::RestartVeryShort),
            ],
            [N, N, N, N],
        ),
        Stage::AiRepair => return None,
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

/// The steps after a succeeded stage, in the order of L-92.
pub fn steps_after(
    stage: Stage,
    threads: &StepThreads<'_>,
    catalogue: &Catalogue,
    public_base_url: Option<&str>,
) -> Vec<NextStep> {
    let Some(row) = matrix_row(stage) else {
        return Vec::new();
    };
    let mut wanted: Vec<(ActionKind, CatalogueLabel, DisplayVariant)> = Vec::new();
    let mut transition =
        |label, variant| wanted.push((ActionKind::IssueStageTransition, label, variant));
    if let Some(label) = CatalogueLabel::revise(stage) {
        transition(label, DisplayVariant::Revise);
    }
    for (target, variant) in row.targets {
        transition(CatalogueLabel::work(*target), *variant);
    }
    if row.reviewer && threads.pr_number.is_some() {
        let label = CatalogueLabel::Need(NeedLabel::Reviewer);
        wanted.push((
            ActionKind::PullRequestLabelAdd,
            label,
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
        wanted.push((
            ActionKind::IssueStageTransition,
            CatalogueLabel::work(target),
            variant,
        ));
    }
    wanted
        .into_iter()
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

//! What a person asks of a next step, and what makes no sense to ask (L-97, L-98).

use crate::labels::{Catalogue, CatalogueLabel, NeedLabel};
use crate::next_steps::{ActionKind, DisplayVariant, matrix_row};
use crate::stages::TriggerKind;

/// A request as it came, every member optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepInput {
    /// `owner/name`.
    pub repository_full_name: Option<String>,
    /// Spelling of an [`ActionKind`].
    pub action_kind: Option<String>,
    /// Label to be set, under any spelling.
    pub target_label: Option<String>,
    /// Issue.
    pub issue_number: Option<i64>,
    /// Pull request.
    pub pull_request_number: Option<i64>,
    /// Spelling of a [`DisplayVariant`].
    pub display_variant: Option<String>,
    /// Trigger labels that the person saw on the thread.
    pub expected_run_labels: Option<Vec<String>>,
}

/// A request that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRequest {
    /// `owner/name`.
    pub repository_full_name: String,
    /// What is asked for.
    pub action: StepAction,
    /// How the step was shown, if the person says.
    pub display_variant: Option<DisplayVariant>,
    /// Trigger labels that the person saw, if the person says.
    pub expected: Option<Vec<TriggerKind>>,
    /// The other thread, for the record.
    pub issue_number: Option<i64>,
    /// The other thread, for the record.
    pub pull_request_number: Option<i64>,
}

/// One of the two kinds of action with its thread (L-89).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepAction {
    /// The Issue goes on to a stage.
    Stage { issue: i64, target: TriggerKind },
    /// The pull request gets a pre-review.
    Reviewer { pull_request: i64 },
}

impl StepAction {
    /// The kind as requests name it.
    pub fn kind(self) -> ActionKind {
        match self {
            StepAction::Stage { .. } => ActionKind::IssueStageTransition,
            StepAction::Reviewer { .. } => ActionKind::PullRequestLabelAdd,
        }
    }

    /// The label it sets.
    pub fn target(self) -> CatalogueLabel {
        match self {
            StepAction::Stage { target, .. } => CatalogueLabel::Trigger(target),
            StepAction::Reviewer { .. } => CatalogueLabel::Need(NeedLabel::Reviewer),
        }
    }
}

/// A member of a request that is missing or makes no sense (L-98: 400).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidField {
    /// Name of the member.
    pub field: &'static str,
    /// One sentence.
    pub message: String,
}

impl InvalidField {
    /// The member `field` is at fault.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            message: message.into(),
        }
    }
}

/// Reads a request.
pub fn read_step(input: &StepInput, catalogue: &Catalogue) -> Result<StepRequest, InvalidField> {
    let repository_full_name = text(&input.repository_full_name, "repository_full_name")?;
    let kind = text(&input.action_kind, "action_kind")?;
    let kind = ActionKind::from_text(kind).ok_or_else(|| {
        unknown(
            "action_kind",
            ActionKind::ALL.iter().map(|kind| kind.as_str()),
        )
    })?;
    let label = text(&input.target_label, "target_label")?;
    for (field, number) in [
        ("issue_number", input.issue_number),
        ("pull_request_number", input.pull_request_number),
    ] {
        if number.is_some_and(|number| number <= 0) {
            return Err(InvalidField::new(field, "expected a positive number"));
        }
    }
    let action = match kind {
        ActionKind::IssueStageTransition => StepAction::Stage {
            issue: number(input.issue_number, "issue_number")?,
            target: stage_target(label, catalogue)?,
        },
        ActionKind::PullRequestLabelAdd => {
            if catalogue.classify(label) != Some(CatalogueLabel::Need(NeedLabel::Reviewer)) {
                return Err(InvalidField::new(
                    "target_label",
                    "only a pre-review can be asked for on a pull request",
                ));
            }
            StepAction::Reviewer {
                pull_request: number(input.pull_request_number, "pull_request_number")?,
            }
        }
    };
    let display_variant = input
        .display_variant
        .as_deref()
        .map(|text| {
            DisplayVariant::from_text(text).ok_or_else(|| {
                unknown(
                    "display_variant",
                    DisplayVariant::ALL.iter().map(|variant| variant.as_str()),
                )
            })
        })
        .transpose()?;
    let expected = input
        .expected_run_labels
        .as_ref()
        .map(|labels| catalogue.triggers(labels).into_iter().collect());
    Ok(StepRequest {
        repository_full_name: repository_full_name.to_owned(),
        action,
        display_variant,
        expected,
        issue_number: input.issue_number,
        pull_request_number: input.pull_request_number,
    })
}

/// The 27 labels of the stages of L-92 are targets; `run:ai-repair`, modifiers and foreign labels are none.
fn stage_target(label: &str, catalogue: &Catalogue) -> Result<TriggerKind, InvalidField> {
    match catalogue.classify(label) {
        Some(CatalogueLabel::Trigger(kind)) if kind.stage().and_then(matrix_row).is_some() => {
            Ok(kind)
        }
        _ => Err(InvalidField::new(
            "target_label",
            format!("{label:?} is no label of a stage that a next step leads to"),
        )),
    }
}

fn text<'a>(value: &'a Option<String>, field: &'static str) -> Result<&'a str, InvalidField> {
    value
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| InvalidField::new(field, "this member is required"))
}

fn number(value: Option<i64>, field: &'static str) -> Result<i64, InvalidField> {
    value.ok_or_else(|| InvalidField::new(field, "this member is required"))
}

fn unknown<'a>(field: &'static str, known: impl Iterator<Item = &'a str>) -> InvalidField {
    let known: Vec<&str> = known.collect();
    InvalidField::new(field, format!("expected one of {}", known.join(", ")))
}

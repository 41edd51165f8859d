//! A label of the catalogue, independent of the name it is configured to have.

use crate::stages::{Role, Stage, TriggerKind, spelled};

spelled!(
    /// `state:*` (table 1.3); the spelling is the default name.
    StateLabel {
        /// No new trigger until removed (L-80).
        Blocked = "state:blocked",
        /// Artefact waits for the owner (L-73).
        InReview = "state:in-review",
        /// Stage accepted (L-76, L-77).
        Approved = "state:approved",
        /// Replaced by a newer artefact (L-81).
        Superseded = "state:superseded",
        /// Work stopped (L-82, L-83).
        Abandoned = "state:abandoned",
    }
);

impl StateLabel {
    /// `state:blocked` combines with any; the others exclude each other on one thread (L-75).
    pub fn is_exclusive(self) -> bool {
        self != StateLabel::Blocked
    }
}

spelled!(
    /// `need:*` (table 1.3); the spelling is the default name.
    NeedLabel {
        /// The owner must answer.
        Input = "need:input",
        /// Product clarification.
        Pm = "need:pm",
        /// Architecture clarification.
        Sa = "need:sa",
        /// Test input.
        Qa = "need:qa",
        /// Operations input.
        Sre = "need:sre",
        /// Decision of the engineering manager.
        Em = "need:em",
        /// Review of docs and traceability.
        Km = "need:km",
        /// Technical pre-review; on a pull request it starts a reviewer-run (L-87).
        Reviewer = "need:reviewer",
    }
);

impl NeedLabel {
    /// Role whose answer is asked for; none for `need:input`.
    pub fn role(self) -> Option<Role> {
        match self {
            NeedLabel::Input => None,
            NeedLabel::Pm => Some(Role::Pm),
            NeedLabel::Sa => Some(Role::Sa),
            NeedLabel::Qa => Some(Role::Qa),
            NeedLabel::Sre => Some(Role::Sre),
            NeedLabel::Em => Some(Role::Em),
            NeedLabel::Km => Some(Role::Km),
            NeedLabel::Reviewer => Some(Role::Reviewer),
        }
    }
}

spelled!(
    /// `[ai-model-*]`; the spelling is the model name passed to the agent (1.4).
    ModelLabel {
        /// The default model (L-13).
        Gpt54 = "gpt-5.4",
        /// First of the 5.3 family, which configuration may switch off (L-15).
        Gpt53Codex = "gpt-5.3-codex",
        /// Second of the 5.3 family.
        Gpt53CodexSpark = "gpt-5.3-codex-spark",
        /// Stands in for the 5.3 family when that is off.
        Gpt52Codex = "gpt-5.2-codex",
        /// General model.
        Gpt52 = "gpt-5.2",
        /// Largest of the 5.1 family.
        Gpt51CodexMax = "gpt-5.1-codex-max",
        /// Smallest of the 5.1 family.
        Gpt51CodexMini = "gpt-5.1-codex-mini",
    }
);

impl ModelLabel {
    /// Whether the model belongs to the family that may be switched off (L-15).
    pub fn is_gpt_5_3(self) -> bool {
        matches!(self, ModelLabel::Gpt53Codex | ModelLabel::Gpt53CodexSpark)
    }
}

spelled!(
    /// `[ai-reasoning-*]`; the spelling is the value passed to the agent (1.4).
    ReasoningLabel {
        /// Little.
        Low = "low",
        /// Some.
        Medium = "medium",
        /// The default (L-13).
        High = "high",
        /// Label `[ai-reasoning-extra-high]`.
        ExtraHigh = "xhigh",
    }
);

/// The group a label belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LabelGroup {
    /// One of the 28 triggers.
    Trigger,
    /// `run:debug` or `mode:discussion`.
    Modifier,
    /// `state:*`.
    State,
    /// `need:*`.
    Need,
    /// `[ai-model-*]`.
    Model,
    /// `[ai-reasoning-*]`.
    Reasoning,
}

/// One of the 54 labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CatalogueLabel {
    /// `run:<stage>` or `run:<stage>:revise`; never `TriggerKind::None`.
    Trigger(TriggerKind),
    /// `run:debug`.
    Debug,
    /// `mode:discussion`.
    Discussion,
    /// `state:*`.
    State(StateLabel),
    /// `need:*`.
    Need(NeedLabel),
    /// `[ai-model-*]`.
    Model(ModelLabel),
    /// `[ai-reasoning-*]`.
    Reasoning(ReasoningLabel),
}

impl CatalogueLabel {
    /// All 54 in catalogue order (L-1).
    pub fn all() -> Vec<CatalogueLabel> {
        let mut labels: Vec<CatalogueLabel> = TriggerKind::all_labelled()
            .map(CatalogueLabel::Trigger)
            .collect();
        labels.extend([CatalogueLabel::Debug, CatalogueLabel::Discussion]);
        labels.extend(StateLabel::ALL.iter().copied().map(CatalogueLabel::State));
        labels.extend(NeedLabel::ALL.iter().copied().map(CatalogueLabel::Need));
        labels.extend(ModelLabel::ALL.iter().copied().map(CatalogueLabel::Model));
        labels.extend(
            ReasoningLabel::ALL
                .iter()
                .copied()
                .map(CatalogueLabel::Reasoning),
        );
        labels
    }

    /// The work label of a stage.
    pub fn work(stage: Stage) -> Self {
        CatalogueLabel::Trigger(TriggerKind::Work(stage))
    }

    /// The revise label of a stage, if it has one (L-5).
    pub fn revise(stage: Stage) -> Option<Self> {
        stage
            .has_revise()
            .then_some(CatalogueLabel::Trigger(TriggerKind::Revise(stage)))
    }

    /// Name of the label unless configuration replaces it (L-2).
    pub fn default_name(self) -> String {
        match self {
            CatalogueLabel::Trigger(TriggerKind::Work(stage)) => {
                format!("run:{}", stage.label_stem())
            }
            CatalogueLabel::Trigger(TriggerKind::Revise(stage)) => {
                format!("run:{}:revise", stage.label_stem())
            }
            CatalogueLabel::Trigger(TriggerKind::None) => String::new(),
            CatalogueLabel::Debug => "run:debug".to_owned(),
            CatalogueLabel::Discussion => "mode:discussion".to_owned(),
            CatalogueLabel::State(state) => state.as_str().to_owned(),
            CatalogueLabel::Need(need) => need.as_str().to_owned(),
            CatalogueLabel::Model(model) => format!("[ai-model-{model}]"),
            CatalogueLabel::Reasoning(ReasoningLabel::ExtraHigh) => {
                "[ai-reasoning-extra-high]".to_owned()
            }
            CatalogueLabel::Reasoning(level) => format!("[ai-reasoning-{level}]"),
        }
    }

    /// The group.
    pub fn group(self) -> LabelGroup {
        match self {
            CatalogueLabel::Trigger(_) => LabelGroup::Trigger,
            CatalogueLabel::Debug | CatalogueLabel::Discussion => LabelGroup::Modifier,
            CatalogueLabel::State(_) => LabelGroup::State,
            CatalogueLabel::Need(_) => LabelGroup::Need,
            CatalogueLabel::Model(_) => LabelGroup::Model,
            CatalogueLabel::Reasoning(_) => LabelGroup::Reasoning,
        }
    }

    /// One sentence for the repository's label list.
    pub fn description(self) -> String {
        match self {
            CatalogueLabel::Trigger(TriggerKind::Work(stage)) => {
                format!("Start the {} stage", stage.label_stem())
            }
            CatalogueLabel::Trigger(TriggerKind::Revise(stage)) => {
                format!("Revise the {} stage", stage.label_stem())
            }
            CatalogueLabel::Trigger(TriggerKind::None) => String::new(),
            CatalogueLabel::Debug => "Keep the run namespaces of this thread".to_owned(),
            CatalogueLabel::Discussion => "Talk under the Issue, comments only".to_owned(),
            CatalogueLabel::State(StateLabel::Blocked) => "Work is blocked".to_owned(),
            CatalogueLabel::State(StateLabel::InReview) => {
                "Artifact waits for the owner".to_owned()
            }
            CatalogueLabel::State(StateLabel::Approved) => "Stage accepted".to_owned(),
            CatalogueLabel::State(StateLabel::Superseded) => {
                "Replaced by a newer artifact".to_owned()
            }
            CatalogueLabel::State(StateLabel::Abandoned) => "Work stopped".to_owned(),
            CatalogueLabel::Need(NeedLabel::Input) => "The owner must answer".to_owned(),
            CatalogueLabel::Need(NeedLabel::Reviewer) => "Technical pre-review".to_owned(),
            CatalogueLabel::Need(need) => format!(
                "Input of {} is needed",
                need.role().map_or("", Role::as_str)
            ),
            CatalogueLabel::Model(model) => format!("Run with model {model}"),
            CatalogueLabel::Reasoning(level) => format!("Run with reasoning effort {level}"),
        }
    }
}

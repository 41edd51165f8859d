//! The kind of a run as stored in `agent_runs.trigger_kind` (L-4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Stage;

/// What kind of work a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TriggerKind {
    /// First work of a stage: `dev`.
    Work(Stage),
    /// Revision of a stage: `dev_revise`. Never of a stage without a revise label (L-5).
    Revise(Stage),
    /// Deploy-only run: `none`.
    None,
}

impl TriggerKind {
    /// The 28 kinds that have a trigger label, in the order of table L-6.
    pub fn all_labelled() -> impl Iterator<Item = TriggerKind> {
        Stage::ALL.into_iter().flat_map(|stage| {
            let revise = stage.has_revise().then_some(TriggerKind::Revise(stage));
            [Some(TriggerKind::Work(stage)), revise]
                .into_iter()
                .flatten()
        })
    }

    /// The stage, if the run works on one.
    pub fn stage(self) -> Option<Stage> {
        match self {
            TriggerKind::Work(stage) | TriggerKind::Revise(stage) => Some(stage),
            TriggerKind::None => None,
        }
    }

    /// Whether earlier work of the stage is revised.
    pub fn is_revise(self) -> bool {
        matches!(self, TriggerKind::Revise(_))
    }

    /// Prompt template kind of a run that is no discussion: `work` or `revise`.
    pub fn template_kind(self) -> &'static str {
        if self.is_revise() { "revise" } else { "work" }
    }
}

impl fmt::Display for TriggerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TriggerKind::Work(stage) => formatter.write_str(stage.as_str()),
            TriggerKind::Revise(stage) => write!(formatter, "{}_revise", stage.as_str()),
            TriggerKind::None => formatter.write_str("none"),
        }
    }
}

/// The text names no trigger kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read a trigger kind: {0:?} is unknown")]
pub struct UnknownTriggerKind(pub String);

impl FromStr for TriggerKind {
    type Err = UnknownTriggerKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(TriggerKind::None);
        }
        TriggerKind::all_labelled()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| UnknownTriggerKind(text.to_owned()))
    }
}

impl TryFrom<String> for TriggerKind {
    type Error = UnknownTriggerKind;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TriggerKind> for String {
    fn from(kind: TriggerKind) -> Self {
        kind.to_string()
    }
}

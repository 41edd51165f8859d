//! The fifteen stages and the main path.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A stage of work (L-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Problem, personas, scope, constraints.
    Intake,
    /// Charter, metrics, risks.
    Vision,
    /// Product requirements.
    Prd,
    /// Architecture.
    Arch,
    /// Detailed design.
    Design,
    /// Delivery plan.
    Plan,
    /// Code, tests, docs.
    Dev,
    /// Comparison of code, docs and checklists.
    DocAudit,
    /// Test strategy and regression evidence.
    Qa,
    /// Release plan and notes.
    Release,
    /// Review after the deploy.
    Postdeploy,
    /// Objectives, alerts, runbook.
    Ops,
    /// Prompts, docs and the runner image.
    SelfImprove,
    /// Repair directly on the base branch.
    AiRepair,
    /// A new start that supersedes older artefacts.
    Rethink,
}

/// The main path in order (L-69).
pub const MAIN_PATH: [Stage; 11] = [
    Stage::Intake,
    Stage::Vision,
    Stage::Prd,
    Stage::Arch,
    Stage::Design,
    Stage::Plan,
    Stage::Dev,
    Stage::Qa,
    Stage::Release,
    Stage::Postdeploy,
    Stage::Ops,
];

impl Stage {
    /// All stages in the order of table L-6.
    pub const ALL: [Stage; 15] = [
        Stage::Intake,
        Stage::Vision,
        Stage::Prd,
        Stage::Arch,
        Stage::Design,
        Stage::Plan,
        Stage::Dev,
        Stage::DocAudit,
        Stage::Qa,
        Stage::Release,
        Stage::Postdeploy,
        Stage::Ops,
        Stage::SelfImprove,
        Stage::AiRepair,
        Stage::Rethink,
    ];

    /// The stage as it stands in a label: `doc-audit`.
    pub fn label_stem(self) -> &'static str {
        match self {
            Stage::Intake => "intake",
            Stage::Vision => "vision",
            Stage::Prd => "prd",
            Stage::Arch => "arch",
            Stage::Design => "design",
            Stage::Plan => "plan",
            Stage::Dev => "dev",
            Stage::DocAudit => "doc-audit",
            Stage::Qa => "qa",
            Stage::Release => "release",
            Stage::Postdeploy => "postdeploy",
            Stage::Ops => "ops",
            Stage::SelfImprove => "self-improve",
            Stage::AiRepair => "ai-repair",
            Stage::Rethink => "rethink",
        }
    }

    /// The stage as it stands in a trigger kind: `doc_audit` (L-4).
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::DocAudit => "doc_audit",
            Stage::SelfImprove => "self_improve",
            Stage::AiRepair => "ai_repair",
            other => other.label_stem(),
        }
    }

    /// Thirteen stages have a revise label (L-5).
    pub fn has_revise(self) -> bool {
        !matches!(self, Stage::AiRepair | Stage::Rethink)
    }

    /// Position on the main path, if the stage lies on it.
    pub fn main_path_position(self) -> Option<usize> {
        MAIN_PATH.iter().position(|stage| *stage == self)
    }

    /// Stages that may start on a closed Issue (L-36).
    pub fn allows_closed_issue(self) -> bool {
        matches!(
            self,
            Stage::Postdeploy
                | Stage::Ops
                | Stage::DocAudit
                | Stage::SelfImprove
                | Stage::AiRepair
                | Stage::Rethink
        )
    }

    /// Stages that only continue an existing candidate lineage (L-66).
    pub fn needs_lineage(self) -> bool {
        matches!(self, Stage::Qa | Stage::Release)
    }

    /// Stages that read LIVE_ENV and its namespace (L-67, L-113).
    pub fn works_in_live_env(self) -> bool {
        matches!(self, Stage::Postdeploy | Stage::Ops | Stage::AiRepair)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text names no stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read a stage: {0:?} is unknown")]
pub struct UnknownStage(pub String);

impl FromStr for Stage {
    type Err = UnknownStage;

    /// Accepts both spellings, `doc-audit` and `doc_audit`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Stage::ALL
            .into_iter()
            .find(|stage| stage.as_str() == text || stage.label_stem() == text)
            .ok_or_else(|| UnknownStage(text.to_owned()))
    }
}

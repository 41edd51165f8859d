//! Results of scenarios and steps.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Identity of one played scenario: an Outline plays once per example, `--repeat` plays again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScenarioKey {
    /// Scenario id, such as `SL-07`.
    pub scenario: String,
    /// Line of the scenario, or of the example's row.
    pub line: u32,
    /// 1 for the first attempt; more only with `--repeat`.
    pub attempt: u32,
}

impl ScenarioKey {
    /// First attempt of a scenario.
    pub fn new(scenario: impl Into<String>, line: u32) -> Self {
        Self {
            scenario: scenario.into(),
            line,
            attempt: 1,
        }
    }
}

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScenarioState {
    /// Every step passed.
    Passed,
    /// A step failed.
    Failed,
    /// Carries a waiting tag; its subject is not built yet (E-2).
    Waiting,
    /// The target lacks a capability it needs (E-10).
    NotProvableHere,
    /// A step has no definition, or several (E-7).
    Undefined,
    /// Did not run although selected, without an accepted reason (E-7).
    Skipped,
    /// Passed and failed among its repetitions (E-9).
    Flaky,
}

impl ScenarioState {
    /// Whether the scenario speaks against the system or the gate, and its reason is to be read first.
    pub fn is_trouble(self) -> bool {
        !matches!(self, Self::Passed | Self::Waiting | Self::NotProvableHere)
    }

    /// The word used in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::NotProvableHere => "not provable here",
            Self::Undefined => "undefined",
            Self::Skipped => "skipped",
            Self::Flaky => "flaky",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// The step did what it says.
    Passed,
    /// The step failed; the error says why.
    Failed,
    /// Not reached, because an earlier step did not pass.
    Skipped,
    /// No definition matches.
    Undefined,
    /// Several definitions match.
    Ambiguous,
}

/// One step of a played scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// `Given`, `When`, `Then`, `And`, `But`.
    pub keyword: String,
    /// Text without the keyword.
    pub text: String,
    /// How it ended.
    pub state: StepState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Line in the feature file.
    pub line: u32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: u64,
}

/// An object that a scenario leaves on purpose, with the reason that E-20 accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptObject {
    /// Ledger kind, such as `Namespace`.
    pub kind: String,
    /// Name as booked in the ledger.
    pub name: String,
    /// `lease_not_over`, `run_debug` or `result_of_run`.
    pub reason: String,
}

/// A pattern of an `ERROR` line that the scenario announces (E-8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedLog {
    /// Text that the line contains.
    pub contains: String,
    /// Why the scenario makes it happen.
    pub reason: String,
}

/// Result of one played scenario. Written once, when it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioResult {
    /// Scenario, example line and attempt.
    #[serde(flatten)]
    pub key: ScenarioKey,
    /// Feature name without `.feature`.
    pub feature: String,
    /// Path of the feature file, relative to the workspace.
    pub file: String,
    /// Name as written in the feature file.
    pub name: String,
    /// Tags without `@`, of feature, rule and scenario.
    pub tags: Vec<String>,
    /// How it ended.
    pub state: ScenarioState,
    /// Reason of any state but `Passed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Steps in order; empty when it was not played.
    pub steps: Vec<StepResult>,
    /// Ids of the runs it started.
    #[serde(default)]
    pub runs: Vec<String>,
    /// Full names of the repositories it made (E-3): the key that joins journals to scenarios.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// Lane it ran on, by instance name.
    #[serde(default)]
    pub instance: String,
    /// What it leaves on purpose.
    #[serde(default)]
    pub kept: Vec<KeptObject>,
    /// `ERROR` lines it announced.
    #[serde(default)]
    pub announced: Vec<AnnouncedLog>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

impl ScenarioResult {
    /// Tag among the closed set of E-2 that makes the scenario wait.
    pub fn waiting_tag(&self) -> Option<&str> {
        self.tags
            .iter()
            .map(String::as_str)
            .find(|tag| tag.starts_with("waits-"))
    }

    /// Wall time of the scenario.
    pub fn duration_ms(&self) -> u64 {
        u64::try_from((self.finished_at - self.started_at).num_milliseconds()).unwrap_or(0)
    }
}

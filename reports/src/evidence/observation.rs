//! One reading of the world by one `Then` (E-21).
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ScenarioKey;

/// Where a value was read; [`Self::is_world`] says which of them are the world of E-22.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservationSource {
    /// The GitHub stand-in's state or journal, or GitHub itself.
    Github,
    /// The answer that GitHub got to a delivery, from the stand-in's journal: its witness is GitHub, but nothing was
    /// done to the world (E-40).
    Answer,
    /// The Kubernetes API server or its audit log.
    Kubernetes,
    /// A Postgres catalogue or table.
    Postgres,
    /// An answer of the orchestrator over HTTP.
    Orchestrator,
    /// The log of an agent's Job.
    JobLog,
    /// The journal of the model's stand-in: what an agent really asked for.
    Model,
    /// The journal of the adapter's stand-in: what people were told, and what was answered to what they pressed.
    Adapter,
    /// A process of this host: its environment, sockets, exit code.
    Process,
    /// The gate itself.
    Gate,
}

impl ObservationSource {
    /// True for sources that the orchestrator does not control (E-22).
    /// Its own tables are its word; a Postgres catalogue counts only when the query names `pg_`.
    pub fn is_world(self, query: &str) -> bool {
        match self {
            Self::Github
            | Self::Answer
            | Self::Kubernetes
            | Self::Process
            | Self::JobLog
            | Self::Model
            | Self::Adapter => true,
            Self::Postgres => query.contains("pg_"),
            Self::Orchestrator | Self::Gate => false,
        }
    }

    /// The word used in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Github => "GitHub",
            Self::Answer => "Answer to GitHub",
            Self::Kubernetes => "Kubernetes",
            Self::Postgres => "Postgres",
            Self::Orchestrator => "Orchestrator",
            Self::JobLog => "Job log",
            Self::Model => "Model",
            Self::Adapter => "Adapter",
            Self::Process => "Process",
            Self::Gate => "Gate",
        }
    }
}

/// What a `Then` expected and what it saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Scenario, example line and attempt that made the observation.
    #[serde(flatten)]
    pub key: ScenarioKey,
    /// Text of the step.
    pub step: String,
    /// Rule ids that this observation proves, such as `L-33`.
    pub rules: Vec<String>,
    /// What was looked at, in words or as a name: `Issue acme/shop#1 labels`.
    pub subject: String,
    /// Expected value, from the specification or the fixtures.
    pub expected: String,
    /// Value that was read.
    pub seen: String,
    /// Whether the two agree.
    pub ok: bool,
    /// Source of the value.
    pub source: ObservationSource,
    /// How to read it again: a route, a query, a command.
    pub query: String,
    /// The effect has two witnesses and they disagree (E-22).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contradiction: bool,
    /// When it was read.
    pub at: DateTime<Utc>,
}

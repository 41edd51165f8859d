//! Facts about the run as a whole: target, versions, phases, capability probe (E-10, E-12, E-13).
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The run as a whole. Written as `environment.json` when it begins and again when it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateRun {
    /// Unique id; every row of evidence carries it (E-23).
    pub gate_run_id: String,
    /// `embedded`, `kind`, `vps` or `existing`.
    pub target: String,
    /// System and release that the host reports, such as `Debian 12`.
    pub host: String,
    /// Commit that was checked out.
    pub revision: String,
    /// Whether the work tree differed from it.
    pub dirty: bool,
    /// SHA-256 of the orchestrator binary that was judged.
    pub binary_digest: String,
    /// Component → version, of everything in the target.
    pub versions: BTreeMap<String, String>,
    /// Component → where it came from: given, cache, download, build.
    pub origins: BTreeMap<String, String>,
    /// What was a stand-in, in words (E-12).
    pub stand_ins: Vec<String>,
    /// Settings that differ from the product's defaults, such as a shortened Job TTL (E-13).
    pub settings: BTreeMap<String, String>,
    /// Selected feature files, by name without `.feature`.
    pub features: Vec<String>,
    /// Tag expression of the selection, when one was given.
    pub tags: Option<String>,
    /// Instances that were lent to scenarios.
    pub lanes: Vec<LaneFacts>,
    /// Bringing up, features, taking down: each with its evidence.
    pub phases: Vec<TargetPhase>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; absent in a run that was cut off.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why the run ended early, when it did.
    pub interrupted: Option<String>,
    /// The journals are made up, to show what a report looks like.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sample: bool,
    /// The target was kept for a person to look at: what is there is no leak, and nothing proves that none will be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
}

/// One orchestrator instance of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneFacts {
    /// Value of the `codex-k8s.dev/instance` label.
    pub instance: String,
    /// Database name.
    pub database: String,
    /// Process names with replica counts, as in `gateway ×1, worker ×2`.
    pub processes: String,
    /// Platform namespaces of the instance, made by the gate.
    pub namespaces: Vec<String>,
    /// What it was lent for.
    pub purpose: String,
}

/// A phase of the run with its evidence (E-13).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetPhase {
    /// `up`, `probe`, `features`, `sweep`, `down`.
    pub name: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: u64,
    /// Whether it did what it should.
    pub ok: bool,
    /// What was made, or what was looked at and found to be gone.
    pub facts: Vec<PhaseFacts>,
}

/// One line of a phase: what was made or checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseFacts {
    /// What: `postgres`, `kube-apiserver`, `processes with the run's marker`.
    pub subject: String,
    /// Result in words: `ready`, `none left`.
    pub result: String,
    /// Whether the result is as it should be.
    pub ok: bool,
    /// How long it took.
    pub duration_ms: u64,
}

/// Whether the target has a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityState {
    /// The probe saw it work.
    Present,
    /// The probe saw that it does not.
    Absent,
    /// The probe could not tell.
    Unknown,
}

/// One answer of the capability probe (E-10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Name; a scenario asks for it by the tag `needs-<name>`.
    pub name: String,
    /// What the probe found.
    pub state: CapabilityState,
    /// How it was found, and why it is absent.
    pub reason: String,
}

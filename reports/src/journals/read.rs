//! Reads a bundle folder. A last line without its end is what a killed run leaves, and is passed over.
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AuditRecord, GithubCertificate, GithubRecord, LaneSlices};
use crate::canary::CanarySearch;
use crate::crash_matrix::CrashSweep;
use crate::evidence::{Capability, GateRun, Observation, ScenarioResult};
use crate::verdict::{Baseline, Criteria, Risk};

/// Why a bundle cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file cannot be read.
    #[error("failed to read {file}")]
    Read {
        /// File in the bundle.
        file: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A line or file does not have its form.
    #[error("{file}:{line}: failed to parse")]
    Parse {
        /// File in the bundle.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// A part without which nothing can be judged is absent.
    #[error("the bundle has no {0}")]
    Missing(&'static str),
}

/// A value with the place that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<T> {
    /// File in the bundle.
    pub file: String,
    /// Line, from 1.
    pub number: usize,
    /// What stands there.
    pub value: T,
}

impl<T> Line<T> {
    /// `file:line`, as reports point to evidence.
    pub fn pointer(&self) -> String {
        format!("{}:{}", self.file, self.number)
    }
}

/// Result of the last self-check (E-40).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfCheck {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Commit that it was made on.
    pub revision: String,
    /// Whether the checkout had changes that no commit has.
    #[serde(default)]
    pub dirty: bool,
    /// Whether it passed.
    pub passed: bool,
    /// Scenarios that were green although they should be red.
    #[serde(default)]
    pub vacuous: Vec<String>,
}

/// All journals of one run.
#[derive(Debug, Clone)]
pub struct Journals {
    /// The run as a whole.
    pub gate_run: GateRun,
    /// Answers of the capability probe; nothing when it did not run.
    pub capabilities: Option<Vec<Capability>>,
    /// Results of scenarios.
    pub scenarios: Vec<Line<ScenarioResult>>,
    /// Observations of all `Then`s.
    pub observations: Vec<Line<Observation>>,
    /// The GitHub stand-in's journal.
    pub github: Vec<Line<GithubRecord>>,
    /// Kubernetes audit log, completed requests only; nothing when it is absent.
    pub audit: Option<Vec<Line<AuditRecord>>>,
    /// Database slices by instance.
    pub lanes: BTreeMap<String, LaneSlices>,
    /// Orchestrator logs: file and text.
    pub logs: Vec<(String, String)>,
    /// Canary search, when it ran.
    pub canaries: Option<CanarySearch>,
    /// What was held against GitHub's description of its API.
    pub certificate: Option<GithubCertificate>,
    /// Last self-check, when there is one.
    pub self_check: Option<SelfCheck>,
    /// Crash sweep of the same revision, when one was kept.
    pub crash_sweep: Option<CrashSweep>,
    /// Open risks.
    pub risks: Vec<Risk>,
    /// Scope and findings of the bundle that this one is compared with.
    pub baseline: Option<Baseline>,
}

impl Journals {
    /// Reads a bundle folder.
    pub fn read(folder: &Path) -> Result<Self, JournalError> {
        let files = files_below(folder)?;
        let has = |name: &str| files.iter().any(|file| file == name);
        let mut lanes: BTreeMap<String, LaneSlices> = BTreeMap::new();
        let mut logs = Vec::new();
        for file in &files {
            if let Some(rest) = file.strip_prefix("journals/postgres/")
                && let Some((instance, table)) = rest.split_once('/')
                && let Some(table) = table.strip_suffix(".ndjson")
            {
                let lane = lanes.entry(instance.to_owned()).or_default();
                if let Some(rows) = lane.table(table) {
                    *rows = lines(folder, file)?;
                }
            } else if file.starts_with("journals/orchestrator/") {
                logs.push((file.clone(), read_text(folder, file)?));
            }
        }
        let optional_lines = |name: &'static str| has(name).then_some(name);
        let audit = optional_lines("journals/audit.ndjson")
            .map(|name| lines::<Value>(folder, name))
            .transpose()?
            .map(|lines| lines.iter().filter_map(audit_line).collect());
        Ok(Self {
            gate_run: json(folder, "environment.json")?
                .ok_or(JournalError::Missing("environment.json"))?,
            capabilities: json(folder, "capabilities.json")?,
            scenarios: optional_lines("journals/scenarios.ndjson")
                .map_or(Ok(Vec::new()), |name| lines(folder, name))?,
            observations: optional_lines("journals/observations.ndjson")
                .map_or(Ok(Vec::new()), |name| lines(folder, name))?,
            github: optional_lines("journals/github.ndjson")
                .map_or(Ok(Vec::new()), |name| lines(folder, name))?,
            audit,
            lanes,
            logs,
            canaries: json(folder, "canaries.json")?,
            certificate: json(folder, "github-certificate.json")?,
            self_check: json(folder, "selfcheck.json")?,
            crash_sweep: json(folder, "crash-sweep.json")?,
            risks: json(folder, "risks.json")?.unwrap_or_default(),
            baseline: json(folder, "baseline.json")?,
        })
    }

    /// The criteria that a bundle was judged by.
    pub fn criteria(folder: &Path) -> Result<Criteria, crate::verdict::CriteriaError> {
        Criteria::read(&folder.join("gate.yaml"))
    }

    /// Results of one scenario id.
    pub fn results_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a ScenarioResult> {
        self.scenarios
            .iter()
            .map(|line| &line.value)
            .filter(move |result| result.key.scenario == id)
    }

    /// The scenario that a run belongs to: by its id, else by the repository that the scenario made (E-3).
    pub fn scenario_of_run(&self, run_id: &str, repository: &str) -> Option<&ScenarioResult> {
        let results = || self.scenarios.iter().map(|line| &line.value);
        results()
            .find(|result| result.runs.iter().any(|run| run == run_id))
            .or_else(|| {
                results().find(|result| {
                    result
                        .repositories
                        .iter()
                        .any(|own| own.eq_ignore_ascii_case(repository))
                })
            })
    }
}

fn audit_line(line: &Line<Value>) -> Option<Line<AuditRecord>> {
    Some(Line {
        file: line.file.clone(),
        number: line.number,
        value: AuditRecord::from_json(&line.value)?,
    })
}

/// All files below a folder, relative, sorted, with `/` between the parts.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<String>, JournalError> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        let failed = |source| JournalError::Read {
            file: current.clone(),
            source,
        };
        for entry in fs::read_dir(&current).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                open.push(entry.path());
            } else if let Ok(relative) = entry.path().strip_prefix(folder) {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read_text(folder: &Path, file: &str) -> Result<String, JournalError> {
    fs::read(folder.join(file))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|source| JournalError::Read {
            file: file.into(),
            source,
        })
}

fn json<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<Option<T>, JournalError> {
    if !folder.join(file).is_file() {
        return Ok(None);
    }
    serde_json::from_str(&read_text(folder, file)?)
        .map(Some)
        .map_err(|source| JournalError::Parse {
            file: file.to_owned(),
            line: source.line(),
            source,
        })
}

fn lines<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<Vec<Line<T>>, JournalError> {
    let text = read_text(folder, file)?;
    let mut found = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(value) => found.push(Line {
                file: file.to_owned(),
                number: index + 1,
                value,
            }),
            Err(_) if !line.ends_with('\n') => break, // cut off in the middle of a write
            Err(source) => {
                return Err(JournalError::Parse {
                    file: file.to_owned(),
                    line: index + 1,
                    source,
                });
            }
        }
    }
    Ok(found)
}

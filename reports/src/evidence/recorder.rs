//! Appends evidence as it arises, one line each, so that a killed run leaves a readable partial bundle.
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Capability, GateRun, Observation, Redactor, ScenarioKey, ScenarioResult, SecretValue};

/// Why evidence could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The file system refused.
    #[error("failed to write evidence to {path}")]
    Write {
        /// File that was written.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The folder for a new bundle holds something.
    #[error("failed to begin a bundle in {}: the folder is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A value has no JSON form.
    #[error("failed to encode evidence for {path}")]
    Encode {
        /// File that was written.
        path: PathBuf,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
}

/// One line of `events.ndjson`, the gate's own event stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateEvent {
    /// Rises by one per line.
    pub seq: u64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// Run that it belongs to (E-23).
    pub gate_run_id: String,
    /// `run_started`, `scenario_finished`, `observation`, `phase_finished`, or one of the caller's own.
    pub kind: String,
    /// Details.
    pub payload: serde_json::Value,
}

/// Collects evidence of one run into the bundle folder. Cheap to clone, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    gate_run_id: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sequence: u64,
    redactor: Redactor,
    files: BTreeMap<PathBuf, File>,
    observations: Vec<Observation>,
    scenarios: Vec<ScenarioResult>,
}

impl Recorder {
    /// Opens the bundle folder, making it when absent. A folder that holds anything is refused: evidence of two runs
    /// in one bundle would be judged as one.
    pub fn create(folder: &Path, gate_run_id: &str) -> Result<Self, EvidenceError> {
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(EvidenceError::NotEmpty {
                path: folder.to_owned(),
            });
        }
        let recorder = Self {
            inner: Arc::new(Inner {
                folder: folder.to_owned(),
                gate_run_id: gate_run_id.to_owned(),
                state: Mutex::default(),
            }),
        };
        let journals = folder.join("journals");
        fs::create_dir_all(&journals).map_err(|source| EvidenceError::Write {
            path: journals,
            source,
        })?;
        recorder.event("run_started", serde_json::json!({}))?;
        Ok(recorder)
    }

    /// The bundle folder.
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// Id of the run.
    pub fn gate_run_id(&self) -> &str {
        &self.inner.gate_run_id
    }

    /// Makes a secret known, so that it is redacted from all that is written from now on.
    pub fn add_secret(&self, secret: SecretValue) {
        self.state().redactor.add(secret);
    }

    /// A copy of the redactor with all secrets known so far.
    pub fn redactor(&self) -> Redactor {
        self.state().redactor.clone()
    }

    /// Keeps an observation (E-21).
    pub fn observe(&self, observation: Observation) -> Result<(), EvidenceError> {
        self.append("journals/observations.ndjson", &observation)?;
        self.event(
            "observation",
            serde_json::json!({
                "scenario": observation.key.scenario,
                "line": observation.key.line,
                "attempt": observation.key.attempt,
                "subject": observation.subject,
                "ok": observation.ok,
            }),
        )?;
        self.state().observations.push(observation);
        Ok(())
    }

    /// How many observations a step of a scenario made: a `Then` with none fails (E-21).
    pub fn observations_of_step(&self, key: &ScenarioKey, step: &str) -> usize {
        self.state()
            .observations
            .iter()
            .filter(|observation| observation.key == *key && observation.step == step)
            .count()
    }

    /// All observations of a scenario so far.
    pub fn observations(&self, key: &ScenarioKey) -> Vec<Observation> {
        self.state()
            .observations
            .iter()
            .filter(|observation| observation.key == *key)
            .cloned()
            .collect()
    }

    /// Keeps the result of a scenario.
    pub fn scenario_finished(&self, result: ScenarioResult) -> Result<(), EvidenceError> {
        self.append("journals/scenarios.ndjson", &result)?;
        self.event(
            "scenario_finished",
            serde_json::json!({
                "scenario": result.key.scenario,
                "line": result.key.line,
                "attempt": result.key.attempt,
                "state": result.state,
                "duration_ms": result.duration_ms(),
            }),
        )?;
        self.state().scenarios.push(result);
        Ok(())
    }

    /// All results so far.
    pub fn scenarios(&self) -> Vec<ScenarioResult> {
        self.state().scenarios.clone()
    }

    /// Adds a line to `events.ndjson`.
    pub fn event(&self, kind: &str, payload: serde_json::Value) -> Result<(), EvidenceError> {
        let mut state = self.state();
        state.sequence += 1;
        let event = GateEvent {
            seq: state.sequence,
            at: Utc::now(),
            gate_run_id: self.inner.gate_run_id.clone(),
            kind: kind.to_owned(),
            payload,
        };
        self.append_locked(&mut state, "events.ndjson", &event)
    }

    /// Writes `environment.json` anew: at the begin, after each phase, and at the end.
    pub fn gate_run(&self, gate_run: &GateRun) -> Result<(), EvidenceError> {
        self.write_json("environment.json", gate_run)
    }

    /// Writes `capabilities.json`, the answers of the probe (E-10).
    pub fn capabilities(&self, capabilities: &[Capability]) -> Result<(), EvidenceError> {
        self.write_json("capabilities.json", &capabilities)
    }

    /// Appends one JSON line to a file of the bundle, such as `journals/postgres/<lane>/agent_runs.ndjson`.
    pub fn append<T: Serialize>(&self, file: &str, line: &T) -> Result<(), EvidenceError> {
        self.append_locked(&mut self.state(), file, line)
    }

    /// Writes a text file of the bundle whole, redacted, in one step.
    pub fn write_text(&self, file: &str, text: &str) -> Result<(), EvidenceError> {
        let path = self.inner.folder.join(file);
        let redacted = self.state().redactor.redact(text).into_owned();
        write_whole(&path, redacted.as_bytes())
            .map_err(|source| EvidenceError::Write { path, source })
    }

    /// Writes a JSON file of the bundle whole, redacted, in one step.
    pub fn write_json<T: Serialize>(&self, file: &str, value: &T) -> Result<(), EvidenceError> {
        let text = serde_json::to_string_pretty(value).map_err(|source| EvidenceError::Encode {
            path: self.inner.folder.join(file),
            source,
        })?;
        self.write_text(file, &(text + "\n"))
    }

    /// Copies a journal or log from elsewhere into the bundle, redacted line by line.
    pub fn import(&self, from: &Path, file: &str) -> Result<(), EvidenceError> {
        let bytes = fs::read(from).map_err(|source| EvidenceError::Write {
            path: from.to_owned(),
            source,
        })?;
        self.write_text(file, &String::from_utf8_lossy(&bytes))
    }

    fn append_locked<T: Serialize>(
        &self,
        state: &mut State,
        file: &str,
        line: &T,
    ) -> Result<(), EvidenceError> {
        let path = self.inner.folder.join(file);
        let text = serde_json::to_string(line).map_err(|source| EvidenceError::Encode {
            path: path.clone(),
            source,
        })?;
        let line = format!("{}\n", state.redactor.redact(&text));
        append_line(&mut state.files, &path, line.as_bytes())
            .map_err(|source| EvidenceError::Write { path, source })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in one scenario must not lose the evidence of the others.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn append_line(files: &mut BTreeMap<PathBuf, File>, path: &Path, line: &[u8]) -> io::Result<()> {
    if let Some(file) = files.get_mut(path) {
        return file.write_all(line);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line)?;
    files.insert(path.to_owned(), file);
    Ok(())
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes)?;
    fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::ObservationSource;

    fn observation(key: &ScenarioKey, seen: &str) -> Observation {
        Observation {
            key: key.clone(),
            step: "the Issue carries the label".into(),
            rules: vec!["L-73".into()],
            subject: "acme/shop#1".into(),
            expected: "state:in-review".into(),
            seen: seen.into(),
            ok: true,
            source: ObservationSource::Github,
            query: "GET /repos/acme/shop/issues/1/labels".into(),
            contradiction: false,
            at: Utc::now(),
        }
    }

    #[test]
    fn lines_are_on_disk_before_the_recorder_is_dropped_and_hold_no_secret() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let recorder = Recorder::create(folder.path(), "run-1").expect("recorder");
        recorder.add_secret(SecretValue::new("pat", "canary-value-1"));
        let key = ScenarioKey::new("SL-07", 12);
        recorder
            .observe(observation(&key, "canary-value-1"))
            .expect("observation is written");
        let text = fs::read_to_string(folder.path().join("journals/observations.ndjson"))
            .expect("journal exists");
        assert!(text.contains("[redacted:pat]"), "{text}");
        assert!(!text.contains("canary-value-1"), "{text}");
        assert_eq!(
            recorder.observations_of_step(&key, "the Issue carries the label"),
            1
        );
        assert_eq!(recorder.observations_of_step(&key, "another step"), 0);
    }

    #[test]
    fn events_of_many_threads_have_a_gapless_sequence() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let recorder = Recorder::create(folder.path(), "run-1").expect("recorder");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        recorder
                            .event("probe", serde_json::json!({}))
                            .expect("event is written");
                    }
                });
            }
        });
        let text = fs::read_to_string(folder.path().join("events.ndjson")).expect("stream exists");
        let sequence: Vec<u64> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<GateEvent>(line)
                    .expect("line parses")
                    .seq
            })
            .collect();
        assert_eq!(sequence, (1..=101).collect::<Vec<u64>>());
    }
}

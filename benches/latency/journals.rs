//! Times from the witnesses: the stand-in's journal, the Kubernetes audit log, the node's journal.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Utc};
use gonogo::gate::Running;
use serde_json::Value;

/// Read once, after all runs.
pub struct Journals {
    deliveries: HashMap<String, DateTime<Utc>>,
    jobs: HashMap<String, DateTime<Utc>>,
    /// Pod and time of each ended agent container.
    exits: Vec<(String, DateTime<Utc>)>,
}

impl Journals {
    pub fn read(running: &Running) -> anyhow::Result<Self> {
        let run_dir = &running.target.run_dir;
        let mut journals = Self {
            deliveries: HashMap::new(),
            jobs: HashMap::new(),
            exits: Vec::new(),
        };
        for entry in lines(&run_dir.join("github.ndjson"))? {
            if entry["kind"] == "delivery" && entry["detail"]["redelivery"] == false {
                let queued = time(&entry["detail"]["queued_at"])?;
                journals
                    .deliveries
                    .insert(text(&entry["delivery_id"]), queued);
            }
        }
        for entry in lines(&running.target.audit_log)? {
            let object = &entry["objectRef"];
            if entry["verb"] == "create"
                && object["resource"] == "jobs"
                && entry["responseStatus"]["code"] == 201
            {
                journals
                    .jobs
                    .insert(text(&object["name"]), time(&entry["stageTimestamp"])?);
            }
        }
        for entry in lines(&run_dir.join("node/containers.ndjson"))? {
            // The init container ends earlier; the last end of a Pod is the agent's.
            journals
                .exits
                .push((text(&entry["pod"]), time(&entry["finished_at"])?));
        }
        Ok(journals)
    }

    /// When GitHub's stand-in had the delivery ready.
    pub fn delivered(&self, guid: &str) -> anyhow::Result<DateTime<Utc>> {
        self.deliveries
            .get(guid)
            .copied()
            .with_context(|| format!("delivery {guid} is not in the stand-in's journal"))
    }

    /// When the API server had stored the Job.
    pub fn job_created(&self, job: &str) -> anyhow::Result<DateTime<Utc>> {
        self.jobs
            .get(job)
            .copied()
            .with_context(|| format!("Job {job} is not in the audit log"))
    }

    /// When the agent's process ended.
    pub fn agent_exit(&self, job: &str) -> anyhow::Result<DateTime<Utc>> {
        self.exits
            .iter()
            .filter(|(pod, _)| pod.starts_with(job))
            .map(|(_, at)| *at)
            .max()
            .with_context(|| format!("the node kept no end of a Pod of Job {job}"))
    }
}

fn lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line)
                .with_context(|| format!("failed to read a line of {}", path.display()))
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> anyhow::Result<DateTime<Utc>> {
    let text = value.as_str().context("an entry has no time")?;
    text.parse()
        .with_context(|| format!("failed to read the time {text}"))
}

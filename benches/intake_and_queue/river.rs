//! River, the job queue for Go and PostgreSQL, with its default settings: the module in `river/`, pinned there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tokio::process::Command;

/// Where the module lies.
const MODULE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../benches/intake_and_queue/river"
);

pub struct River {
    program: PathBuf,
}

/// What the program prints.
#[derive(Debug, Deserialize)]
pub struct Measured {
    pub river: String,
    pub go: String,
    /// Commit to handler, of each job.
    pub milliseconds: Vec<f64>,
}

impl River {
    /// Builds the program; Go fetches the pinned modules the first time.
    pub async fn build(folder: &Path) -> anyhow::Result<Self> {
        let program = folder.join("river");
        let output = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(MODULE)
            .kill_on_drop(true)
            .output()
            .await
            .context("failed to run go: install Go 1.26 (River asks for it)")?;
        anyhow::ensure!(
            output.status.success(),
            "failed to build River's part of the bench: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self { program })
    }

    /// Inserts so many jobs at a steady pace and tells how long each waited for its handler.
    pub async fn run(
        &self,
        url: &str,
        jobs: usize,
        interval: Duration,
    ) -> anyhow::Result<Measured> {
        let output = Command::new(&self.program)
            .args(["--database-url", url])
            .args(["--jobs", &jobs.to_string()])
            .args(["--interval", &format!("{}ms", interval.as_millis())])
            .kill_on_drop(true)
            .output()
            .await
            .context("failed to run River's part of the bench")?;
        anyhow::ensure!(
            output.status.success(),
            "failed to run River's part of the bench: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        serde_json::from_slice(&output.stdout).context("failed to read what River's part printed")
    }
}

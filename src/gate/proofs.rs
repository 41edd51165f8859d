//! Results of the gate's proofs of itself that a run keeps in its bundle: a null check (E-40) and a crash sweep (E-44).

use std::path::{Path, PathBuf};

use anyhow::Context;
use reports::{
    crash_matrix::{CrashSweep, matrix_html},
    evidence::Recorder,
};

use super::{Failure, revision::Revision};

/// Names of the results in a proof's folder and in a bundle.
const SELF_CHECK: &str = "selfcheck.json";
const CRASH_SWEEP: &str = "crash-sweep.json";

/// Results that were read and may be kept.
#[derive(Debug, Default)]
pub struct Proofs {
    self_check: Option<String>,
    crash_sweep: Option<(String, CrashSweep)>,
}

impl Proofs {
    /// Reads the results in `folders`, each of which holds one of this revision.
    ///
    /// # Errors
    /// When a folder holds none, or one of another revision: it would say nothing of this code.
    pub async fn read(folders: &[PathBuf]) -> Result<Self, Failure> {
        let mut proofs = Self::default();
        if folders.is_empty() {
            return Ok(proofs);
        }
        let checked_out = Revision::checked_out().await?;
        for folder in folders {
            let (self_check, crash_sweep) = (text(folder, SELF_CHECK), text(folder, CRASH_SWEEP));
            let found = self_check.as_ref().or(crash_sweep.as_ref());
            let played_on: Revision = found
                .and_then(|text| serde_json::from_str(text).ok())
                .ok_or_else(|| {
                    Failure::Usage(format!(
                        "{} holds no result of a whole null check or of a crash sweep; name the folder that `gonogo selfcheck --null` or `gonogo crash-sweep` printed",
                        folder.display()
                    ))
                })?;
            if played_on != checked_out {
                return Err(Failure::Usage(format!(
                    "the proof in {} was played on {played_on}, this checkout is {checked_out}; play it again",
                    folder.display()
                )));
            }
            if let Some(text) = crash_sweep {
                let sweep = serde_json::from_str(&text).map_err(|error| {
                    Failure::Usage(format!(
                        "failed to read {CRASH_SWEEP} in {}: {error}",
                        folder.display()
                    ))
                })?;
                proofs.crash_sweep = Some((text, sweep));
            }
            proofs.self_check = self_check.or(proofs.self_check);
        }
        Ok(proofs)
    }

    /// Writes them into a bundle.
    ///
    /// # Errors
    /// When the folder of the bundle cannot be written.
    pub fn keep(&self, recorder: &Recorder) -> anyhow::Result<()> {
        if let Some(text) = &self.self_check {
            recorder
                .write_text(SELF_CHECK, text)
                .context("failed to keep the null check")?;
        }
        if let Some((text, sweep)) = &self.crash_sweep {
            recorder
                .write_text(CRASH_SWEEP, text)
                .and_then(|()| recorder.write_text("crash-matrix.html", &matrix_html(sweep)))
                .context("failed to keep the crash sweep")?;
        }
        Ok(())
    }
}

fn text(folder: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(name)).ok()
}

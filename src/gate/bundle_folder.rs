//! The folder of the bundle: where it lies, whether it can be used, and the link to the newest one.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use reports::evidence::{EvidenceError, Recorder};

use super::{Failure, target::failure};

/// Space a bundle takes at most, in megabytes: journals of a full run, report and archive (E-38).
const NEEDED_MEGABYTES: u64 = 200;

/// Where bundles lie unless the person names a folder.
const DEFAULT: &str = "target/gate";

/// The folder of a run, in use by its recorder.
pub struct BundleFolder {
    pub path: PathBuf,
    pub recorder: Recorder,
    /// Whether it lies among the others, so that `latest` points to it.
    linked: bool,
}

impl BundleFolder {
    /// Makes the folder that the person named, or the run's own.
    ///
    /// # Errors
    /// Wrong usage when the named folder cannot be used; a failure of the gate when the disk is full.
    pub fn open(named: Option<&Path>, run_id: &str) -> Result<Self, Failure> {
        let path = named.map_or_else(|| Path::new(DEFAULT).join(run_id), Path::to_owned);
        let recorder = Recorder::create(&path, run_id).map_err(|error| match error {
            EvidenceError::Write { source, .. } if named.is_some() && !is_full(&source) => {
                Failure::Usage(format!(
                    "failed to use {} for the bundle: {source}; name a folder that can be written to with --out",
                    path.display()
                ))
            }
            EvidenceError::NotEmpty { .. } => {
                Failure::Usage(format!("{error}; name another with --out"))
            }
            error => Failure::from(
                anyhow::Error::from(error).context("failed to open the bundle's folder"),
            ),
        })?;
        bootstrap::cache::check_space(&path, NEEDED_MEGABYTES).map_err(|error| {
            failure(error).with_hint(Some(
                "free space there, or name a folder on another file system with --out".to_owned(),
            ))
        })?;
        Ok(Self {
            path,
            recorder,
            linked: named.is_none(),
        })
    }

    /// `target/gate/latest` points to the newest bundle.
    ///
    /// # Errors
    /// When the link cannot be made.
    pub fn link(&self) -> io::Result<()> {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(());
        };
        if !self.linked {
            return Ok(());
        }
        let fresh = parent.join(format!(".latest-{}", std::process::id()));
        std::os::unix::fs::symlink(name, &fresh)?;
        std::fs::rename(&fresh, parent.join("latest"))
    }
}

/// Whether the disk is what refused.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

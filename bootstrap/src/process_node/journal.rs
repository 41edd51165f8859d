//! What the node did, one line per ended container, to the microsecond.
//! The API keeps times to the second and forgets deleted Pods; evidence and benchmarks need more.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::error::ProcessNodeError;
use super::status::Termination;

/// Name of the journal in the node's folder.
pub(super) const JOURNAL_FILE: &str = "containers.ndjson";

/// Appends lines; shared by the workers of all Pods.
pub(super) struct Journal(Mutex<File>);

impl Journal {
    pub(super) fn create(path: &Path) -> Result<Self, ProcessNodeError> {
        File::create(path)
            .map(|file| Self(Mutex::new(file)))
            .map_err(|source| ProcessNodeError::Folder {
                path: path.to_owned(),
                source,
            })
    }

    /// Keeps the end of a container. A line that cannot be written is told, and lost: the node goes on.
    pub(super) fn ended(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        termination: &Termination,
    ) {
        let line = json!({
            "namespace": namespace,
            "pod": pod,
            "container": container,
            "exit_code": termination.exit_code,
            "started_at": termination.started.to_string(),
            "finished_at": termination.finished.to_string(),
        });
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{line}") {
            tracing::warn!(%error, "failed to keep the end of a container");
        }
    }
}

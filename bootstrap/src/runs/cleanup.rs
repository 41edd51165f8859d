//! `gonogo cleanup`: ends the processes and removes the folders of runs whose owner is dead.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::state::{self, LOCK};
use crate::cache::CacheFolder;
use crate::error::{Error, Result};
use crate::process::{FoundProcess, end_processes};

/// How long killed processes may take to disappear.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// What was removed of one run.
#[derive(Debug, Clone, Serialize)]
pub struct CleanedRun {
    pub run_id: String,
    pub ended: Vec<FoundProcess>,
    /// Processes that did not go; empty when all is well.
    pub left: Vec<FoundProcess>,
    pub removed: Vec<PathBuf>,
}

/// Cleans up after every run whose owner is dead; living runs are not touched.
pub async fn cleanup(cache: &CacheFolder) -> Result<Vec<CleanedRun>> {
    let Ok(entries) = std::fs::read_dir(cache.runs()) else { return Ok(Vec::new()) };
    let mut cleaned = Vec::new();
    for folder in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        // The lock is kept until the folder is gone, so that two cleanups do not meet.
        let Some(_lock) = take_lock(&folder) else { continue };
        cleaned.push(clean(&folder).await?);
    }
    Ok(cleaned)
}

fn take_lock(folder: &Path) -> Option<File> {
    let file = File::create(folder.join(LOCK)).ok()?;
    file.try_lock().is_ok().then_some(file)
}

async fn clean(folder: &Path) -> Result<CleanedRun> {
    let run_id = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut folders = vec![folder.to_owned()];
    folders.extend(state::read(folder).map(|state| state.folders).unwrap_or_default());
    for home in &folders {
        crate::postgres::end_abandoned(home).await;
    }
    let (ended, left) = end_processes(&run_id, &folders, END_DEADLINE).await;
    let mut removed = Vec::new();
    // The run's own folder goes last: its state names the others.
    for path in folders.into_iter().rev() {
        if remove_folder(&path)? {
            removed.push(path);
        }
    }
    Ok(CleanedRun { run_id, ended, left, removed })
}

/// Removes a folder with its content; tells whether it was there.
pub(crate) fn remove_folder(path: &Path) -> Result<bool> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::file("remove", path, source)),
    }
}

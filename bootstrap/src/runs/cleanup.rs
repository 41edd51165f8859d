//! `gonogo cleanup`: ends the processes and removes the folders of runs whose owner is dead.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::lock;
use super::state::{self, LOCK, RunState};
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
///
/// # Errors
/// When the folder of runs cannot be read, or a folder of a dead run cannot be removed.
pub async fn cleanup(cache: &CacheFolder) -> Result<Vec<CleanedRun>> {
    let runs = cache.runs();
    let entries = match std::fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::file("read", &runs, source)),
    };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let mut cleaned = Vec::new();
    for folder in folders {
        // The lock is kept until the folder is gone, so that two cleanups do not meet.
        let Some(_lock) = take_lock(&folder) else {
            continue;
        };
        cleaned.push(clean(&folder).await?);
    }
    Ok(cleaned)
}

/// Removes builds of the Kubernetes programs and downloads of a database server whose gonogo was killed; one under way
/// is not touched.
///
/// # Errors
/// When a folder cannot be removed.
pub async fn clean_up_builds(cache: &CacheFolder) -> Result<Vec<CleanedRun>> {
    // The locks are kept until the folders are gone.
    let abandoned = [
        crate::assets::abandoned_builds(cache),
        crate::postgres::abandoned_downloads(cache),
    ];
    let mut cleaned = Vec::new();
    for build in abandoned
        .iter()
        .flatten()
        .flat_map(|(_lock, folders)| folders)
    {
        let build = build.clone();
        let name = name_of(&build);
        let folders = [build];
        // The Go tool knows nothing of runs: it is found by working in the folder.
        let (ended, left) = end_processes(&name, &folders, END_DEADLINE).await;
        let mut removed = Vec::new();
        for folder in folders {
            if remove_folder(&folder)? {
                removed.push(folder);
            }
        }
        cleaned.push(CleanedRun {
            run_id: name,
            ended,
            left,
            removed,
        });
    }
    Ok(cleaned)
}

fn name_of(folder: &Path) -> String {
    folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Cleans up after a run that the caller itself began and gave up; other runs are left to [`cleanup`].
///
/// # Errors
/// When a folder of the run cannot be removed.
pub async fn clean_up_own(cache: &CacheFolder, run_id: &str) -> Result<Option<CleanedRun>> {
    let folder = cache.runs().join(run_id);
    if folder.is_dir() {
        clean(&folder).await.map(Some)
    } else {
        Ok(None)
    }
}

/// A run whose state folder exists.
#[derive(Debug, Clone, Serialize)]
pub struct KnownRun {
    pub folder: PathBuf,
    /// Whether its owner lives; a dead one's is for `cleanup`.
    pub alive: bool,
    pub state: Option<RunState>,
}

/// Every run that has a state folder, living or not.
#[must_use]
pub fn list(cache: &CacheFolder) -> Vec<KnownRun> {
    let Ok(entries) = std::fs::read_dir(cache.runs()) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .map(|folder| {
            // A folder without a lock is one that is just being made.
            let alive = !folder.join(LOCK).exists() || lock::is_held(&folder.join(LOCK));
            KnownRun {
                alive,
                state: state::read(&folder),
                folder,
            }
        })
        .collect()
}

fn take_lock(folder: &Path) -> Option<File> {
    let file = File::create(folder.join(LOCK)).ok()?;
    lock::take(&file).unwrap_or_default().then_some(file)
}

async fn clean(folder: &Path) -> Result<CleanedRun> {
    let run_id = name_of(folder);
    let mut folders = vec![folder.to_owned()];
    folders.extend(
        state::read(folder)
            .map(|state| state.folders)
            .unwrap_or_default(),
    );
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
    Ok(CleanedRun {
        run_id,
        ended,
        left,
        removed,
    })
}

/// Removes a folder with its content; tells whether it was there.
pub(crate) fn remove_folder(path: &Path) -> Result<bool> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::file("remove", path, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Launch, Supervised};
    use crate::runs::{RunFolder, new_run_id};

    #[tokio::test]
    async fn only_what_dead_owners_left_is_removed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = CacheFolder::at(folder.path().to_owned());
        let (alive, dead) = (new_run_id(), new_run_id());
        let living = RunFolder::create(&cache, &alive).expect("a run");
        let outside = folder.path().join("outside");
        std::fs::create_dir(&outside).expect("folder");
        let abandoned = RunFolder::create(&cache, &dead).expect("a run");
        abandoned
            .update(|state| state.folders.push(outside.clone()))
            .expect("state");
        drop(abandoned);
        let start = |run: &str| {
            let launch = Launch::new(
                "sleep",
                Path::new("/bin/sleep"),
                run,
                Path::new("/dev/null"),
            )
            .args(["600"]);
            Supervised::start(&launch).expect("sleep")
        };
        let (spared, orphan) = (start(&alive), start(&dead));
        assert_eq!(list(&cache).iter().filter(|run| run.alive).count(), 1);

        let cleaned = cleanup(&cache).await.expect("cleaned");

        assert_eq!(cleaned.len(), 1);
        assert_eq!(cleaned[0].run_id, dead);
        assert_eq!(
            cleaned[0]
                .ended
                .iter()
                .map(|found| found.pid)
                .collect::<Vec<_>>(),
            [orphan.pid()]
        );
        assert!(cleaned[0].left.is_empty());
        orphan.exited().await.expect("its end");
        assert!(spared.exit_status().is_none() && living.path().exists() && !outside.exists());
    }
}

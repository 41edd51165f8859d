//! The state folder of one run: `<cache>/runs/<run id>/` with a lock that its owner holds, so that
//! a dead owner is known without trusting a process id that may have been given away again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::lock;
use crate::cache::{CacheFolder, create_folder, write_private};
use crate::error::{Error, Result};

pub(super) const LOCK: &str = "owner.lock";
const STATE: &str = "state.json";

/// What `cleanup` must know about a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunState {
    pub run_id: String,
    pub owner_pid: u32,
    pub started_at: String,
    /// Folders outside the run's own that belong to it.
    pub folders: Vec<PathBuf>,
    /// Loopback network of the run.
    pub network: Option<String>,
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
    /// Written once a person can use the target.
    #[serde(default)]
    pub access: Option<Access>,
}

/// What a person can open, and how to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Staff API and webhooks.
    pub platform: String,
    pub console: Option<String>,
    /// REST of GitHub's stand-in.
    pub github: String,
    pub owner_login: String,
    /// File with the owner's token.
    pub owner_token: PathBuf,
    pub kubeconfig: PathBuf,
}

/// The folder of a living run; its lock is held as long as this lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    state: Mutex<RunState>,
    _lock: File,
}

/// A new id, sortable by time and usable as a DNS label.
#[must_use]
pub fn new_run_id() -> String {
    let random: u32 = rand::random();
    format!(
        "{}-{random:08x}",
        chrono::Utc::now().format("%Y%m%d-%H%M%S")
    )
}

impl RunFolder {
    /// Makes the folder of a new run.
    pub fn create(cache: &CacheFolder, run_id: &str) -> Result<Self> {
        let path = cache.runs().join(run_id);
        create_folder(&path)?;
        let lock_path = path.join(LOCK);
        let lock =
            File::create(&lock_path).map_err(|source| Error::file("create", &lock_path, source))?;
        if !lock::take(&lock).map_err(|source| Error::file("lock", &lock_path, source))? {
            let source = std::io::ErrorKind::WouldBlock.into();
            return Err(Error::file("lock", &lock_path, source));
        }
        let state = RunState {
            run_id: run_id.to_owned(),
            owner_pid: std::process::id(),
            started_at: chrono::Utc::now().to_rfc3339(),
            folders: Vec::new(),
            network: None,
            kubeconfig: None,
            access: None,
        };
        let folder = Self {
            path,
            state: Mutex::new(state),
            _lock: lock,
        };
        folder.update(|_| ())?;
        Ok(folder)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Changes the state and writes it down before anything relies on it.
    pub fn update(&self, change: impl FnOnce(&mut RunState)) -> Result<()> {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut state);
        let temporary = self.path.join("state.json.new");
        write_private(&temporary, serde_json::to_vec_pretty(&*state)?)?;
        let target = self.path.join(STATE);
        std::fs::rename(&temporary, &target).map_err(|source| Error::file("write", &target, source))
    }

    /// Folders outside this one that belong to the run.
    #[must_use]
    pub fn outside_folders(&self) -> Vec<PathBuf> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .folders
            .clone()
    }
}

/// The state of a run, if it has one that can be read.
#[must_use]
pub fn state_of(cache: &CacheFolder, run_id: &str) -> Option<RunState> {
    read(&cache.runs().join(run_id))
}

/// The state written in a run folder, if it can be read.
pub(super) fn read(folder: &Path) -> Option<RunState> {
    serde_json::from_slice(&std::fs::read(folder.join(STATE)).ok()?).ok()
}

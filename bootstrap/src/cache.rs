//! The user's cache folder: built components and the state of runs. It is the only place outside
//! a run's own folder that this program writes to, so removing it removes everything.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// `GONOGO_CACHE`, else `XDG_CACHE_HOME/gonogo`, else `~/.cache/gonogo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFolder(PathBuf);

impl CacheFolder {
    /// The folder the environment asks for.
    pub fn from_environment() -> Result<Self> {
        Self::choose(|name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        })
    }

    fn choose(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self> {
        variable("GONOGO_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|base| base.join("gonogo")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/gonogo")))
            .map(|path| Self(std::path::absolute(&path).unwrap_or(path)))
            .ok_or(Error::NoCacheFolder)
    }

    /// A folder given by the caller.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the built Kubernetes components lie.
    #[must_use]
    pub fn kubernetes(&self) -> PathBuf {
        self.0.join("kubernetes")
    }

    /// Where each run keeps its state folder.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }
}

/// Makes a folder with its parents.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|source| Error::file("create", path, source))
}

/// Makes the folder of runs and a nameless file in it: what a run would fail at is seen before it.
pub(crate) fn check_runs(cache: &CacheFolder) -> Result<()> {
    let runs = cache.runs();
    create_folder(&runs)?;
    tempfile::tempfile_in(&runs)
        .map(drop)
        .map_err(|source| Error::file("write to", &runs, source))
}

/// Refuses to start where a run could not end: a full disk ends a component in the middle of a
/// write, with words that nobody understands.
///
/// # Errors
/// When less than `needed_megabytes` are free on the file system of `folder`.
pub fn check_space(folder: &Path, needed_megabytes: u64) -> Result<()> {
    let Ok(system) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free_megabytes = system.f_bavail.saturating_mul(system.f_frsize) / 1_000_000;
    if free_megabytes < needed_megabytes {
        return Err(Error::NoSpace {
            path: folder.to_owned(),
            free_megabytes,
            needed_megabytes,
        });
    }
    Ok(())
}

/// Writes a file that only this user may read: nearly everything written here is a key or leads to one.
pub(crate) fn write_private(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let write = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(content.as_ref())
    };
    write().map_err(|source| Error::file("write", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_wins() {
        let all = |name: &str| match name {
            "GONOGO_CACHE" => Some(PathBuf::from("/a")),
            "XDG_CACHE_HOME" => Some(PathBuf::from("/b")),
            _ => Some(PathBuf::from("/c")),
        };
        assert_eq!(
            CacheFolder::choose(all).expect("a folder").path(),
            Path::new("/a")
        );
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/c"));
        assert_eq!(
            CacheFolder::choose(home).expect("a folder").path(),
            Path::new("/c/.cache/gonogo")
        );
        assert!(matches!(
            CacheFolder::choose(|_| None),
            Err(Error::NoCacheFolder)
        ));
    }
}

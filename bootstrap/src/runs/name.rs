//! Names of targets that people bring up: each belongs to one living process.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::{CacheFolder, create_folder};
use crate::error::{Error, Result};

/// The name of a target when none is given.
pub const DEFAULT_NAME: &str = "default";
/// Names become names of files.
const LONGEST: usize = 40;

/// Why a target cannot have a name.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    #[error(
        "failed to use {0:?} as a name of a target: up to {LONGEST} lower-case letters, digits and hyphens are allowed"
    )]
    Invalid(String),
    #[error("failed to bring up a target named {0}: there is one already")]
    Taken(String),
    #[error("failed to tell process {pid}, which keeps {name}, to end")]
    NotOurs {
        name: String,
        pid: u32,
        #[source]
        source: std::io::Error,
    },
}

impl NameError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid(_) | Self::NotOurs { .. } => None,
            Self::Taken(name) => Some(format!(
                "`gonogo down {name}` takes it down; `gonogo up --name …` brings up another beside it"
            )),
        }
    }
}

/// A name in use; dropping it, or the end of the process, gives it back.
#[derive(Debug)]
pub struct NameLease {
    _file: File,
}

/// Who has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameHolder {
    pub name: String,
    pub pid: u32,
    pub run_id: String,
}

/// Whether the text can name a target.
///
/// # Errors
/// When it cannot.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > LONGEST || !name.bytes().all(allowed) {
        return Err(NameError::Invalid(name.to_owned()));
    }
    Ok(())
}

fn folder(cache: &CacheFolder) -> PathBuf {
    cache.path().join("names")
}

/// Takes a name for a run of this process.
///
/// # Errors
/// When it is no name, somebody has it, or the cache folder cannot be written.
pub fn take_name(cache: &CacheFolder, name: &str, run_id: &str) -> Result<NameLease> {
    check_name(name)?;
    let folder = folder(cache);
    create_folder(&folder)?;
    let path = folder.join(name);
    // What a holder wrote stays readable until the name is ours.
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|source| Error::file("create", &path, source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(NameError::Taken(name.to_owned()).into());
        }
        Err(std::fs::TryLockError::Error(source)) => {
            return Err(Error::file("lock", &path, source));
        }
    }
    let holder = NameHolder {
        name: name.to_owned(),
        pid: std::process::id(),
        run_id: run_id.to_owned(),
    };
    let text = serde_json::to_vec(&holder)?;
    file.set_len(0)
        .and_then(|()| std::io::Write::write_all(&mut &file, &text))
        .map_err(|source| Error::file("write", &path, source))?;
    Ok(NameLease { _file: file })
}

/// Who has the name now; `None` when nobody has.
#[must_use]
pub fn holder_of(cache: &CacheFolder, name: &str) -> Option<NameHolder> {
    holder_in(&folder(cache).join(name))
}

/// Everybody who has a name, by name.
#[must_use]
pub fn holders(cache: &CacheFolder) -> Vec<NameHolder> {
    let entries = std::fs::read_dir(folder(cache)).into_iter().flatten();
    let mut holders: Vec<NameHolder> = entries
        .flatten()
        .filter_map(|entry| holder_in(&entry.path()))
        .collect();
    holders.sort_by(|one, other| one.name.cmp(&other.name));
    holders
}

/// Asks the process that has a name to end in order; one that has ended meanwhile is no error.
///
/// # Errors
/// When it belongs to somebody else.
pub fn tell_to_end(holder: &NameHolder) -> Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    match pid.map(|pid| kill_process(pid, Signal::TERM)) {
        None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
        Some(Err(error)) => Err(NameError::NotOurs {
            name: holder.name.clone(),
            pid: holder.pid,
            source: error.into(),
        }
        .into()),
    }
}

fn holder_in(path: &Path) -> Option<NameHolder> {
    let file = File::open(path).ok()?;
    if file.try_lock_shared().is_ok() {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_word() {
        for good in ["default", "a", "my-target-2"] {
            assert!(check_name(good).is_ok());
        }
        for bad in ["", "Up", "a/b", "..", "ä", &"x".repeat(41)] {
            assert!(matches!(check_name(bad), Err(NameError::Invalid(name)) if name == bad));
        }
    }

    #[test]
    fn a_name_belongs_to_one_at_a_time() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = CacheFolder::at(folder.path().to_owned());
        let held = take_name(&cache, "mine", "run-1").expect("the name is free");
        assert!(matches!(
            take_name(&cache, "mine", "run-2"),
            Err(Error::Name(NameError::Taken(name))) if name == "mine"
        ));
        let holder = holder_of(&cache, "mine").expect("somebody has it");
        assert_eq!(
            (holder.run_id.as_str(), holder.pid),
            ("run-1", std::process::id())
        );
        let other = take_name(&cache, "another", "run-3").expect("the name is free");
        let names = || -> Vec<String> {
            holders(&cache)
                .into_iter()
                .map(|holder| holder.name)
                .collect()
        };
        assert_eq!(names(), ["another", "mine"]);
        drop(held);
        assert_eq!(holder_of(&cache, "mine"), None);
        let again = take_name(&cache, "mine", "run-4").expect("the name is free again");
        assert_eq!(
            holder_of(&cache, "mine").map(|holder| holder.run_id),
            Some("run-4".to_owned())
        );
        drop((again, other));
        assert!(names().is_empty());
    }
}

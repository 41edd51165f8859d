//! Names of targets that people bring up: each belongs to one living process.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lock;
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

/// A name in use; dropping it, or the end of the process, gives it back. Its file stays: removing it could give one name
/// to two.
#[derive(Debug)]
pub struct NameLease {
    file: File,
}

impl Drop for NameLease {
    fn drop(&mut self) {
        // What stays written would speak of a process that has ended; the next holder writes anew in any case.
        let _ = self.file.set_len(0);
    }
}

/// Who has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameHolder {
    pub name: String,
    pub pid: u32,
    /// When the process began, in the kernel's ticks: its id alone may have been given to another one since.
    pub process_start: u64,
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
    if !lock::take(&file).map_err(|source| Error::file("lock", &path, source))? {
        return Err(NameError::Taken(name.to_owned()).into());
    }
    file.set_len(0)
        .map_err(|source| Error::file("write", &path, source))?;
    let pid = std::process::id();
    let holder = NameHolder {
        name: name.to_owned(),
        pid,
        process_start: process_start(pid).unwrap_or_default(),
        run_id: run_id.to_owned(),
    };
    let text = serde_json::to_vec(&holder)?;
    std::io::Write::write_all(&mut &file, &text)
        .map_err(|source| Error::file("write", &path, source))?;
    Ok(NameLease { file })
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
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let Some(pid) = i32::try_from(holder.pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    let told = pidfd_open(pid, PidfdFlags::empty()).and_then(|process| {
        // From here on the handle stands for one process, whatever happens to its id.
        if process_start(holder.pid) == Some(holder.process_start) {
            pidfd_send_signal(process, Signal::TERM)
        } else {
            Ok(())
        }
    });
    match told {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(NameError::NotOurs {
            name: holder.name.clone(),
            pid: holder.pid,
            source: error.into(),
        }
        .into()),
    }
}

/// When a process began, in ticks since the start of the kernel.
fn process_start(pid: u32) -> Option<u64> {
    /// Its place behind the program's name, which ends with the last parenthesis.
    const PLACE: usize = 19;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(PLACE)?.parse().ok()
}

fn holder_in(path: &Path) -> Option<NameHolder> {
    if !lock::is_held(path) {
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
    fn a_process_began_once() {
        let own = process_start(std::process::id());
        assert!(own.is_some_and(|ticks| ticks > 0));
        assert_eq!(process_start(std::process::id()), own);
        assert_eq!(process_start(0), None);
    }
}

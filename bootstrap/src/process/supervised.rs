//! One child process: own process group, log file, exit seen at once.

use std::ffi::OsString;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::watch;

use super::RUN_MARKER;

/// Lines of a log that an error carries: enough for a Go panic with its stack.
const QUOTED_LINES: usize = 40;
/// The end of a log file that is read to find these lines.
const QUOTED_BYTES: u64 = 16 * 1024;

/// Why a child is not running.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("failed to start {name}: {} is missing", program.display())]
    Missing { name: String, program: PathBuf },
    #[error("failed to start {name} from {}", program.display())]
    Start {
        name: String,
        program: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "failed to keep {name} running ({status}): {}",
        telling_line(last_lines)
    )]
    Exited {
        name: String,
        status: ExitStatus,
        last_lines: String,
        log: PathBuf,
    },
    #[error("failed to end {name} within {seconds} s")]
    Stuck { name: String, seconds: u64 },
}

impl ProcessError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { program, .. } => Some(format!("install {} or put it on PATH", program.display())),
            Self::Start { program, .. } => Some(format!(
                "{} must be an executable of this machine that this user may run",
                program.display()
            )),
            Self::Exited { last_lines, .. } if last_lines.to_lowercase().contains("no space left on device") => {
                Some("the disk is full: free space, or set GONOGO_CACHE to a folder on another file system".to_owned())
            }
            Self::Exited { last_lines, .. } if last_lines.trim().is_empty() => {
                Some("it wrote nothing before it ended: start it by hand, or get it anew".to_owned())
            }
            Self::Exited { log, .. } if log.exists() => Some(format!("the whole log is {}", log.display())),
            // A failed start takes its folder away; what is quoted here is then all there is.
            Self::Exited { last_lines, .. } => Some(format!("the end of its log was:\n{last_lines}")),
            _ => None,
        }
    }
}

/// The line that says most about why a program ended, and of a line in JSON its message.
fn telling_line(lines: &str) -> String {
    /// Longer lines carry stacks; the hint says where they can be read.
    const LONGEST: usize = 300;
    const DISK_FULL: &str = "no space left on device";
    // The log lies on the same disk: its last line is cut where the space ended.
    if lines.to_lowercase().contains(DISK_FULL) {
        return DISK_FULL.to_owned();
    }
    const SIGNS: [&str; 4] = ["panic:", "fatal", "error", "failed"];
    SIGNS
        .iter()
        .find_map(|sign| {
            lines
                .lines()
                .rfind(|line| line.to_lowercase().contains(sign))
        })
        .or_else(|| lines.lines().last())
        .map_or_else(
            || "it left no log".to_owned(),
            |line| {
                let message = serde_json::from_str::<serde_json::Value>(line)
                    .ok()
                    .and_then(|entry| Some(entry.get("msg")?.as_str()?.to_owned()));
                message
                    .unwrap_or_else(|| line.to_owned())
                    .chars()
                    .take(LONGEST)
                    .collect()
            },
        )
}

/// Another user to run a child as; only root can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// Everything needed to start a child, and to start it again.
#[derive(Debug, Clone)]
pub struct Launch {
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// The whole environment besides the marker and what [`Launch::new`] takes over.
    pub env: Vec<(String, String)>,
    pub log: PathBuf,
    pub run_id: String,
    pub owner: Option<Owner>,
    pub directory: Option<PathBuf>,
    /// What ends it when nobody waits for its end.
    pub last_signal: Signal,
}

impl Launch {
    #[must_use]
    pub fn new(name: &str, program: &Path, run_id: &str, log: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            log: log.to_owned(),
            run_id: run_id.to_owned(),
            owner: None,
            directory: None,
            last_signal: Signal::KILL,
        }
    }

    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    fn command(&self) -> std::io::Result<tokio::process::Command> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut command = tokio::process::Command::new(&self.program);
        // The surroundings of the person who started the run are no input of it (a DATABASE_URL, a KUBECONFIG).
        command.env_clear();
        for name in ["PATH", "HOME", "TMPDIR", "TZ", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .args(&self.args)
            .env("LANG", "C.UTF-8")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env(RUN_MARKER, &self.run_id)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        Ok(command)
    }
}

/// A running child, killed with its group when dropped.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    pid: Pid,
    log: PathBuf,
    exit: watch::Receiver<Option<ExitStatus>>,
    last_signal: Signal,
}

impl Supervised {
    /// Starts the child; needs a tokio runtime.
    pub fn start(launch: &Launch) -> Result<Self, ProcessError> {
        let failed = |source: std::io::Error| {
            if source.kind() == std::io::ErrorKind::NotFound {
                ProcessError::Missing {
                    name: launch.name.clone(),
                    program: launch.program.clone(),
                }
            } else {
                ProcessError::Start {
                    name: launch.name.clone(),
                    program: launch.program.clone(),
                    source,
                }
            }
        };
        let mut child = launch
            .command()
            .and_then(|mut command| command.spawn())
            .map_err(failed)?;
        let pid = child
            .id()
            .and_then(|pid| Pid::from_raw(pid.cast_signed()))
            .expect("a child that was not waited for has a pid");
        let (sender, exit) = watch::channel(None);
        tokio::spawn(async move {
            if let Ok(status) = child.wait().await {
                // Nobody listening any more is fine.
                let _ = sender.send(Some(status));
            }
        });
        Ok(Self {
            name: launch.name.clone(),
            pid,
            log: launch.log.clone(),
            exit,
            last_signal: launch.last_signal,
        })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits for the end; `None` when the runtime is shutting down.
    pub async fn exited(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|status| *status)
    }

    /// The error of a child that ended though it should not have.
    #[must_use]
    pub fn unexpected_exit(&self, status: ExitStatus) -> ProcessError {
        ProcessError::Exited {
            name: self.name.clone(),
            status,
            last_lines: last_lines(&self.log, QUOTED_LINES),
            log: self.log.clone(),
        }
    }

    /// Waits for `ready`, unless the child ends first.
    pub async fn while_running<T>(
        &self,
        ready: impl Future<Output = T>,
    ) -> Result<T, ProcessError> {
        tokio::select! {
            value = ready => Ok(value),
            Some(status) = self.exited() => Err(self.unexpected_exit(status)),
        }
    }

    /// Sends a signal to the child alone.
    pub fn signal(&self, signal: Signal) {
        if self.exit_status().is_none() {
            // A child that ended a moment ago cannot be signalled, which is what was wanted.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Kills the child and everything left in its process group, and waits for the child's end.
    pub async fn kill(&self) {
        self.kill_group();
        self.exited().await;
    }

    /// Sends `signal`, waits up to `grace`, then kills what is left; tells whether the child went by itself.
    pub async fn stop(&self, signal: Signal, grace: Duration) -> bool {
        self.signal(signal);
        let went = tokio::time::timeout(grace, self.exited()).await.is_ok();
        self.kill().await;
        went
    }

    fn kill_group(&self) {
        // An empty group is what we want to reach.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.exit_status().is_none() {
            // An empty group is what we want to reach.
            let _ = kill_process_group(self.pid, self.last_signal);
        }
    }
}

/// The last lines of a log file; empty when it cannot be read.
#[must_use]
pub fn last_lines(path: &Path, count: usize) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unexpected_end_is_told_with_the_line_that_explains_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let launch = Launch::new(
            "shell",
            Path::new("/bin/sh"),
            "test",
            &folder.path().join("shell.log"),
        )
        .args([
            "-c",
            "echo starting; echo 'fatal: it is Monday'; echo goodbye; exit 3",
        ]);
        let process = Supervised::start(&launch).expect("a shell");
        let status = process.exited().await.expect("its end");
        let text = process.unexpected_exit(status).to_string();
        assert_eq!(
            text,
            "failed to keep shell running (exit status: 3): fatal: it is Monday"
        );
    }

    #[tokio::test]
    async fn a_child_carries_the_marker_and_nothing_of_the_surroundings() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let log = folder.path().join("env.log");
        let launch =
            Launch::new("env", Path::new("/usr/bin/env"), "run-7", &log).env("GIVEN", "yes");
        Supervised::start(&launch)
            .expect("env")
            .exited()
            .await
            .expect("its end");
        let names = std::fs::read_to_string(&log).expect("log");
        assert!(names.contains("GONOGO_RUN_ID=run-7\n") && names.contains("GIVEN=yes\n"));
        assert!(
            !names.contains("CARGO_MANIFEST_DIR"),
            "cargo sets it for this test"
        );
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let launch = Launch::new(
            "nothing",
            Path::new("/nonexistent/program"),
            "test",
            Path::new("/dev/null"),
        );
        let error = Supervised::start(&launch).expect_err("no such program");
        assert!(
            error
                .to_string()
                .contains("/nonexistent/program is missing")
        );
    }
}

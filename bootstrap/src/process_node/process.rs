//! One local process in a group of its own: started, ended by signals, reaped.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::process::kill_carriers;

/// Every process of a container carries this variable, so that one that left the group is found.
const CONTAINER_MARKER: &str = "GONOGO_CONTAINER";

/// What to run.
#[derive(Debug, Clone)]
pub(super) struct ProcessSpec {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) working_directory: PathBuf,
    /// Name of this run of the container, which no other has.
    pub(super) marker: String,
}

/// A started process. Dropping it kills the whole group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    marker: String,
}

impl Process {
    /// Starts the process as leader of a new group, with both outputs piped.
    pub(super) fn spawn(spec: &ProcessSpec) -> std::io::Result<Self> {
        let child = Command::new(&spec.program)
            .args(&spec.arguments)
            .env_clear()
            .envs(&spec.environment)
            .env(CONTAINER_MARKER, &spec.marker)
            .current_dir(&spec.working_directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self {
            child,
            group,
            marker: spec.marker.clone(),
        })
    }

    /// Both outputs, once.
    pub(super) fn take_outputs(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// The process id while the process runs, which is also the group's id.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the leader, then kills what it left, in its group or out of it, as a container ends with its first
    /// process.
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.signal(Signal::KILL);
        self.group = None;
        let marker = self.marker.clone();
        tokio::task::spawn_blocking(move || kill_carriers(CONTAINER_MARKER, &marker)).await?;
        Ok(status)
    }

    /// Asks the whole group to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the whole group.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    // A group that has gone by itself is what was wanted, so its error says nothing.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Exit code as a container runtime reports it: 128 plus the signal for a killed process.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    const SIGNAL_BASE: i32 = 128;
    status
        .code()
        .unwrap_or_else(|| SIGNAL_BASE + status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ProcessSpec {
        ProcessSpec {
            program: "sh".to_owned(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            working_directory: PathBuf::from("/"),
            marker: uuid::Uuid::new_v4().to_string(),
        }
    }

    #[tokio::test]
    async fn reports_the_exit_code() {
        let mut process = Process::spawn(&shell("exit 7")).expect("sh starts");
        assert_eq!(exit_code(process.wait().await.expect("sh ends")), 7);
    }

    #[tokio::test]
    async fn a_killed_process_has_128_plus_the_signal() {
        let mut process = Process::spawn(&shell("sleep 60")).expect("sh starts");
        process.kill();
        assert_eq!(exit_code(process.wait().await.expect("sh ends")), 137);
    }

    #[tokio::test]
    async fn children_end_with_the_leader() {
        ends_with_the_leader("sleep 600 & exit 0").await;
    }

    #[tokio::test]
    async fn children_in_a_session_of_their_own_end_with_the_leader() {
        ends_with_the_leader("setsid sleep 600 & exit 0").await;
    }

    async fn ends_with_the_leader(script: &str) {
        use tokio::io::AsyncReadExt as _;
        // The child holds the pipe open; end of file proves that it is gone.
        let mut process = Process::spawn(&shell(script)).expect("sh starts");
        let (stdout, _stderr) = process.take_outputs();
        process.wait().await.expect("sh ends");
        let mut text = String::new();
        stdout
            .expect("piped")
            .read_to_string(&mut text)
            .await
            .expect("readable");
        assert_eq!(text, "");
    }
}

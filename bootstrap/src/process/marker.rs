//! Finding the processes of a run by the marker in their environment, or by working in its folders.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Every child of a run carries this variable with the run's id.
pub const RUN_MARKER: &str = "GONOGO_RUN_ID";

/// A process that belongs to a run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FoundProcess {
    pub pid: i32,
    pub command: String,
}

/// Living processes that carry the run's marker, or whose working folder lies in one of `folders`
/// (Postgres backends overwrite their environment with a title, but work in the data folder).
#[must_use]
pub fn processes_of(run_id: &str, folders: &[PathBuf]) -> Vec<FoundProcess> {
    let wanted = format!("{RUN_MARKER}={run_id}");
    living(|process| carries(process, wanted.as_bytes()) || works_in(process, folders))
        .map(|pid| FoundProcess {
            pid: pid.cast_signed(),
            command: command_of(pid),
        })
        .collect()
}

/// Kills every living process that carries `variable` with `value`, and those that they start meanwhile.
pub(crate) fn kill_carriers(variable: &str, value: &str) {
    /// A process that the kernel does not let go is not waited for.
    const LONGEST: Duration = Duration::from_secs(1);
    let wanted = format!("{variable}={value}");
    let started = Instant::now();
    while started.elapsed() < LONGEST {
        let mut found = living(|process| carries(process, wanted.as_bytes())).peekable();
        if found.peek().is_none() {
            return;
        }
        for pid in found {
            if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
                // Gone already is as good as ended.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// The ids of the living processes, but this one, whose folder below `/proc` is wanted.
fn living(wanted: impl Fn(&Path) -> bool) -> impl Iterator<Item = u32> {
    let own = std::process::id();
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(move |pid| *pid != own)
        .filter(move |pid| wanted(&PathBuf::from(format!("/proc/{pid}"))))
        .filter(|pid| !is_zombie(*pid))
}

fn carries(process: &Path, wanted: &[u8]) -> bool {
    std::fs::read(process.join("environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == wanted)
    })
}

fn works_in(process: &Path, folders: &[PathBuf]) -> bool {
    std::fs::read_link(process.join("cwd"))
        .is_ok_and(|cwd| folders.iter().any(|folder| cwd.starts_with(folder)))
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| rest.trim_start().starts_with('Z'))
        })
        .unwrap_or(true)
}

fn command_of(pid: u32) -> String {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .map(|bytes| {
            String::from_utf8_lossy(&bytes)
                .replace('\0', " ")
                .trim()
                .to_owned()
        })
        .unwrap_or_default()
}

/// Ends the processes of a run until none is left or `deadline` has passed; returns all that were
/// found and those that are still there. They are asked first: a database server that is killed
/// leaves a shared memory segment with the kernel.
pub async fn end_processes(
    run_id: &str,
    folders: &[PathBuf],
    deadline: Duration,
) -> (Vec<FoundProcess>, Vec<FoundProcess>) {
    /// How long a process may take to leave the process table before it is looked at again.
    const LOOK_AGAIN: Duration = Duration::from_millis(20);
    /// How long they are asked before they are killed.
    const ASKED: Duration = Duration::from_millis(500);
    let started = Instant::now();
    let mut ended: Vec<FoundProcess> = Vec::new();
    let mut seen_none = false;
    loop {
        let found = processes_of(run_id, folders);
        // A process that is just being started shows no environment for a moment: one look without any is not enough.
        if (found.is_empty() && seen_none) || started.elapsed() > deadline {
            return (ended, found);
        }
        seen_none = found.is_empty();
        let signal = if started.elapsed() < ASKED {
            Signal::TERM
        } else {
            Signal::KILL
        };
        for process in found {
            if let Some(pid) = Pid::from_raw(process.pid) {
                // Gone already is as good as ended.
                let _ = kill_process(pid, signal);
            }
            if !ended.iter().any(|seen| seen.pid == process.pid) {
                ended.push(process);
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

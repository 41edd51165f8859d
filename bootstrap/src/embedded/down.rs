//! Taking the target down, and the proof that nothing of it is left.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::process::{FoundProcess, processes_of};

/// What `down` did, and what it looked for afterwards.
#[derive(Debug, Clone, Serialize)]
pub struct DownReport {
    pub run_id: String,
    /// Processes that ended when told to, by name.
    pub ended: Vec<String>,
    /// Processes that had to be found by their marker and killed.
    pub killed: Vec<FoundProcess>,
    /// Processes with the run's marker that are still there.
    pub left_processes: Vec<FoundProcess>,
    /// Listeners on the run's network that are still there.
    pub left_listeners: Vec<String>,
    /// Folders and sockets that are still there.
    pub left_paths: Vec<PathBuf>,
    /// Folders that were removed.
    pub removed: Vec<PathBuf>,
    pub processes_examined: usize,
    pub milliseconds: u128,
}

impl DownReport {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.left_processes.is_empty()
            && self.left_listeners.is_empty()
            && self.left_paths.is_empty()
    }

    pub(super) fn look(
        run_id: &str,
        ended: Vec<String>,
        killed: Vec<FoundProcess>,
        removed: Vec<PathBuf>,
        network: &str,
        started: Instant,
    ) -> Self {
        Self {
            run_id: run_id.to_owned(),
            ended,
            killed,
            left_processes: processes_of(run_id, &removed),
            left_listeners: listeners_in(network),
            left_paths: removed
                .iter()
                .filter(|path| path.exists())
                .cloned()
                .collect(),
            removed,
            processes_examined: count_processes(),
            milliseconds: started.elapsed().as_millis(),
        }
    }
}

/// How long killed processes may take to disappear.
pub(super) const END_DEADLINE: Duration = Duration::from_secs(10);

fn count_processes() -> usize {
    std::fs::read_dir("/proc")
        .map(|entries| {
            entries
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
                .count()
        })
        .unwrap_or_default()
}

/// TCP listeners whose address lies in `cidr` (`127.A.B.0/24`).
fn listeners_in(cidr: &str) -> Vec<String> {
    let prefix = cidr.trim_end_matches("0/24");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    listeners(&table)
        .into_iter()
        .filter(|address| address.starts_with(prefix))
        .collect()
}

/// Addresses of the listening sockets in the kernel's table.
fn listeners(table: &str) -> Vec<String> {
    /// The kernel's number for the listening state.
    const LISTEN: &str = "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
            (state == LISTEN)
                .then(|| crate::process::address_of(local))
                .flatten()
        })
        .map(|address| address.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what is there is asked of the kernel here.
    /// A socket that was closed may stay open for a moment in a child that another test is just starting, so what is not there is asked of a written table below.
    #[test]
    fn a_listener_on_the_network_is_seen() {
        let listener = std::net::TcpListener::bind("127.213.7.9:0").expect("listener");
        let address = listener.local_addr().expect("address").to_string();
        assert_eq!(listeners_in("127.213.7.0/24"), [address]);
        assert!(listeners_in("127.213.8.0/24").is_empty());
    }

    #[test]
    fn only_sockets_that_listen_are_listeners() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0907D57F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 0907D57F:1F91 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0
   2: 0907D57F:1F92 0100007F:C351 06 00000000:00000000 00:00000000 00000000     0
";
        assert_eq!(listeners(table), ["127.213.7.9:8080"]);
        assert!(listeners("").is_empty());
    }
}

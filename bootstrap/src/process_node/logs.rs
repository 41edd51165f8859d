//! Container logs on disk, one line per entry with its time, and readers that follow them.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::SinkExt as _;
use futures::channel::mpsc;
use k8s_openapi::jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::watch;

/// Longest text of one entry; a longer line becomes several entries, as in the CRI log format.
const ENTRY_LIMIT_BYTES: u64 = 16 * 1024;

/// The log of one start of one container.
#[derive(Debug)]
pub(super) struct ContainerLog {
    path: PathBuf,
    file: Mutex<std::fs::File>,
    // Counts writes; `closed` says that no more will come.
    state: watch::Sender<LogState>,
}

#[derive(Debug, Clone, Copy, Default)]
struct LogState {
    writes: u64,
    closed: bool,
}

impl ContainerLog {
    /// Creates the file and its folder.
    pub(super) fn create(path: PathBuf) -> std::io::Result<Arc<Self>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)?;
        Ok(Arc::new(Self {
            path,
            file: Mutex::new(file),
            state: watch::Sender::new(LogState::default()),
        }))
    }

    /// Copies one output until its end.
    pub(super) async fn capture(
        self: Arc<Self>,
        stream: &'static str,
        output: impl AsyncRead + Unpin,
    ) {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader)
                .take(ENTRY_LIMIT_BYTES)
                .read_until(b'\n', &mut line)
                .await;
            match read {
                Ok(0) | Err(_) => return,
                Ok(_) => self.append(stream, &line),
            }
        }
    }

    fn append(&self, stream: &str, line: &[u8]) {
        let (text, tag) = match line.strip_suffix(b"\n") {
            Some(text) => (text, "F"),
            None => (line, "P"),
        };
        let mut entry = format!("{:.9} {stream} {tag} ", Timestamp::now()).into_bytes();
        entry.extend_from_slice(text);
        entry.push(b'\n');
        let written = self
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&entry);
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "failed to write a log entry");
        }
        self.state.send_modify(|state| state.writes += 1);
    }

    /// Says that nothing more will be written; followers end.
    pub(super) fn close(&self) {
        self.state.send_modify(|state| state.closed = true);
    }
}

/// What a reader asks for; the meaning is the log endpoint's of Kubernetes.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadOptions {
    pub(super) follow: bool,
    pub(super) timestamps: bool,
    pub(super) tail_lines: Option<usize>,
    pub(super) limit_bytes: Option<usize>,
    pub(super) since: Option<Timestamp>,
}

/// Sends the log to a response body, and goes on while the container writes when asked to follow.
pub(super) async fn stream(
    log: Arc<ContainerLog>,
    options: ReadOptions,
    mut body: mpsc::Sender<Result<Vec<u8>, std::io::Error>>,
) {
    let mut state = log.state.subscribe();
    let mut budget = options.limit_bytes.unwrap_or(usize::MAX);
    let mut tail = options.tail_lines;
    let mut file = match tokio::fs::File::open(&log.path).await {
        Ok(file) => file,
        Err(error) => {
            drop(body.send(Err(error)).await);
            return;
        }
    };
    let mut pending = Vec::new();
    loop {
        let closed = state.borrow_and_update().closed;
        if let Err(error) = file.read_to_end(&mut pending).await {
            drop(body.send(Err(error)).await);
            return;
        }
        // A half written entry stays for the next turn.
        let complete = pending
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let mut text = render(&pending[..complete], &options, tail.take());
        pending.drain(..complete);
        text.truncate(budget);
        budget -= text.len();
        if !text.is_empty() && body.send(Ok(text)).await.is_err() {
            return;
        }
        if budget == 0 || closed || !options.follow || state.changed().await.is_err() {
            return;
        }
    }
}

/// Turns stored entries into what a reader sees.
fn render(stored: &[u8], options: &ReadOptions, tail: Option<usize>) -> Vec<u8> {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for entry in stored.split_inclusive(|byte| *byte == b'\n') {
        let mut parts = entry.splitn(4, |byte| *byte == b' ');
        let (Some(time), Some(_stream), Some(tag), Some(text)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if let Some(since) = options.since {
            let at = std::str::from_utf8(time)
                .ok()
                .and_then(|time| time.parse::<Timestamp>().ok());
            if at.is_some_and(|at| at < since) {
                continue;
            }
        }
        let mut line = Vec::new();
        if options.timestamps {
            line.extend_from_slice(time);
            line.push(b' ');
        }
        line.extend_from_slice(if tag == b"P" {
            text.strip_suffix(b"\n").unwrap_or(text)
        } else {
            text
        });
        entries.push(line);
    }
    let skipped = tail.map_or(0, |tail| entries.len().saturating_sub(tail));
    entries.into_iter().skip(skipped).flatten().collect()
}

/// Finds the logs of the Pods that are on this node.
#[derive(Debug, Default)]
pub(super) struct LogRegistry {
    pods: Mutex<HashMap<(String, String), PodLogs>>,
}

#[derive(Debug, Default)]
struct PodLogs {
    uid: String,
    containers: HashMap<String, Vec<Arc<ContainerLog>>>,
}

impl LogRegistry {
    /// Adds the log of a container's next start.
    pub(super) fn add(
        &self,
        namespace: &str,
        pod: &str,
        uid: &str,
        container: &str,
        log: Arc<ContainerLog>,
    ) {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = pods
            .entry((namespace.to_owned(), pod.to_owned()))
            .or_default();
        if entry.uid != uid {
            *entry = PodLogs {
                uid: uid.to_owned(),
                containers: HashMap::new(),
            };
        }
        entry
            .containers
            .entry(container.to_owned())
            .or_default()
            .push(log);
    }

    /// Forgets a Pod, unless another of the same name took its place.
    pub(super) fn remove(&self, namespace: &str, pod: &str, uid: &str) {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), pod.to_owned());
        if pods.get(&key).is_some_and(|entry| entry.uid == uid) {
            pods.remove(&key);
        }
    }

    /// The log of the newest start, or of the one before it.
    pub(super) fn find(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Option<Arc<ContainerLog>> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let logs = pods
            .get(&(namespace.to_owned(), pod.to_owned()))?
            .containers
            .get(container)?;
        logs.iter().rev().nth(usize::from(previous)).cloned()
    }
}

/// File of one start of one container.
pub(super) fn log_path(
    root: &Path,
    namespace: &str,
    pod: &str,
    uid: &str,
    container: &str,
    start: i32,
) -> PathBuf {
    root.join("logs")
        .join(format!("{namespace}_{pod}_{uid}"))
        .join(container)
        .join(format!("{start}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;

    const STORED: &[u8] = b"2026-01-01T00:00:01.000000000Z stdout F one\n2026-01-01T00:00:02.000000000Z stderr P tw\n2026-01-01T00:00:02.000000000Z stderr F o\n2026-01-01T00:00:03.000000000Z stdout F three four\n";

    fn rendered(options: &ReadOptions, tail: Option<usize>) -> String {
        String::from_utf8(render(STORED, options, tail)).expect("text")
    }

    #[test]
    fn entries_are_rendered_as_lines() {
        assert_eq!(
            rendered(&ReadOptions::default(), None),
            "one\ntwo\nthree four\n"
        );
        assert_eq!(rendered(&ReadOptions::default(), Some(1)), "three four\n");
        let since = Some("2026-01-01T00:00:03Z".parse().expect("a time"));
        let options = ReadOptions {
            timestamps: true,
            since,
            ..ReadOptions::default()
        };
        assert_eq!(
            rendered(&options, None),
            "2026-01-01T00:00:03.000000000Z three four\n"
        );
    }

    #[tokio::test]
    async fn a_follower_sees_lines_written_later_and_ends_with_the_container() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = ContainerLog::create(folder.path().join("run/0.log")).expect("created");
        log.append("stdout", b"first\n");
        let (sender, receiver) = mpsc::channel(1);
        let options = ReadOptions {
            follow: true,
            ..ReadOptions::default()
        };
        let reader = tokio::spawn(stream(Arc::clone(&log), options, sender));
        log.clone().capture("stdout", &b"second\nthird"[..]).await;
        log.close();
        let parts: Vec<_> = receiver.map(|part| part.expect("readable")).collect().await;
        reader.await.expect("ends");
        assert_eq!(
            String::from_utf8(parts.concat()).expect("text"),
            "first\nsecond\nthird"
        );
    }
}

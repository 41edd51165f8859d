//! Captured output: redacted, bounded, printed and sent to the control plane in chunks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::redaction::Redactor;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;

use super::control_plane::ControlPlane;
use super::tool_gaps::ToolGaps;

/// Most that is kept of one stream.
const STREAM_LIMIT_BYTES: usize = 256 * 1024;
/// Most that one stored chunk holds (`run_log_chunks`).
const CHUNK_LIMIT_BYTES: usize = 32 * 1024;
const TRUNCATED: &str = "[output truncated]\n";

/// Collects output of a run; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Output {
    redactor: Arc<Redactor>,
    streams: Arc<Mutex<HashMap<&'static str, Stream>>>,
    /// What is being sent: whoever was stopped in the middle of it leaves it to the next, and the control plane stores a
    /// part that comes twice once (D-26).
    sending: Arc<Mutex<Option<Chunk>>>,
    grown: Arc<Notify>,
    tool_gaps: Arc<Mutex<ToolGaps>>,
}

#[derive(Debug, Default)]
struct Stream {
    pending: String,
    taken_bytes: usize,
    next_seq: u64,
    truncated: bool,
}

#[derive(Debug, Clone)]
struct Chunk {
    stream: &'static str,
    seq: u64,
    text: String,
}

impl Output {
    pub(super) fn new(secrets: &[SecretString]) -> Self {
        let redactor = Redactor::new(secrets.iter().map(|secret| secret.expose_secret()));
        Self {
            redactor: Arc::new(redactor),
            streams: Arc::default(),
            sending: Arc::default(),
            grown: Arc::default(),
            tool_gaps: Arc::default(),
        }
    }

    pub(super) fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }

    pub(super) fn redact_json(&self, mut value: serde_json::Value) -> serde_json::Value {
        self.redactor.redact_json(&mut value);
        value
    }

    /// Takes one line.
    pub(super) fn line(&self, stream: &'static str, line: &str) {
        self.text(stream, &format!("{line}\n"));
    }

    /// Takes whole lines; the caller splits at line ends, so that no secret is cut in two.
    pub(super) fn text(&self, stream: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut tool_gaps = self.tool_gaps();
        text.lines().for_each(|line| tool_gaps.look_at(line));
        drop(tool_gaps);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = streams.entry(stream).or_default();
        if entry.truncated {
            return;
        }
        let mut clean = self.redact(text);
        if !clean.ends_with('\n') {
            clean.push('\n');
        }
        let room = STREAM_LIMIT_BYTES - TRUNCATED.len() - entry.taken_bytes;
        if clean.len() > room {
            clean.truncate(clean.floor_char_boundary(room));
            clean.push_str(TRUNCATED);
            entry.truncated = true;
        }
        // The Pod's own log shows the same, redacted and bounded.
        print!("{clean}");
        entry.taken_bytes += clean.len();
        entry.pending.push_str(&clean);
        drop(streams);
        self.grown.notify_one();
    }

    /// What was seen of missing tools.
    pub(super) fn tool_gaps(&self) -> std::sync::MutexGuard<'_, ToolGaps> {
        self.tool_gaps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn next_chunk(&self) -> Option<Chunk> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, entry) = streams
            .iter_mut()
            .find(|(_, entry)| !entry.pending.is_empty())?;
        let end = entry.pending.floor_char_boundary(CHUNK_LIMIT_BYTES);
        let text = entry.pending.drain(..end).collect();
        let seq = entry.next_seq;
        entry.next_seq += 1;
        Some(Chunk { stream, seq, text })
    }

    /// Sends everything that is pending. Lost output does not fail a run.
    pub(super) async fn flush(&self, control_plane: &ControlPlane) {
        while let Some(chunk) = self.chunk_to_send() {
            if let Err(error) = control_plane
                .log(chunk.stream, chunk.seq, &chunk.text)
                .await
            {
                tracing::warn!(%error, "a part of the output was not stored");
            }
            self.sending().take();
        }
    }

    fn chunk_to_send(&self) -> Option<Chunk> {
        let mut sending = self.sending();
        if sending.is_none() {
            *sending = self.next_chunk();
        }
        sending.clone()
    }

    fn sending(&self) -> std::sync::MutexGuard<'_, Option<Chunk>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends output while it grows, until dropped.
    pub(super) async fn ship(&self, control_plane: &ControlPlane) -> std::convert::Infallible {
        loop {
            self.grown.notified().await;
            self.flush(control_plane).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> Output {
        Output::new(&[SecretString::from("bot-token-value".to_owned())])
    }

    #[test]
    fn secrets_are_replaced_before_anything_is_kept() {
        let output = output();
        output.line("agent", "the token is bot-token-value.");
        let chunk = output.next_chunk().expect("a chunk");
        assert_eq!(chunk.text, "the token is [REDACTED].\n");
    }

    #[test]
    fn what_was_being_sent_when_its_sender_stopped_is_sent_by_the_next() {
        let output = output();
        output.line("agent", "one");
        let first = output.chunk_to_send().expect("a chunk");
        output.line("agent", "two");
        let again = output.chunk_to_send().expect("the same chunk");
        assert_eq!((again.seq, again.text), (first.seq, first.text));
        output.sending().take();
        let next = output.chunk_to_send().expect("the next chunk");
        assert_eq!((next.seq, next.text.as_str()), (1, "two\n"));
    }

    #[test]
    fn chunks_and_streams_are_bounded() {
        let output = output();
        for _ in 0..300 {
            output.line("agent", &"x".repeat(1023));
        }
        let chunks: Vec<Chunk> = std::iter::from_fn(|| output.next_chunk()).collect();
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.text.len() <= CHUNK_LIMIT_BYTES)
        );
        let whole: String = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
        assert_eq!(whole.len(), STREAM_LIMIT_BYTES);
        assert!(whole.ends_with(TRUNCATED));
        assert_eq!(
            chunks.iter().map(|chunk| chunk.seq).collect::<Vec<_>>(),
            (0..8).collect::<Vec<_>>()
        );
    }
}

//! A program that the agent runs: in a group of its own, its output taken line by line and bounded, so that neither what
//! it prints nor what it leaves behind can hold the run up.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Most that is kept of one line; the rest of it is dropped, for a secret that is cut in two would not be found.
const LINE_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// Time for the last output of a program that has ended; a process that left its group may hold the pipe.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Runs a program to its end and gives each line that it prints to `take`. What it leaves running ends with it: it could
/// change the tree while that is being published.
pub(super) async fn run(mut command: Command, take: impl Fn(&str)) -> std::io::Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = Group::led_by(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let talk = async {
        tokio::join!(
            async {
                if let Some(stdout) = stdout {
                    each_line(stdout, &take).await;
                }
            },
            async {
                if let Some(stderr) = stderr {
                    each_line(stderr, &take).await;
                }
            }
        )
    };
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        _ = &mut talk => child.wait().await,
        status = child.wait() => {
            drop(group);
            if tokio::time::timeout(LAST_OUTPUT, talk).await.is_err() {
                tracing::warn!("a process that the agent left behind still holds its output open");
            }
            status
        }
    }
}

/// A process group, killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn led_by(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // A group that has gone by itself is what was wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Gives each line to `take`. Lines that are no text lose what is none; a stream that breaks off has ended.
pub(super) async fn each_line(stream: impl AsyncRead + Unpin, mut take: impl FnMut(&str)) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = u64::try_from(LINE_LIMIT_BYTES).unwrap_or(u64::MAX);
        let read = (&mut reader).take(limit).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        take(String::from_utf8_lossy(&line).trim_end());
        if line.len() == LINE_LIMIT_BYTES && !line.ends_with(b"\n") {
            skip_line(&mut reader).await;
        }
    }
}

async fn skip_line(reader: &mut (impl AsyncBufRead + Unpin)) {
    while let Ok(buffer @ [_, ..]) = reader.fill_buf().await {
        match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => return reader.consume(end + 1),
            None => {
                let length = buffer.len();
                reader.consume(length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
        let mut text = vec![b'x'; LINE_LIMIT_BYTES + 10];
        text.extend_from_slice(b"\nnext\nlast");
        let mut lines = Vec::new();
        each_line(text.as_slice(), |line| lines.push(line.len())).await;
        assert_eq!(lines, [LINE_LIMIT_BYTES, 4, 4]);
    }
}

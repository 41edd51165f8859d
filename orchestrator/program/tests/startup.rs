//! How the processes start when what they need is not there yet.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Longest wait for what takes a few seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// Keys must differ from each other (G-11); each is 32 bytes in hexadecimal.
fn key(digit: &str) -> String {
    digit.repeat(64)
}

#[tokio::test]
async fn a_control_plane_waits_for_a_database_that_is_not_there_yet() {
    // The port was free a moment ago: nobody answers there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut child = Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .arg("control-plane")
        .env_clear()
        .envs([
            ("CODEXK8S_INSTANCE", "startup-test".to_owned()),
            (
                "CODEXK8S_DATABASE_URL",
                format!("postgres://nobody:nothing@{address}/none"),
            ),
            ("CODEXK8S_SERVICE_TOKEN_KEY", key("a")),
            ("CODEXK8S_TOKEN_ENCRYPTION_KEY", key("b")),
            ("CODEXK8S_MCP_TOKEN_SIGNING_KEY", key("c")),
            ("CODEXK8S_SECRET_DERIVATION_KEY", key("d")),
            ("CODEXK8S_GITHUB_WEBHOOK_SECRET", key("e")),
            (
                "CODEXK8S_PUBLIC_BASE_URL",
                "http://platform.test".to_owned(),
            ),
            (
                "CODEXK8S_GITHUB_WEBHOOK_URL",
                "http://platform.test/hook".to_owned(),
            ),
            ("CODEXK8S_INTERNAL_LISTEN", "127.0.0.1:0".to_owned()),
            ("CODEXK8S_MCP_LISTEN", "127.0.0.1:0".to_owned()),
            ("CODEXK8S_HEALTH_LISTEN", "127.0.0.1:0".to_owned()),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = Vec::new();
    let tried_again = async {
        let mut tries = 0;
        while tries < 2 {
            let line = log
                .next_line()
                .await
                .unwrap()
                .unwrap_or_else(|| panic!("it ended:\n{}", seen.join("\n")));
            tries += usize::from(line.contains("the database is not available, trying again"));
            seen.push(line);
        }
    };
    tokio::time::timeout(DEADLINE, tried_again).await.unwrap();

    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let (status, rest) = tokio::join!(child.wait(), async {
        let mut rest = Vec::new();
        while let Some(line) = log.next_line().await.unwrap() {
            rest.push(line);
        }
        rest
    });
    assert_eq!(status.unwrap().code(), Some(1));
    assert_eq!(
        rest.last().map(String::as_str),
        Some(
            "orchestrator: failed to reach the database for migrations: pool timed out while waiting for an open connection"
        )
    );
}

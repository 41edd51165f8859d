//! One Postgres for this test program, from the machine's own binaries, and a database for each test.
//!
//! The server hangs on a pipe: when the test program ends, however it ends, the pipe closes, and a small
//! shell stops the server and removes its folder.
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

/// Postgres refuses to run as root; `nobody` owns its folder then.
const NOBODY: u32 = 65_534;
/// Starting takes half a second; a loaded machine gets more.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Arguments: folder with the programs, folder of the server.
const SCRIPT: &str = r#"
cd /
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=200 >/dev/null 2>&1 &
server=$!
read -r _
kill -INT "$server"
wait "$server"
rm -rf "$2"
"#;

struct Server {
    folder: PathBuf,
    /// Its standard input is the pipe.
    _keeper: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// The address of a new, empty database.
pub async fn database() -> String {
    let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(start))
        .await
        .expect("the server starts");
    let url = |name: &str| {
        format!(
            "postgres:///{name}?host={}&user=postgres",
            server.folder.display()
        )
    };
    // Connecting is the only sign of readiness a server gives.
    let connected = tokio::time::timeout(START_LIMIT, async {
        loop {
            if let Ok(connection) = PgConnection::connect(&url("postgres")).await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut connection = connected.await.expect("postgres accepts connections");
    let name = format!("test_{}", Uuid::new_v4().simple());
    connection
        .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .await
        .expect("a database is created");
    url(&name)
}

fn start() -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder").keep();
    let as_root = rustix::process::geteuid().is_root();
    if as_root {
        chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root may give a folder away");
    }
    let binaries = binaries();
    let command = |program: PathBuf| {
        let mut command = Command::new(program);
        command
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if as_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let initialised = command(binaries.join("initdb"))
        .args([
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-sync",
            "--pgdata",
        ])
        .arg(folder.join("data"))
        .status()
        .expect("initdb runs");
    assert!(initialised.success(), "initdb failed");
    let keeper = command("/bin/sh".into())
        .args(["-c", SCRIPT, "sh"])
        .arg(binaries)
        .arg(&folder)
        .stdin(Stdio::piped())
        // Of its own group, so that Ctrl-C at the test does not reach the server before the shell.
        .process_group(0)
        .spawn()
        .expect("the shell starts");
    Server {
        folder,
        _keeper: keeper,
    }
}

/// The newest installed version.
fn binaries() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|path| path.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .find(|path| path.join("initdb").exists());
    found.pop().or(on_path).expect("these tests need the programs initdb and postgres, e.g. from the Debian package postgresql")
}

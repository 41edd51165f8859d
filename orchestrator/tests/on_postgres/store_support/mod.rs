//! One private PostgreSQL for a test program, from the machine's own binaries, and a database for each test.
//!
//! The server hangs on a pipe: when the test program ends, however it ends, the pipe closes, and a small shell stops
//! the server and removes its folder.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use orchestrator::store::{self, migrations};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Postgres refuses to run as root; this is `nobody` everywhere.
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
const TEMPLATE: &str = "migrated_template";

static SERVER: OnceLock<Server> = OnceLock::new();
/// The template is made once; it stands for the readiness of the server too.
static MIGRATED: OnceCell<()> = OnceCell::const_new();

struct Server {
    folder: PathBuf,
    /// Its standard input is the pipe.
    _keeper: Child,
}

/// A database of one test.
pub struct TestDatabase {
    pub pool: PgPool,
    pub url: SecretString,
}

impl TestDatabase {
    /// A migrated database.
    pub async fn migrated() -> Self {
        Self::create(TEMPLATE).await
    }

    /// A database without any table.
    pub async fn empty() -> Self {
        Self::create("template0").await
    }

    async fn create(template: &str) -> Self {
        let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(Server::start))
            .await
            .expect("starting PostgreSQL does not panic");
        MIGRATED.get_or_init(|| server.make_template()).await;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        server.administer(create).await;
        Self {
            pool: server.pool(&name),
            url: server.url(&name),
        }
    }
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("orchestrator-postgres-")
            .tempdir()
            .expect("a temporary folder")
            .keep();
        let as_root = rustix::process::geteuid().is_root();
        if as_root {
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root gives folders away");
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
                "--username=tests",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--pgdata",
            ])
            .arg(folder.join("data"))
            .status()
            .expect("initdb starts");
        assert!(initialised.success(), "initdb ended with {initialised}");
        let keeper = command("/bin/sh".into())
            .args(["-c", SCRIPT, "sh"])
            .arg(binaries)
            .arg(&folder)
            .stdin(Stdio::piped())
            // Of its own group, so that Ctrl-C at the test does not reach the server before the shell.
            .process_group(0)
            .spawn()
            .expect("the shell starts");
        Self {
            folder,
            _keeper: keeper,
        }
    }

    async fn make_template(&self) {
        // Connecting is the only sign of readiness a server gives.
        let ready = tokio::time::timeout(START_LIMIT, async {
            let pool = self.pool("postgres");
            while pool.acquire().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            pool.close().await;
        });
        ready.await.expect("PostgreSQL accepts connections");
        self.administer(format!("CREATE DATABASE {TEMPLATE}")).await;
        let pool = self.pool(TEMPLATE);
        migrations::migrate(&pool)
            .await
            .expect("the migrations apply to an empty database");
        pool.close().await;
    }

    async fn administer(&self, statement: String) {
        let pool = self.pool("postgres");
        sqlx::query(AssertSqlSafe(statement))
            .execute(&pool)
            .await
            .expect("the server makes databases");
        pool.close().await;
    }

    fn url(&self, database: &str) -> SecretString {
        SecretString::from(format!(
            "postgres:///{database}?host={}&user=tests",
            self.folder.display()
        ))
    }

    fn pool(&self, database: &str) -> PgPool {
        store::pool(&self.url(database), 8, "tests").expect("the address is well formed")
    }
}

/// The folder of the newest programs. A link in PATH may stand alone: `postgres` must be beside `initdb`.
fn binaries() -> PathBuf {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    installed.sort();
    std::env::split_paths(&in_path)
        .chain(installed.into_iter().rev())
        .filter_map(|folder| folder.join("initdb").canonicalize().ok())
        .filter_map(|initdb| Some(initdb.parent()?.to_path_buf()))
        .find(|folder| folder.join("postgres").exists())
        .expect("these tests need the programs initdb and postgres, e.g. from the Debian package postgresql")
}

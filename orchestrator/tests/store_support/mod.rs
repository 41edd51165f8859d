//! A private PostgreSQL for tests: started on first use, shared by the tests that run at the same time, stopped with
//! the last of them. Each test gets a database of its own, cloned from one migrated template.
#![allow(dead_code)] // every test binary uses a part of it

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use orchestrator::store::{self, migrations};
use secrecy::SecretString;
use sqlx::PgPool;

/// PostgreSQL refuses to run as root; this is `nobody` everywhere.
const UNPRIVILEGED: u32 = 65_534;
const TEMPLATE: &str = "migrated_template";

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

/// A running server.
pub struct Cluster {
    folder: tempfile::TempDir,
    binaries: PathBuf,
}

/// A database of one test; the server lives at least as long.
pub struct TestDatabase {
    pub pool: PgPool,
    pub url: SecretString,
    _cluster: Arc<Cluster>,
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
        let cluster = tokio::task::spawn_blocking(Cluster::shared)
            .await
            .expect("starting PostgreSQL does not panic");
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let admin = cluster.pool("postgres");
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "CREATE DATABASE {name} TEMPLATE {template}"
        )))
        .execute(&admin)
        .await
        .expect("the server makes databases");
        admin.close().await;
        Self {
            pool: cluster.pool(&name),
            url: cluster.url(&name),
            _cluster: cluster,
        }
    }
}

impl Cluster {
    /// The server of this test binary. Blocking: the first test starts it while the others wait.
    fn shared() -> Arc<Self> {
        let mut shared = SHARED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Self::start());
        let template = cluster.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            runtime.block_on(template.make_template());
        })
        .join()
        .expect("the template is made");
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    async fn make_template(&self) {
        let admin = self.pool("postgres");
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE}")))
            .execute(&admin)
            .await
            .expect("the server makes databases");
        admin.close().await;
        let pool = self.pool(TEMPLATE);
        migrations::migrate(&pool)
            .await
            .expect("the migrations apply to an empty database");
        pool.close().await;
    }

    fn start() -> Self {
        let binaries = find_binaries()
            .expect("PostgreSQL is needed: initdb in PATH or under /usr/lib/postgresql");
        let folder = tempfile::Builder::new()
            .prefix("orchestrator-postgres-")
            .tempdir()
            .expect("a temporary folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .expect("own folder");
        if is_root() {
            chown(folder.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED))
                .expect("root gives folders away");
        }
        let cluster = Self { folder, binaries };
        let data = cluster.folder.path().join("data");
        cluster.run(
            "initdb",
            &[
                "-D",
                text(&data),
                "-U",
                "tests",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
            ],
        );
        let options = format!(
            "-k {} -c listen_addresses= -c fsync=off -c max_connections=200",
            text(cluster.folder.path())
        );
        // `-w` waits for the server, so nobody here has to.
        cluster.run(
            "pg_ctl",
            &[
                "-D",
                text(&data),
                "-l",
                text(&cluster.folder.path().join("log")),
                "-o",
                &options,
                "-w",
                "start",
            ],
        );
        cluster
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.binaries.join(program));
        command
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C");
        if is_root() {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        let status = command.status().expect("the program starts");
        assert!(status.success(), "{program} ended with {status}");
    }

    fn url(&self, database: &str) -> SecretString {
        SecretString::from(format!(
            "postgres:///{database}?host={}&user=tests",
            text(self.folder.path())
        ))
    }

    fn pool(&self, database: &str) -> PgPool {
        store::pool(&self.url(database), 8, "tests").expect("the address is well formed")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run(
            "pg_ctl",
            &[
                "-D",
                text(&self.folder.path().join("data")),
                "-m",
                "immediate",
                "-w",
                "stop",
            ],
        );
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn find_binaries() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    installed.sort();
    // A link in PATH may stand alone: `pg_ctl` must be beside `initdb`.
    in_path
        .chain(installed.into_iter().rev())
        .filter_map(|folder| {
            folder
                .join("initdb")
                .canonicalize()
                .ok()?
                .parent()
                .map(Path::to_path_buf)
        })
        .find(|folder| folder.join("pg_ctl").exists() && folder.join("postgres").exists())
}

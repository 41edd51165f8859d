//! The PostgreSQL server of the bench: its own, with PostgreSQL's defaults, and looked at before anything is believed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bootstrap::postgres::{Database, PostgresServer, ServerPrograms};
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

/// Settings on which the meaning of a number hangs.
const TOLD: [&str; 9] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
    "default_toast_compression",
];
/// Settings without which a commit can be lost.
const DURABLE: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

/// What the server says of itself, and where its data lies.
#[derive(Debug, Serialize)]
pub struct Settings {
    pub postgres: String,
    pub settings: Vec<(String, String)>,
    pub file_system: String,
}

/// A running server whose commits last.
pub struct DurableServer {
    server: PostgresServer,
    home: PathBuf,
}

impl DurableServer {
    /// Starts it in a folder of its own below `folder`.
    pub async fn start(programs: ServerPrograms, folder: &Path) -> anyhow::Result<Self> {
        // The server may run as another user, who enters only what everybody may enter.
        let home = tempfile::Builder::new()
            .prefix("gonogo-")
            .tempdir()
            .context("failed to make a folder for PostgreSQL")?
            .keep();
        let run_id = bootstrap::runs::new_run_id();
        let server =
            PostgresServer::start_durable(programs, &home, &folder.join("postgres.log"), &run_id)
                .await
                .context("failed to start PostgreSQL")?;
        Ok(Self { server, home })
    }

    /// Ends it and removes its data.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.server.stop().await?;
        std::fs::remove_dir_all(&self.home)
            .with_context(|| format!("failed to remove {}", self.home.display()))
    }

    /// Reads what the numbers hang on.
    ///
    /// # Errors
    /// When a commit could be lost: such numbers would mean nothing.
    pub async fn settings(&self) -> anyhow::Result<Settings> {
        let mut connection = self.server.admin_options().connect().await?;
        let settings: Vec<(String, String)> = sqlx::query_as(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1) ORDER BY name",
        )
        .bind(TOLD.map(str::to_owned).to_vec())
        .fetch_all(&mut connection)
        .await?;
        for (name, value) in &settings {
            anyhow::ensure!(
                !DURABLE.contains(&name.as_str()) || value == "on",
                "failed to measure durable commits: {name} is {value}"
            );
        }
        let file_system = file_system_of(&self.home)?;
        anyhow::ensure!(
            !["tmpfs", "ramfs"].contains(&file_system.as_str()),
            "failed to measure durable commits: {} lies on {file_system}; set TMPDIR to a folder on a disk",
            self.home.display()
        );
        Ok(Settings {
            postgres: self.server.version().to_owned(),
            settings,
            file_system,
        })
    }

    /// A new database, a copy of `template` if one is given.
    pub async fn create(
        &self,
        name: &str,
        template: Option<&Database>,
    ) -> anyhow::Result<Database> {
        Ok(self.server.create_database(name, template).await?)
    }

    /// The address of a database for programs that take a URL.
    pub fn url(&self, database: &Database) -> String {
        format!(
            "postgres://{}:{}@localhost/{}?host={}",
            database.user,
            database.password.as_deref().unwrap_or_default(),
            database.name,
            self.home.display()
        )
    }

    /// Folder of the socket.
    pub fn socket_folder(&self) -> &Path {
        &self.home
    }

    /// The bench's own look into a database.
    pub async fn eyes(&self, database: &Database) -> anyhow::Result<PgPool> {
        let options: PgConnectOptions = self.server.options_for(database);
        Ok(PgPoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?)
    }

    /// Every turn begins with the same debt to the disk: none.
    pub async fn checkpoint(&self) -> anyhow::Result<()> {
        let mut connection = self.server.admin_options().connect().await?;
        sqlx::query("CHECKPOINT").execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

/// The kind of file system that holds a folder: the mount point with the longest path above it.
fn file_system_of(folder: &Path) -> anyhow::Result<String> {
    let mounts =
        std::fs::read_to_string("/proc/self/mounts").context("failed to read /proc/self/mounts")?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((Path::new(fields.next()?), fields.next()?))
        })
        .filter(|(mount, _)| folder.starts_with(mount))
        .max_by_key(|(mount, _)| mount.as_os_str().len())
        .map(|(_, kind)| kind.to_owned())
        .with_context(|| format!("failed to find the file system of {}", folder.display()))
}

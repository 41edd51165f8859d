//! The ceiling: pgbench puts the same rows into the same table, one transaction each, without HTTP, signature or NOTIFY.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bootstrap::postgres::Database;
use tokio::process::Command;

use crate::database::DurableServer;
use crate::delivery;

/// Threads of pgbench; its clients are shared among them.
const THREADS: &str = "2";
/// One row as intake stores it; the payload travels as a parameter, as intake's does.
const SCRIPT: &str = "INSERT INTO webhook_deliveries \
    (delivery_id, event_type, action, repository_full_name, sender_login, body_sha256, raw_body) \
    VALUES (gen_random_uuid()::text, 'issues', 'labeled', 'Codertocat/Hello-World', 'Codertocat', :digest, :payload);\n";

pub struct Pgbench {
    program: PathBuf,
    pub version: String,
}

impl Pgbench {
    /// The one beside the server, else the one on PATH.
    pub fn find(server: &Path) -> anyhow::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::iter::once(server.to_owned())
            .chain(std::env::split_paths(&path))
            .map(|folder| folder.join("pgbench"))
            .find(|program| program.is_file())
            .with_context(|| {
                format!(
                    "failed to find pgbench in {} and on PATH: install it (Debian and Ubuntu: postgresql, Fedora: \
                     postgresql-contrib)",
                    server.display()
                )
            })?;
        let output = std::process::Command::new(&program)
            .arg("--version")
            .output()
            .with_context(|| format!("failed to run {}", program.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { program, version })
    }

    /// Transactions a second, of so many clients for so long.
    pub async fn run(
        &self,
        server: &DurableServer,
        database: &Database,
        clients: usize,
        length: Duration,
    ) -> anyhow::Result<f64> {
        let script = server.socket_folder().join("pgbench.sql");
        std::fs::write(&script, SCRIPT).context("failed to write the script of pgbench")?;
        // In the text form of `bytea` a backslash stands for itself when it is doubled.
        let payload = delivery::payload(1).replace('\\', "\\\\");
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared", "--jobs", THREADS])
            .args(["--client", &clients.to_string()])
            .args(["--time", &length.as_secs().to_string()])
            .args(["--define", &format!("payload={payload}")])
            .args(["--define", &format!("digest=\\x{}", "5a".repeat(32))])
            .arg("--file")
            .arg(&script)
            .arg("--host")
            .arg(server.socket_folder())
            .args(["--username", &database.user, &database.name])
            .env(
                "PGPASSWORD",
                database.password.as_deref().unwrap_or_default(),
            )
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("failed to run {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        anyhow::ensure!(
            output.status.success(),
            "failed to run pgbench: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        said.lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
            .with_context(|| format!("failed to read what pgbench said: {said}"))
    }
}

//! The migrated database that every lane's database is a copy of: migrations run once a target.

use std::path::Path;

use crate::canary::canary;
use crate::embedded::EmbeddedTarget;
use crate::error::{Error, Result};
use crate::postgres::Database;
use crate::process::{Launch, Supervised};
use crate::proxy::FaultProxy;

/// The template, made on first use by the program under test itself.
pub(super) async fn migrated<'a>(
    target: &'a EmbeddedTarget,
    orchestrator: &Path,
) -> Result<&'a Database> {
    target
        .template
        .get_or_try_init(|| async {
            let database = target
                .postgres
                .create_database("template_migrated", None)
                .await?;
            migrate(target, orchestrator, &database).await?;
            target.postgres.disconnect_all(&database).await?;
            Ok(database)
        })
        .await
}

async fn migrate(target: &EmbeddedTarget, orchestrator: &Path, database: &Database) -> Result<()> {
    let address = target.network.migration_database();
    let proxy = FaultProxy::start(address, vec![target.postgres.upstream()])
        .await
        .map_err(|source| Error::Proxy { address, source })?;
    let mut launch = Launch::new(
        "orchestrator migrate",
        orchestrator,
        &target.run_id,
        &target.logs_dir.join("migrate.log"),
    )
    .args(["migrate"])
    .env("CODEXK8S_DATABASE_URL", database.url(proxy.address()))
    .env("RUST_LOG", "info");
    // The configuration is checked as a whole; nothing is encrypted with these.
    for key in [
        "SERVICE_TOKEN_KEY",
        "TOKEN_ENCRYPTION_KEY",
        "MCP_TOKEN_SIGNING_KEY",
        "SECRET_DERIVATION_KEY",
    ] {
        launch = launch.env(
            &format!("CODEXK8S_{key}"),
            canary(&format!("{key} of the template")),
        );
    }
    let process = Supervised::start(&launch)?;
    match process.exited().await {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(process.unexpected_exit(status).into()),
        None => Err(Error::NotReady {
            what: "the end of the migrations".to_owned(),
            seconds: 0,
            last_seen: "the program is ending".to_owned(),
        }),
    }
}

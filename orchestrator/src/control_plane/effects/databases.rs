//! Makes and removes the databases of projects (G-50, G-54): each in find-or-create form, with the registry told in the
//! transaction that completes the effect.
use domain::approvals::Proposal;
use domain::databases::{DatabaseAction, DatabaseChange, DatabaseFacts, still_holds};
use domain::ids::ProjectId;
use sqlx::PgConnection;

use super::{Attempt, EffectError, Performed, RequestStep, requests};
use crate::app::App;
use crate::databases::ProjectServer;
use crate::store::approvals::{self, ApprovalRow};
use crate::store::project_databases;

/// What the end of a change means for the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryChange {
    /// The database is there.
    Ready(String),
    /// It is gone.
    Gone(String),
}

impl RegistryChange {
    pub(super) async fn record(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        match self {
            Self::Ready(name) => project_databases::set_ready(connection, name).await,
            Self::Gone(name) => project_databases::unregister(connection, name).await,
        }
    }
}

fn server(app: &App) -> Result<ProjectServer, EffectError> {
    let config = app.config.governance.project_databases.as_ref();
    Ok(ProjectServer::new(config)?)
}

/// Does the change of an approved request.
pub(super) async fn perform(
    attempt: &Attempt<'_>,
    request_id: i64,
) -> Result<Performed, EffectError> {
    let app = attempt.app;
    let Some(row) = approvals::find(&app.pool, request_id).await? else {
        return Ok(Performed::nothing());
    };
    if requests::refused_unapproved(app, &row).await? {
        return Ok(Performed::nothing());
    }
    let (Some(Proposal::Database(change)), "approved") =
        (row.facts()?.proposal, row.approval_state.as_str())
    else {
        return Ok(Performed::nothing());
    };
    let server = server(app)?;
    let name = &change.database_name;
    let (changed, registry) = match change.action {
        DatabaseAction::Create => (
            server.create(name).await?,
            RegistryChange::Ready(name.clone()),
        ),
        DatabaseAction::Delete => (
            server.delete(name).await?,
            RegistryChange::Gone(name.clone()),
        ),
        DatabaseAction::Describe => return Ok(Performed::nothing()),
    };
    // An attempt that could not say so may have done it.
    let step = change.step(changed || attempt.may_be_done());
    Ok(Performed {
        request_step: Some(RequestStep {
            request_id,
            step: step.to_owned(),
            registry: Some(registry),
        }),
        ..Performed::default()
    })
}

/// What is known of the database before its request is begun (G-86).
pub(super) async fn facts(
    app: &App,
    row: &ApprovalRow,
    change: &DatabaseChange,
) -> Result<DatabaseFacts, EffectError> {
    let server = server(app)?;
    let platform = project_databases::platform_database(&app.pool).await?;
    Ok(DatabaseFacts {
        project_id: row.project_id.map(ProjectId),
        registered: project_databases::find(&app.pool, &change.database_name).await?,
        exists: server.has(&change.database_name).await?,
        platform_databases: vec![platform, server.maintenance_database],
    })
}

/// Takes the name, or says that the database is going; `false` when what was agreed to may not be done any more (G-56).
pub(super) async fn reserve(
    connection: &mut PgConnection,
    row: &ApprovalRow,
    change: &DatabaseChange,
    facts: &DatabaseFacts,
) -> Result<bool, sqlx::Error> {
    let Some(project_id) = row.project_id else {
        return Ok(false);
    };
    if !still_holds(change, facts) {
        return Ok(false);
    }
    match change.action {
        DatabaseAction::Create => project_databases::reserve(connection, project_id, change).await,
        DatabaseAction::Delete => {
            project_databases::begin_deletion(connection, project_id, change).await
        }
        DatabaseAction::Describe => Ok(false),
    }
}

//! `database.lifecycle` (2.4).
use domain::approvals::{Proposal, RequestAction};
use domain::audit::{Actor, AuditEvent, AuditRecord, SystemActor};
use domain::databases::{
    DatabaseAction, DatabaseArguments, DatabaseFacts, DatabaseVerdict, database_arguments, judge,
};
use domain::ids::ProjectId;
use domain::waits::WaitCause;
use serde_json::{Map, Value, json};

use super::call::{Call, CallError};
use super::calls::Outcome;
use super::requests::{database_output, fingerprint};
use super::waiting_calls::{Asked, approvals_ttl, ask, dry_run, merge};
use crate::databases::ProjectServer;
use crate::store::project_databases;

/// Asks for a change of a database, or tells of one.
pub async fn lifecycle(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    let allowed = &call.services.config().governance.allowed_environments;
    let read = match database_arguments(arguments, allowed) {
        Ok(read) => redacted(call, read),
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    let fingerprint = fingerprint(call, &serde_json::to_vec(&read)?);
    // A key that stands for a request answers whatever the database has come to since.
    if let Some(told) = super::requests::standing(call, read.key.as_ref(), &fingerprint).await? {
        return Ok(told);
    }
    let facts = facts(call, &read).await?;
    let verdict = match judge(&read, &facts) {
        Ok(verdict) => verdict,
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    if read.dry_run {
        return dry_run(call, database_output(&read.change)).await;
    }
    let action = match (verdict, read.change.action) {
        (DatabaseVerdict::Described, _) => {
            let event = AuditEvent::DatabaseDescribed(read.change.payload());
            let told = call.record(event, Actor::System(SystemActor::ControlPlaneMcp));
            return tell(call, &read, &facts, "described", vec![told]).await;
        }
        (DatabaseVerdict::AlreadyThere, _) | (_, DatabaseAction::Describe) => {
            return tell(call, &read, &facts, "already_exists", Vec::new()).await;
        }
        (DatabaseVerdict::Ask, DatabaseAction::Create) => RequestAction::DatabaseCreate,
        (DatabaseVerdict::Ask, DatabaseAction::Delete) => RequestAction::DatabaseDelete,
    };
    let asked = Asked {
        action,
        environment: Some(&read.change.environment),
        ttl: approvals_ttl(call),
        cause: WaitCause::Approval,
        justification: read.justification.as_deref(),
        key: read.key.as_ref(),
        fingerprint: &fingerprint,
        value: None,
        once_is_enough: false,
        proposal: Proposal::Database(read.change.clone()),
    };
    ask(call, &asked).await
}

async fn facts(call: &Call, read: &DatabaseArguments) -> Result<DatabaseFacts, CallError> {
    let pool = call.services.pool();
    let config = &call.services.config().governance;
    let server = ProjectServer::new(config.project_databases.as_ref())?;
    let name = &read.change.database_name;
    let platform = project_databases::platform_database(pool).await?;
    Ok(DatabaseFacts {
        project_id: call.caller.project_id.map(ProjectId),
        registered: project_databases::find(pool, name).await?,
        exists: server.has(name).await?,
        platform_databases: vec![platform, server.maintenance_database],
    })
}

/// What nobody needs to agree to.
async fn tell(
    call: &Call,
    read: &DatabaseArguments,
    facts: &DatabaseFacts,
    message: &str,
    recorded: Vec<AuditRecord>,
) -> Result<Outcome, CallError> {
    let mut audit = vec![call.called()];
    audit.extend(recorded);
    audit.push(call.succeeded(false));
    call.write(audit).await?;
    let mut told = json!({
        "status": "ok",
        "approval_state": "none",
        "applied": false,
        "exists": facts.exists,
        "owned_by_project": true,
        "owner_project_id": facts.project_id,
        "message": message,
    });
    merge(&mut told, database_output(&read.change));
    Ok(Ok(told))
}

/// Agents write what they read; a secret among it is shown to nobody (G-124).
fn redacted(call: &Call, read: DatabaseArguments) -> DatabaseArguments {
    DatabaseArguments {
        justification: read
            .justification
            .as_deref()
            .map(|text| call.services.redactor().redact(text)),
        ..read
    }
}

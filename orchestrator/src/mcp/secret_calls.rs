//! `secret.sync.github_k8s` (2.3).
use domain::approvals::{Proposal, RequestAction};
use domain::ids::ProjectId;
use domain::namespaces::project_namespaces;
use domain::secret_sync::{SecretPolicy, SyncArguments, SyncSurroundings, sync_arguments};
use domain::waits::WaitCause;
use serde_json::{Map, Value};

use super::call::{Call, CallError};
use super::calls::Outcome;
use super::requests::{fingerprint, sync_output};
use super::waiting_calls::{Asked, approvals_ttl, ask, dry_run};
use crate::secrets::random_value;
use crate::store::projects;

/// Asks for the synchronisation of one secret, unless that is open or done already.
pub async fn sync(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    let read = match checked(call, arguments).await? {
        Ok(read) => read,
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    if read.dry_run {
        return dry_run(call, sync_output(&read.sync)).await;
    }
    let fingerprint = fingerprint(call, &serde_json::to_vec(&read)?);
    let asked = Asked {
        action: RequestAction::SecretSync,
        environment: Some(&read.sync.environment),
        ttl: approvals_ttl(call),
        cause: WaitCause::Approval,
        justification: read.justification.as_deref(),
        key: read.key.as_ref(),
        fingerprint: &fingerprint,
        value: (read.sync.policy == SecretPolicy::Random).then(random_value),
        once_is_enough: read.sync.policy == SecretPolicy::Deterministic,
        proposal: Proposal::SecretSync(read.sync.clone()),
    };
    ask(call, &asked).await
}

async fn checked(
    call: &Call,
    arguments: &Map<String, Value>,
) -> Result<Result<SyncArguments, domain::tools::ToolFailure>, CallError> {
    let app = &call.services.app;
    let slug = match call.caller.project_id {
        Some(project_id) => projects::slug_of(call.services.pool(), project_id).await?,
        None => None,
    };
    let namespaces = slug.map_or_else(Vec::new, |slug| {
        project_namespaces(&slug, &app.policy.instance)
    });
    let platform = [
        app.policy.platform_namespace.as_str().to_owned(),
        app.config.worker.code_only_namespace.clone(),
        "default".to_owned(),
    ];
    let around = SyncSurroundings {
        allowed_environments: &app.config.governance.allowed_environments,
        project_id: call.caller.project_id.map(ProjectId),
        repository_full_name: &call.subject.repository_full_name,
        run_namespace: &call.caller.namespace,
        project_namespaces: &namespaces,
        platform_namespaces: &platform,
    };
    Ok(sync_arguments(arguments, around).map(|read| SyncArguments {
        justification: read
            .justification
            .as_deref()
            .map(|text| call.services.redactor().redact(text)),
        ..read
    }))
}

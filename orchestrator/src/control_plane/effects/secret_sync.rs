//! The two writes of a synchronised secret (G-46 to G-48): an error tells step and code, never what a provider said.
use domain::approvals::Proposal;
use domain::effects::Effect;
use domain::namespaces::project_namespaces;
use domain::secret_sync::{GithubScope, SecretSync, SyncStep};
use secrecy::SecretString;
use sqlx::PgConnection;

use super::{Attempt, EffectError, Performed, RequestStep, requests};
use crate::app::App;
use crate::control_plane::executor::record_of;
use crate::github::{self, AccessError, FaultClass, GithubError, SecretPlace};
use crate::secret_sync::{ClusterError, ValueError, value_of, write_key};
use crate::store::approvals::{self, ApprovalRow};
use crate::store::effects::ClaimedEffect;
use crate::store::{events, projects, tool_calls};

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the secret in step {step}: {code}")]
pub struct StepError {
    pub step: SyncStep,
    pub code: String,
    pub is_permanent: bool,
}

/// Does a step of an approved request.
pub(super) async fn perform(
    attempt: &Attempt<'_>,
    request_id: i64,
    step: SyncStep,
) -> Result<Performed, EffectError> {
    let app = attempt.app;
    let Some(row) = approvals::find(&app.pool, request_id).await? else {
        return Ok(Performed::nothing());
    };
    if requests::refused_unapproved(app, &row).await? {
        return Ok(Performed::nothing());
    }
    let (Some(Proposal::SecretSync(sync)), "approved") =
        (row.facts()?.proposal, row.approval_state.as_str())
    else {
        return Ok(Performed::nothing());
    };
    let failed = |code: String, is_permanent| StepError {
        step,
        code,
        is_permanent,
    };
    let value = value_of(app, &row, &sync).map_err(|error| match error {
        ValueError::Store(error) => EffectError::Store(error),
        ValueError::NoKey | ValueError::NoValue | ValueError::Encoding | ValueError::Cipher(_) => {
            failed("value_unavailable".to_owned(), true).into()
        }
    })?;
    match step {
        SyncStep::Github => write_to_github(app, &sync, &value).await?,
        SyncStep::Kubernetes => write_to_cluster(app, &row, &sync, &value).await?,
    }
    let told = sync.step_completed(request_id, step, i64::from(attempt.claimed.attempts));
    Ok(Performed {
        audit: vec![attempt.event(told)],
        request_step: Some(RequestStep {
            request_id,
            step: step.to_string(),
            registry: None,
        }),
        ..Performed::default()
    })
}

async fn write_to_github(
    app: &App,
    sync: &SecretSync,
    value: &SecretString,
) -> Result<(), EffectError> {
    let place = match sync.github_scope {
        GithubScope::Environment => SecretPlace::Environment(&sync.environment),
        GithubScope::Repository => SecretPlace::Repository,
    };
    let failed = |code: String, is_permanent| StepError {
        step: SyncStep::Github,
        code,
        is_permanent,
    };
    let of_github =
        |error: GithubError| failed(error.code(), error.class() != FaultClass::Transient);
    let repository = github::managed(app, &sync.repository_full_name)
        .await
        .map_err(|error| match error {
            AccessError::Store(error) => EffectError::Store(error),
            AccessError::Github(error) => of_github(error).into(),
            AccessError::Tokens(_) | AccessError::NoKey => {
                failed("github_tokens_unavailable".to_owned(), true).into()
            }
        })?;
    repository
        .put_secret(place, &sync.github_secret_name, value)
        .await
        .map_err(of_github)?;
    Ok(())
}

async fn write_to_cluster(
    app: &App,
    row: &ApprovalRow,
    sync: &SecretSync,
    value: &SecretString,
) -> Result<(), EffectError> {
    let failed = |code: String, is_permanent| StepError {
        step: SyncStep::Kubernetes,
        code,
        is_permanent,
    };
    if !is_own_namespace(app, row, sync).await? {
        return Err(failed("protected_target".to_owned(), true).into());
    }
    let client = app.kube.clone().ok_or(EffectError::NoCluster)?;
    write_key(
        client,
        &sync.namespace,
        &sync.secret_name,
        &sync.secret_key,
        value,
    )
    .await
    .map_err(|error| match error {
        ClusterError::Protected(_) => failed("protected_target".to_owned(), true),
        ClusterError::Refused { code, is_permanent } => failed(code, is_permanent),
    })?;
    Ok(())
}

/// G-42, once more when it is done: the project may have been renamed since.
pub(super) async fn is_own_namespace(
    app: &App,
    row: &ApprovalRow,
    sync: &SecretSync,
) -> Result<bool, sqlx::Error> {
    if let Some(run_id) = row.run_id
        && tool_calls::namespace_of(&app.pool, run_id).await?.as_ref() == Some(&sync.namespace)
    {
        return Ok(sync.namespace != app.policy.platform_namespace.as_str());
    }
    let slug = match row.project_id {
        Some(project_id) => projects::slug_of(&app.pool, project_id).await?,
        None => None,
    };
    let namespaces = slug.map_or_else(Vec::new, |slug| {
        project_namespaces(&slug, &app.policy.instance)
    });
    Ok(namespaces
        .iter()
        .any(|(environment, name)| *environment == sync.environment && *name == sync.namespace))
}

/// Tells of a failed attempt at a step (G-47); nothing for other effects.
pub async fn tell_failed(
    connection: &mut PgConnection,
    claimed: &ClaimedEffect,
    effect: &Effect,
    error: &EffectError,
    is_last: bool,
) -> Result<(), sqlx::Error> {
    let Effect::SyncSecret { request_id, step } = effect else {
        return Ok(());
    };
    let Some(row) = approvals::find(&mut *connection, *request_id).await? else {
        return Ok(());
    };
    let facts = row.facts()?;
    let Some(Proposal::SecretSync(sync)) = &facts.proposal else {
        return Ok(());
    };
    let attempt = i64::from(claimed.attempts);
    let told = sync.step_failed(*request_id, *step, attempt, !is_last, &error.code());
    let record = record_of(claimed, facts.correlation_id, told);
    events::insert(connection, &record).await.map(drop)
}

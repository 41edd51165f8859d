//! From a claimed run to its Job: profile, namespace, environment, credentials, Job.
//!
//! Each step looks at what is stored and in the cluster before it acts, so that a repetition, by this worker or by the
//! next one, goes on where the last attempt stopped.

use super::agent_env;
use super::context::WorkerContext;
use super::control_plane::{CallError, IssuedToken};
use super::environment::{self, PreparedRef};
use super::finish::{self, End};
use super::journal::{self, Subject};
use super::launch_pod;
use super::namespace::{self, Choice, Origin, Reuse};
use super::profile::{self, ResolvedProfile, Unmet};
use super::start::{self, Place, start};
use crate::cluster::{AgentAccount, ApplyError, build_namespace};
use crate::store::effects::EffectInsertError;
use crate::store::namespace_leases::{self, NewNamespaceLease};
use crate::store::runs::{self, WorkerRun};
use crate::transition;
use chrono::{DateTime, Utc};
use domain::audit::{AuditEvent, NamespacePreparedPayload, NamespaceReusePayload};
use domain::effects::CommentPhase;
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::namespaces::{Lease, NamespaceMetadata, namespace_ttl_seconds};
use domain::runs::{FinishReason, RunEnd};
use domain::stages::RuntimeMode;
use serde_json::json;
use std::time::Duration;

/// A namespace that turns out unusable is left for another one at most once.
const NAMESPACE_CHOICES: u8 = 2;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launched {
    /// The Job exists.
    Job,
    /// The run is over already: a deploy-only run, or a precondition that does not hold.
    Over,
}

/// Why an attempt did not reach the Job.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Ends the run.
    #[error("{error}")]
    Ended {
        /// Reason of the end.
        reason: FinishReason,
        /// `error` of the terminal event.
        error: String,
    },
    /// Repeat later; after the whole time allowed it ends the run for `reason`.
    #[error("{error}")]
    Later {
        /// Reason when time is up.
        reason: FinishReason,
        /// What is in the way.
        error: String,
    },
    /// Another worker has the run, or it is over.
    #[error("the lease of the run is lost")]
    LeaseLost,
    /// The process ends.
    #[error("interrupted")]
    Interrupted,
    /// The database refused: repeat later, never a reason to end a run.
    #[error("failed to use the database")]
    Database(#[from] sqlx::Error),
    /// An effect cannot be stored.
    #[error("failed to plan an effect")]
    Effect(#[from] EffectInsertError),
}

impl LaunchError {
    /// The namespace cannot be had.
    pub fn namespace(error: impl Into<String>) -> Self {
        Self::Ended {
            reason: FinishReason::NamespacePrepareFailed,
            error: error.into(),
        }
    }

    /// The agent's settings cannot be resolved.
    pub fn context(error: impl Into<String>) -> Self {
        Self::Ended {
            reason: FinishReason::AgentContextResolveFailed,
            error: error.into(),
        }
    }

    /// A call of the control plane failed.
    pub fn from_call(error: CallError, reason: FinishReason) -> Self {
        match error {
            CallError::Unavailable { .. } => Self::Later {
                reason,
                error: error.to_string(),
            },
            CallError::Refused { .. } => Self::Ended {
                reason,
                error: error.to_string(),
            },
        }
    }

    /// The threads cannot be read.
    pub fn threads(error: CallError) -> Self {
        Self::from_call(error, FinishReason::AgentContextResolveFailed)
    }
}

impl From<ApplyError> for LaunchError {
    fn from(error: ApplyError) -> Self {
        let text = match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        let reason = FinishReason::NamespacePrepareFailed;
        if error.is_retryable() {
            Self::Later {
                reason,
                error: text,
            }
        } else {
            Self::Ended {
                reason,
                error: text,
            }
        }
    }
}

/// One attempt.
pub async fn launch(ctx: &WorkerContext, run: &WorkerRun) -> Result<Launched, LaunchError> {
    if run.deploy_only {
        return deploy_only(ctx, run).await;
    }
    let profile = match profile::resolve(ctx, run).await? {
        Ok(profile) => profile,
        Err(unmet) => return precondition(ctx, run, unmet).await,
    };
    if let Some(launched) = start::made_before(ctx, run, &profile).await? {
        return Ok(launched);
    }
    match run.runtime_mode.as_deref() {
        _ if run.discussion_mode => launch_pod::discussion(ctx, run, &profile).await,
        _ if run.trigger_kind == "ai_repair" => launch_pod::repair(ctx, run, &profile).await,
        Some("code-only") => code_only(ctx, run, &profile).await,
        _ => full_env(ctx, run, &profile).await,
    }
}

/// Ends a run whose precondition does not hold (L-46).
pub async fn precondition(
    ctx: &WorkerContext,
    run: &WorkerRun,
    unmet: Unmet,
) -> Result<Launched, LaunchError> {
    let end = End {
        end: RunEnd::Because(FinishReason::FailedPrecondition),
        error: Some(unmet.error),
        extra: unmet.event,
    };
    finish::finish(ctx, run, end).await?;
    Ok(Launched::Over)
}

async fn deploy_only(ctx: &WorkerContext, run: &WorkerRun) -> Result<Launched, LaunchError> {
    let namespace = run.namespace.clone().unwrap_or_default();
    environment::prepare(ctx, run, &namespace).await?;
    finish::finish(
        ctx,
        run,
        End {
            end: RunEnd::Succeeded,
            error: None,
            extra: None,
        },
    )
    .await?;
    Ok(Launched::Over)
}

async fn code_only(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
) -> Result<Launched, LaunchError> {
    let namespace = ctx.app.config.worker.code_only_namespace.clone();
    let mut tx = fenced(ctx, run).await?;
    store_profile(ctx, &mut tx, run, profile).await?;
    runs::set_namespace(&mut tx, run.id, &namespace).await?;
    transition::commit(tx, "namespace.settle").await?;
    ctx.wake_effects();
    ctx.cluster.ensure_code_only_namespace(&namespace).await?;
    // Such a run clones its branch by itself; nothing is prepared for it.
    let ready = Ready {
        prepared: None,
        issued: issue_token(ctx, run, &namespace).await?,
    };
    start(ctx, run, profile, Place::code_only(&namespace), ready).await
}

async fn full_env(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
) -> Result<Launched, LaunchError> {
    let mut run = run.clone();
    for _ in 0..NAMESPACE_CHOICES {
        let (choice, lease, now) = settle_namespace(ctx, &run, profile).await?;
        let name = choice.name.as_str();
        if choice.origin == Origin::Live {
            ctx.cluster
                .ensure_live_account(name, AgentAccount::Readonly)
                .await?;
            let prepared = environment::prepare(ctx, &run, name).await?;
            let ready = Ready {
                prepared: prepared.commit,
                issued: issue_token(ctx, &run, name).await?,
            };
            let place = Place::full_env(name, AgentAccount::Readonly);
            return start(ctx, &run, profile, place, ready).await;
        }
        let reuse = match choice.origin {
            Origin::Lineage | Origin::Reuse => {
                let mut conn = ctx.app.pool.acquire().await?;
                Some(namespace::judge(ctx, &mut conn, &run, &choice).await)
            }
            _ => None,
        };
        if let Some(Reuse::Refused(refusal)) = &reuse
            && refusal.needs_new_namespace()
            && !absent_lineage(ctx, &choice).await?
        {
            let mut tx = fenced(ctx, &run).await?;
            journal::record(
                &mut tx,
                Subject::from(&run),
                reuse_event(&run, &choice, refusal.as_str(), None),
            )
            .await?;
            let own = domain::namespaces::run_namespace(
                ProjectId(
                    run.project_id
                        .ok_or_else(|| LaunchError::namespace("the run belongs to no project"))?,
                ),
                run.issue_number.map(i64::from),
                RunId(run.id),
            );
            runs::set_namespace(&mut tx, run.id, own.as_str()).await?;
            transition::commit(tx, "namespace.refuse").await?;
            run.namespace = Some(own.to_string());
            continue;
        }
        let ready = prepare_namespace(ctx, &run, &choice, &lease, now, reuse.as_ref()).await?;
        let agent = run.agent_key.clone().unwrap_or_default();
        let place = Place::full_env(name, AgentAccount::of_agent(&agent));
        return start(ctx, &run, profile, place, ready).await;
    }
    Err(LaunchError::namespace("no usable namespace was found"))
}

/// A lineage whose namespace is gone is made again under the same name (L-66).
async fn absent_lineage(ctx: &WorkerContext, choice: &Choice) -> Result<bool, LaunchError> {
    Ok(choice.origin == Origin::Lineage
        && ctx
            .cluster
            .get_namespace(choice.name.as_str())
            .await?
            .is_none())
}

/// Stores profile, namespace and lease in one step, before anything is made in the cluster.
pub async fn settle_namespace(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
) -> Result<(Choice, Lease, DateTime<Utc>), LaunchError> {
    let mut tx = fenced(ctx, run).await?;
    store_profile(ctx, &mut tx, run, profile).await?;
    journal::status_comment(&mut tx, run, CommentPhase::PreparingRuntime).await?;
    let choice = namespace::choose(ctx, &mut tx, run).await?;
    runs::set_namespace(&mut tx, run.id, choice.name.as_str()).await?;
    let ttl = ttl_seconds(ctx, run);
    let (now, expires_at) = if choice.origin == Origin::Live {
        let now = crate::store::clock::now(&mut *tx).await?;
        (now, now)
    } else {
        let lease = NewNamespaceLease {
            namespace: choice.name.to_string(),
            run_id: run.id,
            project_id: run
                .project_id
                .ok_or_else(|| LaunchError::namespace("the run belongs to no project"))?,
            repository_full_name: run.repository_full_name.clone(),
            issue_number: run.issue_number,
            agent_key: run.agent_key.clone().unwrap_or_default(),
            runtime_mode: run.runtime_mode.clone().unwrap_or_default(),
            ttl: Duration::from_secs(u64::try_from(ttl).unwrap_or_default()),
        };
        namespace_leases::upsert(&mut tx, &lease).await?
    };
    transition::commit(tx, "namespace.lease").await?;
    ctx.wake_effects();
    Ok((
        choice,
        Lease {
            ttl_seconds: ttl,
            expires_at,
        },
        now,
    ))
}

/// what the decision read of the project's services.yaml, then the platform's own policy.
pub(super) fn ttl_seconds(ctx: &WorkerContext, run: &WorkerRun) -> i64 {
    let project = run
        .run_payload
        .pointer("/runtime/namespace_ttl_seconds")
        .and_then(serde_json::Value::as_i64);
    let agent = run.agent_key.as_deref().unwrap_or_default();
    namespace_ttl_seconds(project, agent, &ctx.policy)
}

/// What a Job needs besides its namespace.
pub(super) struct Ready {
    /// The commit that was checked out.
    pub(super) prepared: PreparedRef,
    /// Where the run's credentials are.
    pub(super) issued: IssuedToken,
}

pub(super) async fn issue_token(
    ctx: &WorkerContext,
    run: &WorkerRun,
    namespace: &str,
) -> Result<IssuedToken, LaunchError> {
    let mode = run.runtime_mode.clone().unwrap_or_default();
    let issued = ctx
        .control_plane
        .issue_token(run.id, namespace, &mode)
        .await;
    issued.map_err(|error| LaunchError::from_call(error, FinishReason::McpTokenIssueFailed))
}

/// Makes or converges the namespace and its objects. Beside that the environment is prepared, and once both it and the
/// namespace are there the run token is issued into it: each of the three takes about as long as the others.
async fn prepare_namespace(
    ctx: &WorkerContext,
    run: &WorkerRun,
    choice: &Choice,
    lease: &Lease,
    now: DateTime<Utc>,
    reuse: Option<&Reuse>,
) -> Result<Ready, LaunchError> {
    let name = choice.name.as_str();
    let correlation_id = CorrelationId::new(run.correlation_id.clone());
    let metadata = NamespaceMetadata {
        instance: ctx.cluster.names().instance(),
        runtime_mode: RuntimeMode::FullEnv,
        project_id: ProjectId(
            run.project_id
                .ok_or_else(|| LaunchError::namespace("the run belongs to no project"))?,
        ),
        run_id: RunId(run.id),
        issue_number: run.issue_number.map(i64::from),
        agent_key: run.agent_key.as_deref(),
        correlation_id: &correlation_id,
    };
    let wanted = build_namespace(&metadata, &choice.name, lease, now);
    let (made, namespace_made) = tokio::sync::oneshot::channel();
    let objects = async {
        let ensured = ctx.cluster.ensure_namespace(&wanted).await?;
        let reused = ensured
            .previous_run
            .is_some_and(|previous| previous != run.id);
        let told = async {
            record_prepared(ctx, run, name, lease, reused, choice, reuse).await?;
            // The receiver is gone only when the other half has failed, and then its error is the one that counts.
            let _ = made.send(());
            Ok::<(), LaunchError>(())
        };
        let filled = async {
            let filled = ctx.cluster.ensure_run_objects(name, ensured.existed).await;
            filled.map_err(LaunchError::from)
        };
        // the events tell of the namespace and its lease; its objects need not wait for them.
        tokio::try_join!(told, filled)?;
        Ok::<(), LaunchError>(())
    };
    let credentials = async {
        let fast = matches!(reuse, Some(Reuse::FastPath { .. }));
        let (prepared, manifest_hash) = match fast {
            true => {
                let build_ref = namespace::text(&run.run_payload, "/runtime/build_ref");
                (build_ref, String::new())
            }
            false => {
                let prepared = environment::prepare(ctx, run, name).await?;
                (prepared.commit, prepared.manifest_hash)
            }
        };
        if namespace_made.await.is_err() {
            // The other half failed and says why.
            std::future::pending::<()>().await;
        }
        let fingerprint = async {
            if !fast {
                store_fingerprint(ctx, run, name, prepared.as_deref(), &manifest_hash).await;
            }
        };
        let (issued, ()) = tokio::join!(issue_token(ctx, run, name), fingerprint);
        Ok::<Ready, LaunchError>(Ready {
            prepared,
            issued: issued?,
        })
    };
    let ((), ready) = tokio::try_join!(objects, credentials)?;
    Ok(ready)
}

/// Says once that the namespace is there and how long it is leased.
pub async fn record_prepared(
    ctx: &WorkerContext,
    run: &WorkerRun,
    name: &str,
    lease: &Lease,
    reused: bool,
    choice: &Choice,
    reuse: Option<&Reuse>,
) -> Result<(), LaunchError> {
    let payload = NamespacePreparedPayload {
        runtime_mode: run.runtime_mode.clone(),
        namespace: Some(name.to_owned()),
        namespace_lease_ttl: Some(lease.ttl_text()),
        namespace_lease_expires_at: Some(lease.expires_at),
        namespace_reused: Some(reused),
    };
    let subject = Subject::from(run);
    let mut tx = fenced(ctx, run).await?;
    match reuse {
        Some(Reuse::FastPath { hash }) => {
            journal::record_once(
                &mut tx,
                subject,
                reuse_event(run, choice, "fingerprint_match", Some(hash)),
            )
            .await?;
        }
        Some(Reuse::Refused(refusal)) if reused => {
            journal::record_once(
                &mut tx,
                subject,
                reuse_event(run, choice, refusal.as_str(), None),
            )
            .await?;
        }
        _ => {}
    }
    journal::record_once(
        &mut tx,
        subject,
        AuditEvent::RunNamespacePrepared(payload.clone()),
    )
    .await?;
    let lease_event = if reused {
        AuditEvent::RunNamespaceTtlExtended(payload)
    } else {
        AuditEvent::RunNamespaceTtlScheduled(payload)
    };
    journal::record_once(&mut tx, subject, lease_event).await?;
    transition::commit(tx, "namespace.prepared").await?;
    Ok(())
}

fn reuse_event(run: &WorkerRun, choice: &Choice, reason: &str, hash: Option<&str>) -> AuditEvent {
    let payload = NamespaceReusePayload {
        namespace: Some(choice.name.to_string()),
        issue_number: run.issue_number.map(i64::from),
        agent_key: run.agent_key.clone(),
        trigger_kind: Some(run.trigger_kind.clone()),
        reason: Some(reason.to_owned()),
        effective_build_ref: namespace::text(&run.run_payload, "/runtime/build_ref"),
        fingerprint_hash: hash.map(str::to_owned),
    };
    if hash.is_some() {
        AuditEvent::RunNamespaceReuseFastPath(payload)
    } else {
        AuditEvent::RunNamespaceReuseFallbackRedeploy(payload)
    }
}

/// What the next revise compares with. A run does not fail for lack of it: the revise then prepares anew.
async fn store_fingerprint(
    ctx: &WorkerContext,
    run: &WorkerRun,
    name: &str,
    build_ref: Option<&str>,
    manifest_hash: &str,
) {
    let Some(build_ref) = build_ref else { return };
    let fingerprint = namespace::fingerprint(run, name, build_ref, manifest_hash);
    let stored = async {
        let now = crate::store::clock::now(&ctx.app.pool).await?;
        let annotations = json!({
            crate::cluster::keys::FINGERPRINT_HASH: fingerprint.hash(),
            crate::cluster::keys::FINGERPRINT_JSON: fingerprint.to_json(),
            crate::cluster::keys::FINGERPRINT_UPDATED_AT: domain::namespaces::rfc3339(now),
        });
        ctx.cluster
            .annotate_namespace(name, annotations)
            .await
            .map_err(LaunchError::from)
    };
    if let Err(error) = stored.await {
        tracing::warn!(run_id = %run.id, namespace = name, %error, "failed to store the fingerprint of a namespace");
    }
}

/// Keeps the profile and says so once.
pub async fn store_profile(
    ctx: &WorkerContext,
    conn: &mut sqlx::PgConnection,
    run: &WorkerRun,
    profile: &ResolvedProfile,
) -> Result<(), LaunchError> {
    if profile.recorded {
        return Ok(());
    }
    let prompt = agent_env::prompt_choice(ctx, run);
    let facts = &profile.facts;
    runs::set_session_profile(
        conn,
        run.id,
        &facts.model,
        &facts.reasoning_effort,
        &prompt.kind,
    )
    .await?;
    if let Some(number) = profile.pull_request {
        runs::set_pull_request(conn, run.id, number).await?;
    }
    journal::record_once(
        conn,
        Subject::from(run),
        profile::resolved_event(run, profile),
    )
    .await?;
    Ok(())
}

/// A transaction that holds the run; without the lease there is none (D-5).
pub async fn fenced(
    ctx: &WorkerContext,
    run: &WorkerRun,
) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, LaunchError> {
    let mut tx = ctx.begin().await?;
    if runs::fence(&mut tx, run.id, ctx.worker_id()).await? {
        Ok(tx)
    } else {
        Err(LaunchError::LeaseLost)
    }
}

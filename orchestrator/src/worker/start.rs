//! The last step of a launch: the Job of a run, or its Pod, and the record that it started.

use super::agent_env;
use super::context::WorkerContext;
use super::journal::{self, Subject};
use super::launch::{LaunchError, Launched, Ready, fenced};
use super::profile::ResolvedProfile;
use crate::cluster::{
    AgentAccount, JobCreated, JobSpecInput, PodResources, PodVolume, build_job, build_pod,
};
use crate::store::runs::{self, WorkerRun};
use crate::transition;
use domain::audit::{AuditEvent, JobImageResolvedPayload, RunStartedPayload};
use domain::effects::CommentPhase;

/// Where the agent finds its working tree.
const WORKSPACE: &str = "/workspace";

/// What carries the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Workload {
    Job,
    /// Discussions and repairs.
    Pod,
}

impl Workload {
    fn kind(self) -> &'static str {
        match self {
            Workload::Job => "Job",
            Workload::Pod => "Pod",
        }
    }
}

/// Where the agent works and what it may do there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    namespace: &'a str,
    account: Option<AgentAccount>,
    volume: PodVolume,
    workload: Workload,
}

impl<'a> Place<'a> {
    /// A Job on the prepared tree, under an account.
    pub(super) fn full_env(namespace: &'a str, account: AgentAccount) -> Self {
        Self {
            namespace,
            account: Some(account),
            volume: PodVolume::RepositoryCache,
            workload: Workload::Job,
        }
    }

    /// A Job that clones by itself, without an account.
    pub(super) fn code_only(namespace: &'a str) -> Self {
        Self {
            namespace,
            account: None,
            volume: PodVolume::Scratch,
            workload: Workload::Job,
        }
    }

    /// A Pod that clones by itself; a repair works under an account, a discussion under none.
    pub(super) fn pod(namespace: &'a str, account: Option<AgentAccount>) -> Self {
        Self {
            namespace,
            account,
            volume: PodVolume::Scratch,
            workload: Workload::Pod,
        }
    }
}

/// The Job or Pod that a worker made before it died, without having said so. Its agent may work already, with a
/// token that another one would revoke (G-9), so nothing is made anew.
pub(super) async fn made_before(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
) -> Result<Option<Launched>, LaunchError> {
    let Some(namespace) = &run.namespace else {
        return Ok(None);
    };
    let job = ctx.cluster.get_job(namespace, run.id).await?;
    let found = match job {
        Some(job) => Some((Workload::Job, job.metadata)),
        None => {
            let pods = ctx.cluster.pods_of_run(namespace, run.id).await?;
            let mut bare = pods
                .into_iter()
                .filter(|pod| pod.metadata.owner_references.is_none());
            bare.next().map(|pod| (Workload::Pod, pod.metadata))
        }
    };
    let Some((workload, metadata)) = found else {
        return Ok(None);
    };
    let mut known = run.clone();
    known.pr_number = profile.pull_request.or(run.pr_number);
    let made = JobCreated {
        name: metadata.name.unwrap_or_default(),
        uid: metadata.uid.unwrap_or_default(),
        existed: true,
    };
    tell_started(ctx, &known, profile, (workload, namespace), &made).await?;
    Ok(Some(Launched::Job))
}

/// Makes Job or Pod and says so once.
pub(super) async fn start(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
    place: Place<'_>,
    ready: Ready,
) -> Result<Launched, LaunchError> {
    let worker = &ctx.app.config.worker;
    let namespace = place.namespace;
    let mut known = run.clone();
    known.pr_number = profile.pull_request.or(run.pr_number);
    let input = JobSpecInput {
        run_id: run.id,
        project_id: run.project_id,
        correlation_id: run.correlation_id.clone(),
        namespace: namespace.to_owned(),
        instance: ctx.cluster.names().instance().to_owned(),
        image: worker.job_image.clone(),
        command: worker.job_command.clone(),
        service_account: place
            .account
            .map(|account| ctx.cluster.accounts().name(account).to_owned()),
        volume: place.volume,
        environment: agent_env::plain(
            ctx,
            &known,
            &profile.facts,
            ready.prepared.as_deref(),
            WORKSPACE,
        ),
        credentials_secret: ready.issued.secret_name,
        ttl_seconds: worker.job_ttl_seconds,
        backoff_limit: worker.job_backoff_limit,
        resources: PodResources {
            cpu_request: worker.job_cpu_request.clone(),
            memory_request: worker.job_memory_request.clone(),
            cpu_limit: worker.job_cpu_limit.clone(),
            memory_limit: worker.job_memory_limit.clone(),
        },
    };
    if !still_owned(ctx, run).await? {
        return Err(LaunchError::LeaseLost);
    }
    let made = match place.workload {
        Workload::Job => ctx.cluster.create_job(&build_job(&input)).await?,
        Workload::Pod => ctx.cluster.create_pod(&build_pod(&input)).await?,
    };
    tell_started(ctx, &known, profile, (place.workload, namespace), &made).await?;
    Ok(Launched::Job)
}

/// Records the start and ties the credentials to what was made.
async fn tell_started(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
    (workload, namespace): (Workload, &str),
    made: &JobCreated,
) -> Result<(), LaunchError> {
    let (owned, recorded) = tokio::join!(
        ctx.control_plane.own_credentials(
            run.id,
            workload.kind(),
            namespace,
            &made.name,
            &made.uid
        ),
        record_started(ctx, run, profile, namespace, &made.name),
    );
    if let Err(error) = owned {
        // The leak check finds a Secret without a Job; the run itself is not touched by it.
        tracing::warn!(run_id = %run.id, %error, "failed to tie the credentials to their Job");
    }
    recorded
}

/// A run cancelled during preparation gets no Job.
async fn still_owned(ctx: &WorkerContext, run: &WorkerRun) -> Result<bool, LaunchError> {
    let mut conn = ctx.app.pool.acquire().await?;
    Ok(runs::get_owned(&mut conn, run.id, ctx.worker_id())
        .await?
        .is_some())
}

/// Says once which Job was made for the run.
pub async fn record_started(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
    namespace: &str,
    job_name: &str,
) -> Result<(), LaunchError> {
    let worker = &ctx.app.config.worker;
    let subject = Subject::from(run);
    let prompt = agent_env::prompt_choice(ctx, run);
    let facts = profile.facts.clone();
    let mut tx = fenced(ctx, run).await?;
    if runs::set_job(&mut tx, run.id, namespace, job_name).await? {
        let image = AuditEvent::RunJobImageResolved(JobImageResolvedPayload {
            selected_image: Some(worker.job_image.clone()),
            // Without a registry to ask, the configured image is used unchecked.
            selected_source: Some("primary_unchecked".to_owned()),
            primary_image: Some(worker.job_image.clone()),
            fallback_image: worker.job_image_fallback.clone(),
            ..JobImageResolvedPayload::default()
        });
        journal::record_once(&mut tx, subject, image).await?;
        let started = AuditEvent::RunStarted(RunStartedPayload {
            slot_no: run.slot_no.map(i64::from),
            job_name: Some(job_name.to_owned()),
            job_namespace: Some(namespace.to_owned()),
            runtime_mode: run.runtime_mode.clone(),
            repository_full_name: Some(run.repository_full_name.clone()),
            agent_key: run.agent_key.clone(),
            issue_number: run.issue_number.map(i64::from),
            trigger_kind: Some(run.trigger_kind.clone()),
            trigger_label: Some(run.trigger_label.clone()),
            discussion_mode: Some(run.discussion_mode),
            job_image: Some(worker.job_image.clone()),
            model: Some(facts.model),
            model_source: Some(facts.model_source),
            reasoning_effort: Some(facts.reasoning_effort),
            reasoning_source: Some(facts.reasoning_source),
            prompt_template_kind: Some(prompt.kind),
            prompt_template_source: Some(prompt.source.to_owned()),
            prompt_template_locale: Some(prompt.locale),
            base_branch: Some(agent_env::base_branch(ctx, run)),
        });
        journal::record_once(&mut tx, subject, started).await?;
        journal::status_comment(&mut tx, run, CommentPhase::Started).await?;
    }
    transition::commit(tx, "run.started").await?;
    ctx.wake_effects();
    Ok(())
}

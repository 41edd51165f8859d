//! Nulls (b) and (c): the product up to a point, and nothing after it.

use domain::audit::{AuditEvent, PullRequestWrittenPayload};
use domain::decide::{Consequences, Decision, Outcome};
use domain::events::Event;
use domain::runs::RunEnd;
use futures::future::BoxFuture;
use orchestrator::cluster::job_name;
use orchestrator::conduct::{Acting, Conduct};
use orchestrator::store::runs::{self, WorkerRun};
use orchestrator::worker::finish::{End, finish};
use orchestrator::worker::journal::{self, Subject};
use orchestrator::worker::launch;
use orchestrator::worker::namespace::Origin;
use orchestrator::worker::profile;
use orchestrator::worker::start;
use orchestrator::worker::{LaunchError, WorkerContext};

use crate::switches::Switches;

/// Null (b): deliveries are stored, decided and answered, and nothing comes of a decision.
pub struct Undecided(pub Switches);

impl Conduct for Undecided {
    fn decided(&self, event: &Event, decision: Decision) -> Decision {
        if !self.0.is_null(event.repository_full_name()) {
            return decision;
        }
        Decision {
            outcome: Outcome::Received,
            consequences: Consequences::default(),
        }
    }

    fn asked(&self, repository_full_name: &str, consequences: Consequences) -> Consequences {
        if self.0.is_null(repository_full_name) {
            return Consequences::default();
        }
        consequences
    }

    fn acting(&self, repository_full_name: &str) -> Acting {
        if self.0.is_null(repository_full_name) {
            Acting::NotAtAll
        } else {
            Acting::InTheWorld
        }
    }
}

/// Null (c): every row and event of a run is written, and neither GitHub nor Kubernetes is touched.
pub struct Written(pub Switches);

impl Conduct for Written {
    fn acting(&self, repository_full_name: &str) -> Acting {
        if self.0.is_null(repository_full_name) {
            Acting::OnPaper
        } else {
            Acting::InTheWorld
        }
    }

    fn step_on_paper<'a>(
        &'a self,
        ctx: &'a WorkerContext,
        run: &'a WorkerRun,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            match run.job_name {
                // Launched before the switch; it is over, or this step would not be made.
                Some(_) => succeed(ctx, run).await,
                None => write_run(ctx, run).await,
            }
        })
    }
}

/// From the claim to success in one go. A run whose preconditions do not hold ends as it would.
async fn write_run(ctx: &WorkerContext, run: &WorkerRun) -> Result<(), LaunchError> {
    if run.deploy_only {
        return succeed(ctx, run).await;
    }
    let profile = match profile::resolve(ctx, run).await? {
        Ok(profile) => profile,
        Err(unmet) => return launch::precondition(ctx, run, unmet).await.map(drop),
    };
    let namespace = if run.runtime_mode.as_deref() == Some("code-only") {
        let namespace = ctx.app.config.worker.code_only_namespace.clone();
        let mut tx = launch::fenced(ctx, run).await?;
        launch::store_profile(ctx, &mut tx, run, &profile).await?;
        runs::set_namespace(&mut tx, run.id, &namespace).await?;
        tx.commit().await?;
        namespace
    } else {
        let (choice, lease, _) = launch::settle_namespace(ctx, run, &profile).await?;
        let reused = choice.origin != Origin::New;
        launch::record_prepared(
            ctx,
            run,
            choice.name.as_str(),
            &lease,
            reused,
            &choice,
            None,
        )
        .await?;
        choice.name.to_string()
    };
    start::record_started(ctx, run, &profile, &namespace, &job_name(run.id)).await?;
    let mut tx = launch::fenced(ctx, run).await?;
    let pull_request = PullRequestWrittenPayload {
        pr_number: Some(1),
        ..PullRequestWrittenPayload::default()
    };
    journal::record_once(
        &mut tx,
        Subject::from(run),
        AuditEvent::RunPrCreated(pull_request),
    )
    .await?;
    tx.commit().await?;
    let mut conn = ctx.app.pool.acquire().await?;
    let started = runs::get_owned(&mut conn, run.id, ctx.worker_id()).await?;
    drop(conn);
    match started {
        Some(started) => succeed(ctx, &started).await,
        None => Ok(()),
    }
}

async fn succeed(ctx: &WorkerContext, run: &WorkerRun) -> Result<(), LaunchError> {
    let end = End {
        end: RunEnd::Succeeded,
        error: None,
        extra: None,
    };
    finish(ctx, run, end).await.map(drop)
}

//! Performs effects, each kind in its own file, each in find-or-create form: doing it twice is doing it once.
mod comments;
mod databases;
mod discussions;
mod error;
mod jobs;
mod labels;
mod namespaces;
mod reactions;
mod requests;
mod secret_sync;
mod status_comment;

use domain::audit::{Actor, AuditEvent, AuditRecord, SystemActor};
use domain::effects::{CommentPhase, Effect};
use domain::ids::{CorrelationId, ProjectId, RunId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::store::effects::ClaimedEffect;
use crate::store::{approvals, effect_context, events, status_comments};

pub use databases::RegistryChange;
pub use error::EffectError;
pub use labels::LabelsSeen;
pub use requests::give_up as give_up_request;
pub use secret_sync::{StepError, tell_failed as tell_failed_step};

/// What a performed effect leaves in the database, written together with its completion.
#[derive(Debug, Default)]
pub struct Performed {
    pub audit: Vec<AuditRecord>,
    /// Recorded if GitHub has reported the change as the platform's own by then; else whoever decides the report
    /// records it (L-19).
    pub audit_if_reported: Vec<AuditRecord>,
    pub status_comment: Option<StoredStatusComment>,
    pub request_step: Option<RequestStep>,
}

/// A step of a request that is done, for its ledger (G-85).
#[derive(Debug)]
pub struct RequestStep {
    pub request_id: i64,
    pub step: String,
    pub registry: Option<RegistryChange>,
}

/// Where a status comment is and the phase it shows.
#[derive(Debug)]
pub struct StoredStatusComment {
    pub run_id: Uuid,
    pub comment_id: i64,
    pub phase: &'static str,
}

impl Performed {
    /// Nothing to record.
    fn nothing() -> Self {
        Self::default()
    }

    fn audit(audit: Vec<AuditRecord>) -> Self {
        Self {
            audit,
            ..Self::default()
        }
    }

    /// Writes it, in the transaction that has completed the effect.
    pub async fn record(
        &self,
        connection: &mut PgConnection,
        claimed: &ClaimedEffect,
    ) -> Result<(), sqlx::Error> {
        if let Some(comment) = &self.status_comment {
            status_comments::store(
                connection,
                comment.run_id,
                comment.comment_id,
                comment.phase,
            )
            .await?;
        }
        if let Some(done) = &self.request_step {
            approvals::complete_step(connection, done.request_id, &done.step).await?;
            if let Some(registry) = &done.registry {
                registry.record(connection).await?;
            }
        }
        for record in &self.audit {
            events::insert(connection, record).await?;
        }
        if !self.audit_if_reported.is_empty()
            && effect_context::is_reported(&mut *connection, claimed.id).await?
        {
            for record in &self.audit_if_reported {
                events::insert(connection, record).await?;
            }
        }
        Ok(())
    }
}

/// One attempt at an effect.
pub struct Attempt<'a> {
    pub app: &'a App,
    pub claimed: &'a ClaimedEffect,
    pub correlation_id: CorrelationId,
    /// The labels of the thread whose label changes are done together.
    pub labels: &'a LabelsSeen,
}

impl Attempt<'_> {
    /// Whether an earlier attempt may have done it without being able to say so.
    fn may_be_done(&self) -> bool {
        self.claimed.attempts > 1
    }

    fn event(&self, event: AuditEvent) -> AuditRecord {
        let record = AuditRecord::new(
            event,
            Actor::System(SystemActor::ControlPlane),
            self.correlation_id.clone(),
        )
        .project(self.claimed.project_id.map(ProjectId));
        match self.claimed.run_id {
            Some(run_id) => record.run(RunId(run_id)),
            None => record,
        }
    }
}

/// Does it.
pub async fn perform(attempt: &Attempt<'_>, effect: &Effect) -> Result<Performed, EffectError> {
    match effect {
        Effect::AddLabel {
            thread,
            label,
            origin,
        } => labels::add(attempt, thread, label, origin).await,
        Effect::RemoveLabel {
            thread,
            label,
            origin,
        } => labels::remove(attempt, thread, label, origin).await,
        Effect::CreateComment {
            thread,
            body,
            record,
        } => comments::create(attempt, thread, body, record).await,
        Effect::UpsertStatusComment {
            thread,
            run_id,
            phase,
        } => status_comment::upsert(attempt, thread, *run_id, *phase).await,
        Effect::RefreshStatusComment { thread, run_id } => {
            status_comment::upsert(attempt, thread, *run_id, CommentPhase::Finished).await
        }
        Effect::AddReaction { target, reaction } => {
            reactions::add(attempt, target, *reaction).await
        }
        Effect::DeleteNamespacesOfThread { thread, cause } => {
            namespaces::delete_of_thread(attempt, thread, *cause).await
        }
        Effect::DeleteNamespace { namespace, run_id } => {
            namespaces::delete_one(attempt, namespace.as_str(), *run_id).await
        }
        Effect::CancelDiscussion { run_id, .. } => discussions::cancel(attempt, *run_id).await,
        Effect::StopRun { run_id } => jobs::stop(attempt, *run_id)
            .await
            .map(|()| Performed::nothing()),
        Effect::ApplyRequest { request_id } => requests::begin(attempt, *request_id).await,
        Effect::SyncSecret { request_id, step } => {
            secret_sync::perform(attempt, *request_id, *step).await
        }
        Effect::ChangeDatabase { request_id } => databases::perform(attempt, *request_id).await,
        Effect::FinishRequest { request_id } => requests::finish(attempt, *request_id).await,
    }
}

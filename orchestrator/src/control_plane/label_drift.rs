//! Compares trigger labels of open threads with what deliveries and runs tell of them. A difference is told and
//! never acted on.
use chrono::{DateTime, Utc};
use domain::audit::{Actor, AuditEvent, AuditRecord, LabelDriftPayload, SystemActor};
use domain::ids::{CorrelationId, ProjectId};
use domain::recovery::{self, Difference, Seen};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::github::{GithubError, RepositoryApi};
use crate::store::hook_reads::DueRepository;
use crate::store::{events, told_labels};

/// Why labels could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    #[error(transparent)]
    Github(#[from] GithubError),
    #[error("failed to read what is known of labels")]
    Store(#[from] sqlx::Error),
}

/// Compares the threads that changed since the last comparison; `now` is GitHub's.
pub async fn compare(
    app: &App,
    github: &RepositoryApi,
    repository: &DueRepository,
    now: DateTime<Utc>,
) -> Result<Seen, DriftError> {
    let threads = github.open_threads(repository.compared_until).await?;
    let numbers: Vec<i64> = threads.iter().map(|thread| thread.number).collect();
    let known = told_labels::of_threads(
        &app.pool,
        repository.repository_id,
        &repository.full_name,
        &numbers,
    )
    .await?;
    Ok(recovery::differences(
        &threads,
        &app.policy.labels,
        &known,
        now,
    ))
}

/// Tells each difference once for as long as it stays what it is.
pub async fn report(
    connection: &mut PgConnection,
    repository: &DueRepository,
    seen: &Seen,
) -> Result<(), sqlx::Error> {
    told_labels::forget(connection, repository.repository_id, &seen.same).await?;
    for difference in &seen.different {
        if told_labels::differs_anew(connection, repository.repository_id, difference).await? {
            events::insert(connection, &record(repository, difference)).await?;
        }
    }
    Ok(())
}

fn record(repository: &DueRepository, difference: &Difference) -> AuditRecord {
    let payload = LabelDriftPayload {
        repository_full_name: Some(repository.full_name.clone()),
        thread_kind: Some(difference.kind.to_string()),
        thread_number: Some(difference.number),
        labels: Some(difference.labels.clone()),
        expected: Some(difference.expected.clone()),
        since: Some(difference.since),
    };
    AuditRecord::new(
        AuditEvent::LabelDriftDetected(payload),
        Actor::System(SystemActor::ControlPlane),
        // No delivery and no run stands behind it.
        CorrelationId::new(format!("label-drift-{}", Uuid::now_v7())),
    )
    .project(Some(ProjectId(repository.project_id)))
}

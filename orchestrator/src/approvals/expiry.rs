//! Requests that nobody decided in time (G-77, G-83).
use std::time::Duration;

use domain::approvals::{ExpiryCause, expired};
use domain::decide::Consequences;
use sqlx::PgConnection;

use super::resume::resume;
use crate::app::{App, SharedApp};
use crate::control_plane::pause_until;
use crate::store::approvals::{self, ApprovalRow};
use crate::store::events;
use crate::transition;
use crate::wakeups::{Channel, Woken};

/// G-83: the longest that nobody looks, since a new request wakes nobody.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Expires what is due until the process ends. Any replica may: each expiry is a conditional update.
pub async fn run(app: SharedApp) {
    let mut waiter = app.wakeups.waiter(&[Channel::Clock], &app.shutdown);
    loop {
        if let Err(error) = sweep(&app).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to expire requests"
            );
        }
        let due = approvals::seconds_until_overdue(&app.pool)
            .await
            .ok()
            .flatten();
        if waiter.wait(pause_until(due, LONGEST_PAUSE)).await == Woken::Shutdown {
            break;
        }
    }
}

async fn sweep(app: &App) -> Result<(), sqlx::Error> {
    for id in approvals::overdue(&app.pool).await? {
        let mut transaction = app.pool.begin().await?;
        let Some(row) = approvals::lock(&mut transaction, id).await? else {
            continue;
        };
        if expire(app, &mut transaction, &row).await? {
            transition::commit(transaction, "approval.expire").await?;
            app.wakeups.notify(Channel::RunQueue);
            tracing::info!(request_id = id, "a request expired");
        }
    }
    Ok(())
}

/// Expires a locked request; `false` when it was decided, or has time left.
pub(super) async fn expire(
    app: &App,
    connection: &mut PgConnection,
    row: &ApprovalRow,
) -> Result<bool, sqlx::Error> {
    let consequences = Consequences {
        audit: expired(&row.facts()?, ExpiryCause::Ttl),
        ..Consequences::default()
    };
    let repository = row.repository_full_name.as_deref().unwrap_or_default();
    let consequences = app.conduct.asked(repository, consequences);
    if consequences.audit.is_empty() || !approvals::expire(&mut *connection, row.id).await? {
        return Ok(false);
    }
    for record in &consequences.audit {
        events::insert(&mut *connection, record).await?;
    }
    if let Some(ended) = approvals::find(&mut *connection, row.id).await? {
        resume(connection, &ended).await?;
    }
    Ok(true)
}

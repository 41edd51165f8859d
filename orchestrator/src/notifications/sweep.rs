//! The loop of deliveries and deadlines. Any replica runs it: attempts are claimed, ends are conditional updates.
use std::time::Duration;

use domain::approvals::ApprovalState;
use domain::notifications::{InteractionEnd, InteractionState};

use super::dispatch::{client, deliver};
use super::ending::{continue_message, end_unanswered};
use crate::app::{App, SharedApp};
use crate::control_plane::{Crew, pause_until};
use crate::store::notifications;
use crate::transition;
use crate::wakeups::{Channel, Woken};

/// The longest that nobody looks; a request that was decided elsewhere wakes nobody.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Adapters that are slow hold each other up no further than this.
const DELIVERIES_AT_ONCE: usize = 8;

/// Delivers and expires until the process ends.
pub async fn run(app: SharedApp) {
    let http = match client() {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "failed to set up the client for adapters; nothing is delivered"
            );
            return;
        }
    };
    let mut waiter = app
        .wakeups
        .waiter(&[Channel::Clock, Channel::Effects], &app.shutdown);
    let mut crew = Crew::new(DELIVERIES_AT_ONCE);
    while crew.has_room(&app.shutdown).await {
        if let Err(error) = sweep(&app).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to end interactions that are over"
            );
        }
        match notifications::claim_due(&app.pool, i64::try_from(crew.room()).unwrap_or(1)).await {
            Ok(due) => {
                let found = !due.is_empty();
                for attempt in due {
                    transition::claimed("notification.claim");
                    let (app, http) = (app.clone(), http.clone());
                    crew.start(async move {
                        if let Err(error) = deliver(&app, &http, &attempt).await {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                interaction_id = %attempt.interaction_id,
                                "failed to finish an attempt at a delivery"
                            );
                        }
                        app.wakeups.notify(Channel::Effects);
                    });
                }
                if found {
                    continue;
                }
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to look for deliveries"
            ),
        }
        let due = notifications::seconds_until_due(&app.pool)
            .await
            .ok()
            .flatten();
        if waiter.wait(pause_until(due, LONGEST_PAUSE)).await == Woken::Shutdown {
            break;
        }
    }
    crew.finish().await;
}

async fn sweep(app: &App) -> Result<(), sqlx::Error> {
    for id in notifications::overdue(&app.pool).await? {
        let mut transaction = app.pool.begin().await?;
        let Some(row) = notifications::lock(&mut transaction, id).await? else {
            continue;
        };
        if end_unanswered(app, &mut transaction, &row, InteractionEnd::Expired).await? {
            transition::commit(transaction, "notification.expire").await?;
            app.wakeups.notify(Channel::RunQueue);
        }
    }
    for (id, state) in notifications::overtaken(&app.pool).await? {
        let mut transaction = app.pool.begin().await?;
        let Some(row) = notifications::lock(&mut transaction, id).await? else {
            continue;
        };
        let ended = match ApprovalState::from_text(&state) {
            Some(ApprovalState::Expired) => InteractionState::Expired,
            _ => InteractionState::Resolved,
        };
        if notifications::end(&mut transaction, id, ended).await? {
            if row.state()? == InteractionState::Open {
                continue_message(&mut transaction, &row).await?;
            }
            transition::commit(transaction, "notification.overtaken").await?;
        }
    }
    Ok(())
}

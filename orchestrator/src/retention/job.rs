//! The pass, and the loop that begins one each hour.
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::Instant;

use super::rules::{BATCH, Rule, rules};
use crate::app::{App, SharedApp};
use crate::config::RetentionConfig;
use crate::control_plane::pause_until;
use crate::store::clock;
use crate::wakeups::{Channel, Woken};

/// By platform time.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// What a pass leaves is for the next one.
const BUDGET: Duration = Duration::from_secs(120);
/// Session lock of the pass; no other lock of the platform uses it.
const LOCK: i64 = 0x636f_6465_785f_7274;

/// Applies what is due until the process ends.
pub async fn run(app: SharedApp) {
    let mut waiter = app.wakeups.waiter(&[Channel::Clock], &app.shutdown);
    let mut next: Option<DateTime<Utc>> = None;
    loop {
        let pause = match pass_if_due(&app, &mut next).await {
            Ok(seconds) => Some(seconds),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to apply the retention"
                );
                None
            }
        };
        if waiter.wait(pause_until(pause, INTERVAL)).await == Woken::Shutdown {
            break;
        }
    }
}

/// A pass when its hour has come; the seconds until the next one.
async fn pass_if_due(app: &App, next: &mut Option<DateTime<Utc>>) -> Result<f64, sqlx::Error> {
    let now = clock::now(&app.pool).await?;
    let due = next.filter(|next| now < *next);
    let until = match due {
        Some(next) => next,
        None => {
            pass(&app.pool, &app.config.retention).await?;
            *next.insert(now + INTERVAL)
        }
    };
    Ok((until - now).as_seconds_f64())
}

/// One pass, unless another replica is at it.
///
/// # Errors
/// When the database fails; what is left goes with the next pass.
pub async fn pass(pool: &PgPool, config: &RetentionConfig) -> Result<(), sqlx::Error> {
    // The lock lives in the session, so a process that dies lets go of it.
    let mut guard = pool.acquire().await?.detach();
    let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut guard)
        .await?;
    if locked {
        let end = Instant::now() + BUDGET;
        for rule in rules(config) {
            let gone = apply(&mut guard, rule, end).await?;
            if gone > 0 {
                tracing::info!(rows = gone, what = rule.what, "the retention was applied");
            }
        }
    }
    guard.close().await
}

async fn apply(guard: &mut PgConnection, rule: Rule, end: Instant) -> Result<u64, sqlx::Error> {
    let days = i32::try_from(rule.days).unwrap_or(i32::MAX);
    let mut gone = 0;
    while Instant::now() < end {
        let batch = sqlx::query(rule.statement)
            .bind(days)
            .bind(BATCH)
            .execute(&mut *guard)
            .await?
            .rows_affected();
        gone += batch;
        if batch < BATCH.unsigned_abs() {
            break;
        }
    }
    Ok(gone)
}

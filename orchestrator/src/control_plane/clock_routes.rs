//! Reads and moves platform time (D-7): test mode only, forward only, for the gate only.
//!
//! Moving has two phases: the move is announced, live workers stretch their heartbeat over it, then time jumps. Otherwise
//! every live worker would look dead at once.
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::edge;
use crate::credentials::Service;
use crate::http_api::ApiError;
use crate::store::clock::{self, ClockReading};
use crate::store::wakeups;
use crate::wakeups::{Channel, Woken};

/// Longer than any live worker needs; one that is stuck is overtaken by time.
const ACKNOWLEDGE_LIMIT: Duration = Duration::from_secs(1);
/// Between looks at the workers' acknowledgements; they do not notify.
const ACKNOWLEDGE_STEP: Duration = Duration::from_millis(5);
/// A hundred years: intervals beyond it leave the range of timestamps.
const ADVANCE_LIMIT: f64 = 3.2e9;

#[derive(Serialize)]
pub(super) struct ClockBody {
    now: DateTime<Utc>,
    offset_seconds: f64,
}

impl From<ClockReading> for ClockBody {
    fn from(reading: ClockReading) -> Self {
        Self {
            now: reading.now,
            offset_seconds: reading.offset_seconds,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    advance_seconds: f64,
}

pub(super) async fn show(
    State(control_plane): State<ControlPlane>,
    headers: HeaderMap,
) -> Result<Json<ClockBody>, ApiError> {
    admit(&control_plane, &headers)?;
    Ok(Json(clock::read(&control_plane.app.pool).await?.into()))
}

pub(super) async fn advance(
    State(control_plane): State<ControlPlane>,
    headers: HeaderMap,
    body: Result<Json<Advance>, JsonRejection>,
) -> Result<Json<ClockBody>, ApiError> {
    admit(&control_plane, &headers)?;
    let Json(Advance { advance_seconds }) = body
        .map_err(|_| ApiError::invalid("advance_seconds", "expected {\"advance_seconds\": n}"))?;
    if !(advance_seconds > 0.0 && advance_seconds <= ADVANCE_LIMIT) {
        return Err(ApiError::invalid(
            "advance_seconds",
            "time moves only forward",
        ));
    }
    // On its own task, so that a caller who hangs up does not leave a half-made move.
    let moved = tokio::spawn(async move { move_clock(&control_plane, advance_seconds).await });
    match moved.await {
        Ok(outcome) => outcome.map(Json),
        Err(error) => Err(ApiError::internal(&error)),
    }
}

/// Outside test mode there is no such route.
fn admit(control_plane: &ControlPlane, headers: &HeaderMap) -> Result<(), ApiError> {
    if !control_plane.app.config.test_mode {
        return Err(ApiError::not_found("no such route"));
    }
    edge::require_service(&control_plane.app, headers, &[Service::Gate])
}

async fn move_clock(
    control_plane: &ControlPlane,
    advance_seconds: f64,
) -> Result<ClockBody, ApiError> {
    let app = &control_plane.app;
    let mut transaction = app.pool.begin().await?;
    let epoch = clock::announce(&mut transaction, advance_seconds).await?;
    wakeups::notify(&mut transaction, Channel::Clock).await?;
    transaction.commit().await?;
    app.wakeups.notify(Channel::Clock);

    let deadline = tokio::time::Instant::now() + ACKNOWLEDGE_LIMIT;
    let mut shutdown = app.wakeups.waiter(&[Channel::RunQueue], &app.shutdown);
    while clock::workers_behind(&app.pool, epoch).await? > 0
        && tokio::time::Instant::now() < deadline
    {
        if shutdown.wait(ACKNOWLEDGE_STEP).await == Woken::Shutdown {
            break;
        }
    }

    let mut transaction = app.pool.begin().await?;
    clock::apply(&mut transaction, epoch).await?;
    wakeups::notify(&mut transaction, Channel::Clock).await?;
    transaction.commit().await?;
    app.wakeups.notify(Channel::Clock);
    Ok(clock::read(&app.pool).await?.into())
}

//! The journal of a run, and its label changes.
use axum::Json;
use axum::extract::{Path, State};
use domain::audit::AuditEvent;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::Need;
use super::principal::Principal;
use super::query::Query;
use super::runs::require_run;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::event_reads::{self, EventFilter};

const DEFAULT_LIMIT: i64 = 500;
const MAX_LIMIT: i64 = 1000;
const LABEL_EVENTS: [&str; 3] = ["label.requested", "label.applied", "label.rejected"];

/// Events by keyset.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Path(run_id): Path<Uuid>,
    mut query: Query,
) -> Result<Json<Value>, ApiError> {
    let limit = query.number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?;
    let filter = EventFilter {
        after_id: query.parsed("after_id")?,
        ascending: query.one_of("order", &["asc", "desc"])?.as_deref() == Some("asc"),
        event_types: query.many("event_type"),
        include_payload: query.parsed("include_payload")?.unwrap_or(false),
    };
    query.finish()?;
    if let Some(unknown) = filter
        .event_types
        .iter()
        .find(|name| !AuditEvent::TYPES.contains(&name.as_str()))
    {
        return Err(ApiError::invalid(
            "event_type",
            format!("{unknown} is not in the catalogue of events"),
        ));
    }
    require_run(&services, &principal, run_id, Need::Read).await?;
    // One more than asked for tells whether there is a next page.
    let mut items = event_reads::of_run(services.pool(), run_id, &filter, limit + 1).await?;
    let has_more = items.len() as i64 > limit;
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_after_id = items.last().filter(|_| has_more).map(|event| event.id);
    Ok(Json(
        json!({ "items": items, "next_after_id": next_after_id }),
    ))
}

/// Label changes of a run in the order they happened.
pub(super) async fn labels(
    State(services): State<Services>,
    principal: Principal,
    Path(run_id): Path<Uuid>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    require_run(&services, &principal, run_id, Need::Read).await?;
    let filter = EventFilter {
        after_id: None,
        ascending: true,
        event_types: LABEL_EVENTS.map(str::to_owned).to_vec(),
        include_payload: true,
    };
    let items = event_reads::of_run(services.pool(), run_id, &filter, MAX_LIMIT).await?;
    Ok(Json(json!({ "items": items })))
}

//! The evidence export: what happened, for the gate to judge (data 7, DE-1..DE-4).
use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::build_info;
use crate::http_api::ApiError;
use crate::store::evidence::{self, EvidenceScope, SLICES, Slice};

/// Readers refuse a version they do not know.
const SCHEMA_VERSION: u32 = 1;

/// Every slice of a period.
pub(super) async fn export(
    State(services): State<Services>,
    principal: Principal,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    answer(&services, &principal, query, None).await
}

/// One slice of a period.
pub(super) async fn export_one(
    State(services): State<Services>,
    principal: Principal,
    Path(name): Path<String>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    if !SLICES.iter().any(|(known, _)| *known == name) {
        return Err(ApiError::not_found("there is no such slice"));
    }
    answer(&services, &principal, query, Some(&name)).await
}

async fn answer(
    services: &Services,
    principal: &Principal,
    mut query: Query,
    only: Option<&str>,
) -> Result<Json<Value>, ApiError> {
    let scope = EvidenceScope {
        from: query.parsed("from")?.unwrap_or(DateTime::UNIX_EPOCH),
        to: query.parsed("to")?.unwrap_or(DateTime::<Utc>::MAX_UTC),
        project_id: query.parsed("project_id")?,
    };
    query.finish()?;
    principal.require_admin()?;
    // The far end of time is more than PostgreSQL can hold.
    let scope = EvidenceScope {
        to: scope.to.min(far_future()),
        ..scope
    };
    let (generated_at, slices) = evidence::export(services.pool(), scope, only).await?;
    let slices: Map<String, Value> = slices
        .into_iter()
        .map(|slice| (slice.name.to_owned(), present(services, slice)))
        .collect();
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "period": { "from": scope.from, "to": scope.to },
        "project": scope.project_id,
        "generated_at": generated_at,
        "git_sha": build_info::build().revision,
        "slices": slices,
    })))
}

fn far_future() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).expect("the last second of the year 9999")
}

fn present(services: &Services, slice: Slice) -> Value {
    match slice.rows {
        Ok(mut rows) => {
            for row in &mut rows {
                services.redactor().redact_json(row);
            }
            let hashes: Vec<String> = rows
                .iter()
                .map(|row| hex::encode(Sha256::digest(row.to_string().as_bytes())))
                .collect();
            json!({ "result": "pass", "rows": rows, "row_hashes": hashes })
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                slice = slice.name,
                "failed to compute a slice of evidence"
            );
            json!({ "result": "not_run", "error": "the database refused the query; the log says why" })
        }
    }
}

//! A person's own tokens for the command line and the gate (DU-2).
use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::JsonBody;
use super::audit::{Change, record_change};
use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::http_api::ApiError;
use crate::secrets::random_token;
use crate::store::{clock, staff_sign_in};

/// Lets people and scanners see what the value is.
const TOKEN_PREFIX: &str = "ck8s_";
const MAX_NAME_CHARACTERS: usize = 100;

/// The caller's live tokens; values are not kept.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    let items = staff_sign_in::list_personal_tokens(services.pool(), principal.user.id).await?;
    Ok(Json(json!({ "items": items })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRequest {
    name: String,
    expires_at: Option<DateTime<Utc>>,
}

/// Creates a token and shows its value this once.
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    JsonBody(request): JsonBody<CreateRequest>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let name = request.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARACTERS {
        return Err(ApiError::invalid(
            "name",
            format!("expected 1 to {MAX_NAME_CHARACTERS} characters"),
        ));
    }
    if let Some(expires_at) = request.expires_at
        && expires_at <= clock::now(services.pool()).await?
    {
        return Err(ApiError::invalid("expires_at", "expected a time to come"));
    }
    let token = random_token(TOKEN_PREFIX);
    let mut transaction = services.pool().begin().await?;
    let stored = staff_sign_in::insert_personal_token(
        &mut transaction,
        principal.user.id,
        name,
        &token.hash,
        request.expires_at,
    )
    .await
    .map_err(|error| match error {
        sqlx::Error::Database(database) if database.is_unique_violation() => {
            ApiError::conflict("you have a token of this name already")
        }
        other => other.into(),
    })?;
    let change = Change::new("personal_token", stored.id, "create").keys(["name", "expires_at"]);
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok((
        StatusCode::CREATED,
        Json(json!({
            "id": stored.id,
            "name": stored.name,
            "expires_at": stored.expires_at,
            "created_at": stored.created_at,
            "token": token.value.expose_secret(),
        })),
    ))
}

/// Revokes one of the caller's tokens.
pub(super) async fn revoke(
    State(services): State<Services>,
    principal: Principal,
    Path(token_id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut transaction = services.pool().begin().await?;
    if !staff_sign_in::revoke_personal_token(&mut transaction, principal.user.id, token_id).await? {
        return Err(ApiError::not_found("you have no such token"));
    }
    let change = Change::new("personal_token", token_id, "delete");
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

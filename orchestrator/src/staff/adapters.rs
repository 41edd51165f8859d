//! Adapters and whom they know (G-95, G-96): registered by administrators, their tokens shown once.
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::JsonBody;
use super::audit::{Change, guard, record_change};
use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::http_api::ApiError;
use crate::secrets::{Column, random_token};
use crate::store::callback_adapters::{self, NewAdapter};

/// Lets people and scanners see what the value is.
const TOKEN_PREFIX: &str = "ck8s_adapter_";
const MAX_NAME_CHARACTERS: usize = 100;
/// Longest name of a person at an adapter in bytes.
const MAX_ACTOR_BYTES: usize = 200;

/// Those that are used.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    principal.require_admin()?;
    let items = callback_adapters::list(services.pool()).await?;
    Ok(Json(json!({ "items": items })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRequest {
    name: String,
    #[serde(default)]
    project_id: Option<Uuid>,
    #[serde(default)]
    delivery_url: Option<String>,
    #[serde(default)]
    delivery_token: Option<SecretString>,
}

/// Registers one; one that is delivered to has an address and the token that the platform shows there (G-140).
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    JsonBody(request): JsonBody<CreateRequest>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let id = Uuid::new_v4();
    let change = Change::new("callback_adapter", id, "create").keys([
        "name",
        "project_id",
        "delivery_url",
        "delivery_token",
    ]);
    guard(&services, &principal, &change, principal.require_admin()).await?;
    let name = request.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARACTERS {
        return Err(ApiError::invalid("name", "expected 1 to 100 characters"));
    }
    let delivery_url = request.delivery_url.as_deref().map(str::trim);
    if let Some(url) = delivery_url {
        let parsed = url::Url::parse(url).ok();
        if parsed.is_none_or(|url| !matches!(url.scheme(), "http" | "https") || !url.has_host()) {
            return Err(ApiError::invalid(
                "delivery_url",
                "expected an HTTP address",
            ));
        }
    }
    let token = request
        .delivery_token
        .as_ref()
        .filter(|token| !token.expose_secret().is_empty());
    if delivery_url.is_some() != token.is_some() {
        return Err(ApiError::invalid(
            "delivery_token",
            "an address and the token for it go together",
        ));
    }
    let place = Column {
        table: "callback_adapters",
        column: "delivery_token_encrypted",
        row: &id.to_string(),
    };
    let sealed = token
        .map(|token| services.cipher().seal(place, token))
        .transpose()
        .map_err(|error| ApiError::internal(&error))?;
    let own = random_token(TOKEN_PREFIX);
    let new = NewAdapter {
        id,
        name,
        token_hash: &own.hash,
        project_id: request.project_id,
        delivery_url,
        delivery_token_encrypted: sealed.as_deref(),
    };
    let mut transaction = services.pool().begin().await?;
    let adapter = callback_adapters::insert(&mut transaction, &new)
        .await
        .map_err(|error| match error {
            sqlx::Error::Database(database) if database.is_foreign_key_violation() => {
                ApiError::invalid("project_id", "there is no such project")
            }
            other => other.into(),
        })?;
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    let mut shown = serde_json::to_value(&adapter).map_err(|error| ApiError::internal(&error))?;
    shown["token"] = json!(own.value.expose_secret());
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Uses one no more.
pub(super) async fn delete(
    State(services): State<Services>,
    principal: Principal,
    Path(adapter_id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    let change = Change::new("callback_adapter", adapter_id, "delete");
    guard(&services, &principal, &change, principal.require_admin()).await?;
    let mut transaction = services.pool().begin().await?;
    if !callback_adapters::deactivate(&mut transaction, adapter_id).await? {
        return Err(ApiError::not_found("there is no such adapter"));
    }
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityRequest {
    actor_ref: String,
    user_id: Uuid,
}

/// Says who is behind a name of the adapter.
pub(super) async fn set_identity(
    State(services): State<Services>,
    principal: Principal,
    Path(adapter_id): Path<Uuid>,
    JsonBody(request): JsonBody<IdentityRequest>,
) -> Result<StatusCode, ApiError> {
    let change = Change::new("callback_adapter", adapter_id, "update").keys(["identities"]);
    guard(&services, &principal, &change, principal.require_admin()).await?;
    let actor = request.actor_ref.as_str();
    if !(1..=MAX_ACTOR_BYTES).contains(&actor.len()) || actor.chars().any(char::is_control) {
        return Err(ApiError::invalid("actor_ref", "expected 1 to 200 bytes"));
    }
    let mut transaction = services.pool().begin().await?;
    let is_set =
        callback_adapters::set_identity(&mut transaction, adapter_id, actor, request.user_id)
            .await?;
    if !is_set {
        return Err(ApiError::not_found("there is no such adapter or person"));
    }
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

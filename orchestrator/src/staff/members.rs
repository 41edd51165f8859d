//! Who belongs to a project (G-104).
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::JsonBody;
use super::audit::{Change, guard, record_change};
use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::{projects, users};

const ROLES: [&str; 3] = ["read", "read_write", "admin"];

async fn require_existing(
    services: &Services,
    principal: &Principal,
    project_id: Uuid,
) -> Result<(), ApiError> {
    projects::role_in(services.pool(), project_id, principal.user.id)
        .await?
        .map(|_| ())
        .ok_or_else(|| ApiError::not_found("there is no such project"))
}

/// Members of a project.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Path(project_id): Path<Uuid>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    principal.require_admin()?;
    require_existing(&services, &principal, project_id).await?;
    let items = projects::members(services.pool(), project_id).await?;
    Ok(Json(json!({ "items": items })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetRequest {
    user_id: Option<Uuid>,
    email: Option<String>,
    role: String,
}

/// Gives a person a role.
pub(super) async fn set(
    State(services): State<Services>,
    principal: Principal,
    Path(project_id): Path<Uuid>,
    JsonBody(request): JsonBody<SetRequest>,
) -> Result<StatusCode, ApiError> {
    let change = Change::new("project_member", project_id, "set").project(project_id);
    guard(&services, &principal, &change, principal.require_admin()).await?;
    require_existing(&services, &principal, project_id).await?;
    if !ROLES.contains(&request.role.as_str()) {
        return Err(ApiError::invalid(
            "role",
            format!("expected one of {}", ROLES.join(", ")),
        ));
    }
    let user = match (request.user_id, request.email.as_deref()) {
        (Some(user_id), None) => users::find(services.pool(), user_id).await?,
        (None, Some(email)) => users::find_by_email(services.pool(), email.trim()).await?,
        _ => return Err(ApiError::invalid("user_id", "give either user_id or email")),
    };
    let user = user
        .filter(|user| user.disabled_at.is_none())
        .ok_or_else(|| ApiError::not_found("there is no such person"))?;
    let change = Change::new("project_member", user.id, "set")
        .project(project_id)
        .keys(["role"]);
    let mut transaction = services.pool().begin().await?;
    projects::set_member(&mut transaction, project_id, user.id, &request.role).await?;
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a membership; the platform owner's cannot be ended.
pub(super) async fn remove(
    State(services): State<Services>,
    principal: Principal,
    Path((project_id, user_id)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let change = Change::new("project_member", user_id, "delete").project(project_id);
    guard(&services, &principal, &change, principal.require_admin()).await?;
    require_existing(&services, &principal, project_id).await?;
    let is_owner = users::find(services.pool(), user_id)
        .await?
        .is_some_and(|user| user.is_platform_owner);
    let permitted = if is_owner {
        Err(ApiError::forbidden("the platform owner cannot be removed"))
    } else {
        Ok(())
    };
    guard(&services, &principal, &change, permitted).await?;
    let mut transaction = services.pool().begin().await?;
    if !projects::remove_member(&mut transaction, project_id, user_id).await? {
        return Err(ApiError::not_found("this person is no member"));
    }
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

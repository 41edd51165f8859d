//! Which agents work for a project (L-39). The system's agents are there for everybody; a row of the project's own
//! with the same key takes the place of one.
use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::JsonBody;
use super::access::Need;
use super::audit::{Change, guard, record_change};
use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::{agents, projects};

/// The agents of a project.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Path(project_id): Path<Uuid>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    principal
        .require_project(&services, project_id, Need::Read)
        .await?;
    let items = agents::of_project(services.pool(), project_id).await?;
    Ok(Json(json!({ "items": items })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetRequest {
    is_active: bool,
}

/// Switches an agent off or on for one project. What runs already goes on.
pub(super) async fn set(
    State(services): State<Services>,
    principal: Principal,
    Path((project_id, agent_key)): Path<(Uuid, String)>,
    JsonBody(request): JsonBody<SetRequest>,
) -> Result<Json<Value>, ApiError> {
    let change = Change::new("agent", &agent_key, "set").project(project_id);
    guard(&services, &principal, &change, principal.require_admin()).await?;
    projects::role_in(services.pool(), project_id, principal.user.id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such project"))?;
    let mut transaction = services.pool().begin().await?;
    let agent = agents::set_active(&mut transaction, project_id, &agent_key, request.is_active)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no agent of this key"))?;
    record_change(&mut transaction, &principal, &change.keys(["is_active"])).await?;
    transaction.commit().await?;
    Ok(Json(json!(agent)))
}

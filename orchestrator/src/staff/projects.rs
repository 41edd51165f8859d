//! Projects (G-104, G-105, DA-19).
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
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
use crate::store::projects::{self, Project};

const MAX_NAME_CHARACTERS: usize = 200;
/// A slug becomes part of namespace and host names.
const MAX_SLUG_CHARACTERS: usize = 63;

/// Projects the caller may see.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    let user = &principal.user;
    let items = projects::list_for(services.pool(), user.id, user.is_platform_admin, None).await?;
    Ok(Json(json!({ "items": items })))
}

async fn load(
    services: &Services,
    principal: &Principal,
    project_id: Uuid,
) -> Result<Project, ApiError> {
    let user = &principal.user;
    projects::list_for(
        services.pool(),
        user.id,
        user.is_platform_admin,
        Some(project_id),
    )
    .await?
    .pop()
    .ok_or_else(|| ApiError::not_found("there is no such project"))
}

/// One project.
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Path(project_id): Path<Uuid>,
    query: Query,
) -> Result<Json<Project>, ApiError> {
    query.finish()?;
    principal
        .require_project(&services, project_id, Need::Read)
        .await?;
    load(&services, &principal, project_id).await.map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpsertRequest {
    slug: String,
    name: String,
}

fn is_slug(text: &str) -> bool {
    let inner = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-'
    };
    !text.is_empty()
        && text.len() <= MAX_SLUG_CHARACTERS
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Creates a project, or renames the one of this slug.
pub(super) async fn upsert(
    State(services): State<Services>,
    principal: Principal,
    JsonBody(request): JsonBody<UpsertRequest>,
) -> Result<(StatusCode, Json<Project>), ApiError> {
    let change = Change::new("project", &request.slug, "upsert");
    guard(&services, &principal, &change, principal.require_admin()).await?;
    if !is_slug(&request.slug) {
        return Err(ApiError::invalid(
            "slug",
            "expected lower-case letters, digits and inner dashes, at most 63 characters",
        ));
    }
    let name = request.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARACTERS {
        return Err(ApiError::invalid(
            "name",
            format!("expected 1 to {MAX_NAME_CHARACTERS} characters"),
        ));
    }
    let mut transaction = services.pool().begin().await?;
    let (project_id, created) = projects::upsert(&mut transaction, &request.slug, name).await?;
    let action = if created { "create" } else { "update" };
    let change = Change::new("project", project_id, action)
        .project(project_id)
        .keys(["slug", "name"]);
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(load(&services, &principal, project_id).await?)))
}

/// Deletes a project softly: its runs and events stay (D-20).
pub(super) async fn delete(
    State(services): State<Services>,
    principal: Principal,
    Path(project_id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    let change = Change::new("project", project_id, "delete").project(project_id);
    guard(&services, &principal, &change, principal.require_owner()).await?;
    let project = load(&services, &principal, project_id).await?;
    let permitted = if project.is_protected {
        Err(ApiError::forbidden("this project is protected"))
    } else {
        Ok(())
    };
    guard(&services, &principal, &change, permitted).await?;
    let mut transaction = services.pool().begin().await?;
    projects::soft_delete(&mut transaction, project_id).await?;
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::is_slug;

    #[test]
    fn a_slug_is_a_dns_label() {
        assert!(is_slug("shop-2"));
        for bad in ["", "Shop", "-a", "a-", "a b", &"a".repeat(64)] {
            assert!(!is_slug(bad), "{bad:?}");
        }
    }
}

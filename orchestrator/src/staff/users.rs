//! People of the platform (G-104, G-107, DU-13).
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
use crate::store::users::{self, NewUser, User};

fn view(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "github_login": user.github_login,
        "is_platform_admin": user.is_platform_admin,
        "is_platform_owner": user.is_platform_owner,
        "created_at": user.created_at,
    })
}

/// Enabled people.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    principal.require_admin()?;
    let items: Vec<Value> = users::list(services.pool())
        .await?
        .iter()
        .map(view)
        .collect();
    Ok(Json(json!({ "items": items })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRequest {
    email: String,
    github_login: Option<String>,
    #[serde(default)]
    is_platform_admin: bool,
}

/// Adds a person; never the bot's login (G-107).
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    JsonBody(request): JsonBody<CreateRequest>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let change = Change::new("user", &request.email, "create");
    guard(&services, &principal, &change, principal.require_admin()).await?;
    let email = request.email.trim();
    if email.len() < 3 || !email.contains('@') || email.contains(char::is_whitespace) {
        return Err(ApiError::invalid("email", "expected an e-mail address"));
    }
    let login = request
        .github_login
        .as_deref()
        .map(str::trim)
        .filter(|login| !login.is_empty());
    if login.is_some_and(|login| login.eq_ignore_ascii_case(&services.config().github.bot_username))
    {
        return Err(ApiError::invalid(
            "github_login",
            "the bot of the platform can never be one of its people",
        ));
    }
    let mut transaction = services.pool().begin().await?;
    let new = NewUser {
        email,
        github_login: login,
        is_platform_admin: request.is_platform_admin,
    };
    let user = users::insert_or_enable(&mut transaction, &new)
        .await
        .map_err(|error| match error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                ApiError::conflict("somebody else has this GitHub login").with_field("github_login")
            }
            other => other.into(),
        })?
        .ok_or_else(|| {
            ApiError::conflict("there is a person with this e-mail").with_field("email")
        })?;
    let change =
        Change::new("user", user.id, "create").keys(["email", "github_login", "is_platform_admin"]);
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(view(&user))))
}

/// Disables a person: never oneself, never the owner, an admin only by the owner.
pub(super) async fn delete(
    State(services): State<Services>,
    principal: Principal,
    Path(user_id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    let change = Change::new("user", user_id, "delete");
    guard(&services, &principal, &change, principal.require_admin()).await?;
    let user = users::find(services.pool(), user_id)
        .await?
        .filter(|user| user.disabled_at.is_none())
        .ok_or_else(|| ApiError::not_found("there is no such person"))?;
    let permitted = if user.id == principal.user.id {
        Err(ApiError::forbidden("nobody deletes themselves"))
    } else if user.is_platform_owner {
        Err(ApiError::forbidden("the platform owner cannot be deleted"))
    } else if user.is_platform_admin && !principal.user.is_platform_owner {
        Err(ApiError::forbidden(
            "only the platform owner may delete an admin",
        ))
    } else {
        Ok(())
    };
    guard(&services, &principal, &change, permitted).await?;
    let mut transaction = services.pool().begin().await?;
    users::disable(&mut transaction, user_id).await?;
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

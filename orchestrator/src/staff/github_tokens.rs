//! A project's own GitHub tokens: written, never read back (DA-15).
use axum::Json;
use axum::extract::{Path, State};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::JsonBody;
use super::access::Need;
use super::audit::{Change, guard, record_change};
use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::http_api::ApiError;
use crate::secrets::Column;
use crate::store::repositories::{self, ProjectTokens, ProjectTokensChange};

/// What is stored, as presence only.
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Path(project_id): Path<Uuid>,
    query: Query,
) -> Result<Json<ProjectTokens>, ApiError> {
    query.finish()?;
    principal
        .require_project(&services, project_id, Need::Read)
        .await?;
    Ok(Json(
        repositories::project_tokens(services.pool(), project_id).await?,
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetRequest {
    platform_token: Option<SecretString>,
    bot_token: Option<SecretString>,
    bot_username: Option<String>,
    bot_email: Option<String>,
}

/// Omitted is unchanged, empty is cleared.
pub(super) async fn set(
    State(services): State<Services>,
    principal: Principal,
    Path(project_id): Path<Uuid>,
    JsonBody(request): JsonBody<SetRequest>,
) -> Result<Json<ProjectTokens>, ApiError> {
    let change = Change::new("github_tokens", project_id, "update")
        .project(project_id)
        .keys(["platform_token", "bot_token", "bot_username", "bot_email"]);
    let permitted = principal
        .require_project(&services, project_id, Need::Write)
        .await;
    guard(&services, &principal, &change, permitted).await?;
    let row = project_id.to_string();
    let sealed = |column: &'static str, token: &Option<SecretString>| match token {
        None => Ok(None),
        Some(token) if token.expose_secret().is_empty() => Ok(Some(None)),
        Some(token) => {
            let place = Column {
                table: "project_github_tokens",
                column,
                row: &row,
            };
            let sealed = services.cipher().seal(place, token);
            sealed
                .map(|sealed| Some(Some(sealed)))
                .map_err(|error| ApiError::internal(&error))
        }
    };
    let platform = sealed("platform_token_encrypted", &request.platform_token)?;
    let bot = sealed("bot_token_encrypted", &request.bot_token)?;
    let tokens = ProjectTokensChange {
        platform_token_encrypted: platform.as_ref().map(|sealed| sealed.as_deref()),
        bot_token_encrypted: bot.as_ref().map(|sealed| sealed.as_deref()),
        bot_username: request.bot_username.as_deref(),
        bot_email: request.bot_email.as_deref(),
    };
    let mut transaction = services.pool().begin().await?;
    repositories::set_project_tokens(&mut transaction, project_id, &tokens).await?;
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok(Json(
        repositories::project_tokens(services.pool(), project_id).await?,
    ))
}

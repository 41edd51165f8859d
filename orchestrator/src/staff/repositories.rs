//! Binding GitHub repositories to projects (R-133, DA-19).
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
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
use crate::onboarding::{self, OnboardingError};
use crate::secrets::{Column, ColumnCipherError};
use crate::store::repositories::{self, BotParameters, NewRepository, Repository};

const ROLES: [&str; 4] = ["orchestrator", "service", "docs", "mixed"];
const DEFAULT_SERVICES_YAML_PATH: &str = "services.yaml";

/// Live bindings of a project.
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
    let items = repositories::list(services.pool(), project_id, None).await?;
    Ok(Json(json!({ "items": items })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BindRequest {
    provider: Option<String>,
    owner: String,
    name: String,
    token: Option<SecretString>,
    services_yaml_path: Option<String>,
    alias: Option<String>,
    role: Option<String>,
    default_ref: Option<String>,
    docs_root_path: Option<String>,
}

impl BindRequest {
    fn check(&self) -> Result<(), ApiError> {
        if self
            .provider
            .as_deref()
            .is_some_and(|provider| provider != "github")
        {
            return Err(ApiError::invalid("provider", "expected one of github"));
        }
        for (field, value) in [("owner", &self.owner), ("name", &self.name)] {
            let plain = |character: char| {
                character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
            };
            if value.is_empty() || !value.chars().all(plain) || value.starts_with('.') {
                return Err(ApiError::invalid(
                    field,
                    "expected a name as GitHub allows it",
                ));
            }
        }
        if let Some(role) = &self.role
            && !ROLES.contains(&role.as_str())
        {
            return Err(ApiError::invalid(
                "role",
                format!("expected one of {}", ROLES.join(", ")),
            ));
        }
        let paths = [
            ("services_yaml_path", &self.services_yaml_path),
            ("docs_root_path", &self.docs_root_path),
        ];
        for (field, path) in paths {
            if path.as_deref().is_some_and(|path| !stays_inside(path)) {
                return Err(ApiError::invalid(
                    field,
                    "expected a path inside the repository",
                ));
            }
        }
        if !is_alias(&self.alias()) {
            return Err(ApiError::invalid(
                "alias",
                "expected lower-case letters, digits, dots, dashes and underscores",
            ));
        }
        Ok(())
    }

    fn alias(&self) -> String {
        self.alias
            .clone()
            .unwrap_or_else(|| self.name.to_ascii_lowercase())
    }

    fn token(&self) -> Option<&SecretString> {
        self.token
            .as_ref()
            .filter(|token| !token.expose_secret().is_empty())
    }
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && path.split('/').all(|part| !matches!(part, ".." | ""))
}

fn is_alias(text: &str) -> bool {
    let plain = |character: char| {
        character.is_ascii_lowercase()
            || character.is_ascii_digit()
            || matches!(character, '.' | '_' | '-')
    };
    text.chars().all(plain)
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
}

/// Validates the repository, ensures webhook and labels, and only then stores the binding: a failure of
/// GitHub leaves no row.
pub(super) async fn bind(
    State(services): State<Services>,
    principal: Principal,
    Path(project_id): Path<Uuid>,
    JsonBody(request): JsonBody<BindRequest>,
) -> Result<(StatusCode, Json<Repository>), ApiError> {
    let full_name = format!("{}/{}", request.owner, request.name);
    let change = Change::new("repository", &full_name, "create").project(project_id);
    let permitted = principal
        .require_project(&services, project_id, Need::Write)
        .await;
    guard(&services, &principal, &change, permitted).await?;
    request.check()?;
    if let Some(bound) = repositories::find_by_full_name(services.pool(), &full_name).await? {
        return Err(already_bound(Some(&bound), project_id));
    }
    let client = onboarding::management_client(
        &services.app,
        services.cipher(),
        project_id,
        request.token(),
    )
    .await
    .map_err(|error| onboarding_error(&error))?;
    let found = onboarding::find_repository(&client, &request.owner, &request.name)
        .await
        .map_err(|error| onboarding_error(&error))?;
    if services.app.acts_on(&full_name) {
        onboarding::onboard(
            &client,
            &found,
            &services.config().github,
            &services.app.policy.labels,
        )
        .await
        .map_err(|error| onboarding_error(&error))?;
    }
    let repository = store(&services, &principal, project_id, &request, &found).await?;
    Ok((StatusCode::CREATED, Json(repository)))
}

async fn store(
    services: &Services,
    principal: &Principal,
    project_id: Uuid,
    request: &BindRequest,
    found: &onboarding::GithubRepository,
) -> Result<Repository, ApiError> {
    let id = Uuid::now_v7();
    let row = id.to_string();
    let token_encrypted = match request.token() {
        Some(token) => seal(services, "token_encrypted", &row, token)?,
        None => Vec::new(),
    };
    // GitHub's spelling is kept: names are compared with those of webhooks.
    let (owner, name) = found
        .full_name
        .split_once('/')
        .unwrap_or((&request.owner, &request.name));
    let default_ref =
        request
            .default_ref
            .as_deref()
            .unwrap_or(if found.default_branch.is_empty() {
                "main"
            } else {
                &found.default_branch
            });
    let alias = request.alias();
    let new = NewRepository {
        id,
        project_id,
        alias: &alias,
        external_id: found.id,
        owner,
        name,
        role: request.role.as_deref().unwrap_or("service"),
        default_ref,
        services_yaml_path: request
            .services_yaml_path
            .as_deref()
            .unwrap_or(DEFAULT_SERVICES_YAML_PATH),
        docs_root_path: request.docs_root_path.as_deref(),
        token_encrypted: &token_encrypted,
    };
    let mut transaction = services.pool().begin().await?;
    repositories::insert(&mut transaction, &new)
        .await
        .map_err(|error| match error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                already_bound(None, project_id)
            }
            other => other.into(),
        })?;
    let change = Change::new("repository", id, "create")
        .project(project_id)
        .keys([
            "owner",
            "name",
            "alias",
            "role",
            "default_ref",
            "services_yaml_path",
            "docs_root_path",
            "token",
        ]);
    record_change(&mut transaction, principal, &change).await?;
    transaction.commit().await?;
    load(services, project_id, id).await
}

async fn load(services: &Services, project_id: Uuid, id: Uuid) -> Result<Repository, ApiError> {
    repositories::list(services.pool(), project_id, Some(id))
        .await?
        .pop()
        .ok_or_else(|| ApiError::not_found("there is no such repository in this project"))
}

/// Which project has it is nobody's business but its members'.
fn already_bound(bound: Option<&Repository>, project_id: Uuid) -> ApiError {
    match bound {
        Some(bound) if bound.project_id == project_id => {
            ApiError::conflict("this repository is bound to this project already")
        }
        _ => ApiError::conflict("this repository or alias is bound already"),
    }
}

pub(super) fn seal(
    services: &Services,
    column: &'static str,
    row: &str,
    value: &SecretString,
) -> Result<Vec<u8>, ApiError> {
    let place = Column {
        table: "repositories",
        column,
        row,
    };
    services
        .cipher()
        .seal(place, value)
        .map_err(|error: ColumnCipherError| ApiError::internal(&error))
}

fn onboarding_error(error: &OnboardingError) -> ApiError {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "failed to bind a repository"
    );
    match error {
        OnboardingError::Unavailable { .. } => ApiError::unavailable(error.to_string()),
        OnboardingError::Tokens(cause) => ApiError::internal(cause),
        _ => ApiError::failed_precondition(error.to_string()),
    }
}

/// Ends a binding; protected ones stay.
pub(super) async fn unbind(
    State(services): State<Services>,
    principal: Principal,
    Path((project_id, repository_id)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let change = Change::new("repository", repository_id, "delete").project(project_id);
    let permitted = principal
        .require_project(&services, project_id, Need::Write)
        .await;
    guard(&services, &principal, &change, permitted).await?;
    let repository = load(&services, project_id, repository_id).await?;
    let permitted = if repository.is_protected {
        Err(ApiError::forbidden("this repository is protected"))
    } else {
        Ok(())
    };
    guard(&services, &principal, &change, permitted).await?;
    let mut transaction = services.pool().begin().await?;
    repositories::unbind(&mut transaction, project_id, repository_id).await?;
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BotRequest {
    bot_token: Option<SecretString>,
    bot_username: Option<String>,
    bot_email: Option<String>,
}

/// Sets the bot identity of one repository: omitted is unchanged, empty is cleared.
pub(super) async fn set_bot(
    State(services): State<Services>,
    principal: Principal,
    Path((project_id, repository_id)): Path<(Uuid, Uuid)>,
    JsonBody(request): JsonBody<BotRequest>,
) -> Result<Json<Repository>, ApiError> {
    let change = Change::new("repository", repository_id, "update")
        .project(project_id)
        .keys(["bot_token", "bot_username", "bot_email"]);
    let permitted = principal
        .require_project(&services, project_id, Need::Write)
        .await;
    guard(&services, &principal, &change, permitted).await?;
    load(&services, project_id, repository_id).await?;
    let row = repository_id.to_string();
    let sealed = match &request.bot_token {
        Some(token) if token.expose_secret().is_empty() => Some(None),
        Some(token) => Some(Some(seal(&services, "bot_token_encrypted", &row, token)?)),
        None => None,
    };
    let parameters = BotParameters {
        bot_token_encrypted: sealed.as_ref().map(|sealed| sealed.as_deref()),
        bot_username: request.bot_username.as_deref(),
        bot_email: request.bot_email.as_deref(),
    };
    let mut transaction = services.pool().begin().await?;
    repositories::set_bot_parameters(&mut transaction, repository_id, &parameters).await?;
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    load(&services, project_id, repository_id).await.map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_repository() {
        assert!(stays_inside("deploy/services.yaml"));
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a//b"] {
            assert!(!stays_inside(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_alias_is_what_the_database_accepts() {
        assert!(is_alias("shop.api_2-x") && is_alias("2x"));
        assert!(!is_alias("Shop") && !is_alias("-a") && !is_alias("") && !is_alias("a b"));
    }
}

//! Where the source of a task is read: the client of its repository, and the one commit that it is fixed to.
use domain::deploy::TemplateError;
use serde::Deserialize;

use crate::app::App;
use crate::credentials::{GithubTokensError, resolve_for_repository};
use crate::github::{GithubClient, GithubError};
use crate::services_yaml::{ServicesYamlError, escape};
use crate::store::repositories;

/// A full SHA-1 commit id.
const COMMIT_ID_DIGITS: usize = 40;

/// Why the source of a task could not be fixed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("failed to resolve {0:?} to a commit: the repository has no such ref")]
    UnknownRef(String),
    #[error(transparent)]
    ServicesYaml(#[from] ServicesYamlError),
    #[error("failed to read services.yaml: {field}: there is no file {path:?}")]
    NoManifest { field: String, path: String },
    #[error("failed to render manifest {path}")]
    Template {
        path: String,
        #[source]
        error: TemplateError,
    },
    #[error("failed to read manifest {path}: {problem}")]
    Manifest { path: String, problem: String },
    #[error("failed to read the source: repository {0} is not bound")]
    NotBound(String),
    #[error("failed to look up the repository")]
    Store(#[from] sqlx::Error),
    #[error(transparent)]
    Tokens(#[from] GithubTokensError),
    #[error(transparent)]
    Github(#[from] GithubError),
}

#[derive(Deserialize)]
struct CommitObject {
    sha: String,
}

/// The client that reads a bound repository.
pub async fn client(app: &App, full_name: &str) -> Result<GithubClient, SourceError> {
    let repository = repositories::find_by_full_name(&app.pool, full_name)
        .await?
        .ok_or_else(|| SourceError::NotBound(full_name.to_owned()))?;
    let cipher = app
        .cipher
        .as_ref()
        .expect("the configuration of a control plane requires the encryption key");
    let tokens =
        resolve_for_repository(&app.pool, cipher, &app.token_fallback(), repository.id).await?;
    let token = tokens
        .management
        .or(tokens.bot)
        .ok_or(GithubError::NoToken)?;
    Ok(app.github.with_token(&token.token)?)
}

/// The commit that a ref stands for now.
pub async fn resolve(
    client: &GithubClient,
    repository: &str,
    build_ref: &str,
) -> Result<String, SourceError> {
    if is_commit_id(build_ref) {
        return Ok(build_ref.to_ascii_lowercase());
    }
    let name = build_ref.strip_prefix("refs/heads/").unwrap_or(build_ref);
    let route = format!("/repos/{repository}/commits/{}", escape(name));
    match client.get::<CommitObject>(&route).await {
        Ok(commit) if is_commit_id(&commit.sha) => Ok(commit.sha),
        Ok(_) => Err(SourceError::UnknownRef(build_ref.to_owned())),
        Err(GithubError::Refused { status, .. }) if matches!(status.as_u16(), 404 | 409 | 422) => {
            Err(SourceError::UnknownRef(build_ref.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_commit_id(text: &str) -> bool {
    text.len() == COMMIT_ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forty_hexadecimal_digits_are_a_commit() {
        assert!(is_commit_id(&"a1".repeat(20)));
        assert!(!is_commit_id("main") && !is_commit_id(&"g".repeat(40)));
    }
}

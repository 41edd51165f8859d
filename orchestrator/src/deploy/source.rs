//! The source snapshot of a task: one commit, and the stack that its services.yaml describes.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::app::App;
use crate::credentials::{GithubTokensError, resolve_for_repository};
use crate::github::{GithubClient, GithubError};
use crate::store::repositories;

/// A full SHA-1 commit id.
const COMMIT_ID_DIGITS: usize = 40;

/// Why the source of a task could not be fixed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("failed to resolve {0:?} to a commit: the repository has no such ref")]
    UnknownRef(String),
    #[error("failed to read services.yaml: the answer is no base64 text")]
    Encoding,
    #[error("failed to read services.yaml: {0}")]
    Yaml(String),
    #[error("failed to read the source: repository {0} is not bound")]
    NotBound(String),
    #[error("failed to look up the repository")]
    Store(#[from] sqlx::Error),
    #[error(transparent)]
    Tokens(#[from] GithubTokensError),
    #[error(transparent)]
    Github(#[from] GithubError),
}

/// The commit with what it asks to be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSnapshot {
    pub commit: String,
    pub stack: Stack,
}

/// What is to be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stack {
    /// No services.yaml, or one that lists nothing.
    Empty,
    /// Something to build or apply.
    Services,
}

#[derive(Deserialize)]
struct CommitObject {
    sha: String,
}

#[derive(Deserialize)]
struct ContentObject {
    #[serde(default)]
    content: String,
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

/// Resolves a ref and reads the stack at exactly that commit.
pub async fn snapshot(
    client: &GithubClient,
    repository: &str,
    build_ref: &str,
    services_yaml_path: &str,
) -> Result<SourceSnapshot, SourceError> {
    let commit = resolve(client, repository, build_ref).await?;
    let route = format!(
        "/repos/{repository}/contents/{}?ref={commit}",
        escape(services_yaml_path)
    );
    let stack = match client.get::<ContentObject>(&route).await {
        Ok(content) => parse_stack(&content.content)?,
        Err(error) if error.is_not_found() => Stack::Empty,
        Err(error) => return Err(error.into()),
    };
    Ok(SourceSnapshot { commit, stack })
}

async fn resolve(
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

fn parse_stack(content: &str) -> Result<Stack, SourceError> {
    let compact: String = content.split_whitespace().collect();
    let bytes = STANDARD
        .decode(compact)
        .map_err(|_| SourceError::Encoding)?;
    let text = String::from_utf8(bytes).map_err(|_| SourceError::Encoding)?;
    let document: serde_yaml::Value =
        serde_yaml::from_str(&text).map_err(|error| SourceError::Yaml(error.to_string()))?;
    let lists_something = |section: &str| {
        document
            .get("spec")
            .and_then(|spec| spec.get(section))
            .is_some_and(|value| match value {
                serde_yaml::Value::Sequence(items) => !items.is_empty(),
                serde_yaml::Value::Mapping(entries) => !entries.is_empty(),
                _ => false,
            })
    };
    let any = ["services", "infrastructure", "images", "imports"]
        .into_iter()
        .any(lists_something);
    Ok(if any { Stack::Services } else { Stack::Empty })
}

/// Keeps slashes, which separate the parts of branch names and paths.
fn escape(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn encoded(text: &str) -> String {
        // GitHub breaks its base64 into lines.
        let whole = STANDARD.encode(text);
        let (head, tail) = whole.split_at(whole.len() / 2);
        format!("{head}\n{tail}\n")
    }

    #[test]
    fn a_stack_without_services_is_empty() {
        let policy_only = "apiVersion: codex-k8s.dev/v1alpha1\nspec:\n  webhookRuntime:\n    defaultMode: full-env\n  services: []\n";
        assert_eq!(parse_stack(&encoded(policy_only)).unwrap(), Stack::Empty);
        let real = "spec:\n  services:\n    - name: api\n";
        assert_eq!(parse_stack(&encoded(real)).unwrap(), Stack::Services);
        assert!(matches!(
            parse_stack(&encoded("a: [")),
            Err(SourceError::Yaml(_))
        ));
    }

    #[test]
    fn only_forty_hexadecimal_digits_are_a_commit() {
        assert!(is_commit_id(&"a1".repeat(20)));
        assert!(!is_commit_id("main") && !is_commit_id(&"g".repeat(40)));
    }

    #[test]
    fn branch_names_keep_their_slashes() {
        assert_eq!(escape("codex/issue 7"), "codex/issue%207");
    }
}

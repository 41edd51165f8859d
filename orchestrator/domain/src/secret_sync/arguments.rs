//! Arguments of a call, read strictly, and the refusals that need no look at the world (G-13, G-41, G-42).

use serde::Serialize;
use serde_json::{Map, Value};

use super::{GithubScope, SecretPolicy, SecretSync};
use crate::ids::ProjectId;
use crate::tools::fields::{
    environment, require_environment, require_identity, required_text, text,
};
use crate::tools::{
    FailureCode, FailureReason, IdempotencyKey, ToolFailure, dry_run, idempotency_key,
    justification, only_arguments,
};

const ARGUMENTS: [&str; 13] = [
    "environment",
    "github_secret_name",
    "github_scope",
    "kubernetes_secret_name",
    "kubernetes_secret_key",
    "kubernetes_namespace",
    "policy",
    "project_id",
    "repository",
    "justification",
    "idempotency_key",
    "dry_run",
    // Not known: refused below under its own name, whatever else is wrong (G-45).
    "secret_value",
];
/// GitHub's own limit.
const GITHUB_NAME_LIMIT: usize = 100;
/// DNS-1123 subdomain, and a key of a Secret.
const KUBERNETES_NAME_LIMIT: usize = 253;
/// DNS-1123 label.
const NAMESPACE_LIMIT: usize = 63;
const DEFAULT_KEY: &str = "value";
/// Beginning of the names of the Secrets that hold a run's credentials (G-12).
const RUN_CREDENTIALS: &str = "codex-run-credentials-";
/// Namespaces of the cluster itself.
const CLUSTER_NAMESPACES: &str = "kube-";

/// A call as it was made. Its JSON form is what a key is held against: neither key nor `dry_run` is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncArguments {
    /// What is asked for.
    pub sync: SecretSync,
    /// Shown to the approver.
    pub justification: Option<String>,
    /// The caller's name for it.
    #[serde(skip)]
    pub key: Option<IdempotencyKey>,
    /// Only to be checked (G-31).
    #[serde(skip)]
    pub dry_run: bool,
}

/// What a call is judged by.
#[derive(Debug, Clone, Copy)]
pub struct SyncSurroundings<'a> {
    /// `governance.allowed_envs`.
    pub allowed_environments: &'a [String],
    /// The run's project.
    pub project_id: Option<ProjectId>,
    /// The run's repository.
    pub repository_full_name: &'a str,
    /// The run's namespace.
    pub run_namespace: &'a str,
    /// Namespaces of the project by their environment.
    pub project_namespaces: &'a [(String, String)],
    /// Namespaces of the platform.
    pub platform_namespaces: &'a [String],
}

/// Reads and checks the arguments.
///
/// # Errors
/// An argument is missing, unknown or no name where it is meant; project or repository are not the run's; the
/// environment is not governed; the target is not the project's.
pub fn sync_arguments(
    arguments: &Map<String, Value>,
    around: SyncSurroundings<'_>,
) -> Result<SyncArguments, ToolFailure> {
    if arguments.contains_key("secret_value") {
        let message = "values are typed by whoever approves, never by an agent";
        return Err(ToolFailure::invalid("secret_value", message));
    }
    only_arguments(arguments, &ARGUMENTS)?;
    let sync = SecretSync {
        environment: environment(arguments)?,
        repository_full_name: around.repository_full_name.to_owned(),
        github_scope: chosen(
            arguments,
            "github_scope",
            GithubScope::ALL,
            GithubScope::Environment,
        )?,
        github_secret_name: github_name(arguments)?,
        namespace: match text(arguments, "kubernetes_namespace")? {
            None => around.run_namespace.to_owned(),
            Some(name) if name.len() <= NAMESPACE_LIMIT && is_dns_label(name) => name.to_owned(),
            Some(_) => {
                let message = "expected a DNS label of at most 63 characters";
                return Err(ToolFailure::invalid("kubernetes_namespace", message));
            }
        },
        secret_name: kubernetes_name(arguments)?,
        secret_key: secret_key(arguments)?,
        policy: chosen(
            arguments,
            "policy",
            SecretPolicy::ALL,
            SecretPolicy::Deterministic,
        )?,
    };
    let read = SyncArguments {
        justification: justification(arguments)?,
        key: idempotency_key(arguments)?,
        dry_run: dry_run(arguments)?,
        sync,
    };
    require_identity(arguments, around.project_id, around.repository_full_name)?;
    require_environment(&read.sync.environment, around.allowed_environments)?;
    require_own_target(&read.sync, around)?;
    Ok(read)
}

fn chosen<T: Copy + ToString>(
    arguments: &Map<String, Value>,
    name: &str,
    all: &[T],
    default: T,
) -> Result<T, ToolFailure> {
    let Some(given) = text(arguments, name)? else {
        return Ok(default);
    };
    all.iter()
        .copied()
        .find(|choice| choice.to_string() == given)
        .ok_or_else(|| {
            let words: Vec<String> = all.iter().map(ToString::to_string).collect();
            ToolFailure::invalid(name, format!("expected one of {}", words.join(", ")))
        })
}

fn github_name(arguments: &Map<String, Value>) -> Result<String, ToolFailure> {
    let name = required_text(arguments, "github_secret_name")?;
    let fits = (1..=GITHUB_NAME_LIMIT).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
        && name.chars().all(|character| {
            character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_'
        })
        && !name.starts_with("GITHUB_");
    if fits {
        Ok(name.to_owned())
    } else {
        let message = "expected 1 to 100 of A-Z 0-9 _, no digit first, not GITHUB_ first";
        Err(ToolFailure::invalid("github_secret_name", message))
    }
}

fn is_dns_label(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
}

fn kubernetes_name(arguments: &Map<String, Value>) -> Result<String, ToolFailure> {
    let name = required_text(arguments, "kubernetes_secret_name")?;
    if name.len() <= KUBERNETES_NAME_LIMIT && name.split('.').all(is_dns_label) {
        Ok(name.to_owned())
    } else {
        let message = "expected a DNS name of at most 253 characters";
        Err(ToolFailure::invalid("kubernetes_secret_name", message))
    }
}

/// A key as Kubernetes takes it: it becomes the name of a file.
fn secret_key(arguments: &Map<String, Value>) -> Result<String, ToolFailure> {
    let key = text(arguments, "kubernetes_secret_key")?.unwrap_or(DEFAULT_KEY);
    let fits = (1..=KUBERNETES_NAME_LIMIT).contains(&key.len())
        && key.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_')
        })
        && key != "."
        && !key.starts_with("..");
    if fits {
        Ok(key.to_owned())
    } else {
        let message = "expected 1 to 253 of A-Z a-z 0-9 - . _, and no name of a folder";
        Err(ToolFailure::invalid("kubernetes_secret_key", message))
    }
}

/// G-42.
fn require_own_target(sync: &SecretSync, around: SyncSurroundings<'_>) -> Result<(), ToolFailure> {
    let protected = |field: &str, message: &str| {
        let failure = ToolFailure::new(FailureCode::Forbidden, message)
            .because(FailureReason::ProtectedTarget);
        Err(ToolFailure {
            field: Some(field.to_owned()),
            ..failure
        })
    };
    if sync.secret_name.starts_with(RUN_CREDENTIALS) {
        let message = "the Secret belongs to the platform";
        return protected("kubernetes_secret_name", message);
    }
    let namespace = &sync.namespace;
    let is_platform =
        around.platform_namespaces.contains(namespace) || namespace.starts_with(CLUSTER_NAMESPACES);
    let is_own = namespace == around.run_namespace
        || around
            .project_namespaces
            .iter()
            .any(|(environment, name)| *environment == sync.environment && name == namespace);
    if is_platform || !is_own {
        let message = "the namespace is neither the run's nor the project's in this environment";
        return protected("kubernetes_namespace", message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const PROJECT: Uuid = Uuid::from_u128(7);

    fn read(changes: Value) -> Result<SyncArguments, ToolFailure> {
        let mut arguments = json!({
            "environment": "ai-staging",
            "github_secret_name": "API_KEY",
            "kubernetes_secret_name": "app",
        });
        for (name, value) in changes.as_object().unwrap() {
            arguments[name] = value.clone();
        }
        let arguments = arguments
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let environments = ["dev", "ai-staging", "prod"].map(str::to_owned);
        let namespaces = [
            ("ai-staging".to_owned(), "shop-ai-staging".to_owned()),
            ("prod".to_owned(), "shop-prod".to_owned()),
        ];
        let platform = ["codex-k8s".to_owned()];
        sync_arguments(
            &arguments,
            SyncSurroundings {
                allowed_environments: &environments,
                project_id: Some(ProjectId(PROJECT)),
                repository_full_name: "o/r",
                run_namespace: "run-1",
                project_namespaces: &namespaces,
                platform_namespaces: &platform,
            },
        )
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let sync = read(json!({})).unwrap().sync;
        assert_eq!(sync.github_ref(), "o/r@ai-staging#API_KEY");
        assert_eq!(sync.kubernetes_ref(), "run-1/app#value");
        assert_eq!(sync.policy, SecretPolicy::Deterministic);
        let sync = read(json!({"environment": " Production ", "github_scope": "repository"}));
        let sync = sync.unwrap().sync;
        assert_eq!(
            (sync.environment.as_str(), sync.github_ref().as_str()),
            ("prod", "o/r#API_KEY")
        );
    }

    #[test]
    fn bad_input_is_refused_under_the_name_of_its_field() {
        let long = "a".repeat(1 << 20);
        let cases = [
            (json!({"secret_value": "s3cret"}), "secret_value"),
            (
                json!({"secret_value": "s3cret", "policy": "provided"}),
                "secret_value",
            ),
            (json!({"surprise": 1}), "surprise"),
            (json!({"environment": null}), "environment"),
            (json!({"environment": 7}), "environment"),
            (json!({"environment": ["dev"]}), "environment"),
            (json!({"github_secret_name": null}), "github_secret_name"),
            (
                json!({"github_secret_name": "api_key"}),
                "github_secret_name",
            ),
            (json!({"github_secret_name": "1API"}), "github_secret_name"),
            (
                json!({"github_secret_name": "GITHUB_TOKEN"}),
                "github_secret_name",
            ),
            (
                json!({"github_secret_name": "A\u{0}B"}),
                "github_secret_name",
            ),
            (json!({"github_secret_name": "А"}), "github_secret_name"),
            (
                json!({"github_secret_name": "A".repeat(101)}),
                "github_secret_name",
            ),
            (json!({"github_secret_name": long}), "github_secret_name"),
            (json!({"github_secret_name": ""}), "github_secret_name"),
            (json!({"github_scope": "organization"}), "github_scope"),
            (json!({"github_scope": true}), "github_scope"),
            (
                json!({"kubernetes_secret_name": null}),
                "kubernetes_secret_name",
            ),
            (
                json!({"kubernetes_secret_name": "App"}),
                "kubernetes_secret_name",
            ),
            (
                json!({"kubernetes_secret_name": "a..b"}),
                "kubernetes_secret_name",
            ),
            (
                json!({"kubernetes_secret_name": "-a"}),
                "kubernetes_secret_name",
            ),
            (
                json!({"kubernetes_secret_name": "a/b"}),
                "kubernetes_secret_name",
            ),
            (
                json!({"kubernetes_secret_name": "a\nb"}),
                "kubernetes_secret_name",
            ),
            (
                json!({"kubernetes_secret_name": "a".repeat(254)}),
                "kubernetes_secret_name",
            ),
            (
                json!({"kubernetes_secret_key": ""}),
                "kubernetes_secret_key",
            ),
            (
                json!({"kubernetes_secret_key": ".."}),
                "kubernetes_secret_key",
            ),
            (
                json!({"kubernetes_secret_key": "..a"}),
                "kubernetes_secret_key",
            ),
            (
                json!({"kubernetes_secret_key": "a b"}),
                "kubernetes_secret_key",
            ),
            (
                json!({"kubernetes_secret_key": "a/b"}),
                "kubernetes_secret_key",
            ),
            (json!({"kubernetes_namespace": ""}), "kubernetes_namespace"),
            (
                json!({"kubernetes_namespace": "a.b"}),
                "kubernetes_namespace",
            ),
            (
                json!({"kubernetes_namespace": "a".repeat(64)}),
                "kubernetes_namespace",
            ),
            (json!({"policy": "secret"}), "policy"),
            (json!({"policy": {}}), "policy"),
            (json!({"project_id": 7}), "project_id"),
            (json!({"justification": "short"}), "justification"),
            (json!({"idempotency_key": "a b"}), "idempotency_key"),
            (json!({"dry_run": "yes"}), "dry_run"),
        ];
        for (changes, field) in cases {
            let failure = read(changes.clone()).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidArgument, "{field}");
            assert_eq!(failure.field.as_deref(), Some(field));
            assert!(failure.message.len() < 200, "{field}");
        }
    }

    #[test]
    fn what_is_not_the_runs_own_is_refused() {
        use FailureReason::{EnvironmentNotAllowed, IdentityMismatch, ProtectedTarget};
        let other = Uuid::from_u128(8).to_string();
        let cases = [
            (json!({"environment": "qa7"}), EnvironmentNotAllowed),
            (json!({"environment": ""}), EnvironmentNotAllowed),
            (json!({"project_id": other}), IdentityMismatch),
            (json!({"repository": "o/other"}), IdentityMismatch),
            (json!({"kubernetes_namespace": "run-2"}), ProtectedTarget),
            (
                json!({"kubernetes_namespace": "codex-k8s"}),
                ProtectedTarget,
            ),
            (
                json!({"kubernetes_namespace": "kube-system"}),
                ProtectedTarget,
            ),
            (
                json!({"kubernetes_namespace": "shop-prod"}),
                ProtectedTarget,
            ),
            (
                json!({"kubernetes_secret_name": "codex-run-credentials-0123456789ab"}),
                ProtectedTarget,
            ),
        ];
        for (changes, reason) in cases {
            let failure = read(changes.clone()).unwrap_err();
            assert_eq!(failure.reason, Some(reason), "{changes}");
            assert!(failure.field.is_some(), "{changes}");
        }
        let own = json!({
            "project_id": PROJECT.to_string(),
            "repository": "O/R",
            "kubernetes_namespace": "shop-ai-staging",
        });
        assert_eq!(read(own).unwrap().sync.namespace, "shop-ai-staging");
    }
}

//! services.yaml of a bound repository, read through GitHub's contents API at a commit or branch.
//!
//! Decisions read its `webhookRuntime` (L-7), deploy tasks the stack it lists. A repository without the file has
//! neither, which is a configuration like any other.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::snapshot::WebhookRuntime;
use domain::stages::{RuntimeMode, TriggerKind};
use serde::Deserialize;
use serde_yaml::Value;

use crate::github::{GithubClient, GithubError};

/// Why the file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ServicesYamlError {
    #[error("failed to read services.yaml: the answer is no base64 text")]
    Encoding,
    #[error("failed to read services.yaml: {0}")]
    Yaml(String),
    #[error("failed to read services.yaml: {field}: {value:?} is none of {allowed}")]
    Unknown {
        field: String,
        value: String,
        allowed: String,
    },
    #[error("failed to read services.yaml: {field}: {problem}")]
    Invalid { field: String, problem: String },
    #[error(transparent)]
    Github(#[from] GithubError),
}

/// The parsed file.
#[derive(Debug, Clone, PartialEq)]
pub struct ServicesYaml(Value);

#[derive(Deserialize)]
struct ContentObject {
    #[serde(default)]
    content: String,
}

/// Reads the file; none when the repository has no such path at `git_ref`.
pub async fn read(
    client: &GithubClient,
    repository: &str,
    path: &str,
    git_ref: &str,
) -> Result<Option<ServicesYaml>, ServicesYamlError> {
    let text = read_text(client, repository, path, git_ref).await?;
    text.as_deref().map(ServicesYaml::parse).transpose()
}

/// Text of any file of a repository; none when there is no such path at `git_ref`.
pub async fn read_text(
    client: &GithubClient,
    repository: &str,
    path: &str,
    git_ref: &str,
) -> Result<Option<String>, ServicesYamlError> {
    let route = format!(
        "/repos/{repository}/contents/{}?ref={}",
        escape(path),
        escape(git_ref)
    );
    match client.get::<ContentObject>(&route).await {
        Ok(content) => decode(&content.content).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn decode(content: &str) -> Result<String, ServicesYamlError> {
    let compact: String = content.split_whitespace().collect();
    let bytes = STANDARD
        .decode(compact)
        .map_err(|_| ServicesYamlError::Encoding)?;
    String::from_utf8(bytes).map_err(|_| ServicesYamlError::Encoding)
}

impl ServicesYaml {
    /// The file as it stands, for the stack that it lists.
    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ServicesYamlError> {
        serde_yaml::from_str(text)
            .map(Self)
            .map_err(|error| ServicesYamlError::Yaml(error.to_string()))
    }

    fn section(&self, name: &str) -> Option<&Value> {
        self.0.get("spec").and_then(|spec| spec.get(name))
    }

    /// Modes and lease times of its `webhookRuntime`.
    ///
    /// # Errors
    /// Names the field whose kind, mode, role or duration the platform does not know.
    pub fn webhook_runtime(&self) -> Result<WebhookRuntime, ServicesYamlError> {
        let Some(section) = self.section("webhookRuntime") else {
            return Ok(WebhookRuntime::default());
        };
        let mut runtime = WebhookRuntime {
            default_mode: section
                .get("defaultMode")
                .map(|value| mode("spec.webhookRuntime.defaultMode", value))
                .transpose()?,
            default_namespace_ttl: section
                .get("defaultNamespaceTTL")
                .map(|value| ttl("spec.webhookRuntime.defaultNamespaceTTL", value))
                .transpose()?,
            ..WebhookRuntime::default()
        };
        for (name, field, value) in entries(section, "triggerModes")? {
            let kind = TriggerKind::all_labelled()
                .find(|kind| kind.to_string() == name)
                .ok_or_else(|| unknown(&field, name, "the trigger kinds"))?;
            runtime.trigger_modes.insert(kind, mode(&field, value)?);
        }
        for (role, field, value) in entries(section, "namespaceTTLByRole")? {
            runtime
                .namespace_ttl_by_role
                .insert(role, ttl(&field, value)?);
        }
        Ok(runtime)
    }
}

/// Entries of a mapping in `webhookRuntime`: name, field path and value each.
fn entries<'a>(
    section: &'a Value,
    name: &str,
) -> Result<Vec<(String, String, &'a Value)>, ServicesYamlError> {
    let path = format!("spec.webhookRuntime.{name}");
    match section.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Mapping(mapping)) => Ok(mapping
            .iter()
            .map(|(key, value)| {
                let key = text(key);
                let field = format!("{path}.{key}");
                (key, field, value)
            })
            .collect()),
        Some(other) => Err(unknown(&path, text(other), "the mappings")),
    }
}

/// Seconds of a positive duration.
fn ttl(field: &str, value: &Value) -> Result<i64, ServicesYamlError> {
    let value = text(value);
    crate::config::parse_duration(&value)
        .and_then(|duration| i64::try_from(duration.as_secs()).ok())
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| unknown(field, value, "the positive durations, such as 90m or 24h"))
}

fn mode(field: &str, value: &Value) -> Result<RuntimeMode, ServicesYamlError> {
    let value = text(value);
    let allowed = format!("{}, {}", RuntimeMode::FullEnv, RuntimeMode::CodeOnly);
    RuntimeMode::from_text(&value).ok_or_else(|| unknown(field, value, &allowed))
}

fn unknown(field: &str, value: String, allowed: &str) -> ServicesYamlError {
    ServicesYamlError::Unknown {
        field: field.to_owned(),
        value,
        allowed: allowed.to_owned(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// Keeps slashes, which separate the parts of branch names and paths.
pub(crate) fn escape(path: &str) -> String {
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

    #[test]
    fn the_lines_of_githubs_base64_are_one_file() {
        let file = "spec:\n  services:\n    - name: api\n";
        let whole = STANDARD.encode(file);
        let (head, tail) = whole.split_at(whole.len() / 2);
        assert_eq!(decode(&format!("{head}\n{tail}\n")).unwrap(), file);
        assert!(matches!(decode("%"), Err(ServicesYamlError::Encoding)));
        assert!(matches!(
            ServicesYaml::parse("a: ["),
            Err(ServicesYamlError::Yaml(_))
        ));
    }

    #[test]
    fn modes_are_read_by_kind_and_by_default() {
        let read = |text: &str| {
            ServicesYaml::parse(text)
                .unwrap()
                .webhook_runtime()
                .map_err(|error| error.to_string())
        };
        let runtime = read(
            "spec:\n  webhookRuntime:\n    defaultMode: full-env\n    triggerModes:\n      plan: code-only\n      dev_revise: code-only\n",
        )
        .unwrap();
        assert_eq!(runtime.default_mode, Some(RuntimeMode::FullEnv));
        let modes: Vec<String> = runtime
            .trigger_modes
            .iter()
            .map(|(kind, mode)| format!("{kind} {mode}"))
            .collect();
        assert_eq!(modes.len(), 2, "{modes:?}");
        assert!(modes.contains(&"plan code-only".to_owned()), "{modes:?}");
        assert!(
            modes.contains(&"dev_revise code-only".to_owned()),
            "{modes:?}"
        );
        assert_eq!(read("spec: {}\n"), Ok(WebhookRuntime::default()));
        assert_eq!(
            read("spec:\n  webhookRuntime:\n    triggerModes:\n      plan: fast\n"),
            Err("failed to read services.yaml: spec.webhookRuntime.triggerModes.plan: \"fast\" is none of full-env, code-only".to_owned())
        );
        assert_eq!(
            read("spec:\n  webhookRuntime:\n    triggerModes:\n      party: full-env\n"),
            Err("failed to read services.yaml: spec.webhookRuntime.triggerModes.party: \"party\" is none of the trigger kinds".to_owned())
        );
        assert!(
            read("spec:\n  webhookRuntime:\n    triggerModes: [plan]\n")
                .is_err_and(|error| error.contains("spec.webhookRuntime.triggerModes: "))
        );
    }

    #[test]
    fn lease_times_are_positive_durations_by_role_and_by_default() {
        let read = |text: &str| {
            ServicesYaml::parse(&format!("spec:\n  webhookRuntime:\n{text}"))
                .unwrap()
                .webhook_runtime()
                .map_err(|error| error.to_string())
        };
        let runtime = read(
            "    defaultNamespaceTTL: 90m\n    namespaceTTLByRole:\n      dev: 2h\n      writer: 30s\n",
        )
        .unwrap();
        assert_eq!(runtime.default_namespace_ttl, Some(5_400));
        let by_role: Vec<_> = runtime.namespace_ttl_by_role.into_iter().collect();
        assert_eq!(
            by_role,
            [("dev".to_owned(), 7_200), ("writer".to_owned(), 30)]
        );
        for wrong in ["0h", "-2h", "soon", "500ms"] {
            assert_eq!(
                read(&format!("    namespaceTTLByRole:\n      dev: {wrong}\n")),
                Err(format!(
                    "failed to read services.yaml: spec.webhookRuntime.namespaceTTLByRole.dev: {wrong:?} is none of the positive durations, such as 90m or 24h"
                ))
            );
        }
    }

    #[test]
    fn branch_names_keep_their_slashes() {
        assert_eq!(escape("codex/issue 7"), "codex/issue%207");
    }
}

//! The Kubernetes Secret that carries a run's credentials into its pod (G-12, G-119).
//!
//! Written by the control-plane alone (G-113). It is always created new: a relaunch must not
//! inherit the owner reference of the Job it replaces, or garbage collection would take it along.
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

const FIELD_MANAGER: &str = "codex-k8s-control-plane";
const HTTP_NOT_FOUND: u16 = 404;
const HTTP_CONFLICT: u16 = 409;
/// As many characters of a run id as every derived name carries.
const SHORT_ID_CHARACTERS: usize = 12;

/// The keys of the Secret; the pod reads each by `secretKeyRef`.
pub const CREDENTIAL_KEYS: [&str; 4] = [
    "CODEXK8S_OPENAI_API_KEY",
    "CODEXK8S_CONTEXT7_API_KEY",
    "CODEXK8S_GIT_BOT_TOKEN",
    "CODEXK8S_MCP_BEARER_TOKEN",
];

/// Why the credentials could not be handed to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum RunSecretError {
    #[error("failed to write the credentials secret {name} in {namespace}")]
    Write {
        namespace: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("failed to set the owner of the credentials secret {name} in {namespace}")]
    Owner {
        namespace: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("failed to set the owner of the credentials secret {name}: it does not exist")]
    Missing { name: String },
}

/// The values, in the order of [`CREDENTIAL_KEYS`]; an absent one is written empty, so that the
/// pod's references always resolve.
pub struct RunCredentials {
    pub openai_api_key: Option<SecretString>,
    pub context7_api_key: Option<SecretString>,
    pub git_bot_token: Option<SecretString>,
    pub run_token: SecretString,
}

/// The Job or Pod whose end takes the Secret along.
#[derive(Debug, Clone)]
pub struct SecretOwner {
    pub api_version: &'static str,
    pub kind: String,
    pub name: String,
    pub uid: String,
}

/// `codex-run-credentials-<first 12 of run id>`.
pub fn run_secret_name(prefix: &str, run_id: Uuid) -> String {
    let simple = run_id.simple().to_string();
    format!("{prefix}-{}", &simple[..SHORT_ID_CHARACTERS])
}

/// Writes the Secret; an existing one of the name is replaced.
pub async fn apply_run_secret(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    labels: BTreeMap<String, String>,
    credentials: &RunCredentials,
) -> Result<(), RunSecretError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let text = |value: &Option<SecretString>| {
        value
            .as_ref()
            .map(|secret| secret.expose_secret().to_owned())
            .unwrap_or_default()
    };
    let values = [
        text(&credentials.openai_api_key),
        text(&credentials.context7_api_key),
        text(&credentials.git_bot_token),
        credentials.run_token.expose_secret().to_owned(),
    ];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        string_data: Some(
            CREDENTIAL_KEYS
                .into_iter()
                .map(str::to_owned)
                .zip(values)
                .collect(),
        ),
        ..Secret::default()
    };
    let write_error = |source: kube::Error| RunSecretError::Write {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    };
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match secrets.create(&parameters, &secret).await {
        Ok(_) => return Ok(()),
        Err(error) if has_status(&error, HTTP_CONFLICT) => {}
        Err(error) => return Err(write_error(error)),
    }
    match secrets.delete(name, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(error) if has_status(&error, HTTP_NOT_FOUND) => {}
        Err(error) => return Err(write_error(error)),
    }
    secrets
        .create(&parameters, &secret)
        .await
        .map(|_| ())
        .map_err(write_error)
}

/// Binds the Secret's life to its Job or Pod, once that exists (G-12).
pub async fn set_secret_owner(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    owner: &SecretOwner,
) -> Result<(), RunSecretError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let reference = OwnerReference {
        api_version: owner.api_version.to_owned(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(false),
        block_owner_deletion: Some(false),
    };
    let patch = json!({ "metadata": { "ownerReferences": [reference] } });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match secrets
        .patch_metadata(name, &parameters, &Patch::Merge(&patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if has_status(&error, HTTP_NOT_FOUND) => Err(RunSecretError::Missing {
            name: name.to_owned(),
        }),
        Err(source) => Err(RunSecretError::Owner {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            source: Box::new(source),
        }),
    }
}

fn has_status(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_carries_the_first_twelve_characters_of_the_run_id() {
        let run_id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(
            run_secret_name("codex-run-credentials", run_id),
            "codex-run-credentials-0123456789ab"
        );
    }
}

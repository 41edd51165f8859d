//! Probes of the API server and its controllers; each has a positive control beside the refusal.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, Pod, ResourceQuota, Secret, ServiceAccount,
};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::json;

use super::report::Seen;
use crate::embedded::EmbeddedTarget;

/// Between two looks at something that offers no watch.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Text of an error, for a reason.
pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(super) fn object<K: serde::de::DeserializeOwned>(
    value: serde_json::Value,
) -> Result<K, String> {
    serde_json::from_value(value).map_err(text)
}

/// Makes a namespace and waits for its service account, before which Pods are refused.
pub(super) async fn namespace(client: &Client, name: &str) -> Result<(), String> {
    let namespace: Namespace =
        object(json!({"metadata": {"name": name, "labels": {"gonogo.dev/probe": name}}}))?;
    Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .map_err(text)?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    await_condition(accounts, "default", |account: Option<&ServiceAccount>| {
        account.is_some()
    })
    .await
    .map_err(text)?;
    Ok(())
}

/// Asks for the namespace's end without waiting for it.
pub(super) async fn remove(client: &Client, name: &str) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if let Err(error) = namespaces.delete(name, &DeleteParams::default()).await {
        tracing::warn!(namespace = name, %error, "failed to delete a namespace of the probe");
    }
}

pub(super) async fn namespace_disappears(client: &Client) -> Seen {
    const NAME: &str = "gonogo-probe-namespace";
    namespace(client, NAME).await?;
    create_config_map(client, NAME, "content", false)
        .await
        .map_err(text)?;
    remove(client, NAME).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    await_condition(namespaces, NAME, |namespace: Option<&Namespace>| {
        namespace.is_none()
    })
    .await
    .map_err(text)?;
    Ok("the namespace and its content are gone".to_owned())
}

pub(super) async fn rbac_denies(target: &EmbeddedTarget) -> Seen {
    let secrets = |client: Client| Api::<Secret>::namespaced(client, "kube-system");
    secrets(target.kube.clone())
        .list(&ListParams::default())
        .await
        .map_err(text)?;
    let stranger = target
        .client_of("gonogo-probe", "strangers")
        .await
        .map_err(|error| error.with_causes())?;
    match secrets(stranger).list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Ok("403 for the user without rights".to_owned())
        }
        Err(error) => Err(text(error)),
        Ok(_) => Err("the user without rights read Secrets".to_owned()),
    }
}

pub(super) async fn quota_bites(client: &Client) -> Seen {
    const NAME: &str = "gonogo-probe-quota";
    namespace(client, NAME).await?;
    let quota: ResourceQuota =
        object(json!({"metadata": {"name": "one"}, "spec": {"hard": {"pods": "1"}}}))?;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), NAME);
    quotas
        .create(&PostParams::default(), &quota)
        .await
        .map_err(text)?;
    let counted = |quota: Option<&ResourceQuota>| {
        quota
            .and_then(|quota| quota.status.as_ref())
            .is_some_and(|status| status.used.is_some())
    };
    await_condition(quotas, "one", counted)
        .await
        .map_err(text)?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAME);
    // No node has this label: the Pods need only exist.
    let pod = |name: &str| {
        object::<Pod>(json!({"metadata": {"name": name}, "spec": {
            "nodeSelector": {"gonogo.dev/none": "true"}, "containers": [{"name": "none", "image": "none"}],
        }}))
    };
    pods.create(&PostParams::default(), &pod("first")?)
        .await
        .map_err(text)?;
    let second = pods.create(&PostParams::default(), &pod("second")?).await;
    remove(client, NAME).await;
    match second {
        Err(kube::Error::Api(status)) if status.message.contains("exceeded quota") => {
            Ok("the second Pod was refused".to_owned())
        }
        Err(error) => Err(text(error)),
        Ok(_) => Err("a second Pod was accepted under a quota of one".to_owned()),
    }
}

pub(super) async fn policy_refuses(client: &Client) -> Seen {
    const NAME: &str = "gonogo-probe-policy";
    namespace(client, NAME).await?;
    let policy: ValidatingAdmissionPolicy = object(json!({"metadata": {"name": NAME}, "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]},
        ]},
        "validations": [{"expression": "object.metadata.name != 'refused'", "message": "refused by the probe"}],
    }}))?;
    let binding: ValidatingAdmissionPolicyBinding =
        object(json!({"metadata": {"name": NAME}, "spec": {
            "policyName": NAME, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"gonogo.dev/probe": NAME}}},
        }}))?;
    let (policies, bindings) = (Api::all(client.clone()), Api::all(client.clone()));
    policies
        .create(&PostParams::default(), &policy)
        .await
        .map_err(text)?;
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .map_err(text)?;
    // The API server takes a policy in some time after it was written; a dry run leaves nothing behind.
    let seen = loop {
        match create_config_map(client, NAME, "refused", true).await {
            Err(kube::Error::Api(status)) if status.message.contains("refused by the probe") => {
                break create_config_map(client, NAME, "accepted", true)
                    .await
                    .map(|()| "only the object the policy names was refused".to_owned())
                    .map_err(text);
            }
            Err(error) => break Err(text(error)),
            Ok(()) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    };
    let parameters = DeleteParams::default();
    let deleted = tokio::join!(
        policies.delete(NAME, &parameters),
        bindings.delete(NAME, &parameters)
    );
    remove(client, NAME).await;
    deleted.0.map_err(text)?;
    deleted.1.map_err(text)?;
    seen
}

async fn create_config_map(
    client: &Client,
    namespace: &str,
    name: &str,
    dry_run: bool,
) -> Result<(), kube::Error> {
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}}))
        .map_err(kube::Error::SerdeError)?;
    let parameters = PostParams {
        dry_run,
        ..PostParams::default()
    };
    Api::namespaced(client.clone(), namespace)
        .create(&parameters, &map)
        .await
        .map(|_| ())
}

/// Release of the Codex CLI, and where it is.
pub(super) async fn codex_version() -> Seen {
    let program = program_on_path("codex")?;
    let output = tokio::process::Command::new(&program)
        .arg("--version")
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .map_err(|error| format!("{program} could not be run: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout);
    match told.trim() {
        version if output.status.success() && !version.is_empty() => {
            Ok(format!("{version} at {program}"))
        }
        _ => Err(format!("{program} --version ended with {}", output.status)),
    }
}

/// Where a program is on PATH, or that it is not.
///
/// # Errors
/// With a sentence when it is not.
pub fn program_on_path(name: &str) -> Seen {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .map(|program| program.display().to_string())
        .ok_or_else(|| format!("{name} is not on PATH"))
}

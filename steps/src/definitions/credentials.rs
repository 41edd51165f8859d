//! Where the credentials of a run lie, and where they must not (R-43, G-12).

use anyhow::Context;
use cucumber::then;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, Secret},
};
use kube::{Api, ResourceExt as _, api::ListParams};
use reports::evidence::ObservationSource::Kubernetes;

use crate::{
    definitions::outcome::{await_event, current_run},
    names::credentials_secret,
    world::{GateWorld, Step, text},
};

/// Shorter values would be found by chance.
pub(super) const SHORTEST_SECRET: usize = 8;

/// Values in the Secrets of a namespace, by the names of Secret and key.
pub(super) async fn values_in(
    world: &GateWorld,
    namespace: &str,
) -> anyhow::Result<Vec<(String, String)>> {
    let secrets: Api<Secret> = Api::namespaced(world.gate.kube.clone(), namespace);
    let secrets = secrets
        .list(&ListParams::default())
        .await
        .context("failed to list the Secrets")?;
    let mut values = Vec::new();
    for secret in secrets.items {
        let name = secret.name_any();
        for (key, value) in secret.data.unwrap_or_default() {
            let value = String::from_utf8_lossy(&value.0).into_owned();
            values.push((format!("{name}/{key}"), value));
        }
    }
    Ok(values)
}

#[then(
    "no Secret of the namespace holds the platform's token for GitHub, though the bot's is there"
)]
async fn platform_token_is_elsewhere(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.agent.ready").await?;
    let run = current_run(world).await?;
    let namespace = text(&run, "namespace")?;
    let values = values_in(world, &namespace).await?;
    let holders = |wanted: &str| {
        let mut found: Vec<&str> = values
            .iter()
            .filter(|(_, value)| value.contains(wanted))
            .filter_map(|(name, _)| name.split_once('/').map(|(_, key)| key))
            .collect();
        found.sort_unstable();
        found.join(", ")
    };
    let (platform, bot) = (
        world.gate.github.platform_token(),
        world.gate.github.bot_token(),
    );
    world.equal(
        &["R-43", "G-12"],
        Kubernetes,
        &format!("keys in the Secrets of {namespace} with the platform's token; with the bot's"),
        "GET secrets",
        "; CODEXK8S_GIT_BOT_TOKEN",
        format!("{}; {}", holders(&platform), holders(&bot)),
    )?;
    Ok(())
}

#[then(
    "Job and Pod of the run hold no value of a Secret, though they name the keys of the run's own"
)]
async fn specs_hold_no_value(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.agent.ready").await?;
    let run = current_run(world).await?;
    let (id, namespace) = (text(&run, "id")?, text(&run, "namespace")?);
    let jobs: Api<Job> = Api::namespaced(world.gate.kube.clone(), &namespace);
    let job = jobs
        .get(&text(&run, "job_name")?)
        .await
        .context("failed to read the Job")?;
    let pods: Api<Pod> = Api::namespaced(world.gate.kube.clone(), &namespace);
    let of_run = ListParams::default().labels(&format!("codex-k8s.dev/run-id={id}"));
    let pods = pods
        .list(&of_run)
        .await
        .context("failed to read the Pods")?
        .items;
    let job = serde_json::to_string(&job).context("failed to write the Job as text")?;
    let pod = serde_json::to_string(&pods).context("failed to write the Pods as text")?;
    let mut secrets = values_in(world, &namespace).await?;
    secrets.extend(world.platform().secret_values());
    secrets.push((
        "the platform's token".to_owned(),
        world.gate.github.platform_token(),
    ));
    secrets.retain(|(_, value)| value.len() >= SHORTEST_SECRET);
    let leaked: Vec<String> = secrets
        .iter()
        .filter(|(_, value)| job.contains(value.as_str()) || pod.contains(value.as_str()))
        .map(|(name, _)| name.clone())
        .collect();
    let own = credentials_secret(&id);
    // The values that were looked for include those that the same Job names: else nothing would have been compared.
    let compared = secrets
        .iter()
        .filter(|(name, _)| name.starts_with(&own))
        .count();
    let named = |spec: &str| {
        ["CODEXK8S_GIT_BOT_TOKEN", "CODEXK8S_MCP_BEARER_TOKEN"]
            .iter()
            .all(|key| {
                spec.contains(&format!(
                    r#""secretKeyRef":{{"key":"{key}","name":"{own}"}}"#
                ))
            })
    };
    world.holds(
        &["R-43", "R-162", "G-12"],
        Kubernetes,
        &format!("values of Secrets in Job and Pod of run {id}"),
        "GET job, pods, secrets",
        "none, of at least 2 values of the run's own Secret; Job and Pod name their keys",
        format!(
            "{}, of {compared} values of the run's own Secret; the keys are named: {} in the Job, {} in the Pod",
            if leaked.is_empty() {
                "none".to_owned()
            } else {
                leaked.join(", ")
            },
            named(&job),
            named(&pod)
        ),
        leaked.is_empty() && compared >= 2 && named(&job) && named(&pod),
    )?;
    Ok(())
}

//! What somebody gets done in the cluster who has the token of an agent's account (governance 4.2).

use anyhow::Context;
use cucumber::then;
use k8s_openapi::api::{
    authorization::v1::SelfSubjectAccessReview,
    core::v1::{Pod, ResourceQuota},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use reports::evidence::ObservationSource::Kubernetes;
use serde_json::json;

use crate::{
    definitions::{
        fences::{QUOTA, answer, client_of, try_to_create},
        outcome::{await_event, current_run},
    },
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const ADMISSION: &str = "refused by admission";
/// More than the quota lets in, whatever is there already.
const MANY_PODS: usize = 24;
const FILLER: &str = "gonogo.dev/fills=quota";

async fn namespace_at_work(world: &mut GateWorld) -> anyhow::Result<String> {
    await_event(world, "run.agent.ready").await?;
    text(&current_run(world).await?, "namespace")
}

/// Asks whether the owner of the client may use a part of a Pod.
async fn may_use(client: &Client, namespace: &str, part: &str) -> anyhow::Result<String> {
    let review: SelfSubjectAccessReview = serde_json::from_value(json!({"spec": {
        "resourceAttributes": {
            "namespace": namespace, "verb": "create", "resource": "pods", "subresource": part,
        },
    }}))
    .context("failed to write a question about rights")?;
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let outcome = api.create(&PostParams::default(), &review).await;
    let status = outcome.context("failed to ask for rights")?.status;
    Ok(match status.is_some_and(|status| status.allowed) {
        true => "allowed".to_owned(),
        false => "forbidden".to_owned(),
    })
}

/// Tries one thing, without leaving anything behind; in a word, what the API server says to it.
async fn attempt(client: &Client, namespace: &str, deed: &str) -> anyhow::Result<String> {
    let plain = "holds nothing of the kind";
    let creates = async |kind: &str, what: &str| {
        let outcome = try_to_create(client, namespace, kind, what).await?;
        anyhow::Ok(match outcome {
            Err(kube::Error::Api(status))
                if status.code == 403 && status.message.contains("(R-39)") =>
            {
                ADMISSION.to_owned()
            }
            other => answer(other),
        })
    };
    match deed {
        "reads Pods" => {
            let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
            Ok(answer(pods.list(&ListParams::default().limit(1)).await))
        }
        "creates a Pod" => creates("Pod", plain).await,
        "creates a Job" => creates("Job", plain).await,
        "creates a Deployment" => creates("Deployment", plain).await,
        "mounts a Secret" => creates("Pod", "mounts a Secret").await,
        "runs a command in a Pod" => may_use(client, namespace, "exec").await,
        "attaches to a Pod" => may_use(client, namespace, "attach").await,
        "widens the quota" => {
            let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
            let parameters = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            let wider = Patch::Merge(json!({"spec": {"hard": {"pods": "99"}}}));
            Ok(answer(quotas.patch(QUOTA, &parameters, &wider).await))
        }
        other => anyhow::bail!("nobody knows how somebody {other}"),
    }
}

#[then(expr = "whoever has the token of the account {string} gets these answers")]
async fn gets_answers(
    world: &mut GateWorld,
    account: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let namespace = namespace_at_work(world).await?;
    let client = client_of(world, &namespace, &account).await?;
    let rows = step
        .table
        .as_ref()
        .context("the step has no table")?
        .rows
        .clone();
    let (mut expected, mut seen) = (Vec::new(), Vec::new());
    for row in rows {
        let [deed, wanted] = row.as_slice() else {
            return Err(anyhow::anyhow!("a row names a deed and its answer").into());
        };
        // The API server takes a policy in some time after it was written; all else is as it is at once.
        let got = match wanted == ADMISSION {
            true => until("the refusal", DECISION_DEADLINE, async || {
                let got = attempt(&client, &namespace, deed).await?;
                Ok(match got == ADMISSION {
                    true => Reading::Reached(got),
                    false => Reading::NotYet(got),
                })
            })
            .await
            .unwrap_or_else(|error| format!("{error:#}")),
            false => attempt(&client, &namespace, deed).await?,
        };
        expected.push(format!("{deed}: {wanted}"));
        seen.push(format!("{deed}: {got}"));
    }
    world.equal(
        &["G-109", "G-110", "G-111", "G-115"],
        Kubernetes,
        &format!("answers to {account} in {namespace}"),
        "by a token of the account: POST and PATCH as a dry run; SelfSubjectAccessReviews",
        expected.join("; "),
        seen.join("; "),
    )?;
    Ok(())
}

/// Pods that no node takes, so that nothing runs and each counts.
async fn fill(client: &Client, namespace: &str) -> anyhow::Result<(usize, String)> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let (label, value) = FILLER.split_once('=').context("a label has a value")?;
    for number in 0..MANY_PODS {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": format!("filler-{number}"), "labels": {label: value}},
            "spec": {
                "nodeSelector": {"gonogo.dev/node": "none"},
                "containers": [{"name": "work", "image": "shop:dev"}],
            },
        }))
        .context("failed to write a Pod")?;
        match pods.create(&PostParams::default(), &pod).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) => return Ok((number, status.message.clone())),
            Err(error) => return Err(error).context("failed to create a Pod"),
        }
    }
    Ok((MANY_PODS, "nothing".to_owned()))
}

#[then(expr = "{string} gets {int} Pods into the namespace, and the next exceeds the quota")]
async fn exceeds_quota(
    world: &mut GateWorld,
    account: String,
    most: usize,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let namespace = namespace_at_work(world).await?;
    let client = client_of(world, &namespace, &account).await?;
    let pods: Api<Pod> = Api::namespaced(world.gate.kube.clone(), &namespace);
    let before = pods
        .list(&ListParams::default())
        .await
        .context("failed to list the Pods")?
        .items
        .len();
    let filled = fill(&client, &namespace).await;
    // What waits in the namespace would keep it from being given back.
    pods.delete_collection(
        &DeleteParams::default(),
        &ListParams::default().labels(FILLER),
    )
    .await
    .context("failed to delete the Pods")?;
    let (added, said) = filled?;
    world.holds(
        &["G-117"],
        Kubernetes,
        &format!("Pods of {namespace} when one more was refused, and why"),
        "POST pods by a token of the account",
        format!("{most}: exceeded quota: {QUOTA}"),
        format!("{}: {said}", before + added),
        before > 0 && before + added == most && said.contains(&format!("exceeded quota: {QUOTA}")),
    )?;
    Ok(())
}

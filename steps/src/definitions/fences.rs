//! What fences an agent in: the objects of its namespace, the rights of its account, and what admission refuses it
//! (runtime 2.1).

use anyhow::Context;
use cucumber::{then, when};
use k8s_openapi::{
    api::{
        authentication::v1::TokenRequest,
        authorization::v1::SelfSubjectAccessReview,
        core::v1::{LimitRange, Node, Pod, ResourceQuota, Secret, ServiceAccount},
        networking::v1::NetworkPolicy,
        rbac::v1::{PolicyRule, Role, RoleBinding},
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use reports::evidence::ObservationSource::Kubernetes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    definitions::outcome::current_run,
    names::credentials_secret,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// Accounts that agents work under in a run namespace (G-109 to G-111).
const ACCOUNTS: [&str; 3] = ["codex-runner", "codex-runner-qa", "codex-runner-readonly"];
/// What bounds an agent, and what an agent may therefore only read.
const FENCES: [&str; 4] = [
    "limitranges",
    "networkpolicies",
    "resourcequotas",
    "serviceaccounts",
];
const POLICIES: [&str; 7] = [
    "codex-k8s-allow-egress-dns",
    "codex-k8s-allow-egress-k8s-api",
    "codex-k8s-allow-egress-to-platform-mcp",
    "codex-k8s-allow-egress-web",
    "codex-k8s-allow-ingress-from-platform-and-system",
    "codex-k8s-allow-same-namespace",
    "codex-k8s-default-deny-all",
];
const READ: [&str; 3] = ["get", "list", "watch"];
/// Every verb that RBAC knows of an object.
const VERBS: [&str; 8] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
];
pub(super) const QUOTA: &str = "codex-run-quota";
const LIMIT_RANGE: &str = "codex-run-limits";
/// What a token of an account must last for: the Kubernetes API gives none for less.
const TOKEN_SECONDS: u32 = 600;

fn names<K: Resource>(items: &[K]) -> String {
    let mut names: Vec<String> = items.iter().map(|item| item.name_any()).collect();
    names.sort();
    names.join(", ")
}

#[then(
    "the namespace holds the accounts, the quota and the policies of the rules, and no LimitRange"
)]
async fn holds_objects(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let namespace = text(&run, "namespace")?;
    let kube = world.gate.kube.clone();
    let own = ListParams::default().labels("codex-k8s.dev/managed-by=codex-k8s-worker");
    let all = ListParams::default();
    let (accounts, roles, bindings): (Api<ServiceAccount>, Api<Role>, Api<RoleBinding>) = (
        Api::namespaced(kube.clone(), &namespace),
        Api::namespaced(kube.clone(), &namespace),
        Api::namespaced(kube.clone(), &namespace),
    );
    let (accounts, roles, bindings) =
        tokio::try_join!(accounts.list(&own), roles.list(&all), bindings.list(&all))
            .context("failed to list accounts, Roles and bindings")?;
    let three = ACCOUNTS.join(", ");
    world.equal(
        &["R-37", "G-109"],
        Kubernetes,
        &format!("accounts; Roles; bindings of {namespace}"),
        "GET serviceaccounts, roles, rolebindings",
        format!("{three}; {three}; {three}"),
        format!(
            "{}; {}; {}",
            names(&accounts.items),
            names(&roles.items),
            names(&bindings.items)
        ),
    )?;
    let quotas: Api<ResourceQuota> = Api::namespaced(kube.clone(), &namespace);
    let limits: Api<LimitRange> = Api::namespaced(kube.clone(), &namespace);
    let policies: Api<NetworkPolicy> = Api::namespaced(kube, &namespace);
    let (quotas, limits, policies) =
        tokio::try_join!(quotas.list(&all), limits.list(&all), policies.list(&all))
            .context("failed to list what bounds the namespace")?;
    let pods: Vec<String> = quotas
        .items
        .iter()
        .map(|quota| {
            let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone());
            let hard: Vec<String> = hard
                .unwrap_or_default()
                .into_iter()
                .map(|(what, Quantity(much))| format!("{what} {much}"))
                .collect();
            format!("{}: {}", quota.name_any(), hard.join(", "))
        })
        .collect();
    world.equal(
        &["R-37"],
        Kubernetes,
        &format!("quotas; LimitRanges of {namespace}"),
        "GET resourcequotas, limitranges",
        format!("{QUOTA}: pods 20; none"),
        format!(
            "{}; {}",
            pods.join(", "),
            if limits.items.is_empty() {
                "none".to_owned()
            } else {
                names(&limits.items)
            }
        ),
    )?;
    world.equal(
        &["R-37"],
        Kubernetes,
        &format!("network policies of {namespace}"),
        "GET networkpolicies",
        POLICIES.join(", "),
        names(&policies.items),
    )?;
    Ok(())
}

#[then("no Role of the namespace may change what bounds it, though each may read it")]
async fn roles_leave_fences(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let namespace = text(&run, "namespace")?;
    let roles: Api<Role> = Api::namespaced(world.gate.kube.clone(), &namespace);
    let mut roles = roles
        .list(&ListParams::default())
        .await
        .context("failed to list the Roles")?
        .items;
    roles.sort_by_key(ResourceExt::name_any);
    let concerns = |rule: &&PolicyRule| {
        rule.resources
            .iter()
            .flatten()
            .any(|resource| FENCES.contains(&resource.as_str()))
    };
    // A star would stand for the fences as well as for all else.
    let star = |rule: &PolicyRule| {
        let anything = rule.resources.iter().flatten().any(|found| found == "*");
        anything
            && rule
                .api_groups
                .iter()
                .flatten()
                .any(|group| ["", "*", "networking.k8s.io"].contains(&group.as_str()))
    };
    let mut seen = Vec::new();
    for role in &roles {
        let rules = role.rules.clone().unwrap_or_default();
        let mut verbs: Vec<String> = rules
            .iter()
            .filter(concerns)
            .flat_map(|rule| rule.verbs.clone())
            .collect();
        verbs.sort();
        verbs.dedup();
        if rules.iter().any(star) {
            verbs.push("a star".to_owned());
        }
        seen.push(format!("{}: {}", role.name_any(), verbs.join(" ")));
    }
    let expected: Vec<String> = ACCOUNTS
        .iter()
        .map(|account| format!("{account}: {}", READ.join(" ")))
        .collect();
    world.equal(
        &["R-37", "G-109"],
        Kubernetes,
        &format!("verbs on {} in {namespace}", FENCES.join(", ")),
        "GET roles",
        expected.join("; "),
        seen.join("; "),
    )?;
    Ok(())
}

/// By the hand of somebody with the rights for it; the platform brings back what its rules ask for.
#[when("somebody widens the quota of the namespace, adds a LimitRange and removes a policy")]
async fn tampered(world: &mut GateWorld) -> Step {
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let namespace = text(&run, "namespace")?;
    let kube = world.gate.kube.clone();
    let quotas: Api<ResourceQuota> = Api::namespaced(kube.clone(), &namespace);
    quotas
        .patch(
            QUOTA,
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"hard": {"pods": "99"}}})),
        )
        .await
        .context("failed to widen the quota")?;
    let limit: LimitRange = serde_json::from_value(json!({
        "metadata": {"name": LIMIT_RANGE},
        "spec": {"limits": [{"type": "Container", "default": {"memory": "16Mi"}}]},
    }))
    .context("failed to write the LimitRange")?;
    let limits: Api<LimitRange> = Api::namespaced(kube.clone(), &namespace);
    limits
        .create(&PostParams::default(), &limit)
        .await
        .context("failed to create the LimitRange")?;
    let policies: Api<NetworkPolicy> = Api::namespaced(kube, &namespace);
    policies
        .delete("codex-k8s-default-deny-all", &Default::default())
        .await
        .context("failed to delete a policy")?;
    Ok(())
}

/// A client that is the account itself, by a token that the API server has given out for it.
pub(super) async fn client_of(
    world: &GateWorld,
    namespace: &str,
    account: &str,
) -> anyhow::Result<Client> {
    let accounts: Api<ServiceAccount> = Api::namespaced(world.gate.kube.clone(), namespace);
    let request: TokenRequest = serde_json::from_value(
        json!({"spec": {"audiences": [], "expirationSeconds": TOKEN_SECONDS}}),
    )
    .context("failed to write the request for a token")?;
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .with_context(|| format!("failed to get a token of {account}"))?;
    let token = answer.status.context("the answer holds no token")?.token;
    world.gate.platforms.client_by_token(&token)
}

/// What became of a request, in one word where it is one of two.
pub(super) fn answer<T>(outcome: Result<T, kube::Error>) -> String {
    match outcome {
        Ok(_) => "allowed".to_owned(),
        Err(kube::Error::Api(status)) if status.code == 403 => "forbidden".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[then(
    "no account of the namespace reads Secrets, Pods elsewhere or Nodes, though each reads its own Pods"
)]
async fn accounts_are_bounded(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let (id, namespace) = (text(&run, "id")?, text(&run, "namespace")?);
    let elsewhere = world.platform().lane().platform_namespace.clone();
    let credentials = credentials_secret(&id);
    let one = ListParams::default().limit(1);
    for account in ACCOUNTS {
        let client = client_of(world, &namespace, account).await?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
        let everywhere: Api<Secret> = Api::all(client.clone());
        let own: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let foreign: Api<Pod> = Api::namespaced(client.clone(), &elsewhere);
        let nodes: Api<Node> = Api::all(client.clone());
        let seen = [
            answer(secrets.list(&one).await),
            answer(secrets.get(&credentials).await),
            answer(everywhere.list(&one).await),
            answer(foreign.list(&one).await),
            answer(nodes.list(&one).await),
            answer(own.list(&one).await),
        ];
        world.equal(
            &["R-38"],
            Kubernetes,
            &format!("what {account} of {namespace} gets"),
            "by a token of the account: GET secrets, the run's Secret, all secrets, pods of the platform, nodes; own pods",
            "forbidden, forbidden, forbidden, forbidden, forbidden; allowed",
            format!("{}; {}", seen[..5].join(", "), seen[5]),
        )?;
        let mut allowed = Vec::new();
        for verb in VERBS {
            for (place, resource) in [
                (namespace.as_str(), "secrets"),
                (elsewhere.as_str(), "secrets"),
                (elsewhere.as_str(), "pods"),
                ("", "nodes"),
                ("", "namespaces"),
                // The positive control.
                (namespace.as_str(), "pods"),
            ] {
                if may(&client, place, verb, resource).await? {
                    let whose = if place == namespace { "own" } else { "other" };
                    allowed.push(format!("{verb} {whose} {resource}"));
                }
            }
        }
        let mut expected: Vec<String> = match account {
            "codex-runner" => VERBS.to_vec(),
            _ => READ.to_vec(),
        }
        .into_iter()
        .map(|verb| format!("{verb} own pods"))
        .collect();
        expected.sort();
        allowed.sort();
        world.equal(
            &["R-38"],
            Kubernetes,
            &format!("what {account} of {namespace} may"),
            "SelfSubjectAccessReviews: 8 verbs on Secrets and Pods here and there, Nodes, namespaces",
            expected.join(", "),
            allowed.join(", "),
        )?;
    }
    Ok(())
}

async fn may(client: &Client, namespace: &str, verb: &str, resource: &str) -> anyhow::Result<bool> {
    let review: SelfSubjectAccessReview = serde_json::from_value(json!({"spec": {
        "resourceAttributes": {"namespace": namespace, "verb": verb, "resource": resource},
    }}))
    .context("failed to write a question about rights")?;
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api
        .create(&PostParams::default(), &review)
        .await
        .context("failed to ask for rights")?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// What the Pods of a workload hold, by the words of the feature.
fn pod_spec(what: &str) -> anyhow::Result<Value> {
    let mut container = json!({"name": "work", "image": "shop:dev"});
    let mut spec = json!({});
    match what {
        "holds nothing of the kind" => {
            spec["volumes"] = json!([
                {"name": "scratch", "emptyDir": {}},
                {"name": "settings", "configMap": {"name": "settings"}},
            ]);
            container["env"] = json!([{"name": "GREETING", "value": "hello"}]);
        }
        "mounts a Secret" => {
            spec["volumes"] = json!([{"name": "it", "secret": {"secretName": "any"}}]);
        }
        "mounts a Secret among other things" => {
            spec["volumes"] = json!([{"name": "it", "projected": {"sources": [
                {"configMap": {"name": "settings"}}, {"secret": {"name": "any"}},
            ]}}]);
        }
        "mounts the disk of the node" => {
            spec["volumes"] = json!([{"name": "it", "hostPath": {"path": "/"}}]);
        }
        "takes a value of a Secret into its environment" => {
            container["env"] = json!([{"name": "IT", "valueFrom": {
                "secretKeyRef": {"name": "any", "key": "value"},
            }}]);
        }
        "takes a whole Secret into its environment" => {
            container["envFrom"] = json!([{"secretRef": {"name": "any"}}]);
        }
        "takes it before it starts" => {
            spec["initContainers"] = json!([{
                "name": "before", "image": "shop:dev", "envFrom": [{"secretRef": {"name": "any"}}],
            }]);
        }
        "uses another account" => spec["serviceAccountName"] = json!("codex-runner-readonly"),
        other => anyhow::bail!("no Pod is known that {other}"),
    }
    spec["containers"] = json!([container]);
    Ok(spec)
}

/// Tries to create a workload without leaving anything behind; says what came of it.
pub(super) async fn try_to_create(
    client: &Client,
    namespace: &str,
    kind: &str,
    what: &str,
) -> anyhow::Result<Result<(), kube::Error>> {
    let pod = pod_spec(what)?;
    let labels = json!({"matchLabels": {"app": "tried"}});
    let template = json!({"metadata": {"labels": {"app": "tried"}}, "spec": pod});
    let once = |mut template: Value| {
        template["spec"]["restartPolicy"] = json!("Never");
        template
    };
    use k8s_openapi::api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        batch::v1::{CronJob, Job},
        core::v1::ReplicationController,
    };
    let spec = json!({"replicas": 1, "selector": labels, "template": template});
    Ok(match kind {
        "Pod" => dry_run::<Pod>(client, namespace, pod).await,
        "Deployment" => dry_run::<Deployment>(client, namespace, spec).await,
        "ReplicaSet" => dry_run::<ReplicaSet>(client, namespace, spec).await,
        "StatefulSet" => {
            let spec = json!({"serviceName": "tried", "selector": labels, "template": template});
            dry_run::<StatefulSet>(client, namespace, spec).await
        }
        "DaemonSet" => {
            let spec = json!({"selector": labels, "template": template});
            dry_run::<DaemonSet>(client, namespace, spec).await
        }
        "ReplicationController" => {
            let spec = json!({"selector": {"app": "tried"}, "template": template});
            dry_run::<ReplicationController>(client, namespace, spec).await
        }
        "Job" => dry_run::<Job>(client, namespace, json!({"template": once(template)})).await,
        "CronJob" => {
            let spec = json!({
                "schedule": "0 0 1 1 *",
                "jobTemplate": {"spec": {"template": once(template)}},
            });
            dry_run::<CronJob>(client, namespace, spec).await
        }
        other => anyhow::bail!("no workload is called {other}"),
    })
}

async fn dry_run<K>(client: &Client, namespace: &str, spec: Value) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + serde::Serialize,
{
    let object: K = serde_json::from_value(json!({"metadata": {"name": "tried"}, "spec": spec}))
        .map_err(kube::Error::SerdeError)?;
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    Api::namespaced(client.clone(), namespace)
        .create(&parameters, &object)
        .await
        .map(drop)
}

#[then(
    expr = "under the account {string} admission refuses each of these, though it takes their like without"
)]
async fn admission_refuses(
    world: &mut GateWorld,
    account: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let namespace = text(&run, "namespace")?;
    let client = client_of(world, &namespace, &account).await?;
    let rows = step
        .table
        .as_ref()
        .context("the step has no table")?
        .rows
        .clone();
    for row in rows {
        let [kind, what] = row.as_slice() else {
            return Err(anyhow::anyhow!("a row names a kind and what it does").into());
        };
        // The API server takes a policy in some time after it was written.
        let refused = until("the refusal", DECISION_DEADLINE, async || {
            let outcome = try_to_create(&client, &namespace, kind, what).await?;
            Ok(match outcome {
                Err(kube::Error::Api(status))
                    if status.code == 403 && status.message.contains("(R-39)") =>
                {
                    Reading::Reached("refused by the policy".to_owned())
                }
                other => Reading::NotYet(answer(other)),
            })
        })
        .await
        .unwrap_or_else(|error| format!("{error:#}"));
        let plain = try_to_create(&client, &namespace, kind, "holds nothing of the kind").await?;
        world.equal(
            &["R-39"],
            Kubernetes,
            &format!("a {kind} of {account} that {what}; one that does not"),
            "by a token of the account: POST, dry run",
            "refused by the policy; allowed",
            format!("{refused}; {}", answer(plain)),
        )?;
    }
    Ok(())
}

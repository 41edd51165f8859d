//! What the accounts of agents may do in the cluster, asked of the API server itself: every resource that it serves, with
//! every verb, in the run's namespace and elsewhere, beside the table of G-108 to G-114.

use std::collections::BTreeSet;

use anyhow::Context;
use cucumber::then;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    batch::v1::Job,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use reports::evidence::ObservationSource::Kubernetes;

use crate::{
    definitions::outcome::{await_event, current_run},
    world::{GateWorld, Step, text},
};

const READ: [&str; 3] = ["get", "list", "watch"];
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
/// Questions side by side; each is answered from the API server's memory.
const QUESTIONS: usize = 16;
/// Where no run of an agent has any business.
const ELSEWHERE: &str = "kube-system";

/// One resource, group before name: `apps/deployments`, `/pods/exec`.
type Resource = (String, String);
/// What is allowed: resource and verb.
type Rights = BTreeSet<(Resource, &'static str)>;

/// G-109: all verbs on these of the core group.
const WRITTEN: [&str; 12] = [
    "configmaps",
    "endpoints",
    "events",
    "persistentvolumeclaims",
    "pods",
    "pods/attach",
    "pods/exec",
    "pods/log",
    "pods/portforward",
    "replicationcontrollers",
    "services",
    "services/proxy",
];
/// G-109: all verbs on everything of these groups.
const WRITTEN_GROUPS: [&str; 4] = ["apps", "batch", "autoscaling", "policy"];
/// G-109: read beside them.
const READ_BESIDE: [(&str, &str); 4] = [
    ("", "resourcequotas"),
    ("", "limitranges"),
    ("", "serviceaccounts"),
    ("networking.k8s.io", "networkpolicies"),
];
/// G-110, but `pods/log`.
const READ_ONLY: [(&str, &str); 20] = [
    ("", "pods"),
    ("", "services"),
    ("", "endpoints"),
    ("", "configmaps"),
    ("", "persistentvolumeclaims"),
    ("", "resourcequotas"),
    ("", "limitranges"),
    ("", "serviceaccounts"),
    ("", "replicationcontrollers"),
    ("", "events"),
    ("events.k8s.io", "events"),
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "networkpolicies"),
];
/// Kubernetes itself lets everybody ask about himself.
const OF_EVERYBODY: [(&str, &str); 3] = [
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
];

/// Whether the table grants `verb` on a resource to an account.
fn grants(account: &str, group: &str, name: &str, verb: &str) -> anyhow::Result<bool> {
    let is_read = READ.contains(&verb);
    let read_only = || {
        (is_read && READ_ONLY.contains(&(group, name)))
            || (group.is_empty() && name == "pods/log" && verb == "get")
    };
    Ok(match account {
        "codex-runner" => {
            (group.is_empty() && WRITTEN.contains(&name))
                || WRITTEN_GROUPS.contains(&group)
                || (group == "networking.k8s.io" && name == "ingresses")
                || (is_read && READ_BESIDE.contains(&(group, name)))
        }
        "codex-runner-readonly" => read_only(),
        "codex-runner-qa" => {
            read_only()
                || (group == "batch" && name == "jobs" && ["create", "delete"].contains(&verb))
                || (group.is_empty() && name == "pods/exec" && verb == "create")
        }
        other => anyhow::bail!("the table has no account {other}"),
    })
}

/// Every resource and subresource that the API server serves.
async fn resources(client: &Client) -> anyhow::Result<Vec<Resource>> {
    let mut all = Vec::new();
    let core = client
        .list_core_api_resources("v1")
        .await
        .context("failed to list resources")?;
    all.extend(
        core.resources
            .into_iter()
            .map(|one| (String::new(), one.name)),
    );
    let groups = client
        .list_api_groups()
        .await
        .context("failed to list groups")?;
    for group in groups.groups {
        for version in &group.versions {
            let found = client
                .list_api_group_resources(&version.group_version)
                .await
                .with_context(|| {
                    format!("failed to list resources of {}", version.group_version)
                })?;
            let named = found.resources.into_iter();
            all.extend(named.map(|one| (group.name.clone(), one.name)));
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

struct Account {
    namespace: String,
    name: String,
}

impl Account {
    /// Asks the API server about every resource with every verb; an empty `place` is the cluster.
    async fn rights_in(
        &self,
        client: &Client,
        all: &[Resource],
        place: &str,
    ) -> anyhow::Result<Rights> {
        let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
        let questions = all
            .iter()
            .flat_map(|resource| VERBS.iter().map(move |verb| (resource, *verb)));
        let asked = futures::stream::iter(questions.map(|(resource, verb)| {
            let (reviews, review) = (reviews.clone(), self.review(resource, verb, place));
            async move {
                let answer = reviews
                    .create(&PostParams::default(), &review)
                    .await
                    .context("failed to ask what an account may do")?;
                let allowed = answer.status.is_some_and(|status| status.allowed);
                anyhow::Ok(allowed.then(|| (resource.clone(), verb)))
            }
        }));
        asked
            .buffer_unordered(QUESTIONS)
            .try_filter_map(|right| async move { Ok(right) })
            .try_collect()
            .await
    }

    fn review(&self, (group, name): &Resource, verb: &str, place: &str) -> SubjectAccessReview {
        let (resource, part) = match name.split_once('/') {
            Some((resource, part)) => (resource, Some(part)),
            None => (name.as_str(), None),
        };
        SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!(
                    "system:serviceaccount:{}:{}",
                    self.namespace, self.name
                )),
                groups: Some(vec![
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{}", self.namespace),
                    "system:authenticated".to_owned(),
                ]),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(group.clone()),
                    resource: Some(resource.to_owned()),
                    subresource: part.map(str::to_owned),
                    verb: Some(verb.to_owned()),
                    namespace: Some(place.to_owned()).filter(|place| !place.is_empty()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        }
    }
}

/// In words: what is allowed and not granted, and the other way round.
fn difference(allowed: &Rights, granted: &Rights) -> String {
    let words = |one: &Rights, other: &Rights| {
        let names: Vec<String> = one
            .difference(other)
            .map(|((group, name), verb)| format!("{verb} {group}/{name}"))
            .collect();
        names.join(", ")
    };
    format!(
        "beyond the table [{}], short of it [{}]",
        words(allowed, granted),
        words(granted, allowed)
    )
}

/// The account under which the run's Pod works.
async fn account(world: &mut GateWorld) -> anyhow::Result<Account> {
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let namespace = text(&run, "job_namespace")?;
    let jobs: Api<Job> = Api::namespaced(world.gate.kube.clone(), &namespace);
    let job = jobs
        .get(&text(&run, "job_name")?)
        .await
        .context("failed to read the Job of the run")?;
    let name = job
        .spec
        .and_then(|spec| spec.template.spec)
        .and_then(|spec| spec.service_account_name)
        .context("the Job names no account")?;
    Ok(Account { namespace, name })
}

#[then(expr = "the account of its agent is {string}, and may do exactly what the table grants it")]
async fn exact_rights(
    world: &mut GateWorld,
    expected: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let account = account(world).await?;
    world.equal(
        &["G-109", "G-111"],
        Kubernetes,
        "account of the run's Pod",
        "GET jobs: spec.template.spec.serviceAccountName",
        expected,
        account.name.clone(),
    )?;
    let client = world.gate.kube.clone();
    let all = resources(&client).await?;
    let of_everybody: Rights = OF_EVERYBODY
        .iter()
        .map(|(group, name)| (((*group).to_owned(), (*name).to_owned()), "create"))
        .collect();
    let mut granted = of_everybody.clone();
    for (group, name) in &all {
        for verb in VERBS {
            if grants(&account.name, group, name, verb)? {
                granted.insert(((group.clone(), name.clone()), verb));
            }
        }
    }
    let place = account.namespace.clone();
    for (place, what, granted) in [
        (place.as_str(), "its own namespace", &granted),
        (ELSEWHERE, "another namespace", &of_everybody),
        ("", "the cluster", &of_everybody),
    ] {
        let allowed = account.rights_in(&client, &all, place).await?;
        world.equal(
            &["G-109", "G-110", "G-111", "G-113", "G-114"],
            Kubernetes,
            &format!(
                "rights of {} in {what}, of {} questions",
                account.name,
                all.len() * VERBS.len()
            ),
            "POST subjectaccessreviews for every resource and verb that the API server serves",
            format!(
                "{} rights; beyond the table [], short of it []",
                granted.len()
            ),
            format!(
                "{} rights; {}",
                allowed.len(),
                difference(&allowed, granted)
            ),
        )?;
    }
    Ok(())
}

#[then("it has no verb on Secrets and no way to more rights, anywhere")]
async fn no_secrets(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let account = account(world).await?;
    let client = world.gate.kube.clone();
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let rbac = "rbac.authorization.k8s.io";
    let mut questions: Vec<(&str, &str, &str)> =
        VERBS.iter().map(|verb| ("", "secrets", *verb)).collect();
    questions.extend([
        ("", "serviceaccounts/token", "create"),
        ("", "serviceaccounts", "impersonate"),
        ("", "users", "impersonate"),
        ("", "groups", "impersonate"),
        (rbac, "roles", "escalate"),
        (rbac, "roles", "bind"),
        (rbac, "clusterroles", "escalate"),
        (rbac, "clusterroles", "bind"),
        (rbac, "rolebindings", "create"),
        (rbac, "clusterrolebindings", "create"),
    ]);
    let mut allowed = Vec::new();
    for place in [account.namespace.as_str(), ELSEWHERE, ""] {
        for (group, name, verb) in &questions {
            let resource = ((*group).to_owned(), (*name).to_owned());
            let review = account.review(&resource, verb, place);
            let answer = reviews
                .create(&PostParams::default(), &review)
                .await
                .context("failed to ask what an account may do")?;
            if answer.status.is_some_and(|status| status.allowed) {
                allowed.push(format!("{verb} {name} in {place:?}"));
            }
        }
    }
    // The positive control: the API server does say yes where it should.
    let pods: Resource = (String::new(), "pods".to_owned());
    let control = account.review(&pods, "get", &account.namespace);
    let control = reviews.create(&PostParams::default(), &control).await;
    let says_yes = control
        .context("failed to ask what an account may do")?
        .status
        .is_some_and(|status| status.allowed);
    // And the namespace does hold a Secret that it could have read.
    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::namespaced(client, &account.namespace);
    let held = secrets
        .list(&ListParams::default())
        .await
        .context("failed to list Secrets")?
        .items
        .len();
    world.holds(
        &["G-113", "G-114"],
        Kubernetes,
        &format!("of {} questions in three places what is allowed; whether it may get Pods; Secrets beside it", questions.len()),
        "POST subjectaccessreviews; GET secrets as an administrator",
        "nothing; true; at least one",
        format!("[{}]; {says_yes}; {held}", allowed.join(", ")),
        allowed.is_empty() && says_yes && held > 0,
    )?;
    Ok(())
}

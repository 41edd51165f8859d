//! Where credentials are and where they must not be, in any form in which they may have leaked (G-118 to G-126).

use std::collections::BTreeSet;

use anyhow::Context;
use cucumber::{given, then};
use fixtures::stories;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Event, Namespace, PersistentVolumeClaim, Pod, Secret, ServiceAccount},
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, LogParams},
};
use reports::canary::{CanarySearch, CanarySearcher, Sink};
use reports::evidence::ObservationSource::{Adapter, Kubernetes, Postgres};
use reports::evidence::SecretValue;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    definitions::{
        approvals::signal,
        credentials::{SHORTEST_SECRET, values_in},
        notifications,
        outcome::{await_end, await_event, current_run},
        setup::{bind, signal_file},
        surroundings::pod_of,
    },
    names::credentials_secret,
    world::{GateWorld, Step, text},
};

/// What stands in place of a credential (G-123).
const MASK: &str = "[REDACTED]";
const MESSAGE_TOKEN: &str = "token of the message";

/// What was found of these values in these texts, each with its name.
pub(super) fn search(values: &[(String, String)], texts: &[(String, String)]) -> CanarySearch {
    let secrets: Vec<SecretValue> = values
        .iter()
        .filter(|(_, value)| value.len() >= SHORTEST_SECRET)
        .map(|(name, value)| SecretValue::new(name, value))
        .collect();
    let planted = SecretValue::new("planted", uuid::Uuid::new_v4().to_string());
    let mut searcher = CanarySearcher::new(&secrets, &planted);
    for (name, text) in texts {
        let sink = |bytes| Sink {
            kind: "objects",
            name,
            bytes,
        };
        searcher.search(sink(text.as_bytes()));
    }
    searcher.finish()
}

/// The names of the values that were found.
pub(super) fn found(search: &CanarySearch) -> BTreeSet<String> {
    search.hits.iter().map(|hit| hit.canary.clone()).collect()
}

fn places(search: &CanarySearch) -> String {
    let places: BTreeSet<String> = search
        .hits
        .iter()
        .map(|hit| format!("{} in {} ({})", hit.canary, hit.name, hit.form))
        .collect();
    match places.len() {
        0 => "nothing".to_owned(),
        _ => places.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// All objects of a kind in a namespace, as text.
async fn objects<K>(world: &GateWorld, namespace: &str) -> anyhow::Result<(String, String)>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(world.gate.kube.clone(), namespace);
    let kind = K::plural(&()).into_owned();
    let listed = api
        .list(&ListParams::default())
        .await
        .with_context(|| format!("failed to list the {kind} of {namespace}"))?;
    let count = listed.items.len();
    let text = serde_json::to_string(&listed.items).context("failed to write objects as text")?;
    Ok((format!("{count} {kind}"), text))
}

/// What the run's own Secret holds, by its name and key.
async fn credentials_of(world: &GateWorld, run: &Value) -> anyhow::Result<Vec<(String, String)>> {
    let own = credentials_secret(&text(run, "id")?);
    Ok(values_in(world, &text(run, "namespace")?)
        .await?
        .into_iter()
        .filter(|(name, value)| name.starts_with(&own) && value.len() >= SHORTEST_SECRET)
        .collect())
}

#[then("nothing in the namespace but its own Secret holds a credential of the run, in any form")]
async fn only_its_secret(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.agent.ready").await?;
    let run = current_run(world).await?;
    let (id, namespace) = (text(&run, "id")?, text(&run, "namespace")?);
    let credentials = credentials_of(world, &run).await?;
    let name = namespace.as_str();
    let itself = Api::<Namespace>::all(world.gate.kube.clone())
        .get(name)
        .await
        .context("failed to read the namespace")?;
    let texts = [
        (
            "the namespace".to_owned(),
            serde_json::to_string(&itself).context("failed to write the namespace as text")?,
        ),
        objects::<Job>(world, name).await?,
        objects::<Pod>(world, name).await?,
        objects::<ConfigMap>(world, name).await?,
        objects::<Event>(world, name).await?,
        objects::<PersistentVolumeClaim>(world, name).await?,
        objects::<ServiceAccount>(world, name).await?,
    ];
    let secrets = [objects::<Secret>(world, name).await?];
    let leaked = search(&credentials, &texts);
    // The same search finds each of them where it belongs.
    let kept = found(&search(&credentials, &secrets));
    let looked_at: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
    let seen_job = !looked_at.contains(&"0 jobs") && !looked_at.contains(&"0 pods");
    world.holds(
        &["G-12", "G-119", "G-124"],
        Kubernetes,
        &format!("credentials of run {id} outside and inside of its own Secret"),
        "GET namespace, jobs, pods, configmaps, events, persistentvolumeclaims, serviceaccounts, secrets",
        "nothing, in a Job and a Pod among others; each of at least 2 in the Secret",
        format!(
            "{}, in {}; {} of {} in the Secret",
            places(&leaked),
            looked_at.join(", "),
            kept.len(),
            credentials.len()
        ),
        leaked.hits.is_empty() && seen_job && credentials.len() >= 2 && kept.len() == credentials.len(),
    )?;
    Ok(())
}

#[given("a bound repository whose agent prints its credentials, with an open Issue")]
async fn prints_credentials(world: &mut GateWorld) -> Step {
    let signal = signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    Ok(bind(world, stories::prints_credentials(&signal)).await?)
}

/// What is kept and told of a run, each with its name.
async fn told_of(world: &mut GateWorld, run: &Value) -> anyhow::Result<Vec<(String, String)>> {
    let id = text(run, "id")?;
    let mut told = Vec::new();
    for (name, query) in [
        (
            "log",
            "SELECT to_jsonb(c.text) FROM run_log_chunks c WHERE run_id = $1::text::uuid",
        ),
        (
            "session",
            "SELECT to_jsonb(s) FROM agent_sessions s WHERE run_id = $1::text::uuid",
        ),
        (
            "events",
            "SELECT to_jsonb(e) FROM flow_events e WHERE run_id = $1::text::uuid",
        ),
        (
            "run",
            "SELECT to_jsonb(r) FROM agent_runs r WHERE id = $1::text::uuid",
        ),
    ] {
        let rows = world.platform().database.rows(query, &[&id]).await?;
        let text: Vec<String> = rows.iter().map(Value::to_string).collect();
        told.push((name.to_owned(), text.join("\n")));
    }
    let place = world.place()?;
    let comments = place
        .member
        .comments(&place.repository, place.issue)
        .await?;
    told.push((
        "comments".to_owned(),
        serde_json::to_string(&comments).context("failed to write comments as text")?,
    ));
    let (pods, pod) = pod_of(world).await?;
    let log = pods
        .logs(&pod.name_any(), &LogParams::default())
        .await
        .context("failed to read the Pod's log")?;
    told.push(("log of the Pod".to_owned(), log));
    Ok(told)
}

#[then("the agent prints its credentials, and nobody reads more than that something was masked")]
async fn masked(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.agent.ready").await?;
    let run = current_run(world).await?;
    let credentials = credentials_of(world, &run).await?;
    signal(world).await?;
    let run = await_end(world).await?;
    let told = told_of(world, &run).await?;
    let leaked = search(&credentials, &told);
    let masks = |name: &str| {
        let text = told.iter().find(|(known, _)| known == name);
        let lines = text.map_or("", |(_, text)| text.as_str());
        lines
            .matches(stories::PRINTED)
            .count()
            .min(lines.matches(MASK).count())
    };
    // As it is, in base64 and in an address.
    let printed = credentials.len() * 3;
    world.holds(
        &["G-123", "G-124"],
        Kubernetes,
        "credentials in what is kept and told of the run; masks in the log that is stored and in that of the Pod",
        "run_log_chunks, agent_sessions, flow_events, agent_runs, comments of the Issue, GET pods/log",
        format!("nothing; {printed} each, of at least 2 credentials; succeeded"),
        format!(
            "{}; {} and {}, of {} credentials; {}",
            places(&leaked),
            masks("log"),
            masks("log of the Pod"),
            credentials.len(),
            run["status"].as_str().unwrap_or("-")
        ),
        leaked.hits.is_empty()
            && credentials.len() >= 2
            && masks("log") == printed
            && masks("log of the Pod") == printed
            && run["status"] == "succeeded",
    )?;
    Ok(())
}

/// Each table of the platform, as text.
pub(super) async fn dump(world: &mut GateWorld) -> anyhow::Result<Vec<(String, String)>> {
    let platform = world.platform();
    let database = &platform.database;
    let tables = database
        .rows(
            "SELECT to_jsonb(format('%I', tablename)) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
            &[],
        )
        .await?;
    let mut dumped = Vec::new();
    for table in tables.iter().filter_map(Value::as_str) {
        let rows = database
            .rows(&format!("SELECT to_jsonb(t) FROM {table} t"), &[])
            .await?;
        let text: Vec<String> = rows.iter().map(Value::to_string).collect();
        dumped.push((table.to_owned(), text.join("\n")));
    }
    Ok(dumped)
}

#[then("what the chat was given to call back with is in the database as hashes only")]
async fn hashes_only(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let message = notifications::message(world).await?;
    let endpoint = &message.envelope["callback_endpoint"];
    let handles: Vec<(String, String)> = endpoint["handles"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(|handle| {
            let label = handle["button_label"].as_str().unwrap_or("text");
            Some((
                format!("handle {label}"),
                handle["handle"].as_str()?.to_owned(),
            ))
        })
        .collect();
    let mut given = handles.clone();
    given.push((
        MESSAGE_TOKEN.to_owned(),
        endpoint["bearer_token"]
            .as_str()
            .context("the message has no token")?
            .to_owned(),
    ));
    given.push(("token of the chat".to_owned(), notifications::token(world)?));
    let tables = dump(world).await?;
    let plain = search(&given, &tables);
    let hash = |value: &str| hex::encode(Sha256::digest(value));
    let kept: Vec<&str> = given
        .iter()
        .filter(|(_, value)| {
            let hash = hash(value);
            tables.iter().any(|(_, rows)| rows.contains(&hash))
        })
        .map(|(name, _)| name.as_str())
        .collect();
    // The token of a message is signed: it is known again without being kept.
    let wanted: Vec<&str> = given
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| *name != MESSAGE_TOKEN)
        .collect();
    world.equal(
        &["G-121"],
        Adapter,
        "what the message of the chat gave it to call back with",
        "deliveries to the adapter",
        "2 handles, 2 tokens",
        format!(
            "{} handles, {} tokens",
            handles.len(),
            given.len() - handles.len()
        ),
    )?;
    world.equal(
        &["G-121", "G-124"],
        Postgres,
        "these values in any form, and SHA-256 of them, in all tables",
        "to_jsonb of every row of every table",
        format!("nothing; {}", wanted.join(", ")),
        format!("{}; {}", places(&plain), kept.join(", ")),
    )?;
    Ok(())
}

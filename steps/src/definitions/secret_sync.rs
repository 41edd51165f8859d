//! Secrets on GitHub and in the cluster (2.3): asked for by an agent, written by nobody but the platform.

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cucumber::{given, then, when};
use fixtures::stories;
use hmac::{Hmac, KeyInit as _, Mac as _};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    definitions::{
        agent_labels::call,
        approvals::{ASKING_RUN, asking_run, decide, decide_as, number, request, told},
        faults::announce,
        labels::set_label,
        outcome::{await_end, await_event, current_run},
        privileged,
        roles::person,
        setup::{a_running_run_with, agent_waits_for_signal, bind, finish_run, signal_file},
    },
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const TOOL: &str = "secret.sync.github_k8s";
const ENVIRONMENT: &str = "ai-staging";
const NAME: &str = "API_KEY";
const SECRET: &str = "app";
const KEY: &str = "value";
/// A value that is nowhere but where it belongs.
const TYPED: &str = "typed-by-the-owner-6f1c0d";
const SENT: &str = "sent-by-the-agent-93ab71";

fn arguments(policy: &str, key: Option<&str>) -> Value {
    let mut arguments = json!({
        "environment": ENVIRONMENT,
        "github_secret_name": NAME,
        "kubernetes_secret_name": SECRET,
        "policy": policy,
    });
    if let Some(key) = key {
        arguments["idempotency_key"] = json!(key);
    }
    arguments
}

async fn secrets(world: &mut GateWorld) -> anyhow::Result<Api<Secret>> {
    let run = current_run(world).await?;
    Ok(Api::namespaced(
        world.gate.kube.clone(),
        &text(&run, "namespace")?,
    ))
}

async fn in_cluster(world: &mut GateWorld, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let found = secrets(world).await?.get_opt(SECRET).await?;
    Ok(found
        .and_then(|secret| secret.data)
        .and_then(|mut data| data.remove(key))
        .map(|value| value.0))
}

fn on_github(world: &GateWorld, value: &[u8]) -> anyhow::Result<bool> {
    let place = world.place()?;
    let github = world.gate.github.handle();
    Ok(github.environment_secret_equals(&place.repository, ENVIRONMENT, NAME, value))
}

/// G-43 as this side reads it.
fn derived(world: &mut GateWorld) -> anyhow::Result<String> {
    let place = world.place()?;
    let key = world
        .platform()
        .lane()
        .secrets
        .secret_derivation_key
        .clone();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).context("a key of any length is taken")?;
    let parts = [
        "v1",
        &place.project_id,
        &place.repository,
        ENVIRONMENT,
        NAME,
        SECRET,
        KEY,
    ];
    mac.update(parts.join("\0").as_bytes());
    Ok(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A run that works, in a repository that has the environment.
async fn working(world: &mut GateWorld, label: &str) -> anyhow::Result<()> {
    agent_waits_for_signal(world).await?;
    let place = world.place()?;
    place
        .maintainer
        .make_environment(&place.repository, ENVIRONMENT)
        .await?;
    a_running_run_with(world, label).await?;
    asking_run(world).await?;
    Ok(())
}

#[given(expr = "a running {string} run in a repository with an environment")]
async fn running(world: &mut GateWorld, label: String) -> Step {
    Ok(working(world, &label).await?)
}

#[given(expr = "a run that waits for the approval of a {word} secret")]
async fn waiting(world: &mut GateWorld, policy: String) -> Step {
    working(world, "run:dev").await?;
    Ok(privileged::ask(world, TOOL, arguments(&policy, Some("secret"))).await?)
}

#[given("a run that revises and waits for the approval of a secret")]
async fn waiting_while_revising(world: &mut GateWorld) -> Step {
    let signal = signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    bind(world, stories::waits_on_revise(&signal)).await?;
    let place = world.place()?;
    place
        .maintainer
        .make_environment(&place.repository, ENVIRONMENT)
        .await?;
    finish_run(world, "run:dev").await?;
    a_running_run_with(world, "run:dev:revise").await?;
    asking_run(world).await?;
    Ok(privileged::ask(world, TOOL, arguments("deterministic", Some("secret"))).await?)
}

#[given("a run in a repository without environments that waits for the approval of a secret")]
async fn waiting_without_environment(world: &mut GateWorld) -> Step {
    announce(world, "effect", "GitHub knows no such environment");
    agent_waits_for_signal(world).await?;
    a_running_run_with(world, "run:dev").await?;
    asking_run(world).await?;
    Ok(privileged::ask(world, TOOL, arguments("deterministic", Some("secret"))).await?)
}

#[given("the Secret has another key already")]
async fn has_another_key(world: &mut GateWorld) -> Step {
    Ok(make_secret(world, json!({"stringData": {"other": "kept"}})).await?)
}

#[given("the Secret cannot be changed")]
async fn immutable(world: &mut GateWorld) -> Step {
    announce(world, "secret", "the Secret in the cluster is immutable");
    announce(world, "effect", "the Secret in the cluster is immutable");
    Ok(make_secret(
        world,
        json!({"immutable": true, "stringData": {"other": "kept"}}),
    )
    .await?)
}

async fn make_secret(world: &mut GateWorld, mut secret: Value) -> anyhow::Result<()> {
    secret["metadata"] = json!({"name": SECRET});
    let secret: Secret = serde_json::from_value(secret).context("a Secret")?;
    secrets(world)
        .await?
        .create(&PostParams::default(), &secret)
        .await
        .context("failed to make the Secret")?;
    Ok(())
}

#[given(expr = "GitHub fails twice to take the secret")]
async fn fails_twice(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "effect", "GitHub fails to take a secret");
    announce(world, "secret", "GitHub fails to take a secret");
    world
        .gate
        .github
        .fail_secret_writes(&place.repository, 502, 2);
    Ok(())
}

#[given("GitHub fails to take the secret")]
async fn fails_to_take(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "", "GitHub fails to take a secret");
    world
        .gate
        .github
        .fail_secret_writes(&place.repository, 502, u32::MAX);
    Ok(())
}

/// Requests of the run that asked whose row has a value, of all of them.
async fn keeping(world: &mut GateWorld) -> anyhow::Result<String> {
    let run = asking_run(world).await?;
    let rows = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(payload ? 'secret_value_encrypted') FROM mcp_action_requests
             WHERE run_id = $1::text::uuid",
            &[&run],
        )
        .await?;
    let kept = rows.iter().filter(|row| **row == true).count();
    Ok(format!("{kept} of {}", rows.len()))
}

#[then("the value is kept for the request, encrypted, while it is under way")]
async fn keeps_value(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let gate = world.gate.clone();
    let place = world.place()?;
    until("GitHub's refusal", DECISION_DEADLINE, async || {
        let writes = gate.github.secret_writes(&place.repository);
        Ok(match writes.is_empty() {
            true => Reading::NotYet("GitHub was not asked".to_owned()),
            false => Reading::Reached(()),
        })
    })
    .await?;
    let kept = keeping(world).await?;
    world.equal(
        &["G-120"],
        Postgres,
        "requests that keep a value",
        "mcp_action_requests.payload",
        "1 of 1",
        kept,
    )?;
    Ok(())
}

#[then("no request of the run keeps a value")]
async fn keeps_none(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let kept = keeping(world).await?;
    world.holds(
        &["G-120"],
        Postgres,
        "requests that keep a value",
        "mcp_action_requests.payload",
        "0 of some",
        &kept,
        kept.starts_with("0 of ") && kept != "0 of 0",
    )?;
    Ok(())
}

#[when(expr = "the agent asks for a {word} secret")]
async fn asks(world: &mut GateWorld, policy: String) -> Step {
    call(world, TOOL, arguments(&policy, Some("secret"))).await?;
    Ok(())
}

#[when(expr = "the agent asks for a {word} secret with another key")]
async fn asks_with_another_key(world: &mut GateWorld, policy: String) -> Step {
    call(world, TOOL, arguments(&policy, Some("another"))).await?;
    Ok(())
}

#[when("the agent asks for a secret without a key")]
async fn asks_without_key(world: &mut GateWorld) -> Step {
    call(world, TOOL, arguments("deterministic", None)).await?;
    Ok(())
}

#[when("the agent asks for another Secret with the same key")]
async fn asks_for_another(world: &mut GateWorld) -> Step {
    let mut arguments = arguments("deterministic", Some("secret"));
    arguments["kubernetes_secret_name"] = json!("other");
    call(world, TOOL, arguments).await?;
    Ok(())
}

#[when("the agent sends a value of its own")]
async fn sends_value(world: &mut GateWorld) -> Step {
    let mut arguments = arguments("provided", Some("secret"));
    arguments["secret_value"] = json!(SENT);
    call(world, TOOL, arguments).await?;
    Ok(())
}

#[when("the agent only tries to ask for a secret")]
async fn tries(world: &mut GateWorld) -> Step {
    let mut arguments = arguments("deterministic", Some("secret"));
    arguments["dry_run"] = json!(true);
    call(world, TOOL, arguments).await?;
    Ok(())
}

/// `what` is a field and its value.
#[when(expr = "the agent asks for a secret whose {word} is {string}")]
async fn asks_badly(world: &mut GateWorld, field: String, value: String) -> Step {
    let mut arguments = arguments("deterministic", Some("secret"));
    let platform = world.platform();
    let value = match value.as_str() {
        "that of the platform" => format!("codex-k8s-ai-staging-{}", platform.instance),
        "that of another project" => {
            let other = platform
                .staff
                .create_project("strangers", "Strangers")
                .await;
            other.unwrap_or_else(|_| uuid::Uuid::new_v4().to_string())
        }
        given => given.to_owned(),
    };
    arguments[field] = json!(value);
    call(world, TOOL, arguments).await?;
    Ok(())
}

#[when("the owner approves what was asked for")]
async fn approves(world: &mut GateWorld) -> Step {
    Ok(decide(world, None, json!({"decision": "approved"})).await?)
}

#[when(expr = "the owner approves what was asked for, and it is {word}")]
async fn approves_and_waits(world: &mut GateWorld, state: String) -> Step {
    decide(world, None, json!({"decision": "approved"})).await?;
    Ok(privileged::await_settled(world, &state).await?)
}

#[when(regex = r"^(a writer|an administrator) of the project approves what was asked for$")]
async fn member_approves(world: &mut GateWorld, who: String) -> Step {
    let who = match who.as_str() {
        "an administrator" => "an administrator of the project",
        other => other,
    };
    let project = world.place()?.project_id;
    let (staff, _) = person(world, who, &project).await?;
    Ok(decide_as(world, &staff, json!({"decision": "approved"})).await?)
}

#[when("the owner types a value and approves")]
async fn types(world: &mut GateWorld) -> Step {
    let body = json!({"decision": "approved", "provided_secret_value": TYPED});
    Ok(decide(world, None, body).await?)
}

#[when("another run of the repository asks for the secret, and the owner approves")]
async fn another_run(world: &mut GateWorld) -> Step {
    let mut place = world.place()?;
    place.issue = place
        .member
        .open_issue(&place.repository, "Greet the next visitor", "")
        .await?;
    world.set_place(place);
    world.leave_run();
    world.remembered.remove(ASKING_RUN);
    set_label(world, "run:dev").await?;
    await_event(world, "run.agent.ready").await?;
    asking_run(world).await?;
    privileged::ask(world, TOOL, arguments("deterministic", Some("secret"))).await?;
    decide(world, None, json!({"decision": "approved"})).await?;
    Ok(privileged::await_settled(world, "applied").await?)
}

#[when("the Secret is removed")]
async fn removed(world: &mut GateWorld) -> Step {
    secrets(world)
        .await?
        .delete(SECRET, &DeleteParams::default())
        .await
        .map_err(anyhow::Error::from)?;
    Ok(())
}

#[then(expr = "the run waits for an approval in mode {string}, and nothing is synced")]
async fn waits(world: &mut GateWorld, mode: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let request = request(world).await?;
    let said = |value: &Value, name: &str| value[name].as_str().unwrap_or("-").to_owned();
    world.equal(
        &["G-74", "G-68", "G-88"],
        Postgres,
        "the run and its reason; the request",
        "agent_runs; mcp_action_requests",
        format!("waiting_mcp approval_pending; requested {mode} secret_sync_env"),
        format!(
            "{} {}; {} {} {}",
            said(&run, "status"),
            said(&run, "wait_reason"),
            said(&request, "approval_state"),
            said(&request, "approval_mode"),
            said(&request, "action"),
        ),
    )?;
    untouched(world).await?;
    Ok(())
}

async fn untouched(world: &mut GateWorld) -> anyhow::Result<()> {
    let place = world.place()?;
    let writes = world.gate.github.secret_writes(&place.repository).len();
    world.equal(
        &["G-80"],
        Github,
        "writes of secrets",
        "journal of the stand-in: PUT secrets",
        0,
        writes,
    )?;
    let found = in_cluster(world, KEY).await?;
    world.equal(
        &["G-80", "G-48"],
        Kubernetes,
        "the key of the Secret",
        "GET secrets",
        "absent",
        if found.is_some() { "there" } else { "absent" },
    )?;
    Ok(())
}

#[then("nothing is synced")]
async fn not_synced(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(untouched(world).await?)
}

#[then("nobody is asked, and the run goes on working")]
async fn nobody_is_asked(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let platform = world.platform();
    let requests = platform
        .database
        .rows(
            "SELECT to_jsonb(id) FROM mcp_action_requests WHERE run_id = $1::text::uuid",
            &[&id],
        )
        .await?;
    let events = platform.database.events_of_run(&id).await?;
    let calls: Vec<&str> = events
        .iter()
        .filter(|event| event["payload"]["tool"] == TOOL)
        .filter_map(|event| event["event_type"].as_str())
        .collect();
    world.equal(
        &["G-31", "G-41", "G-25"],
        Postgres,
        "requests of the run; whether it told of one call and its end; the run",
        "mcp_action_requests, flow_events, agent_runs",
        "0; true; running",
        format!(
            "{}; {}; {}",
            requests.len(),
            calls.len() == 2 && calls[0] == "mcp.tool.called",
            run["status"].as_str().unwrap_or("-")
        ),
    )?;
    untouched(world).await?;
    Ok(())
}

async fn both_hold(world: &mut GateWorld, value: &[u8], rules: &[&str]) -> anyhow::Result<()> {
    let held = on_github(world, value)?;
    world.equal(
        rules,
        Github,
        "whether the secret of the environment, once opened, is the value",
        "secrets of the stand-in",
        true,
        held,
    )?;
    let found = in_cluster(world, KEY).await?;
    world.equal(
        rules,
        Kubernetes,
        "whether the key of the Secret is the value",
        "GET secrets",
        true,
        found.as_deref() == Some(value),
    )?;
    Ok(())
}

/// `writes` are the settings on GitHub so far that succeeded.
#[then(expr = "GitHub and the cluster hold the derived value, after {int} writes to GitHub")]
async fn hold_derived(world: &mut GateWorld, writes: usize, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let value = derived(world)?;
    both_hold(world, value.as_bytes(), &["G-43", "G-46"]).await?;
    Ok(written(world, writes)?)
}

fn written(world: &mut GateWorld, writes: usize) -> anyhow::Result<()> {
    let place = world.place()?;
    let platform = world.gate.github.platform_login();
    let seen = world.gate.github.secret_writes(&place.repository);
    let by_platform = seen
        .iter()
        .filter(|(actor, status)| *actor == platform && (200..300).contains(status))
        .count();
    let others = seen.iter().filter(|(actor, _)| *actor != platform).count();
    world.equal(
        &["G-46", "G-47", "G-27"],
        Github,
        "settings of the secret with the management token; with others",
        "journal of the stand-in: PUT secrets",
        format!("{writes}; 0"),
        format!("{by_platform}; {others}"),
    )
}

#[then("GitHub and the cluster hold one value, written once")]
async fn hold_one(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let value = in_cluster(world, KEY).await?.unwrap_or_default();
    world.equal(
        &["G-44"],
        Kubernetes,
        "characters of the value",
        "GET secrets",
        43,
        value.len(),
    )?;
    both_hold(world, &value, &["G-44"]).await?;
    Ok(written(world, 1)?)
}

#[then("GitHub and the cluster hold what the owner typed, and it is kept nowhere else")]
async fn hold_typed(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    both_hold(world, TYPED.as_bytes(), &["G-45"]).await?;
    Ok(nowhere(world, TYPED).await?)
}

#[then("what the agent sent is kept nowhere")]
async fn sent_nowhere(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(nowhere(world, SENT).await?)
}

/// Neither the requests, the events, the effects nor the logs have the value, or an encrypted one.
async fn nowhere(world: &mut GateWorld, value: &str) -> anyhow::Result<()> {
    let platform = world.platform();
    let run = asking_run(world).await?;
    let rows = platform
        .database
        .rows(
            "SELECT to_jsonb(q) FROM mcp_action_requests q WHERE run_id = $1::text::uuid
             UNION ALL SELECT to_jsonb(e) FROM flow_events e WHERE payload ->> 'run_id' = $1
             UNION ALL SELECT to_jsonb(o) FROM outbox_effects o WHERE run_id = $1::text::uuid
             UNION ALL SELECT to_jsonb(i) FROM mcp_idempotency i WHERE scope_run_id = $1::text::uuid",
            &[&run],
        )
        .await?;
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    let holding = |wanted: &str| rows.iter().filter(|row| row.contains(wanted)).count();
    let logs = platform.logs().await?;
    world.holds(
        &["G-45", "G-120", "G-124"],
        Postgres,
        "rows about the run; those with the value; those with an encrypted one; whether the logs have it",
        "mcp_action_requests, flow_events, outbox_effects, mcp_idempotency, logs",
        "some; 0; 0; false",
        format!(
            "{}; {}; {}; {}",
            rows.len(),
            holding(value),
            holding("secret_value_encrypted"),
            logs.contains(value)
        ),
        !rows.is_empty()
            && holding(value) == 0
            && holding("secret_value_encrypted") == 0
            && !logs.contains(value),
    )
}

#[then("the other key of the Secret is as it was")]
async fn other_key(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let other = in_cluster(world, "other").await?.unwrap_or_default();
    world.equal(
        &["G-46"],
        Kubernetes,
        "the other key",
        "GET secrets",
        "kept",
        String::from_utf8_lossy(&other).into_owned(),
    )?;
    Ok(())
}

#[then("the Secret was written once")]
async fn written_once(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let found = secrets(world).await?.get_opt(SECRET).await;
    let managed = found
        .context("failed to read the Secret")?
        .and_then(|secret| secret.metadata.managed_fields)
        .unwrap_or_default();
    let by_platform = managed
        .iter()
        .filter(|entry| {
            entry
                .manager
                .as_deref()
                .is_some_and(|manager| manager.starts_with("codex-k8s-secret-sync"))
        })
        .count();
    world.equal(
        &["G-46", "G-27"],
        Kubernetes,
        "field managers of the platform in the Secret",
        "GET secrets: managedFields",
        1,
        by_platform,
    )?;
    Ok(())
}

/// `events` are those of `secret.sync.*` with step and attempt.
#[then(expr = "the synchronisation is told as {string}")]
async fn told_as(world: &mut GateWorld, expected: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = number(&request(world).await?).to_string();
    let events = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(concat_ws(' ', substr(event_type, 13), payload ->> 'step', payload ->> 'attempt',
                 payload ->> 'error_code', payload ->> 'completed_steps', payload ->> 'failed_step'))
             FROM flow_events WHERE payload ->> 'request_id' = $1 AND event_type LIKE 'secret.sync.%' ORDER BY id",
            &[&id],
        )
        .await?;
    let seen: Vec<&str> = events.iter().filter_map(Value::as_str).collect();
    world.equal(
        &["G-46", "G-47", "G-48", "G-130"],
        Postgres,
        "events of the synchronisation",
        "flow_events: secret.sync.*",
        expected.replace('\'', "\""),
        seen.join(", "),
    )?;
    Ok(())
}

#[then(expr = "the request is still open, and told as {string}")]
async fn still_open(world: &mut GateWorld, expected: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let request = request(world).await?;
    let events = told(world, number(&request), "approval.%").await?;
    world.equal(
        &["G-45"],
        Postgres,
        "the request; its events",
        "mcp_action_requests, flow_events",
        format!("requested; {expected}"),
        format!(
            "{}; {events}",
            request["approval_state"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}

#[given(expr = "a bound repository whose agent asks for the tool {string}, with an open Issue")]
async fn agent_asks(world: &mut GateWorld, tool: String) -> Step {
    Ok(bind(world, stories::asks_secret(&tool)).await?)
}

#[given(expr = "a bound repository whose tester asks for the tool {string}, with an open Issue")]
async fn tester_asks(world: &mut GateWorld, tool: String) -> Step {
    Ok(bind(world, stories::tester_asks_secret(&tool)).await?)
}

#[then(expr = "an approval of {string} is asked for, and nothing is synced before it")]
async fn approval_asked(world: &mut GateWorld, tool: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let event = await_event(world, "approval.requested").await?;
    let request = request(world).await?;
    world.equal(
        &["L-113", "L-114", "G-18"],
        Postgres,
        "the tool of the request; the request",
        "flow_events: approval.requested; mcp_action_requests",
        format!("{tool}; requested"),
        format!(
            "{}; {}",
            event["payload"]["tool_name"].as_str().unwrap_or("-"),
            request["approval_state"].as_str().unwrap_or("-")
        ),
    )?;
    untouched(world).await?;
    Ok(())
}

#[then(expr = "the tool is absent from the list and its call is refused as {string}")]
async fn tool_absent(world: &mut GateWorld, refusal: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = await_end(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let of_type = |event_type: &str| {
        events
            .iter()
            .find(|event| event["event_type"] == event_type)
            .map(|event| event["payload"].clone())
            .unwrap_or_default()
    };
    let listed = of_type("mcp.policy.resolved")["tools"].to_string();
    let failed = events
        .iter()
        .find(|event| event["event_type"] == "mcp.tool.failed" && event["payload"]["tool"] == TOOL)
        .map(|event| event["payload"]["code"].clone())
        .unwrap_or_default();
    world.equal(
        &["L-113", "L-114", "G-19"],
        Postgres,
        "whether labels and this tool are in the list; the code of its refusal",
        "flow_events: mcp.policy.resolved, mcp.tool.failed",
        "true, false; forbidden",
        format!(
            "{}, {}; {}",
            listed.contains("github_labels_add"),
            listed.contains(TOOL),
            failed.as_str().unwrap_or("-")
        ),
    )?;
    let id = text(&run, "id")?;
    let logs = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(coalesce(string_agg(text, ' '), '')) FROM run_log_chunks WHERE run_id = $1::text::uuid",
            &[&id],
        )
        .await?;
    let log = logs.first().and_then(Value::as_str).unwrap_or_default();
    world.equal(
        &["G-19"],
        Postgres,
        "whether the agent was answered so",
        "run_log_chunks",
        true,
        log.contains(&refusal),
    )?;
    Ok(())
}

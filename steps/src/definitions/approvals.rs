//! Requests that need somebody's word, and the decisions about them (governance 3).

use anyhow::Context;
use cucumber::{given, then, when};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use reports::evidence::ObservationSource::{Github, Kubernetes, Orchestrator, Postgres};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    agent_tools::AgentTools,
    definitions::{
        agent_labels::{call, remembered},
        faults::announce,
        labels::await_labels_settled,
        outcome::{await_end, await_event, current_run, run_at_hand},
        requests::fence,
        setup::{a_running_run_with, agent_waits_for_signal},
    },
    place::is_labeled,
    staff::{HELPERS, Staff},
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

pub(super) const ASKING_RUN: &str = "run that asked";
const OWNER: &str = "owner of the platform";
const COPIED: &str = "repeated effects";

/// The newest request of the run that asked, or of those that go on from it.
pub(super) async fn request(world: &mut GateWorld) -> anyhow::Result<Value> {
    let run_id = asking_run(world).await?;
    let found = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(q) FROM mcp_action_requests q JOIN agent_runs r ON r.scope_run_id = q.scope_run_id
             WHERE r.id = $1::text::uuid ORDER BY q.id DESC",
            &[&run_id],
        )
        .await?;
    found
        .into_iter()
        .next()
        .context("the run asked for nothing")
}

/// The run that asked, whatever the scenario looks at since.
pub(super) async fn asking_run(world: &mut GateWorld) -> anyhow::Result<String> {
    if let Some(id) = world.remembered.get(ASKING_RUN) {
        return Ok(id.clone());
    }
    let id = text(&run_at_hand(world).await?, "id")?;
    world.remembered.insert(ASKING_RUN.to_owned(), id.clone());
    Ok(id)
}

pub(super) fn number(request: &Value) -> i64 {
    request["id"].as_i64().unwrap_or_default()
}

/// Decides the newest request as the owner, or as the person with this address.
pub(super) async fn decide(
    world: &mut GateWorld,
    email: Option<&str>,
    body: Value,
) -> anyhow::Result<()> {
    let staff = world.platform().staff.clone();
    let staff = match email {
        Some(email) => staff.as_person(email),
        None => staff,
    };
    decide_as(world, &staff, body).await
}

/// Decides the newest request as whoever is signed in there.
pub(super) async fn decide_as(
    world: &mut GateWorld,
    staff: &Staff,
    body: Value,
) -> anyhow::Result<()> {
    let id = number(&request(world).await?);
    let path = format!("/staff/approvals/{id}/decision");
    let (status, answer) = staff.call(Method::POST, &path, Some(body)).await?;
    world.answer = Some((status.as_u16(), answer));
    Ok(())
}

pub(super) fn summary(status: u16, answer: &Value) -> String {
    let said = answer["classification"]
        .as_str()
        .or(answer["code"].as_str());
    format!("{status} {}", said.unwrap_or("-"))
}

/// Events of a request, in order, as words.
pub(super) async fn told(
    world: &mut GateWorld,
    request: i64,
    like: &str,
) -> anyhow::Result<String> {
    let events = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(concat_ws(' ', event_type, actor_type, payload ->> 'reason')) FROM flow_events
             WHERE coalesce(payload ->> 'request_id', payload ->> 'approval_request_id') = $1 AND event_type LIKE $2
             ORDER BY id",
            &[&request.to_string(), like],
        )
        .await?;
    let words: Vec<&str> = events.iter().filter_map(Value::as_str).collect();
    Ok(words.join(", "))
}

async fn active_jobs(world: &mut GateWorld, run: &Value) -> anyhow::Result<String> {
    let jobs: Api<Job> = Api::namespaced(world.gate.kube.clone(), &text(run, "job_namespace")?);
    let job = jobs.get_opt(&text(run, "job_name")?).await?;
    Ok(match job {
        Some(job) => job
            .status
            .and_then(|status| status.active)
            .unwrap_or_default()
            .to_string(),
        None => "no Job".to_owned(),
    })
}

/// The Pod of the run lives.
pub(super) async fn observe_pod(
    world: &mut GateWorld,
    rules: &[&str],
    run: &Value,
) -> anyhow::Result<()> {
    let active = active_jobs(world, run).await?;
    world.equal(
        rules,
        Kubernetes,
        "active Pods of the Job of the run",
        "GET jobs: status.active",
        1,
        active,
    )
}

#[given(expr = "the member has taken {string} off the Issue")]
async fn takes_off(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    place
        .member
        .remove_label(&place.repository, place.issue, &label)
        .await?;
    Ok(())
}

/// Makes a run whose agent waits, with nothing on the Issue that a trigger label would contradict (G-36).
async fn working(world: &mut GateWorld, label: &str) -> anyhow::Result<()> {
    if world.place().is_err() {
        agent_waits_for_signal(world).await?;
    }
    a_running_run_with(world, label).await?;
    let place = world.place()?;
    place
        .member
        .remove_label(&place.repository, place.issue, label)
        .await?;
    asking_run(world).await?;
    Ok(())
}

async fn ask_for(world: &mut GateWorld, label: &str, key: Option<&str>) -> anyhow::Result<()> {
    let mut arguments = json!({"labels": [label]});
    if let Some(key) = key {
        arguments["idempotency_key"] = json!(key);
    }
    let answer = call(world, "github_labels_add", arguments).await?;
    anyhow::ensure!(
        answer.summary() == "approval_required",
        "the label was not asked for: {}",
        answer.body
    );
    Ok(())
}

#[given(expr = "a running {string} run whose agent has asked for {string}")]
async fn running_and_asked(world: &mut GateWorld, label: String, asked: String) -> Step {
    working(world, &label).await?;
    ask_for(world, &asked, Some("label")).await?;
    Ok(())
}

#[given(expr = "a running {string} run whose agent has asked for five labels")]
async fn asked_for_five(world: &mut GateWorld, label: String) -> Step {
    working(world, &label).await?;
    for asked in [
        "run:plan",
        "run:design",
        "run:arch",
        "run:release",
        "mode:discussion",
    ] {
        ask_for(world, asked, None).await?;
    }
    Ok(())
}

#[given(expr = "a finished {string} run whose agent has asked for {string}")]
async fn finished_and_asked(world: &mut GateWorld, label: String, asked: String) -> Step {
    working(world, &label).await?;
    ask_for(world, &asked, Some("label")).await?;
    signal(world).await?;
    let run = await_end(world).await?;
    if run["status"] != "succeeded" {
        return Err(anyhow::anyhow!("the run that asked did not succeed: {run}").into());
    }
    world.pull_request = run["pr_number"].as_u64();
    await_labels_settled(world, &run).await?;
    world.previous_run = Some(run);
    Ok(())
}

pub(super) async fn signal(world: &mut GateWorld) -> anyhow::Result<()> {
    let signal = world
        .remembered
        .get("signal")
        .cloned()
        .context("no agent waits")?;
    tokio::fs::write(&signal, "go")
        .await
        .context("failed to signal the agent")
}

/// By the hand of somebody who reaches the platform's own queue.
#[when("somebody repeats for it what carried out the request before")]
async fn repeats_effects(world: &mut GateWorld) -> Step {
    let newest = number(&request(world).await?).to_string();
    let run = asking_run(world).await?;
    let copied = world
        .platform()
        .database
        .rows(
            "INSERT INTO outbox_effects (idempotency_key, kind, run_id, project_id, payload)
             SELECT e.idempotency_key || ':' || $1, e.kind, e.run_id, e.project_id,
                    replace(e.payload::text, '\"request_id\": ' || q.id, '\"request_id\": ' || $1)::jsonb
             FROM mcp_action_requests q JOIN outbox_effects e ON e.payload::text LIKE '%\"request_id\": ' || q.id || '%'
             WHERE q.run_id = $2::text::uuid AND q.id::text <> $1 AND e.run_id = q.run_id
             RETURNING to_jsonb(id)",
            &[&newest, &run],
        )
        .await?;
    let ids: Vec<String> = copied.iter().map(Value::to_string).collect();
    world.remembered.insert(COPIED.to_owned(), ids.join(","));
    Ok(())
}

#[then(expr = "each repetition is refused as {string}, and the request is still {string}")]
async fn repetitions_refused(
    world: &mut GateWorld,
    reason: String,
    state: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let ids = world.remembered.get(COPIED).cloned().unwrap_or_default();
    let count = ids.split(',').filter(|id| !id.is_empty()).count();
    let run = asking_run(world).await?;
    let expected = format!("{count} done, {count} refused");
    let platform = world.platform();
    let seen = until("the end of the repetitions", RUN_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(concat(
                     (SELECT count(*) FROM outbox_effects WHERE id::text = ANY(string_to_array($1, ',')) AND done_at IS NOT NULL),
                     ' done, ',
                     (SELECT count(*) FROM flow_events WHERE run_id = $2::text::uuid AND event_type = 'mcp.tool.failed'
                      AND payload ->> 'reason' = $3), ' refused'))",
                &[&ids, &run, &reason],
            )
            .await?;
        let seen = found.first().and_then(Value::as_str).unwrap_or("-").to_owned();
        Ok(if seen == expected {
            Reading::Reached(seen)
        } else {
            Reading::NotYet(seen)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    let now = request(world).await?;
    let now = now["approval_state"].as_str().unwrap_or("-").to_owned();
    world.holds(
        &["G-80"],
        Postgres,
        "repeated effects that are done, and told of as refused; the request",
        "outbox_effects; flow_events mcp.tool.failed; mcp_action_requests",
        format!("{expected} of some; {state}"),
        format!("{seen}; {now}"),
        count > 0 && seen == expected && now == state,
    )?;
    Ok(())
}

#[when("the owner approves the label")]
#[when("the owner approves the label again")]
#[given("the owner has approved the label")]
async fn approves(world: &mut GateWorld) -> Step {
    Ok(decide(world, None, json!({"decision": "approved"})).await?)
}

#[when("the owner denies the label")]
async fn denies(world: &mut GateWorld) -> Step {
    let body = json!({"decision": "denied", "reason": "first the other one"});
    Ok(decide(world, None, body).await?)
}

#[when("the owner denies the label without a reason")]
async fn denies_without_reason(world: &mut GateWorld) -> Step {
    Ok(decide(world, None, json!({"decision": "denied"})).await?)
}

#[when("an administrator of the platform approves the label")]
async fn administrator_approves(world: &mut GateWorld) -> Step {
    let body = json!({"decision": "approved"});
    Ok(decide(world, Some(HELPERS[0]), body).await?)
}

#[when("the owner approves and an administrator denies the label at once")]
async fn at_once(world: &mut GateWorld) -> Step {
    let id = number(&request(world).await?);
    let path = format!("/staff/approvals/{id}/decision");
    let owner = world.platform().staff.clone();
    let administrator = owner.as_person(HELPERS[1]);
    let approves = json!({"decision": "approved"});
    let denies = json!({"decision": "denied", "reason": "not now"});
    let (first, second) = tokio::try_join!(
        owner.call(Method::POST, &path, Some(approves)),
        administrator.call(Method::POST, &path, Some(denies))
    )?;
    let said = |(status, answer): &(StatusCode, Value)| summary(status.as_u16(), answer);
    let mut both = [said(&first), said(&second)];
    both.sort();
    world.answer = Some((200, json!({"classification": both.join(", ")})));
    Ok(())
}

#[when(expr = "the agent asks for {string} with the same key")]
async fn asks_with_same_key(world: &mut GateWorld, label: String) -> Step {
    let arguments = json!({"labels": [label], "idempotency_key": "label"});
    call(world, "github_labels_add", arguments).await?;
    Ok(())
}

#[when(expr = "the agent asks for {string} with another key")]
async fn asks_with_other_key(world: &mut GateWorld, label: String) -> Step {
    let arguments = json!({"labels": [label], "idempotency_key": "another"});
    call(world, "github_labels_add", arguments).await?;
    Ok(())
}

#[when("the agent decides its own request with the token of its run")]
async fn decides_itself(world: &mut GateWorld) -> Step {
    let id = number(&request(world).await?);
    let tools = AgentTools::of_run(world).await?;
    let url = world.platform().lane().public_url.clone();
    let status = tools.decide(&url, id).await?;
    world.answer = Some((status, Value::Null));
    Ok(())
}

#[when("the bot decides the request with its token for GitHub")]
async fn bot_decides(world: &mut GateWorld) -> Step {
    let id = number(&request(world).await?);
    let url = format!(
        "{}/api/v1/staff/approvals/{id}/decision",
        world.platform().lane().public_url
    );
    let response = world
        .gate
        .http
        .post(url)
        .bearer_auth(world.gate.github.bot_token())
        .json(&json!({"decision": "approved"}))
        .send()
        .await
        .context("the staff API did not answer")?;
    world.answer = Some((response.status().as_u16(), Value::Null));
    Ok(())
}

#[given("GitHub keeps the platform waiting for labels")]
async fn holds_reads(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "effect", "GitHub holds back labels");
    world.gate.github.hold_label_reads(&place.repository);
    Ok(())
}

#[when("GitHub tells labels again")]
async fn releases_reads(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    world.gate.github.release(&place.repository);
    Ok(())
}

#[then("the tool answers that an approval is needed")]
async fn needs_approval(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let answer = remembered(world)?;
    world.equal(
        &["G-35"],
        Orchestrator,
        "answer of the tool",
        "tools/call",
        "approval_required",
        answer["summary"].as_str().unwrap_or_default(),
    )?;
    asking_run(world).await?;
    let request = request(world).await?;
    let events = told(world, number(&request), "%.requested").await?;
    world.equal(
        &["G-35", "G-70", "G-74"],
        Postgres,
        "the request and its events",
        "mcp_action_requests; flow_events by request",
        "requested, mode owner, detached: true; label.requested system, approval.requested system",
        format!(
            "{}, mode {}, detached: {}; {events}",
            request["approval_state"].as_str().unwrap_or("-"),
            request["approval_mode"].as_str().unwrap_or("-"),
            request["detached"]
        ),
    )?;
    Ok(())
}

#[then("the run goes on working")]
async fn goes_on_working(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    world.equal(
        &["G-35"],
        Postgres,
        "the run; whether its timer stands still",
        "agent_runs.status, timeout_paused",
        "running; false",
        format!(
            "{}; {}",
            run["status"].as_str().unwrap_or("-"),
            run["timeout_paused"]
        ),
    )?;
    observe_pod(world, &["G-35"], &run).await?;
    Ok(())
}

#[then(expr = "the tool answers with {string}")]
async fn tool_answers(
    world: &mut GateWorld,
    expected: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let answer = remembered(world)?;
    world.equal(
        &["G-27", "G-29", "G-57", "G-60"],
        Orchestrator,
        "answer of the tool",
        "tools/call",
        expected,
        answer["summary"].as_str().unwrap_or_default(),
    )?;
    Ok(())
}

#[then(expr = "the run has asked {int} times")]
async fn asked_times(world: &mut GateWorld, count: usize, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run_id = asking_run(world).await?;
    let events = world.platform().database.events_of_run(&run_id).await?;
    let requests: Vec<&Value> = events
        .iter()
        .filter(|event| event["event_type"] == "approval.requested")
        .collect();
    world.equal(
        &["G-27", "G-29", "G-30", "D-13"],
        Postgres,
        "requests of the run",
        "flow_events: approval.requested",
        count,
        requests.len(),
    )?;
    Ok(())
}

#[then(expr = "the decision is answered with {string}")]
async fn decision_answered(
    world: &mut GateWorld,
    expected: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (status, answer) = world.answer.clone().context("nothing was decided")?;
    world.equal(
        &["G-72", "G-76", "G-81", "G-82", "G-83"],
        Orchestrator,
        "answer to the decision",
        "POST /api/v1/staff/approvals/{id}/decision",
        expected,
        summary(status, &answer),
    )?;
    Ok(())
}

#[then("the answer names who decided, and the decision is on record as ignored")]
async fn names_decider(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (_, answer) = world.answer.clone().context("nothing was decided")?;
    let request = request(world).await?;
    world.holds(
        &["G-82"],
        Orchestrator,
        "decider in the answer",
        "POST /api/v1/staff/approvals/{id}/decision",
        &request["decided_by"],
        &answer["decided_by"],
        answer["decided_by"].is_string() && answer["decided_by"] == request["decided_by"],
    )?;
    let ignored = told(world, number(&request), "approval.decision.ignored").await?;
    world.equal(
        &["G-82"],
        Postgres,
        "ignored decisions of the request",
        "flow_events: approval.decision.ignored",
        "approval.decision.ignored human already_decided",
        ignored,
    )?;
    Ok(())
}

#[then(expr = "a decision is on record as ignored because {string}")]
async fn ignored_because(
    world: &mut GateWorld,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let id = number(&request(world).await?);
    let ignored = told(world, id, "approval.decision.ignored").await?;
    world.equal(
        &["G-72", "G-83"],
        Postgres,
        "ignored decisions of the request",
        "flow_events: approval.decision.ignored",
        format!("approval.decision.ignored human {reason}"),
        ignored,
    )?;
    Ok(())
}

/// `events` are those of `approval.*` but ignored decisions, without their prefix.
#[then(expr = "the request comes to be {string}, by {string}")]
async fn comes_to_be(
    world: &mut GateWorld,
    state: String,
    events: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let platform = world.platform();
    let id = number(&request(world).await?);
    let reached = until("the end of the request", RUN_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(approval_state) FROM mcp_action_requests WHERE id = $1::text::bigint",
                &[&id.to_string()],
            )
            .await?;
        let seen = found.first().and_then(Value::as_str).unwrap_or("-").to_owned();
        Ok(if seen == state {
            Reading::Reached(seen)
        } else {
            Reading::NotYet(seen)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    let told = told(world, id, "approval.%").await?;
    let told: Vec<&str> = told
        .split(", ")
        .filter(|event| !event.contains("ignored"))
        .map(|event| event.trim_start_matches("approval."))
        .collect();
    world.equal(
        &["G-74", "G-75", "G-76", "G-77", "G-78", "G-79", "G-81"],
        Postgres,
        "the request; its events",
        "mcp_action_requests.approval_state; flow_events by request",
        format!("{state}; {events}"),
        format!("{reached}; {}", told.join(", ")),
    )?;
    Ok(())
}

#[then(
    expr = "the bot's {string} is accepted once, and one run starts with the owner as its actor"
)]
async fn starts_as_owner(
    world: &mut GateWorld,
    label: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let gate = world.gate.clone();
    let platform = world.platform();
    let bot = gate.github.bot_login();
    let of_bot = || {
        gate.github
            .deliveries(&place.repository)
            .into_iter()
            .filter(|delivery| {
                is_labeled(delivery, "issues", &label)
                    && delivery.payload["issue"]["number"] == place.issue
                    && delivery.payload["sender"]["login"] == bot.as_str()
            })
            .collect::<Vec<_>>()
    };
    let guid = until(
        "the delivery of the bot's label",
        DECISION_DEADLINE,
        async || {
            Ok(match of_bot().into_iter().next() {
                Some(delivery) => Reading::Reached(delivery.guid),
                None => Reading::NotYet("none".to_owned()),
            })
        },
    )
    .await?;
    let run = until("the run of the label", DECISION_DEADLINE, async || {
        let run = platform.database.run_by_correlation(&guid).await?;
        Ok(match run {
            Some(run) => Reading::Reached(run),
            None => {
                let delivery = platform.database.delivery(&guid).await?.unwrap_or_default();
                Reading::NotYet(format!("{} {}", delivery["status"], delivery["reason"]))
            }
        })
    })
    .await?;
    fence(world).await?;
    world.equal(
        &["G-38"],
        Github,
        &format!("settings of {label} on the Issue by {bot}"),
        "journal of the stand-in: issues, labeled",
        1,
        of_bot().len(),
    )?;
    let runs = platform
        .database
        .runs_of_issue(&place.repository, place.issue)
        .await?;
    let labels: Vec<&str> = runs
        .iter()
        .filter_map(|run| run["trigger_label"].as_str())
        .collect();
    world.equal(
        &["G-38", "L-18"],
        Postgres,
        "runs of the Issue, oldest first",
        "agent_runs by repository and Issue",
        format!("run:dev, {label}"),
        labels.join(", "),
    )?;
    let request = request(world).await?;
    let events = platform.database.events(&guid).await?;
    let consumed: Vec<&Value> = events
        .iter()
        .filter(|event| event["event_type"] == "label.grant.consumed")
        .collect();
    let actor = consumed
        .first()
        .map(|event| {
            format!(
                "{} {}, request {}",
                event["actor_type"].as_str().unwrap_or("-"),
                event["actor_id"].as_str().unwrap_or("-"),
                event["payload"]["request_id"]
            )
        })
        .unwrap_or_default();
    world.equal(
        &["G-38", "L-18"],
        Postgres,
        "who the label counts as set by; how often",
        "flow_events: label.grant.consumed",
        format!(
            "human {}, request {}; 1",
            request["decided_by"].as_str().unwrap_or("-"),
            request["id"]
        ),
        format!("{actor}; {}", consumed.len()),
    )?;
    world.set_run(run);
    Ok(())
}

#[then("the request is in the list of what people decide, once, and not after it was decided")]
async fn listed(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = number(&request(world).await?);
    let count = listed_as_open(world, id).await?;
    decide(world, None, json!({"decision": "denied", "reason": "seen"})).await?;
    let after = listed_as_open(world, id).await?;
    world.equal(
        &["G-84"],
        Orchestrator,
        "the request in the list before and after its decision",
        "GET /api/v1/staff/approvals",
        "1 to be decided by the reader; 0",
        format!("{count} to be decided by the reader; {after}"),
    )?;
    Ok(())
}

async fn listed_as_open(world: &mut GateWorld, id: i64) -> anyhow::Result<usize> {
    let staff = world.platform().staff.clone();
    let path = "/staff/approvals?page_size=500";
    let (status, answer) = staff.call(Method::GET, path, None).await?;
    anyhow::ensure!(status == StatusCode::OK, "{status}: {answer}");
    Ok(answer["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| item["id"] == id && item["can_decide"] == true)
        .count())
}

#[then("the delivery of the bot's label is ignored, and the Issue has no further run")]
async fn bot_ignored(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let gate = world.gate.clone();
    let platform = world.platform();
    let bot = gate.github.bot_login();
    let guid = until(
        "the delivery of the bot's label",
        RUN_DEADLINE,
        async || {
            let found = gate
                .github
                .deliveries(&place.repository)
                .into_iter()
                .rfind(|delivery| {
                    is_labeled(delivery, "issues", "run:qa")
                        && delivery.payload["issue"]["number"] == place.issue
                        && delivery.payload["sender"]["login"] == bot.as_str()
                });
            let Some(delivery) = found else {
                return Ok(Reading::NotYet("none".to_owned()));
            };
            let stored = platform
                .database
                .delivery(&delivery.guid)
                .await?
                .unwrap_or_default();
            Ok(match stored["status"].as_str() {
                Some("accepted" | "ignored") => Reading::Reached(delivery.guid),
                other => Reading::NotYet(format!("{other:?}")),
            })
        },
    )
    .await?;
    let stored = platform.database.delivery(&guid).await?.unwrap_or_default();
    world.equal(
        &["G-38", "L-18"],
        Postgres,
        "outcome of the delivery",
        "webhook_deliveries",
        "ignored sender_type_bot_not_permitted",
        format!(
            "{} {}",
            stored["status"].as_str().unwrap_or("-"),
            stored["reason"].as_str().unwrap_or("-")
        ),
    )?;
    fence(world).await?;
    let labels: Vec<String> = platform
        .database
        .runs_of_issue(&place.repository, place.issue)
        .await?
        .iter()
        .filter_map(|run| run["trigger_label"].as_str().map(str::to_owned))
        .collect();
    world.equal(
        &["G-38"],
        Postgres,
        "runs of the Issue",
        "agent_runs by repository and Issue",
        world
            .remembered
            .get("runs so far")
            .cloned()
            .unwrap_or_else(|| "run:dev".to_owned()),
        labels.join(", "),
    )?;
    Ok(())
}

/// The grant is used up; its label is off again, and the run that it started is over.
#[given("the label has started a run that was cancelled, and is off again")]
async fn used_up(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let platform = world.platform();
    let run = until("the run of the label", RUN_DEADLINE, async || {
        let runs = platform
            .database
            .runs_of_issue(&place.repository, place.issue)
            .await?;
        Ok(match runs.into_iter().nth(1) {
            Some(run) => Reading::Reached(run),
            None => Reading::NotYet("none".to_owned()),
        })
    })
    .await?;
    platform.staff.cancel_if_open(&text(&run, "id")?).await?;
    // The platform takes labels off as well when a run is cancelled, so that one may go in between.
    until("labels that are off", DECISION_DEADLINE, async || {
        let carried = place.member.labels(&place.repository, place.issue).await?;
        let left = ["run:qa", "state:abandoned"]
            .into_iter()
            .find(|label| carried.iter().any(|name| name == label));
        let Some(label) = left else {
            return Ok(Reading::Reached(()));
        };
        let member = &place.member;
        member
            .remove_label(&place.repository, place.issue, label)
            .await?;
        Ok(Reading::NotYet(format!("{label} was on")))
    })
    .await?;
    world
        .remembered
        .insert("runs so far".to_owned(), "run:dev, run:qa".to_owned());
    Ok(())
}

#[given("GitHub fails whenever the bot sets a label")]
async fn fails_writes(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "effect", "GitHub fails to set labels");
    world
        .gate
        .github
        .fail_label_writes(&place.repository, 502, None);
    Ok(())
}

#[when("the label has failed once, 11 minutes pass and GitHub works again")]
async fn fails_too_long(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let gate = world.gate.clone();
    until("a failure of the label", DECISION_DEADLINE, async || {
        let failed = gate.github.failed_label_writes(&place.repository);
        Ok(if failed > 0 {
            Reading::Reached(())
        } else {
            Reading::NotYet("none".to_owned())
        })
    })
    .await?;
    world.platform().advance_clock(11 * 60).await?;
    world.gate.github.release(&place.repository);
    Ok(())
}

#[when(expr = "the run that asked is cancelled")]
async fn cancel_asking(world: &mut GateWorld) -> Step {
    let id = asking_run(world).await?;
    let (status, answer) = world.platform().staff.cancel(&id, false).await?;
    if !status.is_success() {
        return Err(anyhow::anyhow!("the cancel was answered {status}: {answer}").into());
    }
    Ok(())
}

#[then("the run is canceled, and the token of its agent is dead")]
async fn canceled(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.canceled").await?;
    let run = current_run(world).await?;
    world.equal(
        &["G-94", "R-28"],
        Postgres,
        "the run, and what it waits for",
        "agent_runs",
        "canceled canceled_by_staff, null",
        format!(
            "{} {}, {}",
            run["status"].as_str().unwrap_or("-"),
            run["finish_reason"].as_str().unwrap_or("-"),
            run["wait_target_ref"]
        ),
    )?;
    let gate = world.gate.clone();
    let (namespace, job) = (text(&run, "job_namespace")?, text(&run, "job_name")?);
    let jobs: Api<Job> = Api::namespaced(gate.kube.clone(), &namespace);
    let left = until("the end of the Job", RUN_DEADLINE, async || {
        Ok(match jobs.get_opt(&job).await? {
            None => Reading::Reached("gone".to_owned()),
            Some(found) if found.metadata.deletion_timestamp.is_some() => {
                Reading::Reached("gone".to_owned())
            }
            Some(_) => Reading::NotYet("there".to_owned()),
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    world.equal(
        &["G-94", "R-28"],
        Kubernetes,
        "the Job of the run",
        "GET jobs",
        "gone",
        left,
    )?;
    let token = world
        .remembered
        .get("token")
        .cloned()
        .context("the token of the agent was not kept")?;
    let url = world.platform().lane().mcp_url.clone();
    let answer = AgentTools::with_token(&url, &token)?
        .call("run_status_report", json!({"status": "still here"}))
        .await?;
    world.equal(
        &["G-9", "G-94"],
        Orchestrator,
        "answer to a call with the token of the run",
        "tools/call",
        401,
        answer.status,
    )?;
    Ok(())
}

#[then("exactly one decision of the request is on record, and the Issue is as it says")]
async fn one_decision(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let id = number(&request(world).await?);
    until("the end of the request", RUN_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(approval_state) FROM mcp_action_requests WHERE id = $1::text::bigint",
                &[&id.to_string()],
            )
            .await?;
        Ok(match found.first().and_then(Value::as_str) {
            Some("applied" | "denied") => Reading::Reached(()),
            other => Reading::NotYet(format!("{other:?}")),
        })
    })
    .await?;
    let events = told(world, id, "approval.%").await?;
    let decisions: Vec<&str> = events
        .split(", ")
        .filter(|event| {
            event.starts_with("approval.approved") || event.starts_with("approval.denied")
        })
        .collect();
    world.equal(
        &["G-81", "D-14"],
        Postgres,
        "decisions of the request that count",
        "flow_events: approval.approved, approval.denied",
        1,
        decisions.len(),
    )?;
    let approved = decisions.iter().any(|event| event.contains("approved"));
    let place = world.place()?;
    let carried = place.member.labels(&place.repository, place.issue).await?;
    world.equal(
        &["G-81"],
        Github,
        "whether the Issue carries the label",
        "GET /repos/…/issues/…/labels",
        approved,
        carried.iter().any(|label| label == "run:qa"),
    )?;
    call(world, "github_labels_add", json!({"labels": ["need:km"]})).await?;
    let carried = place.member.labels(&place.repository, place.issue).await?;
    world.holds(
        &["E-5"],
        Github,
        "a label that needs nobody's word, set afterwards",
        "GET /repos/…/issues/…/labels",
        "need:km",
        carried.join(", "),
        carried.iter().any(|label| label == "need:km"),
    )?;
    Ok(())
}

#[when("the platform has begun to carry it out")]
async fn begun(world: &mut GateWorld) -> Step {
    let platform = world.platform();
    let id = number(&request(world).await?);
    until("an attempt at the request", DECISION_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(attempts) FROM outbox_effects WHERE kind = 'apply_request' AND payload ->> 'request_id' = $1",
                &[&id.to_string()],
            )
            .await?;
        let attempts = found.first().and_then(Value::as_i64).unwrap_or_default();
        Ok(if attempts > 0 {
            Reading::Reached(())
        } else {
            Reading::NotYet("none".to_owned())
        })
    })
    .await?;
    Ok(())
}

/// By hand: no route takes the owner away (G-105).
/// No route takes the owner away, for there must always be one; a database that was restored from elsewhere may lack it.
#[given("the platform has lost its owner")]
async fn lost_owner(world: &mut GateWorld) -> Step {
    let platform = world.platform();
    let owner: uuid::Uuid = sqlx::query_scalar(
        "UPDATE users SET is_platform_owner = false WHERE is_platform_owner RETURNING id",
    )
    .fetch_one(platform.database.pool())
    .await
    .context("failed to take the owner away")?;
    world.remembered.insert(OWNER.to_owned(), owner.to_string());
    Ok(())
}

/// Without it nobody could cancel what the scenario leaves running.
#[when("the platform has its owner again")]
async fn found_owner(world: &mut GateWorld) -> Step {
    let owner = world.remembered.get(OWNER).context("no owner was lost")?;
    sqlx::query("UPDATE users SET is_platform_owner = true WHERE id = $1::text::uuid")
        .bind(owner)
        .execute(world.platform().database.pool())
        .await
        .context("failed to give the owner back")?;
    Ok(())
}

//! Questions to the owner: the run waits, and its agent hears the answer (2.5, 3.4).

use anyhow::Context;
use cucumber::{given, then, when};
use fixtures::stories;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use reports::evidence::ObservationSource::{Kubernetes, Orchestrator, Postgres};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    agent_tools::AgentTools,
    definitions::{
        agent_labels::call,
        approvals::{asking_run, decide, observe_pod, request, signal},
        labels::set_label,
        limits::continuation_of,
        outcome::current_run,
        setup::{a_running_run_with, agent_waits_for_signal, bind, signal_file},
    },
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const TOOL: &str = "owner.feedback.request";
/// A text that is nowhere but in the answer.
const OWN_WORDS: &str = "teal, as the harbour in the morning";

fn question(text: &str) -> Value {
    json!({"question": text, "options": ["red", "blue", "green"], "response_ttl_seconds": 604_800})
}

/// Makes a run whose agent waits until it may go on.
async fn working(world: &mut GateWorld) -> anyhow::Result<()> {
    if world.place().is_err() {
        agent_waits_for_signal(world).await?;
    }
    a_running_run_with(world, "run:dev").await
}

async fn wait_for(world: &mut GateWorld, arguments: Value) -> anyhow::Result<()> {
    working(world).await?;
    let answer = call(world, TOOL, arguments).await?;
    anyhow::ensure!(
        answer.summary() == "approval_required",
        "the owner was not asked: {}",
        answer.body
    );
    let tools = AgentTools::of_run(world).await?;
    world
        .remembered
        .insert("token".to_owned(), tools.token().to_owned());
    request(world).await?;
    Ok(())
}

#[given("a run that waits for an approval")]
#[given("a run that waits for the owner's answer")]
async fn waits(world: &mut GateWorld) -> Step {
    Ok(wait_for(world, question("Which colour?")).await?)
}

#[given("a run that waits for the owner's answer, which may be a text")]
async fn waits_for_text(world: &mut GateWorld) -> Step {
    let mut arguments = question("Which colour?");
    arguments["allow_custom"] = json!(true);
    Ok(wait_for(world, arguments).await?)
}

#[given("a run that waits a day at most for the owner's answer")]
async fn waits_a_day(world: &mut GateWorld) -> Step {
    let mut arguments = question("Which colour?");
    arguments["response_ttl_seconds"] = json!(86_400);
    Ok(wait_for(world, arguments).await?)
}

#[given("a bound repository whose agent asks its owner, with an open Issue")]
async fn asks_owner(world: &mut GateWorld) -> Step {
    let signal = signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    Ok(bind(world, stories::asks_owner(Some(&signal))).await?)
}

#[given("a bound repository whose agent asks its owner and ends, with an open Issue")]
async fn asks_owner_and_ends(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::asks_owner(None)).await?)
}

#[given(expr = "a {string} run that waits for the answer")]
async fn run_waits(world: &mut GateWorld, label: String) -> Step {
    set_label(world, &label).await?;
    await_wait(world, false).await?;
    Ok(())
}

#[given(expr = "a {string} run that waits for the answer without a Pod")]
async fn run_waits_without_pod(world: &mut GateWorld, label: String) -> Step {
    set_label(world, &label).await?;
    await_wait(world, true).await?;
    Ok(())
}

async fn await_wait(world: &mut GateWorld, without_pod: bool) -> anyhow::Result<()> {
    let id = text(&current_run(world).await?, "id")?;
    let platform = world.platform();
    until("the wait of the run", RUN_DEADLINE, async || {
        let run = platform.database.run(&id).await?.unwrap_or_default();
        let waits = run["status"] == "waiting_owner_review";
        Ok(if waits && run["parked_at"].is_string() == without_pod {
            Reading::Reached(())
        } else {
            Reading::NotYet(format!("{}, parked {}", run["status"], run["parked_at"]))
        })
    })
    .await?;
    request(world).await?;
    Ok(())
}

#[when("the agent asks the owner with three options")]
async fn asks(world: &mut GateWorld) -> Step {
    call(world, TOOL, question("Which colour?")).await?;
    Ok(())
}

#[when("the agent asks the owner the same again")]
async fn asks_again(world: &mut GateWorld) -> Step {
    call(world, TOOL, question("Which colour?")).await?;
    Ok(())
}

#[when("the agent asks the owner something else")]
async fn asks_else(world: &mut GateWorld) -> Step {
    call(world, TOOL, question("Which font?")).await?;
    Ok(())
}

#[when(expr = "the agent asks the owner with {string}")]
async fn asks_badly(world: &mut GateWorld, fault: String) -> Step {
    let arguments = match fault.as_str() {
        "one option" => json!({"question": "Which?", "options": ["a"]}),
        "six options" => {
            json!({"question": "Which?", "options": ["a", "b", "c", "d", "e", "f"]})
        }
        "two equal options" => json!({"question": "Which?", "options": ["a", "A"]}),
        "a blank question" => json!({"question": " ", "options": ["a", "b"]}),
        other => return Err(anyhow::anyhow!("no such fault: {other}").into()),
    };
    call(world, TOOL, arguments).await?;
    Ok(())
}

#[when(expr = "the owner picks {string}")]
async fn picks(world: &mut GateWorld, option: String) -> Step {
    let body = json!({"decision": "approved", "answer": {"option_id": option}});
    Ok(decide(world, None, body).await?)
}

#[when("the owner answers")]
async fn answers(world: &mut GateWorld) -> Step {
    let body = json!({"decision": "approved", "answer": {"option_id": "opt-2"}});
    Ok(decide(world, None, body).await?)
}

#[when("the owner writes a text")]
async fn writes(world: &mut GateWorld) -> Step {
    let body = json!({"decision": "approved", "answer": {"custom_text": OWN_WORDS}});
    Ok(decide(world, None, body).await?)
}

#[when("the owner declines")]
async fn declines(world: &mut GateWorld) -> Step {
    let body = json!({"decision": "denied", "reason": "ask me tomorrow"});
    Ok(decide(world, None, body).await?)
}

#[when("the owner declines without a reason")]
async fn declines_silently(world: &mut GateWorld) -> Step {
    Ok(decide(world, None, json!({"decision": "denied"})).await?)
}

async fn run_and_session(world: &mut GateWorld) -> anyhow::Result<(Value, Value)> {
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let session = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(s) FROM agent_sessions s WHERE run_id = $1::text::uuid",
            &[&id],
        )
        .await?
        .into_iter()
        .next()
        .unwrap_or_default();
    Ok((run, session))
}

fn wait_in_words(run: &Value, session: &Value, request: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let names = run["wait_target_ref"] == request["id"].to_string();
    format!(
        "{} {} {}, target named: {names}, timer stands still: {}; session {}, since {}, guard off: {}",
        word(&run["status"]),
        word(&run["wait_reason"]),
        word(&run["wait_target_kind"]),
        run["timeout_paused"] == true && run["timeout_remaining"].is_string(),
        word(&session["wait_state"]),
        if session["wait_since"].is_string() {
            "told"
        } else {
            "untold"
        },
        session["timeout_guard_disabled"],
    )
}

const OPEN_WAIT: &str = "waiting_owner_review owner_review approval_request, target named: true, timer stands still: true; \
                         session owner_review, since told, guard off: true";

async fn observe_wait(world: &mut GateWorld) -> anyhow::Result<()> {
    let (run, session) = run_and_session(world).await?;
    let request = request(world).await?;
    world.equal(
        &["G-57", "G-88", "D-10"],
        Postgres,
        "the wait of the run and its session",
        "agent_runs, agent_sessions",
        OPEN_WAIT,
        wait_in_words(&run, &session, &request),
    )?;
    observe_pod(world, &["G-90"], &run).await
}

#[then("the run waits for the owner")]
async fn waits_for_owner(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    observe_wait(world).await?;
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let events = world.platform().database.events_of_run(&id).await?;
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event_type"].as_str())
        .filter(|kind| {
            ["feedback.", "approval.", "run.wait.", "mcp.tool."]
                .iter()
                .any(|prefix| kind.starts_with(prefix))
        })
        .collect();
    world.equal(
        &["G-25", "G-57", "G-74"],
        Postgres,
        "events of the call",
        "flow_events by run",
        "mcp.tool.called, feedback.requested, approval.requested, mcp.tool.approval_pending, run.wait.paused",
        told.join(", "),
    )?;
    Ok(())
}

#[then("the queue holds the run with its reason, and the list of requests holds the question")]
async fn queue_holds(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run_id = text(&current_run(world).await?, "id")?;
    let request = request(world).await?;
    let staff = world.platform().staff.clone();
    let seen = until("the run in the queue", DECISION_DEADLINE, async || {
        let path = "/staff/runs/waits?wait_state=waiting_owner_review&page_size=1000";
        let (_, queue) = staff.call(Method::GET, path, None).await?;
        let (_, list) = staff
            .call(Method::GET, "/staff/approvals?page_size=500", None)
            .await?;
        let find = |list: &Value, key: &str, wanted: &Value| {
            list["items"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|item| item[key] == *wanted)
                .cloned()
                .unwrap_or_default()
        };
        let waiting = find(&queue, "id", &json!(run_id));
        let listed = find(&list, "id", &request["id"]);
        let seen = format!(
            "{} {}; {} with {} options, can decide: {}",
            waiting["status"].as_str().unwrap_or("-"),
            waiting["wait_reason"].as_str().unwrap_or("-"),
            listed["question"].as_str().unwrap_or("-"),
            listed["options"].as_array().map_or(0, Vec::len),
            listed["can_decide"],
        );
        Ok(if waiting.is_object() && listed.is_object() {
            Reading::Reached(seen)
        } else {
            Reading::NotYet(seen)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    world.equal(
        &["G-84", "G-91", "DA-7"],
        Orchestrator,
        "the run in the queue; its request in the list",
        "GET /api/v1/staff/runs/waits; GET /api/v1/staff/approvals",
        "waiting_owner_review owner_review; Which colour? with 3 options, can decide: true",
        seen,
    )?;
    Ok(())
}

#[then("the run still waits")]
async fn still_waits(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    observe_wait(world).await?;
    Ok(())
}

/// `running` once the wait of a run is over, or why it is not.
pub(super) async fn status_after_wait(world: &mut GateWorld, id: &str) -> String {
    let platform = world.platform();
    until("the end of the wait", RUN_DEADLINE, async || {
        let run = platform.database.run(id).await?.unwrap_or_default();
        let status = run["status"].as_str().unwrap_or("-").to_owned();
        Ok(if status == "running" {
            Reading::Reached(status)
        } else {
            Reading::NotYet(status)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"))
}

/// The agent is alive: the same run goes on, and may read how its wait ended.
#[then(expr = "the same run goes on, and its agent reads {string}")]
async fn goes_on(world: &mut GateWorld, expected: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let status = status_after_wait(world, &id).await;
    let platform = world.platform();
    let (run, session) = run_and_session(world).await?;
    world.equal(
        &["G-89", "D-12"],
        Postgres,
        "the run, what it waits for, its timer; its session",
        "agent_runs, agent_sessions",
        "running, null null, paused: false; null, guard off: false",
        format!(
            "{status}, {} {}, paused: {}; {}, guard off: {}",
            run["wait_reason"],
            run["wait_target_ref"],
            run["timeout_paused"],
            session["wait_state"],
            session["timeout_guard_disabled"],
        ),
    )?;
    observe_pod(world, &["G-92", "R-23"], &run).await?;
    let request = request(world).await?;
    let events = platform.database.events_of_run(&id).await?;
    let order: Vec<String> = events
        .iter()
        .filter(|event| {
            event["event_type"]
                .as_str()
                .is_some_and(|kind| kind.starts_with("run.wait."))
        })
        .map(|event| {
            format!(
                "{} {}",
                event["event_type"].as_str().unwrap_or("-"),
                event["payload"]["resume_mode"].as_str().unwrap_or("-")
            )
        })
        .collect();
    world.equal(
        &["G-89", "G-131"],
        Postgres,
        "pauses of the run",
        "flow_events: run.wait.*",
        "run.wait.paused -, run.wait.resumed live",
        order.join(", "),
    )?;
    let tools = AgentTools::of_run(world).await?;
    let url = platform.lane().internal_url.clone();
    let (code, told) = tools.resume_payload(&url, &id).await?;
    let word = |key: &str| told[key].as_str().map(|word| format!(" {word}"));
    let read: String = ["response_kind", "selected_option_id", "free_text", "reason"]
        .into_iter()
        .filter_map(word)
        .collect();
    world.equal(
        &["G-92", "G-93"],
        Orchestrator,
        "what the agent reads, and of which request",
        "GET /internal/v1/runs/{run_id}/resume-payload",
        format!("200 {expected}; {}", request["id"]),
        format!(
            "{code} {}{read}; {}",
            told["request_status"].as_str().unwrap_or("-"),
            told["request_id"]
        ),
    )?;
    Ok(())
}

#[then("the run went on only once the request was applied")]
async fn order_of_end(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let events = world.platform().database.events_of_run(&id).await?;
    let order: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event_type"].as_str())
        .filter(|kind| {
            ["approval.", "feedback.answered", "run.wait.resumed"]
                .iter()
                .any(|prefix| kind.starts_with(prefix))
        })
        .collect();
    world.equal(
        &["G-75", "G-78", "G-89"],
        Postgres,
        "events of request and wait, in order",
        "flow_events by run",
        "approval.requested, approval.approved, feedback.answered, approval.applied, run.wait.resumed",
        order.join(", "),
    )?;
    Ok(())
}

#[then("no event holds the owner's words")]
async fn words_in_no_event(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let found = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(event_type) FROM flow_events WHERE position($1 in payload::text) > 0",
            &[OWN_WORDS],
        )
        .await?;
    let request = request(world).await?;
    world.equal(
        &["G-58", "G-130"],
        Postgres,
        "events with the text; the text of the request",
        "flow_events; mcp_action_requests.answer_text",
        format!("0; {OWN_WORDS}"),
        format!(
            "{}; {}",
            found.len(),
            request["answer_text"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}

/// That nothing waits is shown by a call that a held run would be refused.
#[then("the run does not wait, and another question makes it")]
async fn does_not_wait(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (run, _) = run_and_session(world).await?;
    world.equal(
        &["G-57", "G-41"],
        Postgres,
        "the run",
        "agent_runs.status",
        "running",
        run["status"].as_str().unwrap_or("-"),
    )?;
    call(world, TOOL, question("Which colour?")).await?;
    observe_wait(world).await?;
    Ok(())
}

#[then("both calls stand for one request")]
async fn one_request(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let rows = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(q) FROM mcp_action_requests q WHERE run_id = $1::text::uuid",
            &[&id],
        )
        .await?;
    world.equal(
        &["G-30", "G-60"],
        Postgres,
        "requests of the run",
        "mcp_action_requests by run",
        1,
        rows.len(),
    )?;
    Ok(())
}

#[then(expr = "one run goes on from where the run ended, in the namespace of the run before")]
async fn one_goes_on(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let source_id = asking_run(world).await?;
    let (source, new) = continuation_of(world, &source_id).await?;
    let request = request(world).await?;
    let going_on = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(r) FROM agent_runs r WHERE resumed_from_run_id = $1::text::uuid",
            &[&source_id],
        )
        .await?;
    world.equal(
        &["G-92", "R-24"],
        Postgres,
        "the run before; the run that goes on; how many do; whether in the same namespace",
        "agent_runs",
        format!(
            "canceled continued_in_resume_run; resume interaction-resume:{}; 1; true",
            request["id"]
        ),
        format!(
            "{} {}; {} {}; {}; {}",
            source["status"].as_str().unwrap_or("-"),
            source["finish_reason"].as_str().unwrap_or("-"),
            new["trigger_source"].as_str().unwrap_or("-"),
            new["correlation_id"].as_str().unwrap_or("-"),
            going_on.len(),
            source["namespace"] == new["namespace"]
        ),
    )?;
    Ok(())
}

/// The story of the agent asks once more, under the same key, and prints what it is told.
#[then(expr = "its agent is told {string} by the call that it repeats")]
async fn told_by_repetition(
    world: &mut GateWorld,
    expected: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let platform = world.platform();
    let said = until("the words of the agent", RUN_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(text) FROM run_log_chunks WHERE run_id = $1::text::uuid AND stream = 'agent' \
                 AND text LIKE '%owner.feedback.request answered%'",
                &[&id],
            )
            .await?;
        Ok(match found.first().and_then(Value::as_str) {
            Some(said) => Reading::Reached(said.to_owned()),
            None => Reading::NotYet("nothing of the kind".to_owned()),
        })
    })
    .await?;
    let said = said.replace(['\\', '"', ' '], "");
    let holds = ["status:answered", "selected_option_id:opt-2", "reused:true"]
        .into_iter()
        .filter(|part| said.contains(part))
        .collect::<Vec<_>>()
        .join(", ");
    world.equal(
        &["G-26", "G-27", "G-93"],
        Postgres,
        "what the agent was told",
        "run_log_chunks of the stream agent",
        expected,
        holds,
    )?;
    let run = current_run(world).await?;
    let requests = platform
        .database
        .rows(
            "SELECT to_jsonb(q) FROM mcp_action_requests q WHERE scope_run_id = $1::text::uuid",
            &[&text(&run, "scope_run_id")?],
        )
        .await?;
    world.equal(
        &["G-26"],
        Postgres,
        "requests of the runs that go on from one another",
        "mcp_action_requests by scope",
        1,
        requests.len(),
    )?;
    Ok(())
}

#[then(
    expr = "the agent may still report, and the run has at least {int} minutes of its time left"
)]
async fn token_works(world: &mut GateWorld, minutes: i64, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let tools = AgentTools::of_run(world).await?;
    let answer = tools
        .call("run_status_report", json!({"status": "going on"}))
        .await?;
    world.equal(
        &["G-7", "G-90"],
        Orchestrator,
        "answer to a report with the token of the run",
        "tools/call run_status_report",
        "200 ok",
        format!("{} {}", answer.status, answer.summary()),
    )?;
    let id = text(&current_run(world).await?, "id")?;
    let left = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(floor(extract(epoch FROM timeout_at - platform_now()) / 60)::bigint)
             FROM agent_runs WHERE id = $1::text::uuid",
            &[&id],
        )
        .await?;
    let left = left.first().and_then(Value::as_i64).unwrap_or_default();
    world.holds(
        &["G-89", "G-90", "D-12"],
        Postgres,
        "minutes that the run has left, of 300",
        "agent_runs.timeout_at",
        format!("{minutes} to 300"),
        left,
        (minutes..=300).contains(&left),
    )?;
    let run = current_run(world).await?;
    observe_pod(world, &["G-90"], &run).await?;
    Ok(())
}

#[when("the agent ends")]
async fn agent_ends(world: &mut GateWorld) -> Step {
    signal(world).await?;
    await_wait(world, true).await?;
    Ok(())
}

/// The lease is what the sweep goes by, and the namespace is what the run needs.
#[then("the namespace of the run that waits is there, with a lease that is not over")]
async fn namespace_kept(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let namespace = text(&run, "namespace")?;
    let leases = world
        .platform()
        .database
        .rows(
            "SELECT jsonb_build_object('state', state, 'lasts', expires_at > platform_now())
             FROM namespace_leases WHERE namespace = $1",
            &[&namespace],
        )
        .await?;
    let lease = leases.first().cloned().unwrap_or_default();
    world.equal(
        &["R-47", "G-90"],
        Postgres,
        "the run; its lease",
        "agent_runs.status; namespace_leases",
        "waiting_owner_review; active, lasts: true",
        format!(
            "{}; {}, lasts: {}",
            run["status"].as_str().unwrap_or("-"),
            lease["state"].as_str().unwrap_or("-"),
            lease["lasts"]
        ),
    )?;
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    let found = namespaces
        .get_opt(&namespace)
        .await
        .context("failed to read a namespace")?;
    world.equal(
        &["R-47"],
        Kubernetes,
        "the namespace of the run",
        "GET namespaces",
        "there",
        match found {
            Some(found) if found.metadata.deletion_timestamp.is_none() => "there",
            Some(_) => "going",
            None => "gone",
        },
    )?;
    Ok(())
}

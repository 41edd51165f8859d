//! What an agent tells or asks, and what the chat and the run show of it.

use cucumber::{then, when};
use reports::evidence::ObservationSource::{Adapter, Orchestrator, Postgres};
use serde_json::{Value, json};

use super::chat::{message, room};
use crate::{
    agent_tools::AgentTools,
    definitions::{
        agent_labels::call,
        approvals::{asking_run, observe_pod},
        feedback::status_after_wait,
        outcome::current_run,
    },
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const NOTIFY: &str = "user.notify";
const DECIDE: &str = "user.decision.request";

fn question() -> Value {
    json!({
        "question": "Which colour?",
        "options": [{"option_id": "red", "label": "Red"}, {"option_id": "blue", "label": "Blue"}],
    })
}

#[when("the agent tells the person that it is done")]
async fn tells(world: &mut GateWorld) -> Step {
    let arguments = json!({
        "notification_kind": "completion", "summary": "The work is done",
        "action_label": "Look", "action_url": "https://example.test/pull/1",
    });
    call(world, NOTIFY, arguments).await?;
    Ok(())
}

#[when("the agent tells the person with an address that is not safe")]
async fn tells_unsafely(world: &mut GateWorld) -> Step {
    let arguments = json!({
        "notification_kind": "completion", "summary": "The work is done",
        "action_label": "Look", "action_url": "http://example.test/pull/1",
    });
    call(world, NOTIFY, arguments).await?;
    Ok(())
}

#[when("the agent asks the person to decide")]
async fn asks(world: &mut GateWorld) -> Step {
    call(world, DECIDE, question()).await?;
    asking_run(world).await?;
    Ok(())
}

#[when("the agent asks the person to decide, in words too")]
async fn asks_for_words(world: &mut GateWorld) -> Step {
    let mut arguments = question();
    arguments["allow_free_text"] = json!(true);
    call(world, DECIDE, arguments).await?;
    asking_run(world).await?;
    Ok(())
}

#[when("the agent asks the owner, in words too")]
async fn asks_owner(world: &mut GateWorld) -> Step {
    let arguments = json!({
        "question": "Which colour?", "options": ["red", "blue", "green"], "allow_custom": true,
    });
    call(world, "owner.feedback.request", arguments).await?;
    asking_run(world).await?;
    Ok(())
}

/// The newest interaction of the run that asked.
pub(super) async fn interaction(world: &mut GateWorld) -> anyhow::Result<Value> {
    let run_id = text(&current_run(world).await?, "id")?;
    let found = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(i) FROM interaction_requests i WHERE run_id = $1::text::uuid ORDER BY created_at DESC, id DESC",
            &[&run_id],
        )
        .await?;
    Ok(found.into_iter().next().unwrap_or_default())
}

#[then(expr = "the chat shows {string} to the author of the Issue, with {int} buttons")]
async fn shows(
    world: &mut GateWorld,
    words: String,
    buttons: usize,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let author = world.place()?.member.login.clone();
    let seen = match message(world).await {
        Ok(message) => {
            let content = &message.envelope["content"];
            let said = content["summary"].as_str().or(content["question"].as_str());
            let handles = &message.envelope["callback_endpoint"]["handles"];
            format!(
                "{} to {}, {} buttons",
                said.unwrap_or("-"),
                message.text("recipient_ref"),
                handles.as_array().map_or(0, Vec::len)
            )
        }
        Err(error) => format!("{error:#}"),
    };
    world.equal(
        &["G-61", "G-63", "G-133"],
        Adapter,
        "the message in the chat",
        "deliveries to the room",
        format!("{words} to github_login:{author}, {buttons} buttons"),
        seen,
    )?;
    Ok(())
}

/// Each attempt counts; nothing else is delivered to the room of this scenario.
#[then(expr = "the chat was given {string}")]
async fn was_given(world: &mut GateWorld, expected: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let room = room(world)?;
    let gate = world.gate.clone();
    let read = || {
        let given: Vec<String> = gate
            .adapter
            .deliveries(&room)
            .iter()
            .map(|delivery| {
                let word = if delivery.accepted {
                    "taken"
                } else {
                    "refused"
                };
                format!("{} {word}", delivery.text("delivery_role"))
            })
            .collect();
        given.join(", ")
    };
    let seen = until("the deliveries", RUN_DEADLINE, async || {
        let seen = read();
        Ok(if seen == expected {
            Reading::Reached(seen)
        } else {
            Reading::NotYet(seen)
        })
    })
    .await
    .unwrap_or_else(|_| read());
    world.equal(
        &["G-134", "G-140", "G-141"],
        Adapter,
        "what was delivered to the chat, in order",
        "deliveries to the room",
        expected,
        seen,
    )?;
    Ok(())
}

#[then(expr = "the message comes to be {string}")]
async fn comes_to_be(
    world: &mut GateWorld,
    expected: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let id = interaction(world).await?["id"].clone();
    let id = id.as_str().unwrap_or_default().to_owned();
    let platform = world.platform();
    let seen = until("the end of the message", RUN_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(concat_ws(' ', state, resolution_kind, continuation)) FROM interaction_requests
                 WHERE id::text = $1",
                &[&id],
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
    world.equal(
        &["G-133", "G-134", "G-141"],
        Postgres,
        "state, resolution and continuation of the message",
        "interaction_requests",
        expected,
        seen,
    )?;
    Ok(())
}

#[then("the run has never waited")]
async fn never_waited(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let count = |prefix: &str| {
        events
            .iter()
            .filter(|event| {
                event["event_type"]
                    .as_str()
                    .is_some_and(|kind| kind.starts_with(prefix))
            })
            .count()
    };
    world.equal(
        &["G-61"],
        Postgres,
        "the run; messages and waits on record",
        "agent_runs; flow_events by run",
        "running; 1 created, 0 waits",
        format!(
            "{}; {} created, {} waits",
            run["status"].as_str().unwrap_or("-"),
            count("interaction.request.created"),
            count("run.wait.") + count("interaction.wait.")
        ),
    )?;
    observe_pod(world, &["G-61"], &run).await?;
    Ok(())
}

#[then("the run waits for the person")]
#[then("the run still waits for the person")]
async fn waits(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let id = interaction(world).await?["id"].clone();
    let word = |name: &str| run[name].as_str().unwrap_or("-").to_owned();
    world.equal(
        &["G-62", "G-88", "D-10"],
        Postgres,
        "the wait of the run",
        "agent_runs",
        "waiting_mcp interaction_response interaction_request, target named: true, timer stands still: true",
        format!(
            "{} {} {}, target named: {}, timer stands still: {}",
            word("status"),
            word("wait_reason"),
            word("wait_target_kind"),
            id.is_string() && run["wait_target_ref"] == id,
            run["timeout_paused"] == true && run["timeout_remaining"].is_string()
        ),
    )?;
    observe_pod(world, &["G-90"], &run).await?;
    Ok(())
}

#[then(expr = "the run goes on with the word of the person, and its agent reads {string}")]
async fn goes_on(world: &mut GateWorld, expected: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let status = status_after_wait(world, &id).await;
    let platform = world.platform();
    let events = platform.database.events_of_run(&id).await?;
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event_type"].as_str())
        .filter(|kind| kind.starts_with("run.wait.") || kind.starts_with("interaction.wait."))
        .collect();
    world.equal(
        &["G-89", "G-131", "G-134"],
        Postgres,
        "the run, and its waits on record",
        "agent_runs; flow_events by run",
        "running; interaction.wait.entered, run.wait.paused, run.wait.resumed, interaction.wait.resumed",
        format!("{status}; {}", told.join(", ")),
    )?;
    let run = current_run(world).await?;
    observe_pod(world, &["G-92", "R-23"], &run).await?;
    let interaction = interaction(world).await?;
    let url = platform.lane().internal_url.clone();
    let (code, read) = AgentTools::of_run(world)
        .await?
        .resume_payload(&url, &id)
        .await?;
    let words: Vec<&str> = [
        "request_status",
        "response_kind",
        "selected_option_id",
        "free_text",
    ]
    .into_iter()
    .filter_map(|name| read[name].as_str())
    .collect();
    world.equal(
        &["G-92", "G-93"],
        Orchestrator,
        "what the agent reads, and whether of this question",
        "GET /internal/v1/runs/{run_id}/resume-payload",
        format!("200 {expected}; true"),
        format!(
            "{code} {}; {}",
            words.join(" "),
            read["request_id"] == interaction["id"]
        ),
    )?;
    Ok(())
}

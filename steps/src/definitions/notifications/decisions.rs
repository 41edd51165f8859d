//! Decisions about requests that the chat passes on (3.5, G-95 to G-99).

use anyhow::Context;
use cucumber::{then, when};
use reports::evidence::ObservationSource::Postgres;
use serde_json::{Value, json};

use super::chat::{message, new_event, token};
use super::messages::interaction;
use crate::{
    definitions::approvals::request,
    world::{GateWorld, Step, text},
};

async fn post(
    world: &mut GateWorld,
    route: &str,
    token: Option<&str>,
    body: &Value,
) -> anyhow::Result<(u16, Value)> {
    let url = format!(
        "{}/api/v1/mcp/{route}/callback",
        world.platform().lane().public_url
    );
    let answer = world
        .gate
        .adapter
        .send(&url, token, body.to_string().into_bytes())
        .await
        .context("the platform did not answer the chat")?;
    world.answer = Some((answer.status, answer.body.clone()));
    Ok((answer.status, answer.body))
}

/// The approval of the newest request, as the chat tells it.
async fn approval(world: &mut GateWorld, who: &str) -> anyhow::Result<Value> {
    let request = request(world).await?;
    let event = new_event(world);
    Ok(json!({
        "approval_request_id": request["id"], "decision": "approved", "actor_id": who,
        "adapter_event_id": event, "correlation_id": text(&request, "correlation_id")?,
    }))
}

#[when(expr = "the chat says that {word} approves")]
async fn approves(world: &mut GateWorld, who: String) -> Step {
    let body = approval(world, &who).await?;
    let token = token(world)?;
    post(world, "approver", Some(&token), &body).await?;
    Ok(())
}

#[when("somebody says without a token that the owner approves")]
async fn without_token(world: &mut GateWorld) -> Step {
    let body = approval(world, "owner").await?;
    post(world, "approver", None, &body).await?;
    Ok(())
}

#[when("somebody says with a wrong token that the owner approves")]
async fn with_wrong_token(world: &mut GateWorld) -> Step {
    let body = approval(world, "owner").await?;
    post(world, "approver", Some("ck8s_adapter_wrong"), &body).await?;
    Ok(())
}

#[when(expr = "the chat says {string}")]
async fn says(world: &mut GateWorld, what: String) -> Step {
    let mut body = approval(world, "owner").await?;
    let token = token(world)?;
    let route = match what.as_str() {
        "that the request is applied" => {
            body["decision"] = json!("applied");
            "approver"
        }
        "that the owner approves a request that is not there" => {
            body["approval_request_id"] = json!(i64::MAX);
            "approver"
        }
        "that the owner approves it in another correlation" => {
            body["correlation_id"] = json!("another");
            "approver"
        }
        "that its own executor has applied the request" => {
            body["decision"] = json!("applied");
            if let Some(body) = body.as_object_mut() {
                body.remove("actor_id");
            }
            "executor"
        }
        "that the owner approves the question" => {
            let message = message(world).await?;
            body["approval_request_id"] = message.envelope["interaction_id"].clone();
            "approver"
        }
        other => return Err(anyhow::anyhow!("the chat does not say {other:?}").into()),
    };
    post(world, route, Some(&token), &body).await?;
    Ok(())
}

#[when("the chat says three times in one event that the owner approves")]
async fn three_times(world: &mut GateWorld) -> Step {
    let body = approval(world, "owner").await?;
    let token = token(world)?;
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(post(world, "approver", Some(&token), &body).await?);
    }
    let first = answers.first().cloned().unwrap_or_default();
    let equal = answers.iter().all(|answer| *answer == first);
    let word = first.1["classification"].as_str().unwrap_or("-").to_owned();
    let told = format!("{} {word}, all equal: {equal}", first.0);
    world.answer = Some((200, json!({"classification": told})));
    Ok(())
}

#[then(expr = "the request is still {string}")]
async fn still(world: &mut GateWorld, state: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let request = request(world).await?;
    world.equal(
        &["G-80", "G-95", "G-96", "G-97", "G-139"],
        Postgres,
        "the request, and the version of its state",
        "mcp_action_requests",
        format!("{state}, version 1"),
        format!(
            "{}, version {}",
            request["approval_state"].as_str().unwrap_or("-"),
            request["state_version"]
        ),
    )?;
    Ok(())
}

/// Decisions that nobody may take through the chat name it.
#[then(expr = "{int} decisions are on record as ignored, all of the chat")]
async fn ignored(world: &mut GateWorld, count: usize, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = request(world).await?["id"].to_string();
    let found = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(concat_ws(' ', payload ->> 'reason', (payload ->> 'adapter_id' IS NOT NULL)::text))
             FROM flow_events WHERE event_type = 'approval.decision.ignored' AND payload ->> 'request_id' = $1",
            &[&id],
        )
        .await?;
    let seen: Vec<&str> = found.iter().filter_map(Value::as_str).collect();
    world.equal(
        &["G-72", "G-96"],
        Postgres,
        "ignored decisions: reason, whether the adapter is named",
        "flow_events: approval.decision.ignored",
        vec!["not_approver true"; count].join(", "),
        seen.join(", "),
    )?;
    Ok(())
}

#[when("the owner picks in the chat while an administrator declines in the console")]
async fn at_once(world: &mut GateWorld) -> Step {
    let message = message(world).await?;
    let handle = message
        .handle("blue")
        .context("the question has no option \"blue\"")?
        .to_owned();
    let event = new_event(world);
    let pressed = fixtures::adapter::Pressed::about(&message, "option_selected", &event)
        .with("callback_handle", handle)
        .with("responder_ref", "owner");
    let id = request(world).await?["id"].clone();
    let room = super::chat::room(world)?;
    let staff = world.platform().staff.as_person(crate::staff::HELPERS[1]);
    let path = format!("/staff/approvals/{id}/decision");
    let body = json!({"decision": "denied", "reason": "not now"});
    let gate = world.gate.clone();
    let (chat, console) = tokio::join!(
        gate.adapter.call_back(&room, &pressed),
        staff.call(reqwest::Method::POST, &path, Some(body))
    );
    let chat = chat.context("the platform did not answer the chat")?;
    let (_, console) = console?;
    let mut both = [chat.body, console].map(|answer| {
        let word = answer["classification"].as_str();
        word.unwrap_or("-").to_owned()
    });
    both.sort();
    world.answer = Some((200, json!({"classification": both.join(", ")})));
    Ok(())
}

#[then("the answer is on record as one that was spoken")]
async fn spoken(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = request(world).await?["id"].to_string();
    let found = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(concat_ws(' ', actor_type, payload ->> 'answer_kind', payload ->> 'source_kind',
                 (payload ->> 'adapter_id' IS NOT NULL)::text, (payload::text LIKE '%teal%')::text))
             FROM flow_events WHERE event_type = 'feedback.answered' AND payload ->> 'request_id' = $1",
            &[&id],
        )
        .await?;
    let seen: Vec<&str> = found.iter().filter_map(Value::as_str).collect();
    world.equal(
        &["G-58", "G-130"],
        Postgres,
        "the answer: who, kind, source, whether the adapter is named, whether the words are told",
        "flow_events: feedback.answered",
        "human free_text voice true false",
        seen.join(", "),
    )?;
    Ok(())
}

#[then("exactly one of both counts, and the message is closed")]
async fn one_counts(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = request(world).await?["id"].to_string();
    let message = interaction(world).await?;
    let events = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(event_type) FROM flow_events
             WHERE event_type IN ('approval.approved', 'approval.denied') AND payload ->> 'request_id' = $1",
            &[&id],
        )
        .await?;
    world.equal(
        &["G-60", "G-142"],
        Postgres,
        "decisions of the request; whether the message belongs to it",
        "flow_events; interaction_requests",
        "1; true",
        format!(
            "{}; {}",
            events.len(),
            message["approval_request_id"].to_string() == id
        ),
    )?;
    Ok(())
}

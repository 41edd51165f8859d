//! What the platform answers to the chat, and callbacks that are none.

use anyhow::Context;
use cucumber::{then, when};
use fixtures::adapter::Pressed;
use reports::evidence::ObservationSource::{Adapter, Postgres};
use serde_json::{Value, json};

use super::chat::{call_back, message, new_event};
use super::messages::interaction;
use crate::{
    definitions::approvals::{request, summary},
    world::{GateWorld, Step},
};

#[then(expr = "the chat hears {string}")]
async fn hears(world: &mut GateWorld, expected: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (status, answer) = world.answer.clone().context("nobody called back")?;
    world.equal(
        &["G-95", "G-97", "G-98", "G-99", "G-137", "G-138"],
        Adapter,
        "the answer to the chat",
        "POST /api/v1/mcp/…/callback",
        expected,
        summary(status, &answer),
    )?;
    Ok(())
}

/// In order: what each callback about the newest message came to, and how many answers count.
#[then(
    expr = "the callbacks of the message are on record as {string}, with {int} answer that counts"
)]
#[then(
    expr = "the callbacks of the message are on record as {string}, with {int} answers that count"
)]
async fn on_record(
    world: &mut GateWorld,
    expected: String,
    count: usize,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let id = interaction(world).await?["id"].clone();
    let id = id.as_str().unwrap_or_default().to_owned();
    let platform = world.platform();
    let classified = platform
        .database
        .rows(
            "SELECT to_jsonb(classification) FROM interaction_callback_events WHERE interaction_id::text = $1 ORDER BY id",
            &[&id],
        )
        .await?;
    let answers = platform
        .database
        .rows(
            "SELECT to_jsonb(id) FROM interaction_response_records WHERE interaction_id::text = $1 AND is_effective",
            &[&id],
        )
        .await?;
    let classified: Vec<&str> = classified.iter().filter_map(Value::as_str).collect();
    world.equal(
        &["G-135", "G-137", "G-138"],
        Postgres,
        "callbacks in order; answers that count",
        "interaction_callback_events; interaction_response_records",
        format!("{expected}; {count}"),
        format!("{}; {}", classified.join(", "), answers.len()),
    )?;
    Ok(())
}

#[when(expr = "the chat calls back with {string}")]
async fn calls_badly(world: &mut GateWorld, fault: String) -> Step {
    let message = message(world).await?;
    let handle = message
        .handle("option")
        .context("the message has no button")?
        .to_owned();
    let event = new_event(world);
    let press =
        Pressed::about(&message, "option_selected", &event).with("callback_handle", handle.clone());
    let receipt =
        Pressed::about(&message, "delivery_receipt", &event).with("delivery_status", "delivered");
    let bad = match fault.as_str() {
        "a receipt with a handle" => receipt.with("callback_handle", handle),
        "a receipt with a text" => receipt.with("free_text", "blue"),
        "an answer with a status" => press.with("delivery_status", "delivered"),
        "an unknown member" => press.with("option_id", "blue"),
        "a wrong type" => press.with("callback_handle", json!([handle])),
        "control characters" => press.with("adapter_event_id", "a\u{7}b"),
        "the token of nobody" => Pressed {
            token: Some("x.y.z".to_owned()),
            ..press
        },
        "no token" => Pressed {
            token: None,
            ..press
        },
        "what is no text" => {
            let mut bytes = press.body.to_string().into_bytes();
            bytes.extend_from_slice(&[0xff, 0xfe]);
            let answer = world
                .gate
                .adapter
                .send(&press.url, press.token.as_deref(), bytes)
                .await
                .context("the platform did not answer the chat")?;
            world.answer = Some((answer.status, answer.body));
            return Ok(());
        }
        other => return Err(anyhow::anyhow!("no such fault: {other}").into()),
    };
    call_back(world, &bad).await?;
    Ok(())
}

#[when("the chat answers the question under the number of the request")]
async fn under_number(world: &mut GateWorld) -> Step {
    let message = message(world).await?;
    let handle = message
        .handle("option")
        .context("the message has no button")?
        .to_owned();
    let number = request(world).await?["id"].to_string();
    let event = new_event(world);
    let pressed = Pressed::about(&message, "option_selected", &event)
        .with("callback_handle", handle)
        .with("interaction_id", number);
    call_back(world, &pressed).await?;
    Ok(())
}

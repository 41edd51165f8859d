//! The chat of a scenario: a room of the adapter's stand-in, registered for the scenario's project.

use anyhow::Context;
use cucumber::{given, when};
use fixtures::adapter::{Answer, Delivery, Fault, Pressed};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    definitions::{
        faults::announce,
        setup::{a_running_run_with, agent_waits_for_signal},
    },
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const ROOM: &str = "room of the chat";
const TOKEN: &str = "token of the chat";
const EVENTS: &str = "events of the chat";

pub(super) fn room(world: &GateWorld) -> anyhow::Result<String> {
    let room = world.remembered.get(ROOM).cloned();
    room.context("the scenario has no chat")
}

/// The token that the platform gave the chat.
pub fn token(world: &GateWorld) -> anyhow::Result<String> {
    let token = world.remembered.get(TOKEN).cloned();
    token.context("the chat is not registered")
}

/// A name for an event that the chat has not told of yet.
pub(super) fn new_event(world: &mut GateWorld) -> String {
    let count = world
        .remembered
        .get(EVENTS)
        .and_then(|count| count.parse::<u32>().ok())
        .unwrap_or_default()
        + 1;
    world
        .remembered
        .insert(EVENTS.to_owned(), count.to_string());
    format!("event-{count}")
}

async fn user_id(
    world: &mut GateWorld,
    is_wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<String> {
    let staff = world.platform().staff.clone();
    let users = staff
        .expect_success(Method::GET, "/staff/users", None)
        .await?;
    let found = users["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|user| is_wanted(user))
        .cloned()
        .context("the platform does not know the person")?;
    text(&found, "id")
}

/// Registers a chat for the project, in which the owner and the member are known by their logins.
pub(super) async fn register(world: &mut GateWorld) -> anyhow::Result<()> {
    let place = world.place()?;
    let room = uuid::Uuid::new_v4().simple().to_string();
    let secret = uuid::Uuid::new_v4().simple().to_string();
    let url = world.gate.adapter.open_room(&room, &secret);
    let staff = world.platform().staff.clone();
    let body = json!({
        "name": "chat", "project_id": place.project_id, "delivery_url": url, "delivery_token": secret,
    });
    let registered = staff
        .expect_success(Method::POST, "/staff/adapters", Some(body))
        .await?;
    let id = text(&registered, "id")?;
    let owner = user_id(world, |user| user["is_platform_owner"] == true).await?;
    let login = place.member.login.clone();
    let member = user_id(world, |user| user["github_login"] == login).await?;
    for (actor, user) in [("owner", owner), ("member", member)] {
        let path = format!("/staff/adapters/{id}/identities");
        let body = json!({"actor_ref": actor, "user_id": user});
        staff.expect_success(Method::PUT, &path, Some(body)).await?;
    }
    world.remembered.insert(ROOM.to_owned(), room);
    world
        .remembered
        .insert(TOKEN.to_owned(), text(&registered, "token")?);
    Ok(())
}

#[given("a running run with a chat")]
async fn run_with_chat(world: &mut GateWorld) -> Step {
    agent_waits_for_signal(world).await?;
    register(world).await?;
    Ok(a_running_run_with(world, "run:dev").await?)
}

#[given("a running run without a chat")]
async fn run_without_chat(world: &mut GateWorld) -> Step {
    agent_waits_for_signal(world).await?;
    Ok(a_running_run_with(world, "run:dev").await?)
}

#[given("a chat of the project")]
#[when("a chat is registered")]
async fn registered(world: &mut GateWorld) -> Step {
    Ok(register(world).await?)
}

#[given("the chat is out of order")]
async fn out_of_order(world: &mut GateWorld) -> Step {
    announce(world, "adapter", "the chat answers 503 to every message");
    let room = room(world)?;
    let fault = Some(Fault::ServerError);
    world
        .gate
        .adapter
        .set_fault(&room, "primary_dispatch", fault);
    Ok(())
}

#[given("nobody in the chat has the login of the author")]
async fn unknown_person(world: &mut GateWorld) -> Step {
    announce(world, "adapter", "the chat knows nobody of this login");
    let room = room(world)?;
    let fault = Some(Fault::UnknownPerson);
    world
        .gate
        .adapter
        .set_fault(&room, "primary_dispatch", fault);
    Ok(())
}

#[given("the chat cannot edit messages")]
async fn cannot_edit(world: &mut GateWorld) -> Step {
    announce(world, "adapter", "the chat refuses to edit messages");
    let room = room(world)?;
    let fault = Some(Fault::UnknownPerson);
    world.gate.adapter.set_fault(&room, "message_edit", fault);
    Ok(())
}

#[given("the chat sends nothing after a message")]
async fn cannot_follow(world: &mut GateWorld) -> Step {
    announce(world, "adapter", "the chat refuses further messages");
    let room = room(world)?;
    let fault = Some(Fault::UnknownPerson);
    world
        .gate
        .adapter
        .set_fault(&room, "follow_up_notify", fault);
    Ok(())
}

/// At least so many: time goes on while one looks.
#[when(expr = "the chat has refused {int} messages")]
async fn has_refused(world: &mut GateWorld, count: usize) -> Step {
    let room = room(world)?;
    let gate = world.gate.clone();
    until("refused messages", RUN_DEADLINE, async || {
        let refused = gate.adapter.deliveries(&room).len();
        Ok(if refused >= count {
            Reading::Reached(())
        } else {
            Reading::NotYet(format!("{refused} deliveries"))
        })
    })
    .await?;
    Ok(())
}

/// The chat shows a message with this text; what follows is about it.
#[when(expr = "the chat has {string}")]
async fn has(world: &mut GateWorld, words: String) -> Step {
    let room = room(world)?;
    let gate = world.gate.clone();
    until("the message in the chat", RUN_DEADLINE, async || {
        let deliveries = gate.adapter.deliveries(&room);
        Ok(match deliveries.last() {
            Some(delivery) if delivery.envelope["content"]["question"] == words.as_str() => {
                Reading::Reached(())
            }
            _ => Reading::NotYet(format!("{} deliveries", deliveries.len())),
        })
    })
    .await?;
    Ok(())
}

/// The newest message that the chat took and that offers something to press, or any other when there is none.
pub async fn message(world: &mut GateWorld) -> anyhow::Result<Delivery> {
    let room = room(world)?;
    let gate = world.gate.clone();
    until("a message in the chat", RUN_DEADLINE, async || {
        let found = gate
            .adapter
            .deliveries(&room)
            .into_iter()
            .rfind(|delivery| {
                delivery.accepted && delivery.text("delivery_role") == "primary_dispatch"
            });
        Ok(match found {
            Some(delivery) => Reading::Reached(delivery),
            None => Reading::NotYet("nothing was delivered".to_owned()),
        })
    })
    .await
}

/// Calls the platform back, and remembers what it answered.
pub(super) async fn call_back(world: &mut GateWorld, pressed: &Pressed) -> anyhow::Result<Answer> {
    let room = room(world)?;
    let answer = world
        .gate
        .adapter
        .call_back(&room, pressed)
        .await
        .context("the platform did not answer the chat")?;
    world.answer = Some((answer.status, answer.body.clone()));
    Ok(answer)
}

async fn press(
    world: &mut GateWorld,
    who: &str,
    button: &str,
    event: &str,
) -> anyhow::Result<Answer> {
    let message = message(world).await?;
    let handle = message
        .handle(button)
        .with_context(|| format!("the message has no button {button:?}"))?
        .to_owned();
    let pressed = Pressed::about(&message, "option_selected", event)
        .with("callback_handle", handle)
        .with("responder_ref", who);
    call_back(world, &pressed).await
}

#[when(expr = "the person presses {string}")]
#[when(expr = "the person presses {string} again")]
async fn person_presses(world: &mut GateWorld, button: String) -> Step {
    let event = new_event(world);
    press(world, "member", &button, &event).await?;
    Ok(())
}

#[when(expr = "{word} presses {string} in the chat")]
async fn somebody_presses(world: &mut GateWorld, who: String, button: String) -> Step {
    let event = new_event(world);
    press(world, &who, &button, &event).await?;
    Ok(())
}

#[when(expr = "the person presses {string}, and the chat tells it three times")]
async fn told_three_times(world: &mut GateWorld, button: String) -> Step {
    let event = new_event(world);
    let mut said = Vec::new();
    for _ in 0..3 {
        let answer = press(world, "member", &button, &event).await?;
        let word = answer.body["classification"].as_str().unwrap_or("-");
        said.push(format!("{} {word}", answer.status));
    }
    world.answer = Some((200, json!({"classification": said.join(", ")})));
    Ok(())
}

#[when("the person presses a forged button")]
async fn forged(world: &mut GateWorld) -> Step {
    let message = message(world).await?;
    let event = new_event(world);
    let pressed = Pressed::about(&message, "option_selected", &event)
        .with("callback_handle", "A".repeat(43))
        .with("responder_ref", "member");
    call_back(world, &pressed).await?;
    Ok(())
}

#[when(expr = "the person writes {string}")]
async fn writes(world: &mut GateWorld, words: String) -> Step {
    write(world, "free_text_received", &words).await
}

#[when(expr = "the person writes a text of {int} bytes")]
async fn writes_much(world: &mut GateWorld, bytes: usize) -> Step {
    write(world, "free_text_received", &"x".repeat(bytes)).await
}

#[when(expr = "the owner says {string} in the chat")]
async fn says(world: &mut GateWorld, words: String) -> Step {
    write(world, "voice_transcript_received", &words).await
}

async fn write(world: &mut GateWorld, kind: &str, words: &str) -> Step {
    let message = message(world).await?;
    let handle = message
        .handle("free_text_session")
        .context("the message takes no text")?
        .to_owned();
    let event = new_event(world);
    let pressed = Pressed::about(&message, kind, &event)
        .with("callback_handle", handle)
        .with("free_text", words)
        .with("responder_ref", "owner");
    call_back(world, &pressed).await?;
    Ok(())
}

//! Run tokens that are wrong in one thing (G-6 to G-10): signed by the platform's own key where the fault lies elsewhere.

use anyhow::Context;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cucumber::{then, when};
use jsonwebtoken::{EncodingKey, Header};
use reports::evidence::ObservationSource::{Github, Orchestrator, Postgres};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    agent_tools::AgentTools,
    definitions::outcome::{await_end, await_event, current_run},
    world::{GateWorld, Step, text},
};

const ANSWERS: &str = "answers to a wrong token";
const KEPT: &str = "token that is dead by now";
const REVOKED: &str = "answers to taking the token away";
/// What a wrong token would set, and what the right one sets.
const WRONG_LABEL: &str = "need:qa";
const RIGHT_LABEL: &str = "need:km";

fn part(token: &str, index: usize) -> anyhow::Result<Value> {
    let part = token
        .split('.')
        .nth(index)
        .context("a token has three parts")?;
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .context("a token is written in base64")?;
    serde_json::from_slice(&bytes).context("a token is JSON")
}

fn written(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(token: &str, claims: &Value, key: &str) -> anyhow::Result<String> {
    let header: Header =
        serde_json::from_value(part(token, 0)?).context("failed to read a header")?;
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(key.as_bytes()))
        .context("failed to sign a token")
}

/// The token with one thing changed.
fn spoiled(token: &str, how: &str, key: &str) -> anyhow::Result<String> {
    let mut claims = part(token, 1)?;
    let number = |claims: &Value, name: &str| claims[name].as_i64().unwrap_or_default();
    match how {
        // Over since its first second, however little time has passed.
        "but expired" => claims["exp"] = claims["iat"].clone(),
        "but issued for an earlier agent" => claims["gen"] = json!(number(&claims, "gen") - 1),
        "but issued for a later agent" => claims["gen"] = json!(number(&claims, "gen") + 1),
        "but with another token id" => claims["jti"] = json!(uuid::Uuid::new_v4()),
        "but for another run" => claims["run_id"] = json!(uuid::Uuid::new_v4()),
        "but made for a callback" => claims["scope"] = json!("interaction_callback"),
        "but without a signature" => {
            let mut header = part(token, 0)?;
            header["alg"] = json!("none");
            return Ok(format!("{}.{}.", written(&header), written(&claims)));
        }
        "but changed after it was signed" => {
            let mut parts = token.split('.');
            let (header, signature) = (parts.next(), parts.nth(1));
            claims["correlation_id"] = json!("another");
            return Ok(format!(
                "{}.{}.{}",
                header.unwrap_or_default(),
                written(&claims),
                signature.unwrap_or_default()
            ));
        }
        "but signed with another key" => return signed(token, &claims, &key.repeat(2)),
        other => anyhow::bail!("no token is known that is its own {other}"),
    }
    signed(token, &claims, key)
}

/// Status of a tool that sets this label on the run's Issue, and of a runner route.
async fn doors(
    world: &mut GateWorld,
    token: &str,
    run_id: &str,
    label: &str,
) -> anyhow::Result<String> {
    let platform = world.platform();
    let lane = platform.lane();
    let agent = AgentTools::with_token(&lane.mcp_url, token)?;
    let labels = json!({"labels": [label]});
    let tools = agent.call("github_labels_add", labels).await?.status;
    let (route, _) = agent.resume_payload(&lane.internal_url, run_id).await?;
    Ok(format!("{tools} {route}"))
}

#[when(regex = r"^somebody acts with the token of its agent, (.+)$")]
async fn acts_with(world: &mut GateWorld, how: String) -> Step {
    await_event(world, "run.agent.ready").await?;
    let id = text(&current_run(world).await?, "id")?;
    let own = AgentTools::of_run(world).await?.token().to_owned();
    let key = world
        .platform()
        .lane()
        .secrets
        .mcp_token_signing_key
        .clone();
    let wrong = spoiled(&own, &how, &key)?;
    let refused = doors(world, &wrong, &id, WRONG_LABEL).await?;
    let open = doors(world, &own, &id, RIGHT_LABEL).await?;
    world
        .remembered
        .insert(ANSWERS.to_owned(), format!("{refused}; {open}"));
    Ok(())
}

/// Only the right token has set its label.
async fn one_label(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let labels = place.member.labels(&place.repository, place.issue).await?;
    let set: Vec<&str> = labels
        .iter()
        .map(String::as_str)
        .filter(|label| [WRONG_LABEL, RIGHT_LABEL].contains(label))
        .collect();
    world.equal(
        &["G-7", "G-8", "G-9", "G-10"],
        Github,
        "what wrong and right tokens have set on the Issue",
        "GET /repos/…/issues/…/labels",
        RIGHT_LABEL,
        set.join(", "),
    )?;
    Ok(())
}

async fn rejections(world: &mut GateWorld, run_id: &str) -> anyhow::Result<String> {
    let events = world.platform().database.events_of_run(run_id).await?;
    let reasons: Vec<&str> = events
        .iter()
        .filter(|event| event["event_type"] == "mcp.auth.rejected")
        .map(|event| event["payload"]["reason"].as_str().unwrap_or("-"))
        .collect();
    Ok(reasons.join(", "))
}

#[then(
    expr = "neither tools nor runner routes are open, {string} is on record, and the token itself opens both"
)]
async fn closed(world: &mut GateWorld, told: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let answers = world.remembered.get(ANSWERS).cloned().unwrap_or_default();
    // A run that is no resumption of another has no such payload: 404 says that the door is open.
    world.equal(
        &["G-7", "G-8", "G-10"],
        Orchestrator,
        "status of tools and of a runner route, with the wrong token and with the right one",
        "POST /mcp tools/call; GET /internal/v1/runs/…/resume-payload",
        "401 401; 200 404",
        answers,
    )?;
    let id = text(&current_run(world).await?, "id")?;
    let expected = match told.as_str() {
        "nothing" => String::new(),
        told => format!("{told}, {told}"),
    };
    let seen = rejections(world, &id).await?;
    world.equal(
        &["G-8", "G-9", "G-10", "R-176"],
        Postgres,
        "rejected tokens of the run",
        "flow_events mcp.auth.rejected of the run",
        expected,
        seen,
    )?;
    one_label(world).await
}

#[when("the token of its agent is kept, and staff cancels the run")]
async fn kept(world: &mut GateWorld) -> Step {
    await_event(world, "run.agent.ready").await?;
    let id = text(&current_run(world).await?, "id")?;
    let token = AgentTools::of_run(world).await?.token().to_owned();
    let before = doors(world, &token, &id, RIGHT_LABEL).await?;
    world.platform().staff.cancel(&id, false).await?;
    await_end(world).await?;
    let after = doors(world, &token, &id, WRONG_LABEL).await?;
    world
        .remembered
        .insert(KEPT.to_owned(), format!("{before}; {after}"));
    Ok(())
}

#[when("the token of its agent is kept, and staff takes it away")]
async fn taken_away(world: &mut GateWorld) -> Step {
    await_event(world, "run.agent.ready").await?;
    let id = text(&current_run(world).await?, "id")?;
    let token = AgentTools::of_run(world).await?.token().to_owned();
    let before = doors(world, &token, &id, RIGHT_LABEL).await?;
    let staff = world.platform().staff.clone();
    let path = format!("/staff/runs/{id}/mcp-token/revoke");
    let mut statuses = Vec::new();
    // Once more, as somebody does who is not sure.
    for _ in 0..2 {
        let (status, _) = staff.call(Method::POST, &path, None).await?;
        statuses.push(status.as_u16().to_string());
    }
    world
        .remembered
        .insert(REVOKED.to_owned(), statuses.join(" "));
    let after = doors(world, &token, &id, WRONG_LABEL).await?;
    world
        .remembered
        .insert(KEPT.to_owned(), format!("{before}; {after}"));
    Ok(())
}

#[then("it was taken away once, by a person, and the run itself goes on")]
async fn taken_once(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let statuses = world.remembered.get(REVOKED).cloned().unwrap_or_default();
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let part = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let revoked: Vec<String> = events
        .iter()
        .filter(|event| event["event_type"] == "run.mcp.token.revoked")
        .map(|event| {
            let reason = part(&event["payload"]["reason"]);
            format!("{} {reason}", part(&event["actor_type"]))
        })
        .collect();
    world.equal(
        &["G-9"],
        Postgres,
        "answers to taking the token away; events of it; the run",
        "POST /api/v1/staff/runs/…/mcp-token/revoke twice; flow_events; agent_runs",
        "204 204; human staff; running",
        format!(
            "{statuses}; {}; {}",
            revoked.join(", "),
            part(&run["status"])
        ),
    )?;
    Ok(())
}

#[then(expr = "neither tools nor runner routes are open to it, and {string} is on record")]
async fn closed_afterwards(
    world: &mut GateWorld,
    told: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let answers = world.remembered.get(KEPT).cloned().unwrap_or_default();
    world.equal(
        &["G-8", "G-9"],
        Orchestrator,
        "status of tools and of a runner route while the run worked and after its end",
        "POST /mcp tools/call; GET /internal/v1/runs/…/resume-payload",
        "200 404; 401 401",
        answers,
    )?;
    let id = text(&current_run(world).await?, "id")?;
    let seen = rejections(world, &id).await?;
    world.equal(
        &["G-8"],
        Postgres,
        "rejected tokens of the run",
        "flow_events mcp.auth.rejected of the run",
        format!("{told}, {told}"),
        seen,
    )?;
    one_label(world).await
}

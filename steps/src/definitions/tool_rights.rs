//! Which tools an agent sees and may call (G-14 to G-21), and whose threads and projects it may name (G-13, G-33).

use anyhow::Context;
use cucumber::{then, when};
use reports::evidence::ObservationSource::{Github, Orchestrator, Postgres};
use serde_json::{Value, json};

use crate::{
    agent_tools::{AgentTools, ToolAnswer},
    definitions::outcome::{await_event, current_run},
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const ANSWERS: &str = "answers to an agent without the right";
const TOOL: &str = "tool without the right";
const OTHER_ISSUE: &str = "Issue of the other run";

/// Tools by what they are for (2.1 of the chapter).
fn tools_for(what: &str) -> anyhow::Result<&'static [&'static str]> {
    Ok(match what {
        "labels" => &[
            "github_labels_add",
            "github_labels_list",
            "github_labels_remove",
            "github_labels_transition",
        ],
        "reports" => &["run_status_report"],
        "diagnostics" => &[
            "self_improve_run_lookup",
            "self_improve_runs_list",
            "self_improve_session_get",
        ],
        "people" => &["user.decision.request", "user.notify"],
        "feedback" => &["owner.feedback.request"],
        "secrets" => &["database.lifecycle", "secret.sync.github_k8s"],
        other => anyhow::bail!("no tools are known for {other}"),
    })
}

#[then(expr = "its agent sees exactly the tools for {string}, in order")]
async fn sees(world: &mut GateWorld, what: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.agent.ready").await?;
    let mut expected = Vec::new();
    for what in what.split(", ") {
        expected.extend_from_slice(tools_for(what)?);
    }
    expected.sort_unstable();
    let listed = AgentTools::of_run(world).await?.ask("tools/list").await?;
    let seen: Vec<&str> = listed.body["result"]["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    world.equal(
        &["G-14", "G-15", "G-16", "G-17", "G-18"],
        Orchestrator,
        "tools that the agent sees",
        "POST /mcp tools/list",
        expected.join(", "),
        seen.join(", "),
    )?;
    Ok(())
}

fn refusal(answer: &ToolAnswer) -> String {
    format!(
        "{} {}",
        answer.body["error"]["code"],
        answer.body["error"]["data"]["reason"]
            .as_str()
            .unwrap_or("-")
    )
}

#[when(expr = "its agent calls {string}, and then lists its labels")]
async fn calls(world: &mut GateWorld, tool: String) -> Step {
    await_event(world, "run.agent.ready").await?;
    let agent = AgentTools::of_run(world).await?;
    let first = agent.call(&tool, json!({})).await?;
    let second = agent.call("github_labels_list", json!({})).await?;
    let answers = format!("{}; {}", refusal(&first), second.summary());
    world.remembered.insert(ANSWERS.to_owned(), answers);
    world.remembered.insert(TOOL.to_owned(), tool);
    Ok(())
}

#[then(expr = "the server refuses the first as {string}, and {string} is on record of it")]
async fn refuses(
    world: &mut GateWorld,
    reason: String,
    told: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let answers = world.remembered.get(ANSWERS).cloned().unwrap_or_default();
    world.equal(
        &["G-19", "G-21"],
        Orchestrator,
        "answers to the call of the tool, and of one that the agent sees",
        "POST /mcp tools/call",
        format!("-32602 {reason}; ok"),
        answers,
    )?;
    let id = text(&current_run(world).await?, "id")?;
    let events = world.platform().database.events_of_run(&id).await?;
    let of_tools: Vec<String> = events.iter().filter_map(tool_event).collect();
    // The alias is one in the call only.
    let tool = match world.remembered.get(TOOL).map(String::as_str) {
        Some("secret.sync.k8s") => "secret.sync.github_k8s",
        Some(tool) => tool,
        None => "-",
    };
    let mut expected: Vec<String> = match told.as_str() {
        "nothing" => Vec::new(),
        told => told
            .split(", ")
            .map(|told| format!("{tool} {told}"))
            .collect(),
    };
    expected.extend(["called", "succeeded"].map(|told| format!("github_labels_list {told}")));
    world.equal(
        &["G-19", "G-21"],
        Postgres,
        "calls of the run on record, the allowed one last",
        "flow_events mcp.tool.* of the run",
        expected.join(", "),
        of_tools.join(", "),
    )?;
    Ok(())
}

/// `tool called`, `tool succeeded`, or `tool failed as code`.
fn tool_event(event: &Value) -> Option<String> {
    let end = event["event_type"].as_str()?.strip_prefix("mcp.tool.")?;
    let payload = &event["payload"];
    let tool = payload["tool"].as_str()?;
    Some(match payload["code"].as_str() {
        Some(code) => format!("{tool} {end} as {code}"),
        None => format!("{tool} {end}"),
    })
}

async fn status_of_other(world: &mut GateWorld, issue: u64) -> anyhow::Result<String> {
    let platform = world.platform();
    let place = world.place()?;
    let runs = platform
        .database
        .runs_of_issue(&place.repository, issue)
        .await?;
    let status = runs.first().and_then(|run| run["status"].as_str());
    Ok(status.unwrap_or("none").to_owned())
}

#[when("its agent labels the Issue of another run and names another project")]
async fn acts_for_another(world: &mut GateWorld) -> Step {
    await_event(world, "run.agent.ready").await?;
    let place = world.place()?;
    let other = place
        .member
        .open_issue(&place.repository, "Somebody else's wish", "")
        .await?;
    place
        .member
        .add_labels(&place.repository, other, &["run:intake"])
        .await?;
    world
        .remembered
        .insert(OTHER_ISSUE.to_owned(), other.to_string());
    until("the other run at work", RUN_DEADLINE, async || {
        let status = status_of_other(world, other).await?;
        Ok(match status.as_str() {
            "running" => Reading::Reached(()),
            _ => Reading::NotYet(status),
        })
    })
    .await?;
    let agent = AgentTools::of_run(world).await?;
    let label = json!({"labels": ["need:qa"], "issue_number": other});
    let secret = json!({
        "environment": "ai-staging", "github_secret_name": "SHOP_KEY", "kubernetes_secret_name": "shop",
        "policy": "random", "project_id": uuid::Uuid::new_v4(),
    });
    let answers = [
        agent.call("github_labels_add", label).await?.summary(),
        agent
            .call("secret.sync.github_k8s", secret)
            .await?
            .summary(),
    ];
    world
        .remembered
        .insert(ANSWERS.to_owned(), answers.join("; "));
    Ok(())
}

#[then("both are refused, and neither the other Issue nor the other run has changed")]
async fn both_refused(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let answers = world.remembered.get(ANSWERS).cloned().unwrap_or_default();
    world.equal(
        &["G-13", "G-33"],
        Orchestrator,
        "answers about another Issue and another project",
        "POST /mcp tools/call",
        "forbidden foreign_thread; forbidden identity_mismatch",
        answers,
    )?;
    let other: u64 = world
        .remembered
        .get(OTHER_ISSUE)
        .and_then(|number| number.parse().ok())
        .context("there is no other Issue")?;
    let place = world.place()?;
    let labels = place.member.labels(&place.repository, other).await?;
    world.holds(
        &["G-33"],
        Github,
        "labels of the other Issue",
        "GET /repos/…/issues/…/labels",
        "without need:qa",
        labels.join(", "),
        !labels.iter().any(|label| label == "need:qa"),
    )?;
    let own = text(&current_run(world).await?, "id")?;
    let status = status_of_other(world, other).await?;
    let place = world.place()?;
    let touched = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(e.event_type || ' ' || coalesce(e.run_id::text, '-')) FROM flow_events e
             JOIN agent_runs r ON r.id = e.run_id
             WHERE r.repository_full_name = $1 AND (e.event_type LIKE 'mcp.tool.%' OR e.event_type LIKE 'label.%')
               AND e.actor_type = 'agent' AND e.run_id <> $2::text::uuid",
            &[&place.repository, &own],
        )
        .await?;
    world.equal(
        &["G-13"],
        Postgres,
        "the other run, and what agents did in the name of others than their own",
        "flow_events mcp.tool.*, label.* of the repository's other runs",
        "running, []",
        format!("{status}, {}", Value::from(touched)),
    )?;
    Ok(())
}

//! Labels that an agent changes over the platform's tools (G-32 to G-38, L-16, L-17, L-19).

use anyhow::Context;
use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Github, Orchestrator, Postgres};
use serde_json::{Value, json};

use crate::{
    agent_tools::{AgentTools, ToolAnswer},
    definitions::{faults::announce, outcome::current_run},
    github::Person,
    place::{delivery_after, is_labeled, mark},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const BEFORE: &str = "labels before the call";
const ANSWER: &str = "answer of the tool";
const OTHER: &str = "the other Issue";

fn listed(labels: &str) -> Vec<String> {
    labels.split(", ").map(str::to_owned).collect()
}

pub(super) async fn labels_of(world: &GateWorld, number: u64) -> anyhow::Result<Vec<String>> {
    let place = world.place()?;
    let mut labels = place.member.labels(&place.repository, number).await?;
    labels.sort();
    Ok(labels)
}

/// Calls a label tool; remembers the answer, and what the Issue carried before.
pub(super) async fn call(
    world: &mut GateWorld,
    tool: &str,
    arguments: Value,
) -> anyhow::Result<ToolAnswer> {
    let before = labels_of(world, world.place()?.issue).await?;
    world
        .remembered
        .insert(BEFORE.to_owned(), before.join(", "));
    let answer = AgentTools::of_run(world)
        .await?
        .call(tool, arguments)
        .await?;
    remember(world, &answer);
    Ok(answer)
}

fn remember(world: &mut GateWorld, answer: &ToolAnswer) {
    world.remembered.insert(
        ANSWER.to_owned(),
        json!({"summary": answer.summary(), "output": answer.output()}).to_string(),
    );
}

pub(super) fn remembered(world: &GateWorld) -> anyhow::Result<Value> {
    let answer = world.remembered.get(ANSWER).context("no tool was called")?;
    serde_json::from_str(answer).context("the answer was not kept as JSON")
}

#[when(expr = "the agent adds {string} to the Issue")]
async fn adds(world: &mut GateWorld, labels: String) -> Step {
    call(
        world,
        "github_labels_add",
        json!({"labels": listed(&labels)}),
    )
    .await?;
    Ok(())
}

#[when(expr = "the agent removes {string} from the Issue")]
async fn removes(world: &mut GateWorld, labels: String) -> Step {
    call(
        world,
        "github_labels_remove",
        json!({"labels": listed(&labels)}),
    )
    .await?;
    Ok(())
}

#[when(expr = "the agent takes {string} off the Issue and sets {string}")]
async fn transition(world: &mut GateWorld, off: String, on: String) -> Step {
    call(
        world,
        "github_labels_transition",
        json!({"remove_labels": listed(&off), "add_labels": listed(&on)}),
    )
    .await?;
    Ok(())
}

#[when(expr = "the agent takes {string} off the pull request and sets {string}")]
async fn transition_of_pull_request(world: &mut GateWorld, off: String, on: String) -> Step {
    let number = world.pull_request.context("there is no pull request")?;
    call(
        world,
        "github_labels_transition",
        json!({"remove_labels": listed(&off), "add_labels": listed(&on), "issue_number": number}),
    )
    .await?;
    Ok(())
}

#[when(expr = "the agent adds {string} to another Issue")]
async fn adds_elsewhere(world: &mut GateWorld, labels: String) -> Step {
    let place = world.place()?;
    let other = place
        .member
        .open_issue(&place.repository, "Somebody else's wish", "")
        .await?;
    world.remembered.insert(OTHER.to_owned(), other.to_string());
    call(
        world,
        "github_labels_add",
        json!({"labels": listed(&labels), "issue_number": other}),
    )
    .await?;
    Ok(())
}

#[when("the agent adds no label, and changes one label both ways")]
async fn invalid(world: &mut GateWorld) -> Step {
    let first = call(world, "github_labels_add", json!({"labels": []})).await?;
    let both = json!({"add_labels": ["need:qa"], "remove_labels": ["NEED:QA"]});
    let second = call(world, "github_labels_transition", both).await?;
    let summary = format!("{}; {}", first.summary(), second.summary());
    world.remembered.insert(
        ANSWER.to_owned(),
        json!({"summary": summary, "output": null}).to_string(),
    );
    Ok(())
}

#[when(expr = "the agent sets {string} with its own token for GitHub")]
async fn with_own_token(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    let gate = world.gate.clone();
    let bot = Person::new(
        &gate.github.bot_login(),
        gate.github.as_user(&gate.github.bot_token()),
    );
    let before = mark(&gate, &place.repository);
    bot.add_labels(&place.repository, place.issue, &[&label])
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, &label, |delivery| {
        is_labeled(delivery, "issues", &label)
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[then(expr = "the tool answers that {string} is done and {string} was so before")]
async fn answers(
    world: &mut GateWorld,
    done: String,
    so: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let answer = remembered(world)?;
    let names = |field: &str| -> String {
        let names: Vec<&str> = answer["output"][field]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        names.join(", ")
    };
    world.equal(
        &["G-32"],
        Orchestrator,
        "done; so before",
        "tools/call",
        format!("{done}; {so}"),
        format!("{}; {}", names("applied"), names("unchanged")),
    )?;
    Ok(())
}

#[then(expr = "the tool refuses with {string}")]
async fn refuses(world: &mut GateWorld, summary: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let answer = remembered(world)?;
    world.equal(
        &["G-5", "G-33", "G-36", "G-37"],
        Orchestrator,
        "answer of the tool",
        "tools/call",
        summary,
        answer["summary"].as_str().unwrap_or_default(),
    )?;
    Ok(())
}

#[then("the list that the agent gets is what GitHub shows")]
async fn lists(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let answer = call(world, "github_labels_list", json!({})).await?;
    let mut names: Vec<&str> = answer.output()["labels"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|label| label["name"].as_str())
        .collect();
    names.sort_unstable();
    let carried = labels_of(world, world.place()?.issue).await?;
    world.equal(
        &["G-14", "G-32"],
        Github,
        "labels of the Issue",
        "GET /repos/…/issues/…/labels; github_labels_list",
        carried.join(", "),
        names.join(", "),
    )?;
    Ok(())
}

async fn changes(
    world: &mut GateWorld,
    event_type: &str,
    label: &str,
) -> anyhow::Result<Vec<Value>> {
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    Ok(events
        .into_iter()
        .filter(|event| {
            event["event_type"] == event_type
                && event["payload"]["label"] == label
                && event["payload"]["source"] == "mcp"
        })
        .collect())
}

fn told(events: &[Value]) -> String {
    let ops: Vec<&str> = events
        .iter()
        .filter_map(|event| event["payload"]["op"].as_str())
        .collect();
    ops.join(", ")
}

/// `whether` the thread carries the label, and the operations on it that are on record as the agent's, in order.
async fn carried_and_recorded(
    world: &mut GateWorld,
    number: u64,
    label: &str,
    whether: bool,
    operations: &str,
) -> anyhow::Result<()> {
    if whether {
        // What somebody approved is done by and by; a label that never comes is seen below.
        let reached = until("the label", DECISION_DEADLINE, async || {
            let carried = labels_of(world, number).await?.contains(&label.to_owned());
            let told = told(&changes(world, "label.applied", label).await?);
            Ok(if carried && told == operations {
                Reading::Reached(())
            } else {
                Reading::NotYet(format!("carried: {carried}, recorded: {told}"))
            })
        })
        .await;
        if let Err(error) = reached {
            tracing::debug!("{error:#}");
        }
    }
    let labels = labels_of(world, number).await?;
    let place = world.place()?;
    world.equal(
        &["G-32", "L-17"],
        Github,
        &format!("whether {}#{number} carries {label}", place.repository),
        "GET /repos/…/issues/…/labels",
        whether,
        labels.contains(&label.to_owned()),
    )?;
    let events = changes(world, "label.applied", label).await?;
    world.equal(
        &["G-32", "L-19"],
        Postgres,
        &format!("changes of {label} by the agent"),
        "flow_events: label.applied, source mcp",
        operations,
        told(&events),
    )?;
    Ok(())
}

#[then(expr = "the Issue carries {string}, by {string} of the agent")]
async fn carries(
    world: &mut GateWorld,
    labels: String,
    operations: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let issue = world.place()?.issue;
    for label in listed(&labels) {
        carried_and_recorded(world, issue, &label, true, &operations).await?;
    }
    Ok(())
}

#[then(expr = "the Issue lacks {string}, by {string} of the agent")]
async fn lacks(
    world: &mut GateWorld,
    labels: String,
    operations: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let issue = world.place()?.issue;
    for label in listed(&labels) {
        carried_and_recorded(world, issue, &label, false, &operations).await?;
    }
    Ok(())
}

#[then(expr = "the pull request carries {string}, as the agent wished")]
async fn pull_request_carries(
    world: &mut GateWorld,
    label: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let number = world.pull_request.context("there is no pull request")?;
    let events = changes(world, "label.applied", &label).await?;
    let on_it = events
        .iter()
        .filter(|event| event["payload"]["thread_number"] == number)
        .count();
    let labels = labels_of(world, number).await?;
    world.equal(
        &["G-37", "G-67"],
        Github,
        "labels of the pull request, and changes of it by the agent",
        "GET /repos/…/issues/…/labels; flow_events: label.applied, source mcp",
        format!("{label}: true, 1"),
        format!("{label}: {}, {on_it}", labels.contains(&label)),
    )?;
    Ok(())
}

#[then(expr = "{string} is on record as refused because {string}")]
async fn rejected(
    world: &mut GateWorld,
    labels: String,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    for label in listed(&labels) {
        let events = changes(world, "label.rejected", &label).await?;
        let reasons: Vec<&str> = events
            .iter()
            .filter_map(|event| event["payload"]["reason"].as_str())
            .collect();
        world.equal(
            &["G-33", "G-34", "G-37", "L-19"],
            Postgres,
            &format!("refusals of {label}"),
            "flow_events: label.rejected, source mcp",
            &reason,
            reasons.join(", "),
        )?;
    }
    Ok(())
}

/// Nothing was changed is shown by what is changed next (E-5).
#[then(expr = "{string} is the only label that the agent has changed")]
async fn only_change(world: &mut GateWorld, label: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let mut expected = world
        .remembered
        .get(BEFORE)
        .filter(|labels| !labels.is_empty())
        .map(|labels| listed(labels))
        .unwrap_or_default();
    expected.push(label.clone());
    expected.sort();
    call(world, "github_labels_add", json!({"labels": [label]})).await?;
    let issue = world.place()?.issue;
    let carried = labels_of(world, issue).await?;
    world.equal(
        &["G-33", "G-36", "G-37", "E-5"],
        Github,
        "labels of the Issue after the next call",
        "GET /repos/…/issues/…/labels",
        expected.join(", "),
        carried.join(", "),
    )?;
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let applied: Vec<&str> = events
        .iter()
        .filter(|event| {
            event["event_type"] == "label.applied" && event["payload"]["source"] == "mcp"
        })
        .filter_map(|event| event["payload"]["label"].as_str())
        .collect();
    world.equal(
        &["L-19", "E-5"],
        Postgres,
        "labels that the agent changed",
        "flow_events: label.applied, source mcp",
        label,
        applied.join(", "),
    )?;
    if let Some(other) = world.remembered.get(OTHER).cloned() {
        let other: u64 = other.parse().context("the number of an Issue")?;
        let carried = labels_of(world, other).await?;
        world.equal(
            &["G-33"],
            Github,
            "labels of the other Issue",
            "GET /repos/…/issues/…/labels",
            "",
            carried.join(", "),
        )?;
    }
    Ok(())
}

/// Records of a label on the Issue, once the deliveries that tell of it are decided.
async fn records_of(
    world: &mut GateWorld,
    label: &str,
    deliveries: &[String],
) -> anyhow::Result<Vec<Value>> {
    let platform = world.platform();
    let place = world.place()?;
    let thread = place.issue.to_string();
    until("the record of the label", DECISION_DEADLINE, async || {
        for guid in deliveries {
            let delivery = platform.database.delivery(guid).await?.unwrap_or_default();
            if !matches!(delivery["status"].as_str(), Some("accepted" | "ignored")) {
                return Ok(Reading::NotYet(format!("delivery {}", delivery["status"])));
            }
        }
        let events = platform
            .database
            .rows(
                "SELECT f.payload FROM flow_events f
                 WHERE f.event_type = 'label.applied' AND f.payload ->> 'label' = $1
                   AND f.payload ->> 'thread_number' = $2 AND f.project_id::text = $3",
                &[label, &thread, &place.project_id],
            )
            .await?;
        Ok(Reading::Reached(events))
    })
    .await
}

#[then(expr = "{string} is on record once, as set by the bot")]
async fn recorded_once(world: &mut GateWorld, label: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let guid = world.delivery()?.guid;
    let bot = world.gate.github.bot_login();
    let events = records_of(world, &label, &[guid]).await?;
    let seen: Vec<String> = events
        .iter()
        .map(|payload| {
            format!(
                "{} by {}",
                payload["source"].as_str().unwrap_or("-"),
                payload["applied_by"].as_str().unwrap_or("-")
            )
        })
        .collect();
    world.equal(
        &["L-19"],
        Postgres,
        &format!("records of {label}"),
        "flow_events: label.applied of the Issue",
        format!("system by {bot}"),
        seen.join(", "),
    )?;
    Ok(())
}

/// Else the handing over would find its label there already.
#[given("the work is not in review any more")]
async fn not_in_review(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let pull_request = world.pull_request.context("there is no pull request")?;
    for number in [place.issue, pull_request] {
        let label = "state:in-review".to_owned();
        if labels_of(world, number).await?.contains(&label) {
            place
                .member
                .remove_label(&place.repository, number, &label)
                .await?;
        }
    }
    Ok(())
}

#[given("GitHub refuses the next label for good")]
async fn refuses_next(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "effect", "GitHub refuses a label");
    world.gate.github.refuse_next_label(&place.repository);
    Ok(())
}

#[then("the tool says that GitHub failed and that what it took off is back")]
async fn compensated(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let answer = remembered(world)?;
    world.equal(
        &["G-34"],
        Orchestrator,
        "answer of the tool; compensated",
        "tools/call",
        "unavailable github_error; true",
        format!(
            "{}; {}",
            answer["summary"].as_str().unwrap_or_default(),
            answer["output"]["compensated"]
        ),
    )?;
    Ok(())
}

#[given("GitHub holds back changes of labels")]
async fn holds_writes(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "effect", "GitHub holds a label back");
    world.gate.github.hold_label_writes(&place.repository);
    Ok(())
}

/// The call waits for GitHub; that it does is seen before time moves.
#[when(expr = "the agent adds {string} with a key, and 61 seconds pass while GitHub hangs")]
async fn hangs(world: &mut GateWorld, label: String) -> Step {
    let tools = AgentTools::of_run(world).await?;
    let arguments = json!({"labels": [label], "idempotency_key": "SR-09"});
    let calls = tokio::spawn(async move { tools.call("github_labels_add", arguments).await });
    let place = world.place()?;
    let gate = world.gate.clone();
    until("GitHub's silence", DECISION_DEADLINE, async || {
        let met = gate.github.met_label_writes(&place.repository);
        Ok(if met > 0 {
            Reading::Reached(())
        } else {
            Reading::NotYet(format!("{met} held"))
        })
    })
    .await?;
    world.platform().advance_clock(61).await?;
    let answer = calls.await.context("the call broke off")??;
    remember(world, &answer);
    Ok(())
}

#[then("the tool says that it is not known yet, and that asking again may help")]
async fn not_known(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let answer = remembered(world)?;
    world.equal(
        &["G-22"],
        Orchestrator,
        "answer of the tool; retryable",
        "tools/call",
        "unavailable call_timeout; true",
        format!(
            "{}; {}",
            answer["summary"].as_str().unwrap_or_default(),
            answer["output"]["retryable"]
        ),
    )?;
    Ok(())
}

#[when(expr = "GitHub answers again and the agent adds {string} with the same key")]
async fn same_key(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    world.gate.github.release(&place.repository);
    let tools = AgentTools::of_run(world).await?;
    let arguments = json!({"labels": [label], "idempotency_key": "SR-09"});
    // An attempt that broke off is repeated after a pause, which platform time reaches.
    world.platform().advance_clock(30).await?;
    let answer = tools.call("github_labels_add", arguments).await?;
    remember(world, &answer);
    Ok(())
}

#[then(expr = "GitHub set {string} once, and it is on record once")]
async fn one_effect(world: &mut GateWorld, label: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let labeled: Vec<String> = world
        .gate
        .github
        .deliveries(&place.repository)
        .into_iter()
        .filter(|delivery| is_labeled(delivery, "issues", &label))
        .map(|delivery| delivery.guid)
        .collect();
    // Who made a change that an attempt could not tell of is known by its delivery alone, so the source is not asked.
    let records = records_of(world, &label, &labeled).await?;
    world.equal(
        &["G-22", "G-27", "L-19"],
        Github,
        &format!("settings of {label}; on record"),
        "journal of the stand-in: labeled; flow_events: label.applied of the Issue",
        "1; 1",
        format!("{}; {}", labeled.len(), records.len()),
    )?;
    Ok(())
}

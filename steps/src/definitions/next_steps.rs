//! Next steps that people take from the console (L-94 to L-101).

use anyhow::Context;
use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Github, Orchestrator, Postgres};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    place::{delivery_after, email_of, is_labeled, mark},
    staff::Staff,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const PREVIEW: &str = "/staff/github/next-step-actions/preview";
const EXECUTE: &str = "/staff/github/next-step-actions/execute";
const PROFILE: &str = "/staff/github/launch-profile";

fn member(world: &mut GateWorld) -> anyhow::Result<Staff> {
    let place = world.place()?;
    Ok(world
        .platform()
        .staff
        .as_person(&email_of(&place.member.login)))
}

fn to_stage(world: &GateWorld, label: &str) -> anyhow::Result<Value> {
    let place = world.place()?;
    Ok(json!({
        "repository_full_name": place.repository, "action_kind": "issue_stage_transition",
        "target_label": label, "issue_number": place.issue,
    }))
}

async fn ask(
    world: &mut GateWorld,
    staff: &Staff,
    path: &str,
    request: Value,
) -> anyhow::Result<()> {
    let (status, answer) = staff.call(Method::POST, path, Some(request)).await?;
    world.answer = Some((status.as_u16(), answer));
    Ok(())
}

/// Takes a step on the Issue and goes on with the delivery of its label.
async fn take(world: &mut GateWorld, staff: &Staff, label: &str) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    let request = to_stage(world, label)?;
    ask(world, staff, EXECUTE, request).await?;
    let (status, answer) = world.answer.clone().context("there is no answer")?;
    anyhow::ensure!(
        status == 200,
        "the step was answered with {status}: {answer}"
    );
    let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
        is_labeled(delivery, "issues", label)
    })
    .await?;
    world.deliveries.push(delivery);
    world.take_run();
    Ok(())
}

#[when(expr = "the member asks what the step {string} would do")]
async fn previews(world: &mut GateWorld, label: String) -> Step {
    let staff = member(world)?;
    let request = to_stage(world, &label)?;
    Ok(ask(world, &staff, PREVIEW, request).await?)
}

#[when(expr = "the member takes the step {string}")]
async fn takes(world: &mut GateWorld, label: String) -> Step {
    let staff = member(world)?;
    Ok(take(world, &staff, &label).await?)
}

#[given(expr = "the platform owner has taken the step {string}, and its run has ended")]
async fn owner_has_taken(world: &mut GateWorld, label: String) -> Step {
    let staff = world.platform().staff.clone();
    take(world, &staff, &label).await?;
    let run = crate::definitions::outcome::await_end(world).await?;
    crate::definitions::labels::await_labels_settled(world, &run).await?;
    Ok(())
}

#[when(expr = "the platform owner takes the step {string}")]
async fn owner_takes(world: &mut GateWorld, label: String) -> Step {
    let staff = world.platform().staff.clone();
    Ok(take(world, &staff, &label).await?)
}

#[when(expr = "the member presses {string} once more")]
async fn presses_again(world: &mut GateWorld, label: String) -> Step {
    let staff = member(world)?;
    let request = to_stage(world, &label)?;
    Ok(ask(world, &staff, EXECUTE, request).await?)
}

#[when(expr = "the member tries the step {string}")]
async fn tries(world: &mut GateWorld, label: String) -> Step {
    Ok(try_step(world, &label).await?)
}

async fn try_step(world: &mut GateWorld, label: &str) -> anyhow::Result<()> {
    let staff = member(world)?;
    let request = to_stage(world, label)?;
    ask(world, &staff, EXECUTE, request).await
}

#[when(expr = "the step {string} is asked for with {string}")]
async fn asked_with(world: &mut GateWorld, label: String, fault: String) -> Step {
    let place = world.place()?;
    let mut staff = member(world)?;
    let mut request = to_stage(world, &label)?;
    match fault.as_str() {
        "an unknown action kind" => request["action_kind"] = json!("merge_everything"),
        "a target that is none" => request["target_label"] = json!("run:ai-repair"),
        "an unbound repository" => {
            request["repository_full_name"] = json!(format!("{}-elsewhere", place.repository));
        }
        "labels that are not there" => request["expected_run_labels"] = json!(["run:plan"]),
        "no session" => staff = world.platform().staff.as_nobody(),
        "the role read" => {
            let login =
                crate::definitions::requests::known_user(world, &place, Some("read")).await?;
            staff = world.platform().staff.as_person(&email_of(&login));
        }
        other => Err(anyhow::anyhow!("the gate knows no request with {other}"))?,
    }
    Ok(ask(world, &staff, EXECUTE, request).await?)
}

#[when("the member asks for a pre-review of the pull request")]
async fn asks_for_review(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let number = world
        .pull_request
        .context("the scenario has no pull request")?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    let staff = member(world)?;
    let request = json!({
        "repository_full_name": place.repository, "action_kind": "pull_request_label_add",
        "target_label": "need:reviewer", "pull_request_number": number,
    });
    ask(world, &staff, EXECUTE, request).await?;
    let label = "need:reviewer";
    let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
        is_labeled(delivery, "pull_request", label)
    })
    .await?;
    world.deliveries.push(delivery);
    world.take_run();
    Ok(())
}

#[when(expr = "the member names the risk {string}")]
async fn names_risk(world: &mut GateWorld, signal: String) -> Step {
    let place = world.place()?;
    let staff = member(world)?;
    let request = json!({
        "repository_full_name": place.repository, "issue_number": place.issue,
        "risk_signals": [signal], "reason": "seen in the brief",
    });
    Ok(ask(world, &staff, PROFILE, request).await?)
}

#[when(expr = "the platform's bot sets {string} on the Issue by itself")]
async fn bot_sets(world: &mut GateWorld, label: String) -> Step {
    let bot = world.gate.github.bot_login();
    Ok(crate::definitions::requests::as_somebody(world, &bot, &label).await?)
}

#[when(expr = "the member takes the step {string}, whose delivery GitHub loses")]
async fn takes_and_loses(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    let github = world.gate.github.clone();
    let fault = github.lose_label_delivery(&place.repository, &label);
    try_step(world, &label).await?;
    let guid = until("the lost delivery", DECISION_DEADLINE, async || {
        Ok(match github.met_by(&place.repository, fault) {
            Some((_, guid)) => Reading::Reached(guid),
            None => Reading::NotYet("GitHub has sent no such delivery".to_owned()),
        })
    })
    .await?;
    world.remembered.insert("lost".to_owned(), guid);
    Ok(())
}

#[when("GitHub sends the lost delivery again")]
async fn sends_lost(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let gate = world.gate.clone();
    let guid = world
        .remembered
        .get("lost")
        .cloned()
        .context("no delivery was lost")?;
    // The platform may have asked for it already: the attempt that came first is the one that is judged.
    let lost = gate
        .github
        .deliveries(&place.repository)
        .into_iter()
        .find(|delivery| delivery.guid == guid)
        .context("the lost delivery is not in GitHub's list")?;
    gate.github.redeliver(&place.repository, &guid)?;
    let delivery = delivery_after(&gate, &place.repository, lost.sequence, &guid, |delivery| {
        delivery.guid == guid
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[then(expr = "the step is refused as {int} {string}")]
async fn refused(
    world: &mut GateWorld,
    status: u16,
    code: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (seen, answer) = world.answer.clone().context("there is no answer")?;
    world.equal(
        &["L-98", "DA-2", "DA-13"],
        Orchestrator,
        "answer to the step",
        "POST /api/v1/staff/github/next-step-actions/execute",
        format!("{status} {code}"),
        format!("{seen} {}", answer["code"].as_str().unwrap_or("-")),
    )?;
    Ok(())
}

fn list(value: &Value) -> String {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

#[then(expr = "the answer is to remove {string}, to add {string} and to leave {string}")]
async fn answered(
    world: &mut GateWorld,
    removed: String,
    added: String,
    left: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (status, answer) = world.answer.clone().context("there is no answer")?;
    world.equal(
        &["L-97", "L-99", "L-100"],
        Orchestrator,
        "answer to the step",
        "POST /api/v1/staff/github/next-step-actions",
        format!("200 -[{removed}] +[{added}] =[{left}]"),
        format!(
            "{status} -[{}] +[{}] =[{}]",
            list(&answer["removed_labels"]),
            list(&answer["added_labels"]),
            list(&answer["final_labels"])
        ),
    )?;
    Ok(())
}

#[then(expr = "the Issue bears exactly {string}")]
async fn bears_exactly(
    world: &mut GateWorld,
    labels: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let seen = until("the labels of the Issue", DECISION_DEADLINE, async || {
        let mut seen = place.member.labels(&place.repository, place.issue).await?;
        seen.sort();
        let seen = seen.join(", ");
        Ok(if seen == labels {
            Reading::Reached(seen)
        } else {
            Reading::NotYet(seen)
        })
    })
    .await;
    let seen = seen.unwrap_or_else(|error| format!("{error:#}"));
    world.equal(
        &["L-3", "L-12", "L-99"],
        Github,
        &format!("labels of {}#{}", place.repository, place.issue),
        &format!(
            "GET /repos/{}/issues/{}/labels",
            place.repository, place.issue
        ),
        labels,
        seen,
    )?;
    Ok(())
}

/// Events of a type about the scenario's Issue, in order.
async fn events_of_issue(world: &mut GateWorld, event_type: &str) -> anyhow::Result<Vec<Value>> {
    let place = world.place()?;
    world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(e) FROM flow_events e WHERE event_type = $1 AND project_id = $2::text::uuid \
             AND coalesce(payload ->> 'issue_number', payload ->> 'thread_number') = $3 ORDER BY id",
            &[event_type, &place.project_id, &place.issue.to_string()],
        )
        .await
}

async fn id_of_member(world: &mut GateWorld) -> anyhow::Result<String> {
    let login = world.place()?.member.login;
    let rows = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(u) FROM users u WHERE github_login = $1::citext",
            &[&login],
        )
        .await?;
    text(rows.first().context("the member is no user")?, "id")
}

#[then(expr = "the event {string} of the member is written {int} time(s)")]
async fn written(
    world: &mut GateWorld,
    event_type: String,
    count: usize,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let member = id_of_member(world).await?;
    let events = events_of_issue(world, &event_type).await?;
    let own = events
        .iter()
        .filter(|event| event["actor_id"] == member.as_str())
        .count();
    world.equal(
        &["L-98", "L-99", "L-101", "DF-2"],
        Postgres,
        &format!("{event_type} of the Issue by the member"),
        "flow_events by type, project and Issue",
        format!("{count} of {count}"),
        format!("{own} of {}", events.len()),
    )?;
    Ok(())
}

/// Everything that the step brought about is decided by now: its run is known.
fn was_set_once(world: &mut GateWorld, rules: &[&str], label: &str) -> anyhow::Result<()> {
    let repository = world.place()?.repository;
    let told = world
        .gate
        .github
        .deliveries_after(&repository, 0)
        .iter()
        .filter(|delivery| is_labeled(delivery, "issues", label))
        .count();
    world.equal(
        rules,
        Github,
        &format!("deliveries of {label} on the Issue"),
        "journal of the stand-in: delivery",
        1,
        told,
    )?;
    Ok(())
}

#[then(expr = "{string} was set on the Issue once, by the platform owner's step")]
async fn set_by_the_owner(
    world: &mut GateWorld,
    label: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    was_set_once(world, &["L-95", "L-98"], &label)?;
    Ok(())
}

#[then(expr = "the bot's {string} was judged once as the member's")]
async fn judged_as_member(
    world: &mut GateWorld,
    label: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let member = id_of_member(world).await?;
    let delivery = world.delivery()?;
    world.equal(
        &["L-18"],
        Github,
        "sender of the delivery",
        "journal of the stand-in: delivery",
        world.gate.github.bot_login(),
        delivery.payload["sender"]["login"].as_str().unwrap_or("-"),
    )?;
    was_set_once(world, &["L-100"], &label)?;
    let consumed = events_of_issue(world, "label.grant.consumed").await?;
    let actors: Vec<_> = consumed
        .iter()
        .map(|event| event["actor_id"].as_str().unwrap_or("-"))
        .collect();
    world.equal(
        &["L-18", "L-100"],
        Postgres,
        &format!(
            "label.grant.consumed of {}#{}",
            place.repository, place.issue
        ),
        "flow_events by type, project and Issue",
        &member,
        actors.join(", "),
    )?;
    // The executor tells of the label once GitHub has answered, which may be after the delivery.
    let own = until("label.applied of the step", DECISION_DEADLINE, async || {
        let applied = events_of_issue(world, "label.applied").await?;
        let own: Vec<_> = applied
            .iter()
            .map(|event| &event["payload"])
            .filter(|payload| payload["label"] == label.as_str() && payload["op"] == "add")
            .map(|payload| {
                format!(
                    "{} by {}",
                    payload["source"].as_str().unwrap_or("-"),
                    payload["requested_by"].as_str().unwrap_or("-")
                )
            })
            .collect();
        Ok(if own.is_empty() {
            Reading::NotYet(format!("{} label.applied", applied.len()))
        } else {
            Reading::Reached(own)
        })
    })
    .await?;
    world.equal(
        &["L-19", "L-99"],
        Postgres,
        &format!("label.applied of {label}"),
        "flow_events by type, project and Issue",
        format!("ui by {member}"),
        own.join(", "),
    )?;
    Ok(())
}

#[then("the Issue asks for input, with one comment that names what is unclear")]
async fn asks_for_input(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let unclear = ["run:dev", "run:plan"];
    let found = crate::definitions::comments::await_comment(
        world,
        place.issue,
        "the remediation comment",
        |text| {
            // The comments of the two refused labels bear a reason code; this one is about the step.
            !text.contains("sender_")
                && unclear
                    .iter()
                    .all(|label| text.contains(&format!("`{label}`")))
        },
    )
    .await;
    let seen = found.map_or_else(
        |error| format!("{error:#}"),
        |found| found.len().to_string(),
    );
    let query = format!(
        "GET /repos/{}/issues/{}/comments",
        place.repository, place.issue
    );
    world.equal(&["L-101"], Github, "remediation comments", &query, 1, seen)?;
    let labels = place.member.labels(&place.repository, place.issue).await?;
    let mut labels: Vec<_> = labels.iter().map(String::as_str).collect();
    labels.sort_unstable();
    world.equal(
        &["L-101", "L-43"],
        Github,
        "labels of the Issue",
        &format!(
            "GET /repos/{}/issues/{}/labels",
            place.repository, place.issue
        ),
        "need:input, run:dev, run:plan",
        labels.join(", "),
    )?;
    Ok(())
}

#[then(expr = "the launch profile of the Issue is {string}")]
async fn profile_is(world: &mut GateWorld, profile: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let rows = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(s) FROM thread_states s JOIN repositories r ON r.id = s.repository_id \
             WHERE r.project_id = $1::text::uuid AND s.thread_kind = 'issue' AND s.thread_number = $2::text::int",
            &[&place.project_id, &place.issue.to_string()],
        )
        .await?;
    let stored = rows
        .first()
        .and_then(|row| row["launch_profile"].as_str())
        .unwrap_or("-")
        .to_owned();
    let resolved = events_of_issue(world, "stage.launch_profile.resolved").await?;
    let told = resolved
        .last()
        .and_then(|event| event["payload"]["launch_profile"].as_str())
        .unwrap_or("-");
    world.equal(
        &["L-95", "L-96"],
        Postgres,
        "launch profile of the Issue",
        "thread_states.launch_profile, last stage.launch_profile.resolved",
        format!("{profile}, {profile}"),
        format!("{stored}, {told}"),
    )?;
    Ok(())
}

#[then(expr = "the risk {string} was recorded as an escalation")]
async fn escalated(world: &mut GateWorld, signal: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let events = events_of_issue(world, "run.stage.escalated").await?;
    let seen: Vec<_> = events
        .iter()
        .filter_map(|event| event["payload"]["signal"].as_str())
        .collect();
    world.equal(
        &["L-96"],
        Postgres,
        "run.stage.escalated of the Issue",
        "flow_events by type, project and Issue",
        signal,
        seen.join(", "),
    )?;
    Ok(())
}

#[then(expr = "the pull request has {string} and one reviewer run")]
async fn one_reviewer(world: &mut GateWorld, label: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let number = world
        .pull_request
        .context("the scenario has no pull request")?;
    let delivery = world.delivery()?;
    let payload = delivery.payload.clone();
    let platform = world.platform();
    // The run of a pre-review has a correlation id of its own (L-88): the delivery names it.
    let run = until("the run of the delivery", DECISION_DEADLINE, async || {
        let stored = platform.database.delivery(&delivery.guid).await?;
        let stored = stored.unwrap_or_default();
        Ok(match stored["run_id"].as_str() {
            Some(run) => Reading::Reached(run.to_owned()),
            None => Reading::NotYet(stored.to_string()),
        })
    })
    .await?;
    let labels: Vec<_> = payload["pull_request"]["labels"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|label| label["name"].as_str())
        .collect();
    world.holds(
        &["L-87", "L-99"],
        Github,
        &format!("labels of {}#{number}", place.repository),
        "journal of the stand-in: delivery",
        &label,
        labels.join(", "),
        labels.contains(&label.as_str()),
    )?;
    crate::definitions::requests::fence(world).await?;
    let runs = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(r) FROM agent_runs r WHERE repository_full_name = $1 AND pr_number = $2::text::bigint \
             AND trigger_source = 'pull_request_label'",
            &[&place.repository, &number.to_string()],
        )
        .await?;
    world.equal(
        &["L-27", "L-87"],
        Postgres,
        "reviewer runs of the pull request",
        "agent_runs by repository, pull request and source",
        format!("1, agent reviewer, {run}"),
        format!(
            "{}, agent {}, {}",
            runs.len(),
            runs.first()
                .and_then(|run| run["agent_key"].as_str())
                .unwrap_or("-"),
            runs.first()
                .and_then(|run| run["id"].as_str())
                .unwrap_or("-")
        ),
    )?;
    Ok(())
}

#[then("the same step on another Issue is taken, and the first Issue keeps its labels")]
async fn taken_elsewhere(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let first_before = place.member.labels(&place.repository, place.issue).await?;
    let issue = place
        .member
        .open_issue(&place.repository, "Another wish", "")
        .await?;
    // A refused label is enough for a step to leave from (L-101).
    place
        .outsider
        .add_labels(&place.repository, issue, &["run:plan"])
        .await?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    let staff = member(world)?;
    let request = json!({
        "repository_full_name": place.repository, "action_kind": "issue_stage_transition",
        "target_label": "run:intake", "issue_number": issue, "expected_run_labels": ["run:plan"],
    });
    let (status, answer) = staff.call(Method::POST, EXECUTE, Some(request)).await?;
    world.equal(
        &["L-97"],
        Orchestrator,
        "answer to the step on another Issue",
        "POST /api/v1/staff/github/next-step-actions/execute",
        "200 run:intake",
        format!("{} {}", status.as_u16(), list(&answer["final_labels"])),
    )?;
    let delivery = delivery_after(&gate, &place.repository, before, "the step", |delivery| {
        is_labeled(delivery, "issues", "run:intake") && delivery.payload["issue"]["number"] == issue
    })
    .await;
    // The delivery tells what the Issue bore at that moment; its run may be over already.
    let seen = match delivery {
        Ok(delivery) => delivery.payload["issue"]["labels"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|label| label["name"].as_str())
            .collect::<Vec<_>>()
            .join(", "),
        Err(error) => format!("{error:#}"),
    };
    world.equal(
        &["L-97", "L-99", "E-5"],
        Github,
        "labels of the other Issue",
        "journal of the stand-in: delivery",
        "run:intake",
        seen,
    )?;
    let first = place.member.labels(&place.repository, place.issue).await?;
    world.equal(
        &["L-98"],
        Github,
        "labels of the first Issue",
        &format!(
            "GET /repos/{}/issues/{}/labels",
            place.repository, place.issue
        ),
        first_before.join(", "),
        first.join(", "),
    )?;
    Ok(())
}

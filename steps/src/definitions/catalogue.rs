//! Every label of a kind at once: what holds for one must hold for all (E-25).

use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Answer, Github, Postgres};
use serde_json::Value;

use crate::{
    definitions::{outcome::await_event, people::reports},
    expected,
    github::Person,
    place::{delivery_after, mark},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step},
};

/// Somebody sets labels on the Issue in one click; the scenario looks at all their deliveries next.
async fn one_click(world: &mut GateWorld, who: &Person, labels: &[String]) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    let names: Vec<&str> = labels.iter().map(String::as_str).collect();
    who.add_labels(&place.repository, place.issue, &names)
        .await?;
    world.deliveries.clear();
    for label in labels {
        let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
            reports(delivery, "labeled", place.issue, label)
        })
        .await?;
        world.deliveries.push(delivery);
    }
    Ok(())
}

#[when("the member sets every trigger label in one click")]
async fn every_trigger(world: &mut GateWorld) -> Step {
    let member = world.place()?.member;
    Ok(one_click(world, &member, &expected::trigger_labels()).await?)
}

#[when(regex = r"^(a bot|an outsider) sets every label that starts a run in one click$")]
async fn every_starting(world: &mut GateWorld, who: String) -> Step {
    let somebody = stranger(world, &who)?;
    let mut labels = expected::trigger_labels();
    labels.push("mode:discussion".to_owned());
    Ok(one_click(world, &somebody, &labels).await?)
}

#[when(regex = r#"^(a bot|an outsider) sets "([^"]+)" on the pull request$"#)]
async fn stranger_sets(world: &mut GateWorld, who: String, label: String) -> Step {
    let somebody = stranger(world, &who)?;
    let number = crate::definitions::people::thread(world, "pull request")?;
    Ok(crate::definitions::people::set_by(world, &somebody, number, &label).await?)
}

fn stranger(world: &GateWorld, who: &str) -> anyhow::Result<Person> {
    let place = world.place()?;
    if who == "an outsider" {
        return Ok(place.outsider);
    }
    let login = format!("robot-{}[bot]", &place.repository[5..11]);
    let hub = &world.gate.github;
    if hub.token_of(&place.repository, &login).is_err() {
        hub.create_bot(&place.repository, &login)?;
    }
    let token = hub.token_of(&place.repository, &login)?;
    Ok(Person::new(&login, hub.as_user(&token)))
}

#[then(expr = "each of these deliveries is ignored because {string}")]
async fn each_ignored(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let mut rules = expected::rules_of_reason(&reason);
    rules.extend(["L-22", "L-29", "L-42"]);
    let (mut answers, mut reasons) = (Vec::new(), Vec::new());
    for delivery in world.deliveries.clone() {
        let stored = until("the decision", DECISION_DEADLINE, async || {
            let stored = platform
                .database
                .delivery(&delivery.guid)
                .await?
                .unwrap_or_default();
            Ok(match stored["status"].as_str() {
                Some("processing") | None => Reading::NotYet(stored["status"].to_string()),
                Some(_) => Reading::Reached(stored),
            })
        })
        .await?;
        let label = &delivery.payload["label"]["name"];
        reasons.push(format!(
            "{label} {}",
            stored["reason"].as_str().unwrap_or("-")
        ));
        answers.push(format!("{label} {}", delivery.answer["run_id"]));
    }
    let each = |what: &str| {
        world
            .deliveries
            .iter()
            .map(|delivery| format!("{} {what}", delivery.payload["label"]["name"]))
            .collect::<Vec<_>>()
            .join(", ")
    };
    world.equal(
        &rules,
        Postgres,
        &format!("reasons of {} deliveries", reasons.len()),
        "webhook_deliveries.reason",
        each(&reason),
        reasons.join(", "),
    )?;
    world.equal(
        &rules,
        Answer,
        &format!("runs in the answers to {} deliveries", answers.len()),
        "journal of the stand-in: delivery",
        each("null"),
        answers.join(", "),
    )?;
    Ok(())
}

#[then("each of these conflicts names every trigger label")]
async fn each_names_all(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let wanted = expected::trigger_labels();
    let count = world.deliveries.len();
    let complete = until("the conflict comments", DECISION_DEADLINE, async || {
        let comments = place
            .member
            .comments(&place.repository, place.issue)
            .await?;
        let complete = comments
            .iter()
            .filter_map(|comment| comment["body"].as_str())
            .filter(|body| {
                body.contains("issue_trigger_label_conflict")
                    && wanted
                        .iter()
                        .all(|label| body.contains(&format!("`{label}`")))
            })
            .count();
        Ok(if complete >= count {
            Reading::Reached(complete)
        } else {
            Reading::NotYet(format!("{complete} of {count}"))
        })
    })
    .await?;
    world.equal(
        &["L-33", "L-42"],
        Github,
        "conflict comments that name all trigger labels",
        &format!(
            "GET /repos/{}/issues/{}/comments",
            place.repository, place.issue
        ),
        count,
        complete,
    )?;
    Ok(())
}

#[given(regex = r"^the member has set every (model|reasoning) label in one click$")]
async fn every_of_group(world: &mut GateWorld, group: String) -> Step {
    let member = world.place()?.member;
    Ok(one_click(world, &member, &expected::group(&group)).await?)
}

#[then(regex = r"^the error of the run names every (model|reasoning) label$")]
async fn error_names(world: &mut GateWorld, group: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let found = await_event(world, "run.failed.precondition").await?;
    let error = found["payload"]["error"].as_str().unwrap_or_default();
    let wanted = expected::group(&group);
    let missing: Vec<&str> = wanted
        .iter()
        .map(String::as_str)
        .filter(|label| !error.contains(label))
        .collect();
    world.holds(
        &["L-15", "L-46"],
        Postgres,
        "error of run.failed.precondition",
        "flow_events.payload.error",
        wanted.join(", "),
        error,
        missing.is_empty(),
    )?;
    Ok(())
}

#[then("nothing else was decided about the review")]
async fn nothing_else(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let number = crate::definitions::people::thread(world, "pull request")?;
    // The fence has a delivery of its own, so the review is the one before it.
    let guid = world.delivery()?.guid;
    let mut events: Vec<String> = world
        .platform()
        .database
        .events(&guid)
        .await?
        .iter()
        .filter_map(|event| event["event_type"].as_str().map(str::to_owned))
        .collect();
    events.sort();
    world.equal(
        &["L-29", "L-52"],
        Postgres,
        "events of the review",
        "flow_events by correlation id",
        "webhook.ignored",
        events.join(", "),
    )?;
    let labels = place.member.labels(&place.repository, number).await?;
    world.equal(
        &["L-29", "L-52"],
        Github,
        "labels of the pull request",
        &format!("GET /repos/{}/issues/{number}/labels", place.repository),
        "run:dev, run:plan",
        labels.join(", "),
    )?;
    Ok(())
}

#[then("the Issue has no other stage-run")]
async fn no_other(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    crate::definitions::requests::fence(world).await?;
    let place = world.place()?;
    let runs = world
        .platform()
        .database
        .runs_of_issue(&place.repository, place.issue)
        .await?;
    let agents: Vec<&str> = runs
        .iter()
        .filter_map(|run: &Value| run["agent_key"].as_str())
        .collect();
    let stage_runs = agents.iter().filter(|agent| **agent != "reviewer").count();
    world.equal(
        &["L-79"],
        Postgres,
        &format!("stage-runs of {}#{}", place.repository, place.issue),
        "agent_runs by repository and Issue, without the reviewer's",
        1,
        stage_runs,
    )?;
    Ok(())
}

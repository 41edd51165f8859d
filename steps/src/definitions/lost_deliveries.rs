//! What the platform makes good when webhooks did not arrive.

use std::time::Duration;

use anyhow::Context;
use cucumber::{then, when};
use reports::evidence::ObservationSource::{Github, Postgres};

use crate::{
    definitions::faults::announce,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step},
};

/// a restarted platform has asked for what was lost by then.
const RECOVERY_DEADLINE: Duration = Duration::from_secs(60);

/// The delivery is noted beside those that the scenario has seen answered.
#[when(expr = "the member sets {string} on another Issue while GitHub does not reach the platform")]
async fn sets_and_is_lost(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    let github = world.gate.github.clone();
    let issue = place
        .member
        .open_issue(&place.repository, "A wish that nobody hears", "")
        .await?;
    let fault = github.lose_label_delivery(&place.repository, &label);
    place
        .member
        .add_labels(&place.repository, issue, &[&label])
        .await?;
    let guid = until("the lost delivery", DECISION_DEADLINE, async || {
        Ok(match github.met_by(&place.repository, fault) {
            Some((_, guid)) => Reading::Reached(guid),
            None => Reading::NotYet("GitHub has sent no such delivery".to_owned()),
        })
    })
    .await?;
    let lost = github
        .deliveries(&place.repository)
        .into_iter()
        .find(|delivery| delivery.guid == guid)
        .context("the lost delivery is not in GitHub's list")?;
    world.deliveries.push(lost);
    world
        .remembered
        .insert("unheard".to_owned(), issue.to_string());
    Ok(())
}

#[when(expr = "{string} gets onto the Issue without a delivery")]
#[when(expr = "{string} gets onto the Issue without a delivery as well")]
async fn silent_label(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    announce(world, "", "a label is set without a delivery");
    world
        .gate
        .github
        .set_label_silently(&place.repository, place.issue, &label)
        .await?;
    Ok(())
}

#[then("GitHub sends the delivery again, once and under its own id")]
#[then("GitHub sends both deliveries again, each once and under its own id")]
async fn sent_again(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let github = world.gate.github.clone();
    let deliveries = world.deliveries.clone();
    let arrived = until("the second attempts", RECOVERY_DEADLINE, async || {
        let missing = deliveries.iter().find_map(|delivery| {
            let attempts = github.attempts_at(&place.repository, &delivery.guid);
            let has_arrived = attempts.iter().any(|attempt| attempt == "again 202");
            (!has_arrived).then(|| attempts.join(", "))
        });
        Ok(missing.map_or(Reading::Reached(()), Reading::NotYet))
    })
    .await;
    // One more pass shows that nothing is asked for twice; before the last has come it would only take its turn.
    if arrived.is_ok() {
        complete_pass(world).await?;
    }
    for delivery in deliveries {
        let first = delivery.status.unwrap_or_default();
        world.equal(
            &["R-186", "R-165"],
            Github,
            &format!("attempts at delivery {}", delivery.guid),
            "journal of the stand-in: deliveries of one GUID",
            format!("first {first}, again 202"),
            github
                .attempts_at(&place.repository, &delivery.guid)
                .join(", "),
        )?;
    }
    Ok(())
}

/// Lets the time of a pass go by and waits for its end: what it did not do then, it does not do.
async fn complete_pass(world: &mut GateWorld) -> anyhow::Result<()> {
    let place = world.place()?;
    let platform = world.platform();
    let database = &platform.database;
    let now = database
        .rows("SELECT to_jsonb(platform_now()::text)", &[])
        .await?;
    let now = now.first().and_then(serde_json::Value::as_str);
    let now = now.context("the platform has no time")?;
    platform.advance_clock(5 * 60).await?;
    until("the end of one more pass", RECOVERY_DEADLINE, async || {
        let passed = database
            .rows(
                "SELECT to_jsonb(h.passed_at::text) FROM hook_reads h JOIN repositories r ON r.id = h.repository_id \
                 WHERE r.owner || '/' || r.name = $1 AND h.passed_at > $2::text::timestamptz + interval '4 minutes'",
                &[&place.repository, now],
            )
            .await?;
        Ok(if passed.is_empty() {
            Reading::NotYet(format!("none since {now}"))
        } else {
            Reading::Reached(())
        })
    })
    .await
}

#[then("the other Issue has exactly one run")]
async fn other_has_one_run(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let platform = world.platform();
    let issue: u64 = world
        .remembered
        .get("unheard")
        .context("there is no other Issue")?
        .parse()
        .context("the number of an Issue")?;
    let runs = platform
        .database
        .runs_of_issue(&place.repository, issue)
        .await?;
    world.equal(
        &["R-186", "L-25"],
        Postgres,
        &format!("runs of {}#{issue}", place.repository),
        "agent_runs by repository and Issue",
        1,
        runs.len(),
    )?;
    Ok(())
}

#[then(expr = "the platform tells once that nobody told of {string} on the Issue")]
async fn told_once(world: &mut GateWorld, labels: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(differences_are(world, &labels).await?)
}

#[then(expr = "the platform tells of {string} and then of {string}, each once")]
async fn told_twice(
    world: &mut GateWorld,
    first: String,
    second: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    Ok(differences_are(world, &format!("{first}; {second}")).await?)
}

/// The states that were told of the Issue, oldest first; and that one more pass tells nothing more.
async fn differences_are(world: &mut GateWorld, states: &str) -> anyhow::Result<()> {
    let place = world.place()?;
    let platform = world.platform();
    let told = async || {
        let rows = platform
            .database
            .rows(
                "SELECT payload FROM flow_events WHERE event_type = 'label.drift_detected' \
                 AND payload->>'repository_full_name' = $1 AND payload->>'thread_kind' = 'issue' \
                 AND payload->>'thread_number' = $2 ORDER BY id",
                &[&place.repository, &place.issue.to_string()],
            )
            .await?;
        let states: Vec<String> = rows
            .iter()
            .map(|payload| {
                let names = |key: &str| {
                    let labels = payload[key].as_array().cloned().unwrap_or_default();
                    let labels: Vec<_> = labels
                        .iter()
                        .map(|label| label.as_str().unwrap_or("-").to_owned())
                        .collect();
                    labels.join(", ")
                };
                match names("expected").as_str() {
                    "" => names("labels"),
                    expected => format!("{} instead of {expected}", names("labels")),
                }
            })
            .collect();
        anyhow::Ok(states.join("; "))
    };
    let reached = until("the difference", RECOVERY_DEADLINE, async || {
        let seen = told().await?;
        Ok(if seen == states {
            Reading::Reached(())
        } else {
            Reading::NotYet(seen)
        })
    })
    .await;
    if reached.is_ok() {
        complete_pass(world).await?;
    }
    world.equal(
        &["R-186"],
        Postgres,
        &format!(
            "label.drift_detected of {}#{}",
            place.repository, place.issue
        ),
        "flow_events: labels that nobody told of",
        states,
        told().await?,
    )
}

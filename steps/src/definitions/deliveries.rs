//! What the platform answered to a delivery, and what became of it.

use anyhow::Context;
use cucumber::{then, when};
use reports::evidence::ObservationSource::{Answer, Orchestrator, Postgres};

use crate::{
    place::{delivery_after, mark},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step},
};

/// The answer to a delivery: the one in time, or, after the plain 202 of a late decision (L-22), the outcome that the
/// staff route shows.
async fn outcome(
    world: &mut GateWorld,
    delivery: &crate::place::Delivery,
) -> anyhow::Result<crate::place::Delivery> {
    if delivery.summary() != "202 accepted without run_id" {
        return Ok(delivery.clone());
    }
    let platform = world.platform();
    let shown = until(
        "the outcome of the delivery",
        DECISION_DEADLINE,
        async || {
            let (_, shown) = platform.staff.delivery(&delivery.guid).await?;
            let decided = shown["status"]
                .as_str()
                .is_some_and(|status| status != "processing");
            Ok(if decided {
                Reading::Reached(shown)
            } else {
                Reading::NotYet(shown.to_string())
            })
        },
    )
    .await?;
    let status = if shown["status"] == "ignored" {
        200
    } else {
        202
    };
    Ok(crate::place::Delivery {
        status: Some(status),
        answer: shown,
        ..delivery.clone()
    })
}

#[then("the delivery is answered as accepted with a run")]
async fn accepted(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let delivery = world.delivery()?;
    let delivery = outcome(world, &delivery).await?;
    Ok(is_accepted(world, &delivery).await?)
}

async fn is_accepted(
    world: &mut GateWorld,
    delivery: &crate::place::Delivery,
) -> anyhow::Result<()> {
    world.equal(
        &["L-22", "L-44"],
        Answer,
        &format!("answer to delivery {}", delivery.guid),
        "journal of the stand-in: delivery, or the staff route when late",
        "202 accepted with run_id",
        delivery.summary(),
    )?;
    let run = crate::definitions::outcome::current_run(world).await?;
    world.equal(
        &["L-25", "D-1"],
        Postgres,
        "run of the answer",
        "agent_runs.id by correlation id",
        delivery.answer["run_id"].as_str().unwrap_or("-"),
        run["id"].as_str().unwrap_or("-"),
    )
}

#[then(expr = "the delivery is answered as ignored because {string}")]
async fn ignored(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let delivery = world.delivery()?;
    Ok(is_ignored(world, &delivery, &reason).await?)
}

async fn is_ignored(
    world: &mut GateWorld,
    delivery: &crate::place::Delivery,
    reason: &str,
) -> anyhow::Result<()> {
    let delivery = &outcome(world, delivery).await?;
    let mut rules = crate::expected::rules_of_reason(reason);
    rules.extend(["L-22", "L-29", "L-42"]);
    world.equal(
        &rules,
        Answer,
        &format!("answer to delivery {}", delivery.guid),
        "journal of the stand-in: delivery",
        "200 ignored without run_id",
        delivery.summary(),
    )?;
    let events = world.platform().database.events(&delivery.guid).await?;
    let reasons: Vec<_> = events
        .iter()
        .filter(|event| event["event_type"] == "webhook.ignored")
        .map(|event| {
            event["payload"]["reason"]
                .as_str()
                .unwrap_or("-")
                .to_owned()
        })
        .collect();
    world.equal(
        &rules,
        Postgres,
        "reason of webhook.ignored",
        "flow_events by correlation id",
        reason,
        reasons.join(", "),
    )
}

#[then(expr = "both deliveries are ignored because {string}")]
async fn both_ignored(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let deliveries = world.deliveries.clone();
    let [.., first, second] = deliveries.as_slice() else {
        return Err(anyhow::anyhow!("there are fewer than two deliveries").into());
    };
    for delivery in [first, second] {
        is_ignored(world, delivery, &reason).await?;
    }
    Ok(())
}

#[then("the delivery is answered as received")]
async fn received(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let delivery = world.delivery()?;
    let delivery = outcome(world, &delivery).await?;
    world.equal(
        &["L-27"],
        Answer,
        &format!("answer to delivery {}", delivery.guid),
        "journal of the stand-in: delivery",
        "202 accepted without run_id",
        delivery.summary(),
    )?;
    let events = world.platform().database.events(&delivery.guid).await?;
    let received = events
        .iter()
        .filter(|event| event["event_type"] == "webhook.received")
        .count();
    world.equal(
        &["L-27"],
        Postgres,
        "events webhook.received",
        "flow_events by correlation id",
        1,
        received,
    )?;
    Ok(())
}

#[then("the delivery is answered with 202 and no run")]
async fn no_run_yet(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let delivery = world.delivery()?;
    world.equal(
        &["L-22", "L-23", "L-32"],
        Answer,
        &format!("answer to delivery {}", delivery.guid),
        "journal of the stand-in: delivery",
        "202 accepted without run_id",
        delivery.summary(),
    )?;
    let stored = world
        .platform()
        .database
        .delivery(&delivery.guid)
        .await?
        .unwrap_or_default();
    world.equal(
        &["L-22", "L-32", "D-2"],
        Postgres,
        "state of the stored delivery",
        "webhook_deliveries.status",
        "processing",
        stored["status"].as_str().unwrap_or("not stored"),
    )?;
    Ok(())
}

#[then(expr = "the delivery is refused with status {int} and counted as an error")]
async fn refused(world: &mut GateWorld, status: u16, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let delivery = world.delivery()?;
    world.equal(
        &["L-23"],
        Answer,
        &format!("answer to delivery {}", delivery.guid),
        "journal of the stand-in: delivery",
        status,
        delivery.status.unwrap_or(0),
    )?;
    let metrics = world.platform().gateway_metrics().await?;
    let line = metric_line(&metrics, "error", &delivery.event);
    world.holds(
        &["L-23", "L-26"],
        Orchestrator,
        "webhook counter",
        "GET /metrics of the gateway",
        "codexk8s_webhook_requests_total{result=error} above 0",
        &line,
        line != "absent",
    )?;
    Ok(())
}

/// The line of the webhook counter for a result and an event; `absent` when there is none.
fn metric_line(metrics: &str, result: &str, event: &str) -> String {
    metrics
        .lines()
        .find(|line| {
            line.starts_with("codexk8s_webhook_requests_total{")
                && line.contains(&format!("result=\"{result}\""))
                && line.contains(&format!("event=\"{event}\""))
        })
        .map_or_else(|| "absent".to_owned(), str::to_owned)
}

#[then(expr = "the metrics count a request with result {string} and event {string}")]
async fn counted(
    world: &mut GateWorld,
    result: String,
    event: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let metrics = world.platform().gateway_metrics().await?;
    let line = metric_line(&metrics, &result, &event);
    world.holds(
        &["L-26"],
        Orchestrator,
        "webhook counter",
        "GET /metrics of the gateway",
        format!("result {result}, event {event}, above 0"),
        &line,
        line != "absent",
    )?;
    Ok(())
}

#[when("the same delivery arrives again")]
async fn arrives_again(world: &mut GateWorld) -> Step {
    redeliver(world).await?;
    Ok(())
}

#[when("GitHub redelivers the delivery")]
async fn redelivers(world: &mut GateWorld) -> Step {
    redeliver(world).await?;
    Ok(())
}

async fn redeliver(world: &mut GateWorld) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let delivery = world.delivery()?;
    let before = mark(&gate, &place.repository);
    gate.github.redeliver(&place.repository, &delivery.guid)?;
    let again = delivery_after(
        &gate,
        &place.repository,
        before,
        "the redelivery",
        |again| again.guid == delivery.guid,
    )
    .await?;
    world.deliveries.push(again);
    Ok(())
}

#[then("the second delivery is answered as duplicate of the first")]
async fn duplicate(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let deliveries = world.deliveries.clone();
    let second = deliveries.last().context("there is no delivery")?;
    let first = deliveries
        .iter()
        .find(|delivery| delivery.guid == second.guid)
        .context("there is no first delivery")?;
    let answer = |delivery: &crate::place::Delivery| {
        format!(
            "{} {}, duplicate: {}, run {}",
            delivery.status.unwrap_or(0),
            delivery.answer["status"].as_str().unwrap_or("-"),
            delivery.answer["duplicate"],
            delivery.answer["run_id"]
        )
    };
    // A run that was decided after the first answer is known to the second (L-24).
    let decided = world
        .platform()
        .database
        .delivery(&second.guid)
        .await?
        .unwrap_or_default();
    let run = if first.answer["run_id"].is_string() {
        &first.answer["run_id"]
    } else {
        &decided["run_id"]
    };
    let expected = format!("200 duplicate, duplicate: true, run {run}");
    world.equal(
        &["L-24", "R-1", "R-165"],
        Answer,
        &format!("answer to the second delivery {}", second.guid),
        "journal of the stand-in: delivery",
        expected,
        answer(second),
    )?;
    Ok(())
}

#[then("the delivery shows as accepted with the Issue's one run")]
async fn shows_accepted(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let platform = world.platform();
    let guid = world.delivery()?.guid;
    let shown = until(
        "the outcome of the delivery",
        DECISION_DEADLINE,
        async || {
            let (_, shown) = platform.staff.delivery(&guid).await?;
            Ok(if shown["status"] == "accepted" {
                Reading::Reached(shown)
            } else {
                Reading::NotYet(shown.to_string())
            })
        },
    )
    .await?;
    let runs = platform
        .database
        .runs_of_issue(&place.repository, place.issue)
        .await?;
    world.equal(
        &["L-25", "D-2"],
        Postgres,
        &format!("runs of {}#{}", place.repository, place.issue),
        "agent_runs by repository and Issue",
        1,
        runs.len(),
    )?;
    let expected = runs
        .iter()
        .filter_map(|run| run["id"].as_str())
        .collect::<Vec<_>>()
        .join(", ");
    world.equal(
        &["L-22", "L-29", "D-2"],
        Orchestrator,
        "run of the delivery",
        "GET /api/v1/staff/webhook-deliveries/{id} beside agent_runs of the Issue",
        expected,
        shown["run_id"].as_str().unwrap_or("-"),
    )?;
    if let Some(run) = runs.first() {
        world.set_run(run.clone());
    }
    Ok(())
}

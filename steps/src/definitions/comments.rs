//! Comments of the platform.

use anyhow::Context;
use cucumber::then;
use reports::evidence::ObservationSource::{Github, Postgres};
use serde_json::Value;

use crate::{
    definitions::outcome::{await_end, current_run},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// L-104: the hidden line that marks a status comment.
pub const STATUS_MARKER: &str = "<!-- codex-k8s:run-status ";

pub async fn comments_of_bot(world: &GateWorld, number: u64) -> anyhow::Result<Vec<Value>> {
    let place = world.place()?;
    let bot = world.gate.github.bot_login();
    let platform = world.gate.github.platform_login();
    let comments = place.member.comments(&place.repository, number).await?;
    Ok(comments
        .into_iter()
        .filter(|comment| {
            comment["user"]["login"] == bot.as_str()
                || comment["user"]["login"] == platform.as_str()
        })
        .collect())
}

pub fn body(comment: &Value) -> &str {
    comment["body"].as_str().unwrap_or_default()
}

/// Waits for the platform's comment on a thread that `wanted` accepts; returns all that it accepts.
pub async fn await_comment(
    world: &GateWorld,
    number: u64,
    what: &str,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<Value>> {
    until(what, DECISION_DEADLINE, async || {
        let comments = comments_of_bot(world, number).await?;
        let found: Vec<_> = comments
            .iter()
            .filter(|comment| wanted(body(comment)))
            .cloned()
            .collect();
        if !found.is_empty() {
            return Ok(Reading::Reached(found));
        }
        let seen: Vec<_> = comments
            .iter()
            .map(|comment| body(comment).chars().take(60).collect::<String>())
            .collect();
        Ok(Reading::NotYet(format!(
            "{} comments: {}",
            seen.len(),
            seen.join(" | ")
        )))
    })
    .await
}

#[then(expr = "the platform comments once with {string}")]
async fn comments_once(
    world: &mut GateWorld,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let found = await_comment(world, place.issue, "the comment", |text| {
        text.contains(&reason)
    })
    .await;
    let seen = found.map_or_else(
        |error| format!("{error:#}"),
        |found| format!("{} with {reason}", found.len()),
    );
    let mut rules = crate::expected::rules_of_reason(&reason);
    rules.push("L-42");
    world.equal(
        &rules,
        Github,
        &format!("comments on {}#{}", place.repository, place.issue),
        &format!(
            "GET /repos/{}/issues/{}/comments",
            place.repository, place.issue
        ),
        format!("1 with {reason}"),
        seen,
    )?;
    Ok(())
}

#[then(expr = "the conflict comment lists {string}")]
async fn conflict_comment(
    world: &mut GateWorld,
    labels: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let found = await_comment(world, place.issue, "the conflict comment", |text| {
        text.contains("trigger_label_conflict")
    })
    .await?;
    let text = body(found.first().context("there is no comment")?).to_owned();
    // The labels may be written as code; what counts is that both are there, in sorted order.
    let plain = text.replace('`', "");
    world.holds(
        &["L-33", "L-34", "L-42"],
        Github,
        "conflict comment",
        &format!(
            "GET /repos/{}/issues/{}/comments",
            place.repository, place.issue
        ),
        &labels,
        &text,
        plain.contains(&labels),
    )?;
    Ok(())
}

#[then("the conflict comment exists once")]
async fn conflict_comment_once(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let comments = comments_of_bot(world, place.issue).await?;
    let count = comments
        .iter()
        .filter(|comment| body(comment).contains("trigger_label_conflict"))
        .count();
    world.equal(
        &["L-24"],
        Github,
        "conflict comments",
        &format!(
            "GET /repos/{}/issues/{}/comments",
            place.repository, place.issue
        ),
        1,
        count,
    )?;
    Ok(())
}

#[then(expr = "the remediation comment on the pull request suggests all {int} stage labels")]
async fn suggests_all(world: &mut GateWorld, count: usize, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let number = world
        .pull_request
        .context("the scenario has no pull request")?;
    let found = await_comment(world, number, "the remediation comment", |text| {
        text.contains("pull_request_review_stage_not_resolved")
    })
    .await?;
    let text = body(found.first().context("there is no comment")?).to_owned();
    let expected = crate::expected::stage_labels();
    let suggested = expected
        .iter()
        .filter(|label| text.contains(&format!("`{label}`")))
        .count();
    world.equal(
        &["L-42", "L-57", "L-59"],
        Github,
        "labels suggested by the comment",
        &format!("GET /repos/{}/issues/{number}/comments", place.repository),
        format!("{count} of {}", expected.len()),
        format!("{suggested} of {}", expected.len()),
    )?;
    Ok(())
}

#[then(expr = "a comment on the Issue advises {string}")]
async fn advises(world: &mut GateWorld, label: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let found = await_comment(world, place.issue, "the advice", |text| {
        text.contains(&format!("`{label}`"))
    })
    .await;
    let (ok, seen) = found.map_or_else(
        |error| (false, format!("{error:#}")),
        |found| (true, body(&found[0]).to_owned()),
    );
    world.holds(
        &["L-46", "L-60"],
        Github,
        &format!("comments on {}#{}", place.repository, place.issue),
        &format!(
            "GET /repos/{}/issues/{}/comments",
            place.repository, place.issue
        ),
        format!("advice to set {label}"),
        seen,
        ok,
    )?;
    Ok(())
}

/// Status comments of the run at hand; waits for the first.
pub async fn status_comments(world: &mut GateWorld) -> anyhow::Result<Vec<Value>> {
    let run = current_run(world).await?;
    status_comments_of(world, &text(&run, "id")?).await
}

/// Status comments of a run on the Issue; waits for the first.
pub async fn status_comments_of(world: &GateWorld, run: &str) -> anyhow::Result<Vec<Value>> {
    let place = world.place()?;
    await_comment(world, place.issue, "the status comment", |text| {
        text.contains(STATUS_MARKER) && text.contains(run)
    })
    .await
}

#[then("the Issue has one status comment")]
async fn one_status_comment(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let found = status_comments(world).await?;
    world.equal(
        &["L-24", "L-102"],
        Github,
        "status comments of the run",
        "GET /repos/…/issues/…/comments",
        1,
        found.len(),
    )?;
    Ok(())
}

#[then("the Issue has one status comment, which was edited in place")]
async fn edited_in_place(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let found = status_comments(world).await?;
    let id = found
        .first()
        .and_then(|comment| comment["id"].as_u64())
        .context("the comment has no id")?;
    let place = world.place()?;
    let edits = until(
        "the last edit of the status comment",
        DECISION_DEADLINE,
        async || {
            let (created, edited) = world.gate.github.comment_writes(&place.repository, id);
            let comments = comments_of_bot(world, place.issue).await?;
            let finished = comments
                .iter()
                .any(|comment| comment["id"] == id && marker_phase(body(comment)) == "finished");
            Ok(if finished && edited > 0 {
                Reading::Reached((created, edited))
            } else {
                Reading::NotYet(format!("created {created}, edited {edited}"))
            })
        },
    )
    .await?;
    world.holds(
        &["L-102"],
        Github,
        "writes of the status comment",
        "journal of the stand-in",
        "created 1, edited at least 2 times, 1 comment",
        format!(
            "created {}, edited {} times, {} comment",
            edits.0,
            edits.1,
            found.len()
        ),
        edits.0 == 1 && edits.1 >= 2 && found.len() == 1,
    )?;
    Ok(())
}

pub fn marker_phase(text: &str) -> String {
    text.split_once(STATUS_MARKER)
        .and_then(|(_, rest)| rest.split_once("-->"))
        .and_then(|(json, _)| serde_json::from_str::<Value>(json.trim()).ok())
        .and_then(|state| state["phase"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[then(expr = "its phases only went forward and ended in {string}")]
async fn phases_forward(world: &mut GateWorld, last: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    // L-103, in order.
    let order = [
        "created",
        "preparing_runtime",
        "started",
        "auth_required",
        "auth_resolved",
        "ready",
        "finished",
        "namespace_deleted",
    ];
    let run = current_run(world).await?;
    let platform = world.platform();
    let id = text(&run, "id")?;
    let phases = until(
        "the last phase of the status comment",
        DECISION_DEADLINE,
        async || {
            let events = platform.database.events_of_run(&id).await?;
            let phases: Vec<String> = events
                .iter()
                .filter(|event| event["event_type"] == "run.status.comment.upserted")
                .filter_map(|event| event["payload"]["phase"].as_str().map(str::to_owned))
                .collect();
            Ok(if phases.last() == Some(&last) {
                Reading::Reached(phases)
            } else {
                Reading::NotYet(phases.join(", "))
            })
        },
    )
    .await?;
    let positions: Vec<_> = phases
        .iter()
        .map(|phase| order.iter().position(|known| known == phase))
        .collect();
    let forward = positions.iter().all(Option::is_some) && positions.is_sorted();
    world.holds(
        &["L-103"],
        Postgres,
        "phases of the status comment",
        "flow_events run.status.comment.upserted",
        format!("created first, forward, {last} last"),
        phases.join(" → "),
        forward && phases.first().is_some_and(|phase| phase == "created"),
    )?;
    let found = status_comments(world).await?;
    world.equal(
        &["L-102", "L-103"],
        Github,
        "phase in the comment's marker",
        "GET /repos/…/issues/…/comments",
        &last,
        marker_phase(body(&found[0])),
    )?;
    Ok(())
}

#[then(expr = "the Issue was given the reaction {string} once")]
async fn reaction_once(
    world: &mut GateWorld,
    content: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let reactions = place
        .member
        .reactions(&place.repository, place.issue)
        .await?;
    let count = reactions
        .iter()
        .filter(|reaction| reaction["content"] == content.as_str())
        .count();
    world.equal(
        &["L-44", "L-103"],
        Github,
        "reactions of the Issue",
        &format!(
            "GET /repos/{}/issues/{}/reactions",
            place.repository, place.issue
        ),
        format!("{content} ×1"),
        format!("{content} ×{count}"),
    )?;
    Ok(())
}

#[then(
    "the status comment shows run, trigger, mode, target, build, access, namespace, pull request, model and reasoning"
)]
async fn shows_all(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let run = current_run(world).await?;
    let number = crate::definitions::pull_requests::number_of_branch(world).await?;
    let found = status_comments(world).await?;
    let shown = body(&found[0])
        .split(STATUS_MARKER)
        .next()
        .unwrap_or_default()
        .to_owned();
    let expected = [
        text(&run, "id")?,
        "dev".to_owned(),
        "full-env".to_owned(),
        "ai".to_owned(),
        "candidate".to_owned(),
        text(&run, "namespace")?,
        text(&run, "job_name")?,
        format!("#{number}"),
        "gpt-5.4".to_owned(),
        "high".to_owned(),
        "succeeded".to_owned(),
        format!("#{}", place.issue),
    ];
    let missing: Vec<_> = expected
        .iter()
        .filter(|part| !shown.contains(part.as_str()))
        .cloned()
        .collect();
    world.holds(
        &["L-104"],
        Github,
        "visible text of the status comment",
        "GET /repos/…/issues/…/comments",
        expected.join(", "),
        format!("missing: [{}]", missing.join(", ")),
        missing.is_empty(),
    )?;
    Ok(())
}

#[then(expr = "the end of the run and its status comment name {string}")]
async fn end_names(world: &mut GateWorld, why: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = await_end(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let end = events
        .iter()
        .rev()
        .find(|event| event["payload"]["error"].is_string());
    let event_type = end.and_then(|end| end["event_type"].as_str());
    let error = end
        .and_then(|end| end["payload"]["error"].as_str())
        .unwrap_or("no error")
        .to_owned();
    let rules: &[&str] = match event_type {
        Some("run.failed.launch_error") => &["R-97", "R-116"],
        _ => &["R-18"],
    };
    world.holds(
        rules,
        Postgres,
        &format!("error of {}", event_type.unwrap_or("the end")),
        "flow_events by run id",
        &why,
        &error,
        error.contains(&why),
    )?;
    let shown = until(
        "the error in the status comment",
        DECISION_DEADLINE,
        async || {
            let comments = status_comments(world).await?;
            let shown = comments.iter().map(body).find(|text| text.contains(&why));
            Ok(match shown {
                Some(text) => Reading::Reached(text.to_owned()),
                None => Reading::NotYet(format!("{} status comments", comments.len())),
            })
        },
    )
    .await;
    let seen = match &shown {
        Ok(text) => text.clone(),
        Err(error) => format!("{error:#}"),
    };
    world.holds(
        &["L-103", "L-104"],
        Github,
        "text of the status comment",
        "GET /repos/…/issues/…/comments",
        &why,
        seen,
        shown.is_ok(),
    )?;
    Ok(())
}

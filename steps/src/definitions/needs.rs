//! `need:*` labels: questions that the platform asks, GitHub refusing them, and the reviewer's run.

use anyhow::Context;
use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Answer, Github, Postgres};
use serde_json::json;

use crate::{
    definitions::{
        faults::announce, outcome::current_run, people::thread, requests::deliver, setup,
    },
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

#[given(expr = "GitHub fails {int} times to set labels")]
async fn fails_to_set(world: &mut GateWorld, times: u32) -> Step {
    let place = world.place()?;
    announce(world, "effect", "GitHub fails to set a label");
    world
        .gate
        .github
        .fail_label_writes(&place.repository, 503, Some(times));
    Ok(())
}

#[given("GitHub refuses for good to set labels")]
async fn refuses_to_set(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "effect", "GitHub refuses a label");
    world
        .gate
        .github
        .fail_label_writes(&place.repository, 422, None);
    Ok(())
}

/// The back-off of an effect is reached by moving the clock (E-4), each time after GitHub was seen to refuse.
#[when("GitHub has failed once and 1 minute has passed, twice")]
async fn fails_and_time_passes(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    for failures in 1..=2 {
        let gate = world.gate.clone();
        let platform = world.platform();
        until("GitHub's refusal", DECISION_DEADLINE, async || {
            let met = gate.github.failed_label_writes(&place.repository);
            // The pause is on record before time moves, or it would begin after it.
            let postponed = platform
                .database
                .rows(
                    "SELECT to_jsonb(o.attempts) FROM outbox_effects o WHERE kind = 'add_label' AND attempts >= $1::text::int AND lease_owner IS NULL AND state = 'pending'",
                    &[&failures.to_string()],
                )
                .await?;
            Ok(if met >= failures && !postponed.is_empty() {
                Reading::Reached(())
            } else {
                Reading::NotYet(format!("{met} refusals, {} postponed", postponed.len()))
            })
        })
        .await?;
        platform.advance_clock(60).await?;
    }
    Ok(())
}

#[then(expr = "{string} was set at the third try, before the comment")]
async fn set_at_third_try(
    world: &mut GateWorld,
    label: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let writes = world
        .gate
        .github
        .writes_of_platform(&place.repository, place.issue);
    let seen: Vec<String> = writes
        .iter()
        .map(|(what, status)| format!("{what} {status}"))
        .collect();
    let labels: Vec<&String> = seen
        .iter()
        .filter(|write| write.starts_with("labels"))
        .collect();
    let first_comment = seen.iter().position(|write| write.starts_with("comments"));
    let last_label = seen.iter().rposition(|write| write.starts_with("labels"));
    let carried = place.member.labels(&place.repository, place.issue).await?;
    world.holds(
        &["L-43", "D-31"],
        Github,
        "writes of the platform to the Issue, in order",
        "journal of the stand-in",
        format!("labels 503, labels 503, labels 200, then the comment; {label} set"),
        format!("{}; labels: {}", seen.join(", "), carried.join(", ")),
        labels == ["labels 503", "labels 503", "labels 200"]
            && last_label < first_comment
            && carried.contains(&label),
    )?;
    Ok(())
}

#[then(expr = "the effect that sets {string} is given up")]
async fn given_up(world: &mut GateWorld, label: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let guid = world.delivery()?.guid;
    let event = until("the event effect.given_up", DECISION_DEADLINE, async || {
        let events = platform.database.events(&guid).await?;
        Ok(events
            .into_iter()
            .find(|event| {
                event["event_type"] == "effect.given_up"
                    && event["payload"]["effect_kind"] == "add_label"
            })
            .map_or_else(|| Reading::NotYet("none".to_owned()), Reading::Reached))
    })
    .await?;
    world.equal(
        &["L-43", "D-31"],
        Postgres,
        &format!("given up: {label}"),
        "flow_events effect.given_up by correlation id",
        "add_label, github_422",
        format!(
            "{}, {}",
            event["payload"]["effect_kind"].as_str().unwrap_or("-"),
            event["payload"]["error_code"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}

#[then(
    expr = "no comment on the Issue says {string}, as one does on an Issue whose labels can be set"
)]
async fn no_comment_says(
    world: &mut GateWorld,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let gate = world.gate.clone();
    gate.github.release(&place.repository);
    // The positive control: the same refusal with GitHub well again.
    let other = place
        .member
        .open_issue(&place.repository, "The same wish again", "")
        .await?;
    place
        .member
        .add_labels(&place.repository, other, &["run:qa"])
        .await?;
    let says = async |number: u64| {
        let comments = place.member.comments(&place.repository, number).await?;
        anyhow::Ok(
            comments
                .iter()
                .filter(|comment| {
                    comment["body"]
                        .as_str()
                        .is_some_and(|body| body.contains(&reason))
                })
                .count(),
        )
    };
    until(
        "the comment of the control",
        DECISION_DEADLINE,
        async || {
            Ok(match says(other).await? {
                0 => Reading::NotYet("no comment".to_owned()),
                _ => Reading::Reached(()),
            })
        },
    )
    .await?;
    world.equal(
        &["L-43"],
        Github,
        &format!("comments with {reason}: the Issue, the control"),
        "GET /repos/…/issues/…/comments",
        "0, 1",
        format!("{}, {}", says(place.issue).await?, says(other).await?),
    )?;
    Ok(())
}

#[given("a bound repository whose reviewer writes a file, with an open Issue")]
async fn reviewer_writes(world: &mut GateWorld) -> Step {
    Ok(setup::bind(world, fixtures::stories::reviewer_writes("review.md")).await?)
}

#[then(expr = "the run's agent is {string}")]
async fn agent_is(world: &mut GateWorld, agent: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    world.equal(
        &["L-6", "L-87"],
        Postgres,
        "agent of the run",
        "agent_runs.agent_key",
        agent,
        run["agent_key"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[then("the pull request has a comment of the reviewer and no new commit")]
async fn reviewer_commented(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let number = thread(world, "pull request")?;
    let before = world.commits_before;
    let commits = place.member.commits(&place.repository, number).await?.len();
    let reviews = place.member.reviews(&place.repository, number).await?;
    let bot = world.gate.github.bot_login();
    let by_bot = reviews
        .iter()
        .filter(|review| review["user"]["login"] == bot.as_str())
        .count();
    world.equal(
        &["L-9", "L-87"],
        Github,
        &format!("reviews of the bot and commits of #{number}"),
        &format!(
            "GET /repos/{}/pulls/{number}/reviews, …/commits",
            place.repository
        ),
        format!("1 review, {before} commits"),
        format!("{by_bot} review, {commits} commits"),
    )?;
    Ok(())
}

#[then(expr = "the pull request still carries {string} and has no new commit")]
async fn still_asked_for(
    world: &mut GateWorld,
    label: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = crate::definitions::outcome::await_end(world).await?;
    crate::definitions::labels::await_labels_settled(world, &run).await?;
    let place = world.place()?;
    let number = thread(world, "pull request")?;
    let before = world.commits_before;
    let commits = place.member.commits(&place.repository, number).await?.len();
    let labels = place.member.labels(&place.repository, number).await?;
    world.holds(
        &["L-9", "L-87"],
        Github,
        &format!("labels and commits of #{number}"),
        &format!(
            "GET /repos/{}/issues/{number}/labels, …/commits",
            place.repository
        ),
        format!("{label}, {before} commits"),
        format!("{}, {commits} commits", labels.join(", ")),
        labels.contains(&label) && commits == before,
    )?;
    Ok(())
}

#[when("the same click is told under another delivery id")]
async fn same_click(world: &mut GateWorld) -> Step {
    let payload = world.delivery()?.payload.as_ref().clone();
    Ok(deliver(world, "pull_request", payload).await?)
}

/// The reviewer's run of the first click is over by then: only the time of update tells the clicks apart.
#[when("the same click is told with a later time of update")]
async fn later_click(world: &mut GateWorld) -> Step {
    crate::definitions::outcome::await_end(world).await?;
    world.previous_run = world.take_run();
    let mut payload = world.delivery()?.payload.as_ref().clone();
    let later = payload["pull_request"]["updated_at"]
        .as_str()
        .and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok())
        .context("the pull request has no time of update")?
        + chrono::TimeDelta::seconds(7);
    payload["pull_request"]["updated_at"] =
        json!(later.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    Ok(deliver(world, "pull_request", payload).await?)
}

#[then("the delivery is answered as duplicate with the same run")]
async fn duplicate_with_run(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run_of_first(world).await?;
    let delivery = world.delivery()?;
    world.equal(
        &["L-25", "L-88"],
        Answer,
        &format!("answer to delivery {}", delivery.guid),
        "journal of the stand-in: delivery",
        format!("200 duplicate, run {run}"),
        format!(
            "{} {}, run {}",
            delivery.status.unwrap_or(0),
            delivery.answer["status"].as_str().unwrap_or("-"),
            delivery.answer["run_id"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}

async fn current_run_of_first(world: &mut GateWorld) -> anyhow::Result<String> {
    text(&world.run()?, "id")
}

#[then("the delivery is answered as accepted with another run")]
async fn accepted_anew(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let first = text(
        world
            .previous_run
            .as_ref()
            .context("there is no run before")?,
        "id",
    )?;
    let delivery = world.delivery()?;
    let run = delivery.answer["run_id"].as_str().unwrap_or("-").to_owned();
    world.holds(
        &["L-88"],
        Answer,
        &format!("answer to delivery {}", delivery.guid),
        "journal of the stand-in: delivery",
        format!("202 accepted with run_id, not {first}"),
        format!("{}, {run}", delivery.summary()),
        delivery.summary() == "202 accepted with run_id" && run != first,
    )?;
    let place = world.place()?;
    let number = thread(world, "pull request")?;
    let reviewer_runs = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(r.id) FROM agent_runs r WHERE repository_full_name = $1 AND pr_number = $2::text::bigint AND agent_key = 'reviewer'",
            &[&place.repository, &number.to_string()],
        )
        .await?
        .len();
    world.equal(
        &["L-88"],
        Postgres,
        "reviewer runs of the pull request",
        "agent_runs by repository, pull request and agent",
        2,
        reviewer_runs,
    )?;
    Ok(())
}

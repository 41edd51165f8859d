//! What the status comment offers (L-89 to L-93, L-96), and that there is one of it (L-102).

use anyhow::Context;
use cucumber::{then, when};
use reports::evidence::ObservationSource::{Github, Postgres};

use crate::{
    definitions::comments::{body, comments_of_bot, marker_phase, status_comments},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// The steps that a status comment offers, as `label=variant` in its order: from the links (L-90).
fn offered(comment: &str) -> Vec<String> {
    comment
        .lines()
        .filter_map(|line| {
            let link = line.split_once("](")?.1.split_once(')')?.0;
            let url = reqwest::Url::parse(link).ok()?;
            let part = |name: &str| {
                url.query_pairs()
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value.into_owned())
            };
            Some(format!(
                "{}={}",
                part("target_label")?,
                part("display_variant")?
            ))
        })
        .collect()
}

/// The text of the run's status comment once it shows the phase `finished` or a later one.
async fn finished_comment(world: &mut GateWorld) -> anyhow::Result<String> {
    status_comments(world).await?;
    let run = world.run_id()?;
    let place = world.place()?;
    until(
        "the finished status comment",
        DECISION_DEADLINE,
        async || {
            let comments = comments_of_bot(world, place.issue).await?;
            let own = comments.iter().map(body).find(|text| text.contains(&run));
            let phase = own.map(marker_phase).unwrap_or_default();
            Ok(match own {
                Some(text) if ["finished", "namespace_deleted"].contains(&phase.as_str()) => {
                    Reading::Reached(text.to_owned())
                }
                _ => Reading::NotYet(format!("phase {phase:?}")),
            })
        },
    )
    .await
}

#[then(expr = "the status comment offers exactly the steps after {string}")]
async fn offers_row(world: &mut GateWorld, stage: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let comment = finished_comment(world).await?;
    let run = crate::definitions::outcome::current_run(world).await?;
    let place = world.place()?;
    let has_pull_request = !place
        .member
        .pull_requests(&place.repository)
        .await?
        .is_empty();
    let expected = crate::expected::steps_after(&stage, has_pull_request);
    world.equal(
        &["L-69", "L-89", "L-90", "L-92", "L-93", "L-94"],
        Github,
        "links of the status comment, in order",
        "GET /repos/…/issues/…/comments",
        expected.join(", "),
        offered(&comment).join(", "),
    )?;
    let (id, platform) = (text(&run, "id")?, world.platform());
    // GitHub shows the comment a moment before the executor has told of it.
    let actions = until(
        "run.next_step.matrix_rendered",
        DECISION_DEADLINE,
        async || {
            let events = platform.database.events_of_run(&id).await?;
            let rendered = events
                .iter()
                .rev()
                .find(|event| event["event_type"] == "run.next_step.matrix_rendered");
            Ok(
                match rendered.and_then(|event| event["payload"]["actions"].as_array()) {
                    Some(actions) => Reading::Reached(actions.len()),
                    None => Reading::NotYet(format!("{} events, not this one", events.len())),
                },
            )
        },
    )
    .await?;
    world.equal(
        &["L-89"],
        Postgres,
        "actions of run.next_step.matrix_rendered",
        "flow_events of the run",
        expected.len(),
        actions,
    )?;
    Ok(())
}

#[then(expr = "the status comment names the steps after {string} without a link")]
async fn names_row(world: &mut GateWorld, stage: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let comment = finished_comment(world).await?;
    let expected: Vec<String> = crate::expected::steps_after(&stage, true)
        .iter()
        .filter_map(|step| step.split_once('=').map(|(label, _)| label.to_owned()))
        .collect();
    // The steps come last, one a line, each with its label at the end.
    let named: Vec<&str> = comment
        .lines()
        .filter(|line| line.starts_with("- ") && !line.contains("](") && line.ends_with('`'))
        .filter_map(|line| line.rsplit('`').nth(1))
        .filter(|label| expected.iter().any(|known| known == label))
        .collect();
    world.equal(
        &["L-90"],
        Github,
        "labels and links of the status comment, in order",
        "GET /repos/…/issues/…/comments",
        format!("{}; links: none", expected.join(", ")),
        format!(
            "{}; links: {}",
            named.join(", "),
            if comment.contains("modal=next-step") {
                "some"
            } else {
                "none"
            }
        ),
    )?;
    Ok(())
}

#[then(expr = "the status comment offers {string} beside {string}")]
async fn offers_both(
    world: &mut GateWorld,
    first: String,
    second: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let comment = finished_comment(world).await?;
    let seen = offered(&comment);
    let wanted = [first, second];
    let row = crate::expected::steps_after("design", true);
    world.holds(
        &["L-92"],
        Github,
        "links of the status comment",
        "GET /repos/…/issues/…/comments",
        wanted.join(", "),
        seen.join(", "),
        wanted
            .iter()
            .all(|step| seen.contains(step) && row.contains(step)),
    )?;
    Ok(())
}

#[then("a status comment offers the shortest path")]
async fn offers_shortest(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let seen = until("the shown steps", DECISION_DEADLINE, async || {
        let comments = comments_of_bot(world, place.issue).await?;
        let steps: Vec<String> = comments
            .iter()
            .flat_map(|comment| offered(body(comment)))
            .collect();
        Ok(if steps.is_empty() {
            Reading::NotYet(format!("{} comments without a step", comments.len()))
        } else {
            Reading::Reached(steps)
        })
    })
    .await?;
    world.holds(
        &["L-92", "E-5"],
        Github,
        "links of all status comments of the Issue",
        "GET /repos/…/issues/…/comments",
        "very_short_flow",
        seen.join(", "),
        seen.iter().any(|step| step.ends_with("=very_short_flow")),
    )?;
    Ok(())
}

#[then("no status comment offers the shortest path any more")]
async fn no_shortest(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let seen = until("the shown steps", DECISION_DEADLINE, async || {
        let comments = comments_of_bot(world, place.issue).await?;
        let steps: Vec<String> = comments
            .iter()
            .flat_map(|comment| offered(body(comment)))
            .collect();
        let gone = !steps.iter().any(|step| step.ends_with("=very_short_flow"));
        // The others stay: the comment was written anew, not lost.
        Ok(
            if gone && steps.iter().any(|step| step.ends_with("=shortened_flow")) {
                Reading::Reached(steps.join(", "))
            } else {
                Reading::NotYet(steps.join(", "))
            },
        )
    })
    .await;
    let (ok, seen) = seen.map_or_else(|error| (false, format!("{error:#}")), |seen| (true, seen));
    world.holds(
        &["L-96"],
        Github,
        "links of all status comments of the Issue",
        "GET /repos/…/issues/…/comments",
        "shortened_flow and no very_short_flow",
        seen,
        ok,
    )?;
    Ok(())
}

#[then("the finished status comment offers no step")]
async fn finished_offers_none(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    finished_comment(world).await?;
    Ok(shows_no_step(world).await?)
}

#[then("the status comment offers no step")]
async fn offers_none(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(shows_no_step(world).await?)
}

async fn shows_no_step(world: &mut GateWorld) -> anyhow::Result<()> {
    let found = status_comments(world).await?;
    let shown: Vec<String> = found
        .iter()
        .flat_map(|comment| offered(body(comment)))
        .collect();
    world.equal(
        &["L-91"],
        Github,
        "links of the status comment",
        "GET /repos/…/issues/…/comments",
        "1 comment, no step",
        format!(
            "{} comment, {}",
            found.len(),
            if shown.is_empty() {
                "no step".to_owned()
            } else {
                shown.join(", ")
            }
        ),
    )
}

#[when("the status comment is deleted by hand")]
async fn deleted_by_hand(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let id = comment_id(world).await?;
    place
        .maintainer
        .delete_comment(&place.repository, id)
        .await?;
    world
        .remembered
        .insert("comment".to_owned(), id.to_string());
    Ok(())
}

#[when("a copy of the status comment with an earlier phase appears")]
async fn copied(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let id = comment_id(world).await?;
    let found = status_comments(world).await?;
    let text = body(&found[0]);
    let copy = text.replace(
        &format!("\"phase\":\"{}\"", marker_phase(text)),
        "\"phase\":\"created\"",
    );
    let github = world.gate.github.clone();
    let bot = github.bot_login();
    let token = github.token_of(&place.repository, &bot)?;
    crate::github::Person::new(&bot, github.as_user(&token))
        .comment(&place.repository, place.issue, &copy)
        .await?;
    world
        .remembered
        .insert("comment".to_owned(), id.to_string());
    Ok(())
}

async fn comment_id(world: &mut GateWorld) -> anyhow::Result<u64> {
    let found = status_comments(world).await?;
    found
        .first()
        .and_then(|comment| comment["id"].as_u64())
        .context("the comment has no id")
}

async fn one_comment(
    world: &mut GateWorld,
    expected: &str,
    is_expected: impl Fn(u64, u64) -> bool,
) -> anyhow::Result<()> {
    finished_comment(world).await?;
    let before: u64 = world
        .remembered
        .get("comment")
        .and_then(|id| id.parse().ok())
        .context("no comment is remembered")?;
    let found = status_comments(world).await?;
    let ids: Vec<u64> = found
        .iter()
        .filter_map(|comment| comment["id"].as_u64())
        .collect();
    world.holds(
        &["L-102"],
        Github,
        "status comments of the run",
        "GET /repos/…/issues/…/comments",
        format!("one, {expected} {before}"),
        format!("{ids:?}"),
        ids.len() == 1 && is_expected(before, ids[0]),
    )
}

#[then("there is one status comment again, a new one")]
async fn one_new(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(one_comment(world, "other than", |before, now| before != now).await?)
}

#[then("there is one status comment, the first one")]
async fn one_first(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(one_comment(world, "namely", |before, now| before == now).await?)
}

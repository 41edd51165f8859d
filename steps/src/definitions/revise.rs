//! What a review or a revise label continues, and when it cannot (labels-and-stages 4).

use anyhow::Context;
use cucumber::{given, then, when};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};
use serde_json::{Value, json};

use crate::{
    definitions::{
        labels::await_labels_settled,
        outcome::{await_end, await_event, current_run},
        people::{set_by, thread},
        pull_requests::review,
        requests::deliver,
        terminating::{delete_and_hold, let_go},
    },
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// Commit that adds a note, by the contents API: "note\n" in base64.
const NOTE: &str = "bm90ZQo=";

#[then(expr = "the lease of its namespace was extended to {int} hours from now")]
async fn lease_extended(world: &mut GateWorld, hours: i64, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let extended = await_event(world, "run.namespace.ttl_extended").await?;
    let run = current_run(world).await?;
    let api: Api<Namespace> = Api::all(world.gate.kube.clone());
    let found = api
        .get(&text(&run, "namespace")?)
        .await
        .context("failed to read the namespace")?;
    let annotations = found.metadata.annotations.unwrap_or_default();
    let time = |key: &str| {
        annotations
            .get(&format!("codex-k8s.dev/{key}"))
            .and_then(|value| chrono::DateTime::parse_from_rfc3339(value).ok())
            .with_context(|| format!("no time in {key}"))
    };
    let lease = time("namespace-lease-expires-at")? - time("namespace-lease-updated-at")?;
    world.equal(
        &["L-63"],
        Kubernetes,
        "lease of the namespace in hours, from its last change",
        "GET namespace: expires-at minus updated-at",
        hours,
        (lease.num_seconds() + 59).div_euclid(60 * 60),
    )?;
    world.holds(
        &["L-63"],
        Postgres,
        "event run.namespace.ttl_extended",
        "flow_events by run id",
        "written for the namespace",
        &extended["payload"],
        extended["payload"]["namespace"] == run["namespace"],
    )?;
    Ok(())
}

async fn ambiguity(world: &mut GateWorld) -> anyhow::Result<(String, String)> {
    let guid = world.delivery()?.guid;
    let platform = world.platform();
    let event = until(
        "run.revise.stage_ambiguous",
        DECISION_DEADLINE,
        async || {
            let events = platform.database.events(&guid).await?;
            Ok(events
                .into_iter()
                .find(|event| event["event_type"] == "run.revise.stage_ambiguous")
                .map_or_else(|| Reading::NotYet("none".to_owned()), Reading::Reached))
        },
    )
    .await?;
    let payload = &event["payload"];
    let labels: Vec<&str> = payload["conflicting_labels"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Ok((
        labels.join(", "),
        payload["resolver_source"]
            .as_str()
            .unwrap_or("-")
            .to_owned(),
    ))
}

#[then(expr = "the stage is ambiguous between {string} by {string}")]
async fn ambiguous(
    world: &mut GateWorld,
    labels: String,
    by: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (seen, source) = ambiguity(world).await?;
    world.equal(
        &["L-52", "L-53", "L-59"],
        Postgres,
        "event run.revise.stage_ambiguous",
        "flow_events by correlation id",
        format!("{labels} by {by}"),
        format!("{seen} by {source}"),
    )?;
    Ok(())
}

#[then(expr = "one comment on the pull request says {string}")]
async fn one_comment(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let number = thread(world, "pull request")?;
    let seen = until("the comment", DECISION_DEADLINE, async || {
        let count = saying(world, number, &reason).await?;
        Ok(if count > 0 {
            Reading::Reached(count)
        } else {
            Reading::NotYet("none".to_owned())
        })
    })
    .await?;
    let mut rules = crate::expected::rules_of_reason(&reason);
    rules.extend(["L-42", "L-52", "L-53", "L-59"]);
    world.equal(
        &rules,
        Github,
        &format!("comments on #{number} with {reason}"),
        &format!("GET /repos/{}/issues/{number}/comments", place.repository),
        1,
        seen,
    )?;
    Ok(())
}

async fn saying(world: &GateWorld, number: u64, reason: &str) -> anyhow::Result<usize> {
    let place = world.place()?;
    let comments = place.member.comments(&place.repository, number).await?;
    Ok(comments
        .iter()
        .filter(|comment| {
            comment["body"]
                .as_str()
                .is_some_and(|body| body.contains(reason))
        })
        .count())
}

/// The step before has shown by a fence that the decision and what followed it are done.
#[then(expr = "no comment on the threads says {string}")]
async fn no_comment(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let issue = thread(world, "Issue")?;
    let pull_request = thread(world, "pull request")?;
    let status = until("the status comment", DECISION_DEADLINE, async || {
        let found = saying(world, issue, "codex-k8s:run-status").await?;
        Ok(if found > 0 {
            Reading::Reached(found)
        } else {
            Reading::NotYet("none".to_owned())
        })
    })
    .await?;
    let seen = [
        saying(world, issue, &reason).await?,
        saying(world, pull_request, &reason).await?,
    ];
    world.holds(
        &["L-42", "L-64"],
        Github,
        &format!("comments with {reason} on Issue and pull request"),
        "GET /repos/…/issues/…/comments",
        "0, 0, though status comments are found",
        format!("{}, {}, {status} status comments", seen[0], seen[1]),
        seen == [0, 0] && status > 0,
    )?;
    Ok(())
}

#[given("a finished run of the reviewer")]
async fn reviewer_finished(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let number = thread(world, "pull request")?;
    let before = world.previous_run.clone();
    set_by(world, &place.member, number, "need:reviewer").await?;
    world.take_run();
    let run = await_end(world).await?;
    if run["status"] != "succeeded" || run["agent_key"] != "reviewer" {
        return Err(anyhow::anyhow!(
            "the reviewer's run ended as {} by {}",
            run["status"],
            run["agent_key"]
        )
        .into());
    }
    // `need:reviewer` comes off after the run has ended, and an approval that finds it on is refused (L-79).
    await_labels_settled(world, &run).await?;
    world.take_run();
    world.previous_run = before;
    Ok(())
}

#[given("the maintainer has pushed to the branch of the pull request")]
async fn pushed(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let branch = format!("codex/issue-{}", place.issue);
    place
        .maintainer
        .put_file(&place.repository, &branch, "notes/by-hand.md", NOTE)
        .await?;
    let number = thread(world, "pull request")?;
    world.commits_before = place.member.commits(&place.repository, number).await?.len();
    Ok(())
}

#[then(expr = "the run wrote {string} with reuse refused")]
async fn fell_back(world: &mut GateWorld, event: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let found = await_event(world, &event).await?;
    world.holds(
        &["L-63"],
        Postgres,
        &format!("event {event}"),
        "flow_events by run id",
        "written with a reason",
        &found["payload"],
        found["payload"]["reason"].is_string() || found["payload"]["reuse_reason"].is_string(),
    )?;
    Ok(())
}

#[given("the namespace of the run is being deleted and does not end")]
async fn terminating(world: &mut GateWorld) -> Step {
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let namespace = text(&run, "namespace")?;
    Ok(delete_and_hold(world, &namespace).await?)
}

#[then("the run worked in another namespace than the run before")]
async fn another_namespace(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let before = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let (new, old) = (text(&run, "namespace")?, text(&before, "namespace")?);
    let made = world
        .gate
        .audit
        .writes("create", "namespaces", &new)
        .await?
        .len();
    // Let go, whatever is judged: nothing may be left behind.
    let_go(world, &old).await?;
    world.holds(
        &["L-63"],
        Kubernetes,
        "namespace of the run",
        "audit log: create namespaces, 2xx",
        format!("not {old}, created once"),
        format!("{new}, created {made} times"),
        new != old && made == 1,
    )?;
    Ok(())
}

#[when("a review that requests changes and tells no commit arrives")]
async fn without_commit(world: &mut GateWorld) -> Step {
    // GitHub's own payload of a review, told again as one that requests changes.
    review(world, "COMMENT", "submitted").await?;
    let mut payload = world.delivery()?.payload.as_ref().clone();
    payload["review"]["state"] = json!("changes_requested");
    payload["review"]["commit_id"] = json!("");
    payload["pull_request"]["head"]["sha"] = json!("");
    world.leave_run();
    Ok(deliver(world, "pull_request_review", payload).await?)
}

#[then("the run was asked for at the branch of the pull request")]
async fn built_from_branch(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let place = world.place()?;
    Ok(world.equal(
        &["L-58"],
        Postgres,
        "build ref of the run",
        "agent_runs.run_payload.runtime.build_ref",
        format!("codex/issue-{}", place.issue),
        run["run_payload"]["runtime"]["build_ref"]
            .as_str()
            .unwrap_or("-"),
    )?)
}

#[then(expr = "the Issue never carried {string}")]
async fn never_carried(world: &mut GateWorld, label: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let labels = |wanted: &str| {
        world
            .gate
            .github
            .deliveries(&place.repository)
            .iter()
            .filter(|delivery| {
                delivery.event == "issues"
                    && delivery.action == "labeled"
                    && delivery.payload["label"]["name"] == wanted
            })
            .count()
    };
    let work = label.trim_end_matches(":revise").to_owned();
    world.holds(
        &["L-58"],
        Github,
        &format!("deliveries that report {label} and {work} on the Issue"),
        "journal of the stand-in",
        format!("{label}: 0, {work}: 1"),
        format!("{label}: {}, {work}: {}", labels(&label), labels(&work)),
        labels(&label) == 0 && labels(&work) == 1,
    )?;
    Ok(())
}

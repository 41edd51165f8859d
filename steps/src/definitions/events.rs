//! The flow events of a run or a delivery (catalogue: data-and-api 2).

use cucumber::then;
use reports::evidence::ObservationSource::Postgres;
use serde_json::Value;

use crate::{
    definitions::outcome::{await_event, current_run},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// L-49, for a work run without reuse.
const FULL_ENV_ORDER: [&str; 17] = [
    "webhook.received",
    "run.enqueued",
    "run.profile.resolved",
    "run.namespace.prepared",
    "run.namespace.ttl_scheduled",
    "mcp.policy.resolved",
    "run.mcp.token.issued",
    "run.job.image.resolved",
    "run.started",
    "run.agent.started",
    "prompt.context.assembled",
    "run.agent.ready",
    "run.agent.status_reported",
    "run.agent.session.saved",
    "run.pr.created",
    "run.succeeded",
    "label.applied",
];

/// L-49 allows none of these in a run.
const OPTIONAL: [&str; 1] = ["run.agent.status_reported"];

#[then("the run's events appear in the order of a full-env run")]
async fn in_order(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let correlation = text(&run, "correlation_id")?;
    let platform = world.platform();
    // The trigger label leaves by an effect after the run's end (L-72): wait for that last event.
    let events = until(
        "the label event after the run's end",
        DECISION_DEADLINE,
        async || {
            let events = platform.database.events(&correlation).await?;
            let ended = events
                .iter()
                .position(|event| event["event_type"] == "run.succeeded");
            let labelled = ended.is_some_and(|end| {
                events[end..]
                    .iter()
                    .any(|event| event["event_type"] == "label.applied")
            });
            Ok(if labelled {
                Reading::Reached(events)
            } else {
                Reading::NotYet(format!("{} events", events.len()))
            })
        },
    )
    .await?;
    let first = |wanted: &str| {
        events.iter().enumerate().find_map(|(index, event)| {
            // The label that a person set is recorded before the run; L-49 speaks of the platform's own.
            let own = wanted != "label.applied" || event["payload"]["source"] == "system";
            (event["event_type"] == wanted && own).then_some(index)
        })
    };
    let mut occurring: Vec<_> = FULL_ENV_ORDER
        .iter()
        .filter_map(|wanted| first(wanted).map(|index| (index, *wanted)))
        .collect();
    occurring.sort_unstable();
    let seen: Vec<_> = occurring.iter().map(|(_, wanted)| *wanted).collect();
    let expected: Vec<_> = FULL_ENV_ORDER
        .into_iter()
        .filter(|wanted| !OPTIONAL.contains(wanted) || seen.contains(wanted))
        .collect();
    world.equal(
        &["L-49"],
        Postgres,
        "first occurrence of each event",
        "flow_events by correlation id, in id order",
        expected.join(" → "),
        seen.join(" → "),
    )?;
    // The status comment is an effect that runs beside the run: its place is after the enqueueing, no more (L-49).
    let (enqueued, commented) = (first("run.enqueued"), first("run.status.comment.upserted"));
    world.holds(
        &["L-49"],
        Postgres,
        "first status comment",
        "flow_events by correlation id, in id order",
        "after run.enqueued",
        format!("positions {enqueued:?}, {commented:?}"),
        enqueued.is_some() && commented > enqueued,
    )?;
    Ok(())
}

#[then("every event of the run carries the delivery's correlation id")]
async fn one_correlation(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let guid = world.delivery()?.guid;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let strangers: Vec<_> = events
        .iter()
        .filter(|event| event["correlation_id"] != guid.as_str())
        .map(|event| event["event_type"].to_string())
        .collect();
    world.holds(
        &["L-25"],
        Postgres,
        "correlation ids of the run's events",
        "flow_events by run id",
        format!("only {guid}"),
        format!(
            "{} events, of another id: [{}]",
            events.len(),
            strangers.join(", ")
        ),
        strangers.is_empty() && !events.is_empty(),
    )?;
    Ok(())
}

#[then(expr = "the event {string} names the path {string}")]
async fn names_path(
    world: &mut GateWorld,
    event: String,
    path: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    Ok(error_contains(world, &event, &[path], &["L-9", "L-46"]).await?)
}

#[then(expr = "the event {string} names {string} and {string}")]
async fn names_two(
    world: &mut GateWorld,
    event: String,
    first: String,
    second: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    Ok(error_contains(world, &event, &[first, second], &["L-15", "L-46", "R-20"]).await?)
}

async fn error_contains(
    world: &mut GateWorld,
    event: &str,
    needles: &[String],
    rules: &[&str],
) -> anyhow::Result<()> {
    let found = await_event(world, event).await?;
    let error = found["payload"]["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let ok = needles.iter().all(|needle| error.contains(needle.as_str()));
    world.holds(
        rules,
        Postgres,
        &format!("error of {event}"),
        "flow_events.payload.error",
        needles.join(" and "),
        error,
        ok,
    )
}

#[then(expr = "the error shows {int} paths and {string}")]
async fn shows_paths(
    world: &mut GateWorld,
    count: usize,
    rest: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let found = await_event(world, "run.failed.precondition").await?;
    let error = found["payload"]["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    // The story numbers its files, so that each can be counted.
    let shown = (1..=99)
        .filter(|number| error.contains(&format!("forbidden_{number:02}.rs")))
        .count();
    world.equal(
        &["L-46"],
        Postgres,
        "paths in the error",
        "flow_events.payload.error",
        count,
        shown,
    )?;
    world.holds(
        &["L-46"],
        Postgres,
        "rest of the error",
        "flow_events.payload.error",
        &rest,
        &error,
        error.contains(&rest),
    )?;
    Ok(())
}

#[then(expr = "the event {string} gives the reason {string}")]
async fn gives_reason(
    world: &mut GateWorld,
    event: String,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let found = await_event(world, &event).await?;
    let rules: &[&str] = match event.as_str() {
        "run.failed" => &["L-48", "R-18"],
        "run.failed.job_not_found" => &["L-48", "R-19"],
        "run.failed.launch_error" => &["L-48", "R-20"],
        _ => &["L-46", "R-75"],
    };
    world.equal(
        rules,
        Postgres,
        &format!("reason of {event}"),
        "flow_events.payload.reason",
        reason,
        found["payload"]["reason"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[then(expr = "the run wrote {string} and not {string}")]
async fn wrote_and_not(
    world: &mut GateWorld,
    wrote: String,
    not: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let platform = world.platform();
    let kinds = kinds(&platform.database.events_of_run(&text(&run, "id")?).await?);
    let previous = world.previous_run.clone().unwrap_or_default();
    // The positive control: the run before did write the other event.
    let before = self::kinds(
        &platform
            .database
            .events_of_run(previous["id"].as_str().unwrap_or_default())
            .await?,
    );
    world.holds(
        &["L-49", "R-82"],
        Postgres,
        "pull request events of the run",
        "flow_events by run id",
        format!("{wrote}, not {not}; the run before wrote {not}"),
        format!("{}; before: {}", only_pr(&kinds), only_pr(&before)),
        kinds.contains(&wrote) && !kinds.contains(&not) && before.contains(&not),
    )?;
    Ok(())
}

fn kinds(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| event["event_type"].as_str().map(str::to_owned))
        .collect()
}

fn only_pr(kinds: &[String]) -> String {
    kinds
        .iter()
        .filter(|kind| kind.starts_with("run.pr."))
        .cloned()
        .collect::<Vec<_>>()
        .join(", ")
}

#[then(expr = "the event {string} is written once")]
async fn written_once(world: &mut GateWorld, event: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let guid = world.delivery()?.guid;
    let platform = world.platform();
    let count = until(
        &format!("the event {event}"),
        DECISION_DEADLINE,
        async || {
            let events = platform.database.events(&guid).await?;
            let count = events
                .iter()
                .filter(|found| found["event_type"] == event.as_str())
                .count();
            Ok(if count > 0 {
                Reading::Reached(count)
            } else {
                Reading::NotYet(kinds(&events).join(", "))
            })
        },
    )
    .await?;
    world.equal(
        &["L-24", "L-42"],
        Postgres,
        &format!("events {event} of the delivery"),
        "flow_events by correlation id",
        1,
        count,
    )?;
    Ok(())
}

#[then(expr = "the stage was resolved as {string} by {string}")]
async fn stage_resolved(
    world: &mut GateWorld,
    label: String,
    by: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let guid = world.delivery()?.guid;
    let events = world.platform().database.events(&guid).await?;
    let received = events
        .iter()
        .any(|event| event["event_type"] == "run.review.changes_requested.received");
    let resolved = events
        .iter()
        .find(|event| event["event_type"] == "run.revise.stage_resolved")
        .cloned()
        .unwrap_or_default();
    let seen = format!(
        "{} by {}, review received: {received}",
        resolved["payload"]["trigger_label"].as_str().unwrap_or("-"),
        resolved["payload"]["resolver_source"]
            .as_str()
            .unwrap_or("-")
    );
    world.equal(
        &["L-51", "L-52", "L-53", "L-54", "L-55", "L-56"],
        Postgres,
        "resolution of the review",
        "flow_events of the delivery",
        format!("{label} by {by}, review received: true"),
        seen,
    )?;
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let seen = crate::definitions::namespaces::job_environment(
        world,
        &run,
        &["CODEXK8S_RUN_TRIGGER_LABEL"],
    )
    .await?;
    let rule = match by.as_str() {
        "pr_labels" => "L-53",
        "issue_labels" => "L-55",
        _ => "L-56",
    };
    world.equal(
        &[rule, "L-51", "L-52", "L-58"],
        reports::evidence::ObservationSource::Kubernetes,
        "label in the Job",
        "Job: env CODEXK8S_RUN_TRIGGER_LABEL",
        label,
        seen.join(""),
    )?;
    Ok(())
}

#[then(expr = "the run used model {string} from {string} and reasoning {string} from {string}")]
async fn profile(
    world: &mut GateWorld,
    model: String,
    model_source: String,
    reasoning: String,
    reasoning_source: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let found = await_event(world, "run.profile.resolved").await?;
    let payload = &found["payload"];
    let word = |key: &str| payload[key].as_str().unwrap_or("-").to_owned();
    world.equal(
        &["L-13", "L-14", "L-15", "L-61"],
        Postgres,
        "profile of the run",
        "flow_events run.profile.resolved",
        format!("{model} from {model_source}, {reasoning} from {reasoning_source}"),
        format!(
            "{} from {}, {} from {}",
            word("model"),
            word("model_source"),
            word("reasoning_effort"),
            word("reasoning_source")
        ),
    )?;
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let seen = crate::definitions::namespaces::job_environment(
        world,
        &run,
        &["CODEXK8S_AGENT_MODEL", "CODEXK8S_AGENT_REASONING_EFFORT"],
    )
    .await?;
    let mut rules = vec!["L-14"];
    for source in [&model_source, &reasoning_source] {
        rules.push(match source.as_str() {
            "agent_default" => "L-13",
            "auth_file_fallback" => "L-15",
            "last_run_context" => "L-62",
            _ => "L-61",
        });
    }
    world.equal(
        &rules,
        reports::evidence::ObservationSource::Kubernetes,
        "model and reasoning in the Job",
        "Job: env of container run",
        format!("{model}, {reasoning}"),
        seen.join(", "),
    )?;
    Ok(())
}

#[then("the events of a stale lease and of the takeover exist")]
async fn takeover_events(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let wanted = [
        "worker.instance.heartbeat.missed",
        "run.lease.detected_stale",
        "run.lease.released",
        "run.reclaimed_after_stale_lease",
    ];
    for kind in wanted {
        await_event(world, kind).await?;
    }
    let run = current_run(world).await?;
    let events = kinds(
        &world
            .platform()
            .database
            .events_of_run(&text(&run, "id")?)
            .await?,
    );
    let seen: Vec<_> = wanted
        .iter()
        .map(|kind| {
            format!(
                "{kind} ×{}",
                events.iter().filter(|event| event == kind).count()
            )
        })
        .collect();
    let expected: Vec<_> = wanted.iter().map(|kind| format!("{kind} ×1")).collect();
    world.equal(
        &["R-11", "R-12", "R-14"],
        Postgres,
        "recovery events of the run",
        "flow_events by run id",
        expected.join(", "),
        seen.join(", "),
    )?;
    Ok(())
}

#[then("the run restored the session of the run before")]
async fn session_restored(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let restored = await_event(world, "run.agent.session.restored").await?;
    let used = await_event(world, "run.agent.resume.used").await?;
    let previous = world
        .previous_run
        .clone()
        .ok_or_else(|| anyhow::anyhow!("there is no run before"))?;
    let sessions = world
        .platform()
        .database
        .rows("SELECT to_jsonb(s) - 'session_json' - 'agent_session_json' FROM agent_sessions s WHERE run_id = $1::text::uuid", &[&text(&previous, "id")?])
        .await?;
    let stored = sessions.first().cloned().unwrap_or_default();
    world.equal(
        &["L-51", "R-92"],
        Postgres,
        "checksum of the restored snapshot",
        "flow_events run.agent.session.restored beside agent_sessions of the run before",
        stored["snapshot_checksum"]
            .as_str()
            .unwrap_or("none stored"),
        restored["payload"]["snapshot_checksum"]
            .as_str()
            .unwrap_or("-"),
    )?;
    world.holds(
        &["R-92"],
        Postgres,
        "use of the restored session",
        "flow_events run.agent.resume.used",
        "written",
        used["event_type"].as_str().unwrap_or("-"),
        used["event_type"] == "run.agent.resume.used",
    )?;
    Ok(())
}

#[then(expr = "the run used the template {string}")]
async fn template(world: &mut GateWorld, kind: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let found = await_event(world, "run.started").await?;
    world.equal(
        &["L-51"],
        Postgres,
        "template kind of the run",
        "flow_events run.started",
        kind,
        found["payload"]["prompt_template_kind"]
            .as_str()
            .unwrap_or("-"),
    )?;
    Ok(())
}

//! What the sweep leaves, what `run:debug` holds against it, and what the leak check says of both.

use anyhow::Context;
use cucumber::{given, then, when};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Namespace, Secret},
};
use kube::{Api, api::ListParams};
use reports::evidence::ObservationSource::{Github, Kubernetes, Orchestrator, Postgres};
use serde_json::{Value, json};

use crate::{
    definitions::{
        comments::{body, status_comments_of},
        namespaces::observe_deletion,
        outcome::{await_event, run_at_hand},
        setup::configured,
    },
    place::{delivery_after, mark},
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

#[given("a platform whose clean-up of namespaces is switched off")]
async fn without_cleanup(world: &mut GateWorld) -> Step {
    configured(world, [("CODEXK8S_WORKER_RUN_NAMESPACE_CLEANUP", "false")]).await
}

/// Phase of a namespace, with the annotation that keeps it; `gone` also while it is being emptied.
async fn state_of(world: &GateWorld, namespace: &str) -> anyhow::Result<String> {
    let api: Api<Namespace> = Api::all(world.gate.kube.clone());
    let found = api
        .get_opt(namespace)
        .await
        .context("failed to read the namespace")?;
    let Some(found) = found.filter(|found| found.metadata.deletion_timestamp.is_none()) else {
        return Ok("gone".to_owned());
    };
    let annotations = found.metadata.annotations.unwrap_or_default();
    let keep = annotations.get("codex-k8s.dev/namespace-keep");
    Ok(match keep {
        Some(why) => format!("there, kept for {why}"),
        None => "there".to_owned(),
    })
}

async fn observe_namespace(
    world: &mut GateWorld,
    rules: &[&str],
    namespace: &str,
    expected: &str,
) -> anyhow::Result<()> {
    let seen = state_of(world, namespace).await?;
    world.equal(
        rules,
        Kubernetes,
        &format!("namespace {namespace}"),
        "GET namespace: deletionTimestamp, annotation codex-k8s.dev/namespace-keep",
        expected,
        seen,
    )
}

#[then("the sweep says that it is switched off, and the namespace of the run is there")]
async fn switched_off(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let namespace = text(&run, "namespace")?;
    let platform = world.platform();
    let told = until("the record of the sweep", RUN_DEADLINE, async || {
        let rows = platform
            .database
            .rows(
                "SELECT payload FROM flow_events WHERE event_type = 'run.namespace.cleanup_skipped' \
                 AND payload ->> 'reason' = 'cleanup_disabled'",
                &[],
            )
            .await?;
        Ok(match rows.first() {
            Some(payload) => Reading::Reached(payload.clone()),
            None => Reading::NotYet("no such event".to_owned()),
        })
    })
    .await?;
    world.equal(
        &["R-62"],
        Postgres,
        "namespace of run.namespace.cleanup_skipped (cleanup_disabled)",
        "flow_events by type and reason",
        &namespace,
        told["namespace"].as_str().unwrap_or("-"),
    )?;
    Ok(observe_namespace(world, &["R-62"], &namespace, "there").await?)
}

/// What the leak check says now that the clock has jumped; the sweep that follows a jump is a wake-up away.
async fn leak_check(
    world: &mut GateWorld,
    wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let platform = world.platform();
    until("what the leak check says", RUN_DEADLINE, async || {
        let report = platform.hygiene().await?;
        Ok(if wanted(&report) {
            Reading::Reached(report)
        } else {
            Reading::NotYet(report.to_string())
        })
    })
    .await
}

fn names(list: &Value) -> String {
    let items = list.as_array().cloned().unwrap_or_default();
    let names = items.iter().map(|item| {
        let kind = item["kind"].as_str().unwrap_or("namespace");
        format!("{kind} {}", item["namespace"].as_str().unwrap_or("-"))
    });
    names.collect::<Vec<_>>().join(", ")
}

#[then("the leak check names the namespace of the run and nothing else, with an event")]
async fn names_one_leak(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let namespace = text(&run, "namespace")?;
    let wanted = format!("namespace {namespace}");
    let report = leak_check(world, |report| names(&report["findings"]) == wanted).await?;
    world.equal(
        &["R-69"],
        Orchestrator,
        "findings of the leak check",
        "orchestrator hygiene --output json",
        format!("namespace {namespace}"),
        names(&report["findings"]),
    )?;
    observe_namespace(world, &["R-69"], &namespace, "there").await?;
    let (platform, id) = (world.platform(), text(&run, "id")?);
    // The jump of the clock made a leak of the Job as well, until Kubernetes had removed it by its own clock.
    let told = until("the event of the leak", RUN_DEADLINE, async || {
        let events = platform.database.events_of_run(&id).await?;
        let told = events.iter().filter(|event| {
            event["event_type"] == "run.hygiene.leak_detected"
                && event["payload"]["kind"] == "namespace"
        });
        let told: Vec<_> = told
            .filter_map(|event| event["payload"]["namespace"].as_str())
            .map(str::to_owned)
            .collect();
        Ok(if told.is_empty() {
            Reading::NotYet("no event about a namespace".to_owned())
        } else {
            Reading::Reached(told.join(", "))
        })
    })
    .await?;
    world.equal(
        &["R-69"],
        Postgres,
        "namespaces of run.hygiene.leak_detected",
        "flow_events by run id and kind",
        namespace,
        told,
    )?;
    Ok(())
}

#[then("the leak check is clean and lists the namespace of the run as kept")]
async fn lists_as_kept(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let namespace = text(&run, "namespace")?;
    let clean = |report: &Value| names(&report["findings"]).is_empty();
    let report = leak_check(world, clean).await?;
    world.equal(
        &["R-69"],
        Orchestrator,
        "findings and kept namespaces of the leak check",
        "orchestrator hygiene --output json",
        format!("no findings; namespace {namespace}"),
        format!("no findings; {}", names(&report["kept"])),
    )?;
    Ok(observe_namespace(world, &["R-69"], &namespace, "there, kept for debug").await?)
}

#[then("the namespace of the run is kept for debugging, and its status comment says so")]
async fn kept_for_debugging(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let namespace = text(&run, "namespace")?;
    let seen = until("the mark on the namespace", DECISION_DEADLINE, async || {
        let seen = state_of(world, &namespace).await?;
        Ok(if seen == "there" {
            Reading::NotYet(seen)
        } else {
            Reading::Reached(seen)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    world.equal(
        &["R-63"],
        Kubernetes,
        &format!("namespace {namespace}"),
        "GET namespace: deletionTimestamp, annotation codex-k8s.dev/namespace-keep",
        "there, kept for debug",
        seen,
    )?;
    let id = text(&run, "id")?;
    let told = until("the status comment", DECISION_DEADLINE, async || {
        let comments = status_comments_of(world, &id).await?;
        let telling = comments
            .iter()
            .find(|comment| body(comment).contains("`run:debug`"));
        Ok(match telling {
            Some(_) => Reading::Reached("names `run:debug`"),
            None => Reading::NotYet("does not name it".to_owned()),
        })
    })
    .await;
    world.equal(
        &["R-63"],
        Github,
        &format!("status comment of run {id}"),
        "GET /repos/…/issues/…/comments",
        "names `run:debug`",
        told.map_or_else(|error| format!("{error:#}"), str::to_owned),
    )?;
    Ok(())
}

/// Reasons of the clean-ups of a run's namespace that were skipped.
async fn skips_of(world: &mut GateWorld, run: &Value) -> anyhow::Result<String> {
    let events = world
        .platform()
        .database
        .events_of_run(&text(run, "id")?)
        .await?;
    let reasons = events
        .iter()
        .filter(|event| event["event_type"] == "run.namespace.cleanup_skipped")
        .filter_map(|event| event["payload"]["reason"].as_str());
    Ok(reasons.collect::<Vec<_>>().join(", "))
}

#[then(expr = "the clean-up of the namespace of the run before was skipped because {string}, once")]
async fn skipped_before(
    world: &mut GateWorld,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let seen = skips_of(world, &run).await?;
    world.equal(
        &["R-63", "R-64"],
        Postgres,
        "events run.namespace.cleanup_skipped of the run before",
        "flow_events by run id",
        reason,
        seen,
    )?;
    Ok(())
}

#[when(expr = "the sweep of the CronJob runs {int} times")]
async fn sweeps(world: &mut GateWorld, times: usize) -> Step {
    let platform = world.platform();
    for _ in 0..times {
        platform.sweep_once().await?;
    }
    Ok(())
}

#[when(expr = "staff deletes the namespace of the run")]
#[when(expr = "staff deletes the namespace of the run again")]
async fn staff_deletes(world: &mut GateWorld) -> Step {
    let run = run_at_hand(world).await?;
    let id = text(&run, "id")?;
    let (status, answer) = world.platform().staff.delete_namespace(&id).await?;
    world.answer = Some((status.as_u16(), answer));
    Ok(())
}

#[then(expr = "the answer says that the namespace was {string}")]
async fn answer_of_delete(
    world: &mut GateWorld,
    what: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (status, answer) = world.answer.clone().context("there is no answer")?;
    let expected = match what.as_str() {
        "deleted" => json!([true, false]),
        "deleted already" => json!([false, true]),
        other => return Err(anyhow::anyhow!("a namespace is never {other:?}").into()),
    };
    world.equal(
        &["R-68"],
        Orchestrator,
        "status, deleted and already_deleted of the answer",
        "DELETE /api/v1/staff/runs/…/namespace",
        format!("200 {expected}"),
        format!(
            "{status} [{},{}]",
            answer["deleted"], answer["already_deleted"]
        ),
    )?;
    Ok(())
}

#[then("the namespace of the run is gone, as staff wanted")]
async fn gone_by_staff(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let namespace = text(&run, "namespace")?;
    observe_deletion(world, &["R-68"], &namespace).await?;
    world.set_run(run);
    let event = await_event(world, "run.namespace.delete_by_staff").await?;
    world.equal(
        &["R-68"],
        Postgres,
        "namespace of run.namespace.delete_by_staff",
        "flow_events by run id",
        namespace,
        event["payload"]["namespace"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[then(expr = "the sweep was made by {string}")]
async fn made_by(world: &mut GateWorld, command: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let namespace = text(&run, "namespace")?;
    world.set_run(run);
    let event = await_event(world, "run.namespace.cleaned").await?;
    world.equal(
        &["R-57"],
        Postgres,
        "cleanup_command of run.namespace.cleaned",
        "flow_events by run id",
        command,
        event["payload"]["cleanup_command"].as_str().unwrap_or("-"),
    )?;
    observe_deletion(world, &["R-57"], &namespace).await?;
    Ok(())
}

/// A label that comes later, without becoming the delivery that the scenario looks at.
#[when(expr = "the member adds {string} to the Issue, now that the run is over")]
async fn adds_late(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    place
        .member
        .add_labels(&place.repository, place.issue, &[&label])
        .await?;
    Ok(())
}

#[then("the run ends as canceled once, and its Job, slot and credentials are gone")]
async fn canceled_cleanly(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let id = text(&run, "id")?;
    let run = crate::definitions::outcome::end_of(world, &id).await?;
    let platform = world.platform();
    let events = platform.database.events_of_run(&id).await?;
    let ends = events
        .iter()
        .filter(|event| event["event_type"] == "run.canceled")
        .count();
    world.equal(
        &["R-28"],
        Postgres,
        "status, reason and events run.canceled of the run",
        "agent_runs, flow_events by run id",
        "canceled canceled_by_staff, 1 event",
        format!(
            "{} {}, {ends} event",
            run["status"].as_str().unwrap_or("-"),
            run["finish_reason"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(nothing_left_of(world, &["R-28", "R-9"], &run).await?)
}

#[then("the Job, the slot and the credentials of the run are gone")]
async fn nothing_is_left(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    Ok(nothing_left_of(world, &["R-21", "R-9"], &run).await?)
}

/// Neither slot nor Job nor credentials outlive a run.
async fn nothing_left_of(world: &mut GateWorld, rules: &[&str], run: &Value) -> anyhow::Result<()> {
    let id = text(run, "id")?;
    let slots = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(s) FROM slots s WHERE lease_owner = $1",
            &[&id],
        )
        .await?
        .len();
    world.equal(
        rules,
        Postgres,
        "slots of the run",
        "slots by lease_owner",
        0,
        slots,
    )?;
    let namespace = text(run, "job_namespace")?;
    let of_run = ListParams::default().labels(&format!("codex-k8s.dev/run-id={id}"));
    let jobs: Api<Job> = Api::namespaced(world.gate.kube.clone(), &namespace);
    let secrets: Api<Secret> = Api::namespaced(world.gate.kube.clone(), &namespace);
    let left = until("the end of the Job", RUN_DEADLINE, async || {
        let left = jobs.list_metadata(&of_run).await?.items.len()
            + secrets.list_metadata(&of_run).await?.items.len();
        Ok(if left == 0 {
            Reading::Reached("none".to_owned())
        } else {
            Reading::NotYet(left.to_string())
        })
    })
    .await;
    world.equal(
        rules,
        Kubernetes,
        &format!("Jobs and Secrets of the run in {namespace}"),
        "GET jobs, secrets by run-id label",
        "none",
        left.unwrap_or_else(|error| format!("{error:#}")),
    )
}

#[given(expr = "a platform whose agents have the image {string}")]
async fn with_image(world: &mut GateWorld, image: String) -> Step {
    configured(world, [("CODEXK8S_WORKER_JOB_IMAGE", image.as_str())]).await
}

#[then(expr = "its Pod waited with {string}, and its Job, slot and credentials are gone")]
async fn waited(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let failed = await_event(world, "run.failed").await?;
    let error = failed["payload"]["error"]
        .as_str()
        .unwrap_or("-")
        .to_owned();
    world.holds(
        &["R-18"],
        Postgres,
        "error of run.failed",
        "flow_events by run id",
        format!("names {reason}"),
        &error,
        error.contains(&reason),
    )?;
    let events: Api<Event> =
        Api::namespaced(world.gate.kube.clone(), &text(&run, "job_namespace")?);
    let told = events
        .list(&ListParams::default())
        .await
        .context("failed to read the events")?;
    let mut told: Vec<String> = told
        .items
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some("Failed"))
        .filter_map(|event| event.message)
        .collect();
    told.dedup();
    let told = told.join("; ");
    world.holds(
        &["R-18"],
        Kubernetes,
        "what the node says of the Pod",
        "GET events: reason Failed",
        "invalid reference format",
        &told,
        told.contains("invalid reference format"),
    )?;
    Ok(nothing_left_of(world, &["R-18", "R-9"], &run).await?)
}

#[when("every worker of the platform is killed")]
async fn workers_killed(world: &mut GateWorld) -> Step {
    let platform = world.platform();
    let key = world.key.clone();
    for worker in platform.worker_ids() {
        platform.kill_worker(&worker).await?;
        world
            .gate
            .with_facts(&key, |facts| facts.restarts.push(worker));
    }
    Ok(())
}

#[when("the Issue is deleted")]
async fn issue_deleted(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    let owner = gate.github.owner_login();
    let handle = gate.github.handle();
    handle
        .delete_issue(&place.repository, place.issue, &owner)
        .context("failed to delete the Issue")?;
    let delivery = delivery_after(
        &gate,
        &place.repository,
        before,
        "the deletion",
        |delivery| delivery.event == "issues" && delivery.action == "deleted",
    )
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

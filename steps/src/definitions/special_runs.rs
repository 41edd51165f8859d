//! Runs beside the stages that change the repository: audit, self-improvement, rethink, repair.

use anyhow::Context;
use cucumber::{given, then};
use fixtures::stories;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};
use serde_json::{Value, json};

use crate::{
    definitions::{
        comments::{STATUS_MARKER, body, comments_of_bot},
        labels::await_labels_settled,
        outcome::{await_event, current_run},
        setup::bind,
    },
    names::short,
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

#[given("a bound repository whose agent finds nothing to change in an audit, with an open Issue")]
async fn agent_audits(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::audits_without_findings()).await?)
}

#[given("a bound repository whose agent improves itself, with an open Issue")]
async fn agent_improves(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::improves()).await?)
}

#[given("a bound repository whose agent improves itself without evidence, with an open Issue")]
async fn agent_improves_without_evidence(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::improves_without_evidence()).await?)
}

#[given("a bound repository whose agent repairs, with an open Issue")]
async fn agent_repairs(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::repairs()).await?)
}

/// LIVE_NS of the repository is made by its deploys, of which none has run here.
#[given("the repository has a live environment")]
async fn live_environment(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let instance = world.platform().instance.clone();
    let slug = place.repository.split('/').next().unwrap_or_default();
    let suffix = if instance == "main" {
        String::new()
    } else {
        format!("-{instance}")
    };
    let name = format!("{slug}-ai-staging{suffix}");
    let namespace: Namespace = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"codex-k8s.dev/instance": instance}},
    }))
    .context("failed to write the namespace")?;
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .context("failed to create the live environment")?;
    world.remembered.insert("live".to_owned(), name);
    let head = place
        .member
        .head_of_branch(&place.repository, "main")
        .await?;
    world
        .remembered
        .insert("main".to_owned(), text(&head, "sha")?);
    Ok(())
}

/// Takes down what [`live_environment`] made, with what the platform put into it (E-20).
///
/// # Errors
/// When it is still there after a while.
pub async fn remove_live_environment(world: &GateWorld) -> anyhow::Result<()> {
    let Ok(name) = live(world) else {
        return Ok(());
    };
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    namespaces
        .delete(&name, &DeleteParams::default())
        .await
        .context("failed to delete the live environment")?;
    until(
        "the end of the live environment",
        DECISION_DEADLINE,
        async || {
            Ok(match namespaces.get_opt(&name).await? {
                None => Reading::Reached(()),
                Some(_) => Reading::NotYet("there".to_owned()),
            })
        },
    )
    .await
}

/// Name of the repository's live environment.
pub fn live(world: &GateWorld) -> anyhow::Result<String> {
    world
        .remembered
        .get("live")
        .cloned()
        .context("the repository has no live environment")
}

/// Comments of the bot that are no status comments.
async fn results(world: &GateWorld) -> anyhow::Result<Vec<String>> {
    let place = world.place()?;
    let comments = comments_of_bot(world, place.issue).await?;
    Ok(comments
        .iter()
        .map(|comment| body(comment).to_owned())
        .filter(|body| !body.contains(STATUS_MARKER))
        .collect())
}

async fn result_holds(world: &mut GateWorld, rule: &str, words: &str) -> anyhow::Result<()> {
    let place = world.place()?;
    let found = results(world).await?;
    world.holds(
        &[rule],
        Github,
        "comments of the bot besides the status comment",
        &format!(
            "GET /repos/{}/issues/{}/comments",
            place.repository, place.issue
        ),
        format!("1 with {words:?}"),
        format!("{}: {}", found.len(), found.join(" | ")),
        found.len() == 1 && found[0].contains(words),
    )
}

#[then("the result of the audit is a comment on the Issue")]
async fn audit_result(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(result_holds(world, "L-111", stories::AUDIT_SUMMARY).await?)
}

#[then("the incident is told in a comment on the Issue")]
async fn incident(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(result_holds(world, "L-6", stories::REPAIR_SUMMARY).await?)
}

/// A run of another Issue that makes a pull request: the positive control of "there is none" (E-5).
async fn control(world: &mut GateWorld) -> anyhow::Result<(u64, Value)> {
    let place = world.place()?;
    let other = place
        .member
        .open_issue(&place.repository, "A wish with a document", "")
        .await?;
    place
        .member
        .add_labels(&place.repository, other, &["run:intake"])
        .await?;
    let platform = world.platform();
    let run = until(
        "the end of the other Issue's run",
        RUN_DEADLINE,
        async || {
            let runs = platform
                .database
                .runs_of_issue(&place.repository, other)
                .await?;
            Ok(match runs.into_iter().next() {
                Some(run) if run["status"] == "succeeded" => Reading::Reached(run),
                Some(run) => Reading::NotYet(format!("{} {}", run["status"], run["finish_reason"])),
                None => Reading::NotYet("no run".to_owned()),
            })
        },
    )
    .await?;
    await_labels_settled(world, &run).await?;
    Ok((other, run))
}

#[then(
    "the Issue is in review without a pull request, while a run that writes a document opens one"
)]
async fn no_pull_request(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    await_labels_settled(world, &run).await?;
    let (other, control) = control(world).await?;
    let place = world.place()?;
    let pull_requests = place.member.pull_requests(&place.repository).await?;
    let heads: Vec<_> = pull_requests
        .iter()
        .filter_map(|pull| pull["head"]["ref"].as_str())
        .collect();
    world.equal(
        &["L-111", "L-113", "E-5"],
        Github,
        &format!("head branches of the pull requests of {}", place.repository),
        &format!("GET /repos/{}/pulls?state=all", place.repository),
        format!("codex/issue-{other}"),
        heads.join(", "),
    )?;
    let labels = place.member.labels(&place.repository, place.issue).await?;
    world.equal(
        &["L-72", "L-73", "L-111", "L-113"],
        Github,
        "labels of the Issue",
        &format!(
            "GET /repos/{}/issues/{}/labels",
            place.repository, place.issue
        ),
        "state:in-review",
        labels.join(", "),
    )?;
    let mut written = Vec::new();
    for run in [&run, &control] {
        let events = world
            .platform()
            .database
            .events_of_run(&text(run, "id")?)
            .await?;
        let count = events
            .iter()
            .filter_map(|event| event["event_type"].as_str())
            .filter(|kind| kind.starts_with("run.pr."))
            .count();
        written.push(count.to_string());
    }
    world.equal(
        &["L-111", "L-113"],
        Postgres,
        "run.pr.* of the run, of the run that writes a document",
        "flow_events of both runs",
        "0, 1",
        written.join(", "),
    )?;
    Ok(())
}

#[then(expr = "the run failed for lack of {string}, without a diagnosis")]
async fn lacks(world: &mut GateWorld, part: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let code = crate::definitions::outcome::exit_code(world, &run).await?;
    world.equal(
        &["L-110", "R-86"],
        Kubernetes,
        "exit code of the agent's container",
        "pods: containerStatuses[run].state.terminated.exitCode",
        1,
        code,
    )?;
    let platform = world.platform();
    let id = text(&run, "id")?;
    let events = platform.database.events_of_run(&id).await?;
    let count = |kind: &str| {
        events
            .iter()
            .filter(|event| event["event_type"] == kind)
            .count()
    };
    world.equal(
        &["L-110"],
        Postgres,
        "run.agent.ready, run.self_improve.diagnosis_ready",
        "flow_events of the run",
        "1, 0",
        format!(
            "{}, {}",
            count("run.agent.ready"),
            count("run.self_improve.diagnosis_ready")
        ),
    )?;
    let session = platform
        .database
        .rows(
            "SELECT to_jsonb(s) FROM agent_sessions s WHERE run_id = $1::text::uuid",
            &[&id],
        )
        .await?;
    let told = session.first().map(Value::to_string).unwrap_or_default();
    world.holds(
        &["L-110"],
        Postgres,
        "error in the session of the run",
        "agent_sessions",
        format!("names {part}"),
        told.chars().take(400).collect::<String>(),
        told.contains(&part),
    )?;
    Ok(())
}

#[then("the diagnosis is reported")]
async fn diagnosis(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let event = await_event(world, "run.self_improve.diagnosis_ready").await?;
    world.equal(
        &["L-110"],
        Postgres,
        "diagnosis of run.self_improve.diagnosis_ready",
        "flow_events of the run",
        stories::DIAGNOSIS,
        event["payload"]["diagnosis"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

/// Labels, status report and the three tools of self-improvement (G-14 to G-18), sorted by name.
const SELF_IMPROVE_TOOLS: [&str; 8] = [
    "github_labels_add",
    "github_labels_list",
    "github_labels_remove",
    "github_labels_transition",
    "run_status_report",
    "self_improve_run_lookup",
    "self_improve_runs_list",
    "self_improve_session_get",
];

#[then(expr = "agent {string} may use exactly the tools of self-improvement")]
async fn tools(world: &mut GateWorld, agent: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let event = await_event(world, "mcp.policy.resolved").await?;
    let run = current_run(world).await?;
    let tools = event["payload"]["tools"].as_array().cloned();
    let mut names: Vec<String> = tools
        .unwrap_or_default()
        .iter()
        .filter_map(|tool| tool.as_str().or_else(|| tool["name"].as_str()))
        .map(str::to_owned)
        .collect();
    names.sort();
    world.equal(
        &["L-110", "L-114"],
        Postgres,
        "agent and its tools",
        "agent_runs.agent_key, flow_events: mcp.policy.resolved",
        format!("{agent}: {}", SELF_IMPROVE_TOOLS.join(", ")),
        format!(
            "{}: {}",
            run["agent_key"].as_str().unwrap_or("-"),
            names.join(", ")
        ),
    )?;
    Ok(())
}

#[then("the rethink has a branch and a pull request of its own")]
async fn own_pull_request(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let run = current_run(world).await?;
    let short = short(&text(&run, "id")?);
    let pull_requests = place.member.pull_requests(&place.repository).await?;
    let mut heads: Vec<String> = pull_requests
        .iter()
        .filter(|pull| pull["state"] == "open")
        .filter_map(|pull| pull["head"]["ref"].as_str().map(str::to_owned))
        .collect();
    heads.sort();
    let branch = format!("codex/issue-{}", place.issue);
    world.equal(
        &["L-50", "L-112"],
        Github,
        "head branches of the open pull requests",
        &format!("GET /repos/{}/pulls?state=all", place.repository),
        format!("{branch}, {branch}-r{short}"),
        heads.join(", "),
    )?;
    Ok(())
}

#[then("the pull request before is superseded; the rethink and the Issue are in review")]
async fn superseded(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let run = current_run(world).await?;
    await_labels_settled(world, &run).await?;
    let before = world.pull_request.context("there is no pull request")?;
    let pull_requests = place.member.pull_requests(&place.repository).await?;
    let own = pull_requests
        .iter()
        .filter_map(|pull| pull["number"].as_u64())
        .find(|number| *number != before)
        .context("the rethink has no pull request")?;
    let mut seen = Vec::new();
    for number in [before, own, place.issue] {
        let mut labels = place.member.labels(&place.repository, number).await?;
        labels.sort();
        seen.push(labels.join(", "));
    }
    world.equal(
        &["L-81", "L-112"],
        Github,
        "labels of the pull request before, of the rethink's, of the Issue",
        "GET /repos/…/issues/…/labels",
        "state:superseded; state:in-review; need:input, state:blocked, state:in-review",
        seen.join("; "),
    )?;
    Ok(())
}

#[then("a Pod of agent \"sre\" worked in the live environment under the account of a repair")]
async fn repair_pod(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let name = format!("codex-k8s-run-{}", text(&run, "id")?);
    let pods = world.gate.audit.writes("create", "pods", &name).await?;
    let seen: Vec<String> = pods
        .iter()
        .map(|entry| {
            let made = &entry["responseObject"];
            let agent = made["spec"]["containers"][0]["env"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|variable| variable["name"] == "CODEXK8S_AGENT_KEY")
                .map_or("-", |variable| variable["value"].as_str().unwrap_or("-"));
            format!(
                "{agent} as {} in {}, owned: {}",
                made["spec"]["serviceAccountName"].as_str().unwrap_or("-"),
                made["metadata"]["namespace"].as_str().unwrap_or("-"),
                made["metadata"].get("ownerReferences").is_some()
            )
        })
        .collect();
    world.equal(
        &["L-6", "L-113", "R-42", "G-112"],
        Kubernetes,
        &format!("Pods {name} that were made"),
        "audit log: create pods, response",
        format!(
            "sre as codex-runner-repair in {}, owned: false",
            live(world)?
        ),
        seen.join("; "),
    )?;
    let jobs = world
        .gate
        .audit
        .writes("create", "jobs", &name)
        .await?
        .len();
    world.equal(
        &["R-42"],
        Kubernetes,
        &format!("Jobs {name} that were made"),
        "audit log: create jobs, 2xx",
        0,
        jobs,
    )?;
    Ok(())
}

#[then("the repair is a commit of the bot on \"main\"")]
async fn commit_on_main(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let head = place
        .member
        .head_of_branch(&place.repository, "main")
        .await?;
    let before = world
        .remembered
        .get("main")
        .cloned()
        .context("the head of main was not read before")?;
    let files: Vec<_> = head["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|file| file["filename"].as_str())
        .collect();
    world.equal(
        &["L-50", "L-113"],
        Github,
        "newest commit of main: parent, author, files",
        &format!("GET /repos/{}/commits/main", place.repository),
        format!(
            "{before}, {}, {}",
            world.gate.github.bot_login(),
            stories::REPAIRED_PATH
        ),
        format!(
            "{}, {}, {}",
            head["parents"][0]["sha"].as_str().unwrap_or("-"),
            head["commit"]["author"]["name"].as_str().unwrap_or("-"),
            files.join(", ")
        ),
    )?;
    let event = await_event(world, "run.agent.status_reported").await?;
    world.equal(
        &["L-113"],
        Postgres,
        "main_direct of run.agent.status_reported",
        "flow_events of the run",
        true,
        &event["payload"]["main_direct"],
    )?;
    Ok(())
}

#[then("the status comment offers no next step, while that of a stage does")]
async fn no_next_step(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let (other, _) = control(world).await?;
    let mut seen = Vec::new();
    for issue in [place.issue, other] {
        let offered = until(
            "the finished status comment",
            DECISION_DEADLINE,
            async || {
                let comments = comments_of_bot(world, issue).await?;
                let status = comments
                    .iter()
                    .map(body)
                    .find(|body| body.contains(STATUS_MARKER) && body.contains("\"finished\""))
                    .map(str::to_owned);
                // What intake is followed by, and what may follow any stage (L-92).
                let targets = ["run:vision", "run:plan", "run:rethink", "run:doc-audit"];
                Ok(match status {
                    Some(status) => {
                        Reading::Reached(targets.iter().any(|target| status.contains(target)))
                    }
                    None => Reading::NotYet(format!("{} comments", comments.len())),
                })
            },
        )
        .await?;
        seen.push(offered.to_string());
    }
    world.equal(
        &["L-91"],
        Github,
        "next steps in the status comments of the repair, of an intake",
        "GET /repos/…/issues/…/comments",
        "false, true",
        seen.join(", "),
    )?;
    Ok(())
}

#[then("the live environment is neither changed, leased nor deleted")]
async fn untouched(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let name = live(world)?;
    let mut writes = Vec::new();
    for verb in ["create", "update", "patch", "delete"] {
        let found = world.gate.audit.writes(verb, "namespaces", &name).await?;
        writes.push(format!("{verb} {}", found.len()));
    }
    // The one creation is the scenario's own: the same reading would find any other write.
    world.equal(
        &["L-113", "R-42"],
        Kubernetes,
        &format!("writes of the namespace {name}"),
        "audit log: namespaces, 2xx",
        "create 1, update 0, patch 0, delete 0",
        writes.join(", "),
    )?;
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    let found = namespaces
        .get(&name)
        .await
        .context("failed to read the live environment")?;
    world.equal(
        &["L-113", "R-42"],
        Kubernetes,
        &format!("lease annotations of {name}; being deleted"),
        "GET namespace",
        "0; false",
        format!(
            "{}; {}",
            found
                .metadata
                .annotations
                .unwrap_or_default()
                .keys()
                .filter(|key| key.starts_with("codex-k8s.dev/namespace-lease"))
                .count(),
            found.metadata.deletion_timestamp.is_some()
        ),
    )?;
    Ok(())
}

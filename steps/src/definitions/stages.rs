//! What the run of a stage is, by the table of L-6, and the order of stages (labels-and-stages 1.1, 5).

use anyhow::Context;
use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};

use crate::{
    definitions::{
        faults::announce,
        namespaces::job_environment,
        outcome::{await_event, current_run},
        people::thread,
    },
    expected,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// LIVE_ENV unless configured otherwise (chapter's table of terms).
const LIVE_ENV: &str = "staging";

#[then("the run is what the table says of its label")]
async fn as_the_table_says(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let label = text(&run, "trigger_label")?;
    let row = expected::stage_of(&label)
        .with_context(|| format!("the table of L-6 has no label {label}"))?;
    let target = match row.target_env.as_deref() {
        Some("LIVE_ENV") => LIVE_ENV,
        Some(target) => target,
        None => "none",
    };
    let access = row.access_profile.as_deref().unwrap_or("none");
    let payload = &run["run_payload"];
    world.equal(
        &["L-6", "L-7"],
        Postgres,
        &format!("run of {label}"),
        "agent_runs: agent_key, runtime_mode, target_env, run_payload",
        format!(
            "{}, {}, {target}, {access}, {}",
            row.agent, row.mode, row.write_scope
        ),
        format!(
            "{}, {}, {}, {}, {}",
            run["agent_key"].as_str().unwrap_or("-"),
            run["runtime_mode"].as_str().unwrap_or("-"),
            run["target_env"].as_str().unwrap_or("none"),
            payload["runtime"]["access_profile"].as_str().unwrap_or("-"),
            payload["write_scope"].as_str().unwrap_or("-"),
        ),
    )?;
    let seen = job_environment(
        world,
        &run,
        &[
            "CODEXK8S_AGENT_KEY",
            "CODEXK8S_RUNTIME_MODE",
            "CODEXK8S_RUN_TRIGGER_LABEL",
            "CODEXK8S_RUN_TRIGGER_KIND",
        ],
    )
    .await?;
    // L-4: the kind is the label without `run:`, dashes and the colon as underscores.
    let kind = label.trim_start_matches("run:").replace(['-', ':'], "_");
    world.equal(
        &["L-4", "L-6", "L-7"],
        Kubernetes,
        "agent, mode, label and kind in the Job",
        "Job: env of container run",
        format!("{}, {}, {label}, {kind}", row.agent, row.mode),
        seen.join(", "),
    )?;
    Ok(())
}

#[then(expr = "the run works in {string} mode because of {string}")]
async fn works_in_mode(
    world: &mut GateWorld,
    mode: String,
    source: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    world.equal(
        &["L-7"],
        Postgres,
        "mode and its source",
        "agent_runs: runtime_mode, run_payload.runtime.source",
        format!("{mode}, {source}"),
        format!(
            "{}, {}",
            run["runtime_mode"].as_str().unwrap_or("-"),
            run["run_payload"]["runtime"]["source"]
                .as_str()
                .unwrap_or("-"),
        ),
    )?;
    let seen = job_environment(world, &run, &["CODEXK8S_RUNTIME_MODE"]).await?;
    world.equal(
        &["L-7"],
        Kubernetes,
        "mode in the Job",
        "Job: env of container run",
        mode,
        seen.join(""),
    )?;
    Ok(())
}

#[given(expr = "the agent {string} is switched off for the project")]
async fn agent_off(world: &mut GateWorld, agent: String) -> Step {
    Ok(switch_agent(world, &agent, false).await?)
}

#[when(expr = "the agent {string} is switched on for the project")]
async fn agent_on(world: &mut GateWorld, agent: String) -> Step {
    Ok(switch_agent(world, &agent, true).await?)
}

async fn switch_agent(world: &mut GateWorld, agent: &str, is_active: bool) -> anyhow::Result<()> {
    let project = world.place()?.project_id;
    world
        .platform()
        .staff
        .switch_agent(&project, agent, is_active)
        .await
}

#[then("the run works on the branch of the Issue")]
async fn on_branch(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let place = world.place()?;
    let seen = job_environment(world, &run, &["CODEXK8S_RUN_TARGET_BRANCH"]).await?;
    world.equal(
        &["L-50"],
        Kubernetes,
        "branch in the Job",
        "Job: env of container run",
        format!("codex/issue-{}", place.issue),
        seen.join(""),
    )?;
    Ok(())
}

#[then("the run was built from the head of the default branch")]
async fn from_default_branch(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let place = world.place()?;
    let head = place
        .maintainer
        .branch_head(&place.repository, "main")
        .await?;
    let seen = job_environment(world, &run, &["CODEXK8S_RUNTIME_BUILD_REF"]).await?;
    world.equal(
        &["L-67"],
        Kubernetes,
        "build ref in the Job",
        "Job: env CODEXK8S_RUNTIME_BUILD_REF, beside GET /git/ref/heads/main",
        head,
        seen.join(""),
    )?;
    Ok(())
}

#[then("the run made a new pull request")]
async fn new_pull_request(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let before = world.pull_request;
    let created = await_event(world, "run.pr.created").await?;
    let place = world.place()?;
    let number = created["payload"]["pr_number"]
        .as_u64()
        .context("run.pr.created names no pull request")?;
    let pull_request = place.member.pull_request(&place.repository, number).await?;
    let bot = world.gate.github.bot_login();
    world.holds(
        &["L-49", "R-82"],
        Github,
        &format!("pull request {}#{number}", place.repository),
        &format!("GET /repos/{}/pulls/{number}", place.repository),
        format!("open, by {bot}, not {before:?}"),
        format!(
            "{}, by {}",
            pull_request["state"].as_str().unwrap_or("-"),
            pull_request["user"]["login"].as_str().unwrap_or("-")
        ),
        pull_request["state"] == "open"
            && pull_request["user"]["login"] == bot.as_str()
            && Some(number) != before,
    )?;
    world.pull_request = Some(number);
    Ok(())
}

/// What a delivery before brings about, once it is there.
#[given(regex = r#"^the (Issue|pull request) has come to carry "([^"]+)"$"#)]
async fn has_come_to_carry(world: &mut GateWorld, on: String, label: String) -> Step {
    crate::delivery_play::let_go_newest(world).await?;
    let number = thread(world, &on)?;
    let place = world.place()?;
    until(
        &format!("{label} on #{number}"),
        DECISION_DEADLINE,
        async || {
            let labels = place.member.labels(&place.repository, number).await?;
            Ok(if labels.contains(&label) {
                Reading::Reached(())
            } else {
                Reading::NotYet(labels.join(", "))
            })
        },
    )
    .await?;
    Ok(())
}

#[then(expr = "the skipped stages are recorded, from {string} to {string}")]
async fn skipped(
    world: &mut GateWorld,
    from: String,
    to: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let guid = world.delivery()?.guid;
    let events = world.platform().database.events(&guid).await?;
    let seen: Vec<String> = events
        .iter()
        .filter(|event| event["event_type"] == "run.stage.skipped")
        .map(|event| {
            format!(
                "{} to {}",
                event["payload"]["current_stage"].as_str().unwrap_or("-"),
                event["payload"]["next_stage"].as_str().unwrap_or("-")
            )
        })
        .collect();
    world.equal(
        &["L-70"],
        Postgres,
        "events run.stage.skipped",
        "flow_events by correlation id",
        format!("{from} to {to}"),
        seen.join("; "),
    )?;
    Ok(())
}

#[then(expr = "a comment on the Issue suggests {string} and {string}")]
async fn suggests(
    world: &mut GateWorld,
    first: String,
    second: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let reason = "issue_trigger_candidate_not_found";
    let seen = until("the comment", DECISION_DEADLINE, async || {
        let comments = place
            .member
            .comments(&place.repository, place.issue)
            .await?;
        let found = comments
            .iter()
            .filter_map(|comment| comment["body"].as_str())
            .find(|body| body.contains(reason));
        Ok(match found {
            Some(body) => Reading::Reached(body.to_owned()),
            None => Reading::NotYet(format!("{} comments", comments.len())),
        })
    })
    .await?;
    let has = |label: &str| seen.contains(&format!("`{label}`"));
    world.holds(
        &["L-42", "L-66"],
        Github,
        "labels that the comment suggests",
        &format!(
            "GET /repos/{}/issues/{}/comments",
            place.repository, place.issue
        ),
        format!("{first}, {second}"),
        &seen,
        has(&first) && has(&second),
    )?;
    Ok(())
}

#[given("GitHub fails to show pull requests")]
async fn fails_pull_requests(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(
        world,
        "failed with status 502",
        "GitHub fails to show pull requests",
    );
    world.gate.github.fail_pull_reads(&place.repository);
    Ok(())
}

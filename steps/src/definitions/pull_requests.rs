//! Pull requests and reviews.

use anyhow::Context;
use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};

use crate::{
    definitions::{
        namespaces::job_environment,
        outcome::{await_event, current_run},
    },
    place::{delivery_after, mark},
    world::{GateWorld, Step, text},
};

/// The pull request of the Issue's branch (L-50).
pub async fn number_of_branch(world: &mut GateWorld) -> anyhow::Result<u64> {
    let place = world.place()?;
    let branch = format!("codex/issue-{}", place.issue);
    let pull_requests = place.member.pull_requests(&place.repository).await?;
    let number = pull_requests
        .iter()
        .find(|pull_request| pull_request["head"]["ref"] == branch.as_str())
        .and_then(|pull_request| pull_request["number"].as_u64())
        .with_context(|| format!("no pull request from {branch}"))?;
    world.pull_request = Some(number);
    Ok(number)
}

#[then("one pull request linked to the Issue exists, opened by the bot")]
async fn one_pull_request(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let branch = format!("codex/issue-{}", place.issue);
    let pull_requests = place.member.pull_requests(&place.repository).await?;
    let of_branch: Vec<_> = pull_requests
        .iter()
        .filter(|pull_request| pull_request["head"]["ref"] == branch.as_str())
        .collect();
    let bot = world.gate.github.bot_login();
    let seen: Vec<_> = of_branch
        .iter()
        .map(|pull_request| {
            let linked = pull_request["body"]
                .as_str()
                .is_some_and(|body| body.contains(&format!("#{}", place.issue)));
            format!(
                "by {}, {}, linked: {linked}",
                pull_request["user"]["login"].as_str().unwrap_or("-"),
                pull_request["state"].as_str().unwrap_or("-")
            )
        })
        .collect();
    world.equal(
        &["R-82", "L-49", "L-50", "L-65"],
        Github,
        &format!("pull requests from {branch}"),
        &format!("GET /repos/{}/pulls?state=all", place.repository),
        format!("by {bot}, open, linked: true"),
        seen.join("; "),
    )?;
    let number = number_of_branch(world).await?;
    let event = crate::definitions::outcome::await_event(world, "run.pr.created").await?;
    world.equal(
        &["R-82", "L-49"],
        Postgres,
        "pull request of run.pr.created",
        "flow_events run.pr.created",
        number,
        &event["payload"]["pr_number"],
    )?;
    Ok(())
}

#[then("the same pull request has new commits")]
async fn new_commits(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let before = world
        .pull_request
        .context("the scenario has no pull request")?;
    let commits_before = world.commits_before;
    let pull_requests = place.member.pull_requests(&place.repository).await?;
    let branch = format!("codex/issue-{}", place.issue);
    let count = pull_requests
        .iter()
        .filter(|pull_request| pull_request["head"]["ref"] == branch.as_str())
        .count();
    let commits = place.member.commits(&place.repository, before).await?.len();
    world.holds(
        &["L-51", "R-82"],
        Github,
        &format!("pull requests from {branch} and commits of #{before}"),
        &format!("GET /repos/{}/pulls, …/{before}/commits", place.repository),
        format!("1 pull request, more than {commits_before} commits"),
        format!("{count} pull requests, {commits} commits"),
        count == 1 && commits > commits_before,
    )?;
    Ok(())
}

#[then("the branch of the Issue was never pushed")]
async fn never_pushed(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let branch = format!("codex/issue-{}", place.issue);
    let exists = place
        .member
        .branch_exists(&place.repository, &branch)
        .await?;
    // The positive control: the same read finds the default branch.
    let main = place
        .member
        .branch_exists(&place.repository, "main")
        .await?;
    world.equal(
        &["L-9", "R-81"],
        Github,
        &format!("branches of {}", place.repository),
        &format!("GET /repos/{}/git/ref/heads/…", place.repository),
        format!("main: true, {branch}: false"),
        format!("main: {main}, {branch}: {exists}"),
    )?;
    let pushes = world
        .gate
        .github
        .deliveries(&place.repository)
        .iter()
        .filter(|delivery| delivery.event == "push")
        .count();
    world.equal(
        &["L-9", "R-81"],
        Github,
        "push deliveries",
        "journal of the stand-in",
        0,
        pushes,
    )?;
    Ok(())
}

#[then("the Issue has no pull request")]
async fn no_pull_request(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let pull_requests = place.member.pull_requests(&place.repository).await?;
    world.equal(
        &["L-9", "R-81"],
        Github,
        &format!("pull requests of {}", place.repository),
        &format!("GET /repos/{}/pulls?state=all", place.repository),
        0,
        pull_requests.len(),
    )?;
    Ok(())
}

#[given("the maintainer has opened another pull request from the branch of the Issue")]
async fn another_from_branch(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let number = place
        .maintainer
        .open_pull_request(
            &place.repository,
            &format!("codex/issue-{}", place.issue),
            "Carry on by hand",
        )
        .await?;
    world.pull_request = Some(number);
    Ok(())
}

#[given("the maintainer has opened a pull request from a branch of their own")]
async fn own_branch(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let number = place
        .maintainer
        .open_pull_request(&place.repository, "by-hand", "Work by hand")
        .await?;
    world.pull_request = Some(number);
    Ok(())
}

#[given("the member has requested changes on the pull request")]
#[when("the member requests changes on the pull request")]
async fn requests_changes(world: &mut GateWorld) -> Step {
    review(world, "REQUEST_CHANGES", "submitted").await?;
    Ok(())
}

#[when("the member comments in a review on the pull request")]
async fn comments(world: &mut GateWorld) -> Step {
    review(world, "COMMENT", "submitted").await?;
    Ok(())
}

#[when("the member dismisses a review on the pull request")]
async fn dismisses(world: &mut GateWorld) -> Step {
    let id = review(world, "APPROVE", "submitted").await?;
    let place = world.place()?;
    let number = world
        .pull_request
        .context("the scenario has no pull request")?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    place
        .maintainer
        .dismiss_review(&place.repository, number, id)
        .await?;
    let delivery = delivery_after(
        &gate,
        &place.repository,
        before,
        "the dismissal",
        |delivery| delivery.event == "pull_request_review" && delivery.action == "dismissed",
    )
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

/// The member submits a review; the scenario looks at its delivery next.
///
/// # Errors
/// When GitHub refuses, or no delivery came.
pub async fn review(world: &mut GateWorld, event: &str, action: &str) -> anyhow::Result<u64> {
    let place = world.place()?;
    let number = world
        .pull_request
        .context("the scenario has no pull request")?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    world.commits_before = place.member.commits(&place.repository, number).await?.len();
    let id = place
        .member
        .review(
            &place.repository,
            number,
            event,
            "Please say hello in two languages.",
        )
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, "the review", |delivery| {
        delivery.event == "pull_request_review" && delivery.action == action
    })
    .await?;
    world.deliveries.push(delivery);
    if event == "REQUEST_CHANGES" {
        world.leave_run();
    }
    Ok(id)
}

#[then("the run belongs to the same Issue and pull request")]
async fn same_threads(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let number = world
        .pull_request
        .context("the scenario has no pull request")?;
    let run = current_run(world).await?;
    world.equal(
        &["L-54", "L-56", "L-58"],
        Postgres,
        "threads of the run",
        "agent_runs.issue_number, pr_number",
        format!("Issue {}, pull request {number}", place.issue),
        format!(
            "Issue {}, pull request {}",
            run["issue_number"], run["pr_number"]
        ),
    )?;
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let seen = job_environment(world, &run, &["CODEXK8S_ISSUE_NUMBER"]).await?;
    world.equal(
        &["L-54"],
        Kubernetes,
        "Issue in the Job",
        "Job: env of container run",
        place.issue,
        seen.join(""),
    )?;
    Ok(())
}

#[then("the run was built from the head of the pull request")]
async fn built_from_head(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let place = world.place()?;
    let number = world
        .pull_request
        .context("the scenario has no pull request")?;
    let run = current_run(world).await?;
    let build_ref = crate::definitions::namespaces::job_environment(
        world,
        &run,
        &["CODEXK8S_RUNTIME_BUILD_REF"],
    )
    .await?
    .join("");
    let commits = place.member.commits(&place.repository, number).await?;
    let head_before = commits
        .get(world.commits_before.saturating_sub(1))
        .and_then(|commit| commit["sha"].as_str())
        .unwrap_or("-")
        .to_owned();
    // The same head, for different reasons: a review's commit, a late stage's candidate, development's lineage.
    let rule = match (run["trigger_source"].as_str(), run["trigger_kind"].as_str()) {
        (Some("pull_request_review"), _) => "L-58",
        (_, Some("dev" | "dev_revise")) => "L-65",
        _ => "L-66",
    };
    world.equal(
        &[rule],
        Kubernetes,
        "build ref of the Job",
        "Job: env CODEXK8S_RUNTIME_BUILD_REF, beside GET /pulls/…/commits",
        head_before,
        build_ref,
    )?;
    let _ = text(&run, "id")?;
    Ok(())
}

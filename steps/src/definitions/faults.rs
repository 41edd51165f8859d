//! Faults that a scenario asks for: at GitHub's stand-in or in front of Postgres.

use anyhow::Context;
use bootstrap::lane::ProcessKind;
use cucumber::{given, then, when};
use reports::evidence::{
    AnnouncedLog,
    ObservationSource::{Orchestrator, Postgres},
};

use crate::{
    definitions::requests::known_user,
    place::email_of,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// `contains` may be empty only on a platform of the scenario's own (E-8).
pub(super) fn announce(world: &GateWorld, contains: &str, reason: &str) {
    let log = AnnouncedLog {
        contains: contains.to_owned(),
        reason: reason.to_owned(),
    };
    world
        .gate
        .with_facts(&world.key, |facts| facts.announced.push(log));
}

#[given("GitHub refuses comments for the repository")]
async fn refuses_comments(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "comment", "GitHub refuses comments");
    world.gate.github.refuse_comments(&place.repository);
    Ok(())
}

#[given("GitHub fails to show the labels of the repository")]
async fn fails_labels(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "label", "GitHub fails to show labels");
    announce(
        world,
        "failed with status 502",
        "GitHub fails to show labels",
    );
    world.gate.github.fail_label_reads(&place.repository);
    Ok(())
}

#[given("GitHub holds back the labels of the repository")]
async fn holds_labels(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    world.gate.github.hold_label_reads(&place.repository);
    Ok(())
}

/// What a scenario broke for good would keep its namespaces from being swept: labels that cannot be read count as
/// present (L-11).
#[when("GitHub is itself again")]
#[when("GitHub shows the labels again")]
async fn shows_labels(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    world.gate.github.release(&place.repository);
    // A decision that failed is repeated after a back-off (D-2): platform time reaches it, on a lane of its own or
    // within the first steps of the back-off, which are seconds.
    Ok(())
}

#[given("the database does not answer")]
async fn database_down(world: &mut GateWorld) -> Step {
    announce(world, "", "the database is stopped");
    Ok(world.platform().cut_database().await?)
}

#[when("the database answers again")]
async fn database_up(world: &mut GateWorld) -> Step {
    let platform = world.platform();
    platform.restore_database().await?;
    platform.await_ready().await?;
    Ok(())
}

#[when("the Kubernetes API does not answer")]
async fn kubernetes_down(world: &mut GateWorld) -> Step {
    announce(world, "", "the Kubernetes API is out of reach");
    world.platform().cut_kubernetes();
    Ok(())
}

#[when("the Kubernetes API answers again")]
async fn kubernetes_up(world: &mut GateWorld) -> Step {
    let platform = world.platform();
    platform.restore_kubernetes();
    platform.await_ready().await?;
    Ok(())
}

#[when("the control planes are killed and start again")]
async fn control_planes_restart(world: &mut GateWorld) -> Step {
    Ok(restart(world, &[ProcessKind::ControlPlane]).await?)
}

#[when("every process of the platform is killed and starts again")]
async fn all_restart(world: &mut GateWorld) -> Step {
    let all = [
        ProcessKind::Gateway,
        ProcessKind::ControlPlane,
        ProcessKind::Worker,
        ProcessKind::WebConsole,
    ];
    Ok(restart(world, &all).await?)
}

pub(super) async fn restart(world: &mut GateWorld, kinds: &[ProcessKind]) -> anyhow::Result<()> {
    announce(world, "", "processes of the platform are killed");
    let killed = world.platform().restart(kinds).await?;
    let key = world.key.clone();
    world
        .gate
        .with_facts(&key, |facts| facts.restarts.extend(killed));
    Ok(())
}

#[then("the platform logged a warning about the status comment")]
async fn logged_warning(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = world.run()?;
    let id = text(&run, "id")?;
    let platform = world.platform();
    let found = until(
        "a warning about the status comment",
        DECISION_DEADLINE,
        async || {
            let logs = platform.logs().await?;
            let found = logs
                .lines()
                .find(|line| {
                    line.contains("\"WARN\"")
                        && line.contains("status_comment")
                        && line.contains(&id)
                })
                .map(str::to_owned);
            Ok(found.map_or_else(
                || Reading::NotYet("no such line".to_owned()),
                Reading::Reached,
            ))
        },
    )
    .await;
    let (ok, seen) = found.map_or_else(|error| (false, format!("{error:#}")), |line| (true, line));
    world.holds(
        &["R-30"],
        Orchestrator,
        "log of the platform",
        "log lines: level WARN, status_comment, run id",
        "a warning",
        seen,
        ok,
    )?;
    let comments = world
        .gate
        .github
        .refused_comments(&world.place()?.repository);
    world.holds(
        &["R-30"],
        reports::evidence::ObservationSource::Github,
        "comments that GitHub refused",
        "journal of the stand-in",
        "at least 1",
        comments,
        comments > 0,
    )?;
    Ok(())
}

#[when("a reader cancels the finished run")]
async fn reader_cancels(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let login = known_user(world, &place, Some("read")).await?;
    let run = world
        .previous_run
        .clone()
        .context("there is no finished run")?;
    let staff = world.platform().staff.as_person(&email_of(&login));
    let (status, answer) = staff.cancel(&text(&run, "id")?, true).await?;
    world.answer = Some((status.as_u16(), answer));
    Ok(())
}

#[then("the answer says that the reader may not")]
async fn may_not(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (status, answer) = world.answer.clone().context("there is no answer")?;
    world.equal(
        &["R-28", "G-102"],
        Orchestrator,
        "answer to the cancel",
        "POST /api/v1/staff/runs/{id}/cancel as a reader of the project",
        "403 forbidden",
        format!("{status} {}", answer["code"].as_str().unwrap_or("-")),
    )?;
    Ok(())
}

#[when("the owner cancels the finished run")]
async fn cancels_finished(world: &mut GateWorld) -> Step {
    let run = world
        .previous_run
        .clone()
        .context("there is no finished run")?;
    let (status, answer) = world
        .platform()
        .staff
        .cancel(&text(&run, "id")?, true)
        .await?;
    world.answer = Some((status.as_u16(), answer));
    Ok(())
}

#[then("the answer says that the run was already over")]
async fn already_over(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (status, answer) = world.answer.clone().context("there is no answer")?;
    world.equal(
        &["R-29", "DA-8"],
        Orchestrator,
        "answer to the cancel",
        "POST /api/v1/staff/runs/{id}/cancel",
        "200, already_terminal: true",
        format!("{status}, already_terminal: {}", answer["already_terminal"]),
    )?;
    Ok(())
}

#[then("the database refuses to change the status of the run")]
async fn database_refuses(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = world
        .previous_run
        .clone()
        .context("there is no finished run")?;
    let id = text(&run, "id")?;
    let platform = world.platform();
    // An attack, not a set-up: the strongest actor there is tries it in a transaction that is rolled back anyway.
    for status in ["running", "failed", "canceled"] {
        let refusal = platform.try_to_change_status(&id, status).await?;
        world.holds(
            &["R-29", "R-16", "D-17"],
            Postgres,
            &format!("change from succeeded to {status}"),
            "UPDATE agent_runs SET status = … (pg_trigger refuses)",
            "refused by the database",
            &refusal,
            refusal != "accepted",
        )?;
    }
    Ok(())
}

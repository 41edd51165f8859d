//! Roles that a person loses in the middle of the work (G-107).

use anyhow::Context;
use cucumber::{then, when};
use reports::evidence::ObservationSource::{Kubernetes, Orchestrator, Postgres};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    definitions::{
        outcome::{await_event, current_run, run_at_hand},
        surroundings::pod_of,
    },
    place::email_of,
    world::{GateWorld, Step, text},
};

const ANSWERS: &str = "answers before and after the role was lost";

#[when("the member looks at the run, loses the role, and cancels it")]
async fn loses_role(world: &mut GateWorld) -> Step {
    await_event(world, "run.agent.ready").await?;
    let id = text(&current_run(world).await?, "id")?;
    let owner = world.platform().staff.clone();
    let place = world.place()?;
    let email = email_of(&place.member.login);
    let member = owner.as_person(&email);
    let members = format!("/staff/projects/{}/members", place.project_id);
    let (looked, _) = member
        .call(Method::GET, &format!("/staff/runs/{id}"), None)
        .await?;
    let listed = owner.expect_success(Method::GET, &members, None).await?;
    let user = listed["items"]
        .as_array()
        .or_else(|| listed.as_array())
        .into_iter()
        .flatten()
        .find(|listed| listed["email"] == email.as_str())
        .and_then(|listed| listed["user_id"].as_str().or(listed["id"].as_str()))
        .with_context(|| format!("the project has no such member: {listed}"))?
        .to_owned();
    owner
        .expect_success(Method::DELETE, &format!("{members}/{user}"), None)
        .await?;
    let reason = json!({"reason": "not needed", "abandon": false});
    let (canceled, answer) = member
        .call(
            Method::POST,
            &format!("/staff/runs/{id}/cancel"),
            Some(reason),
        )
        .await?;
    let code = answer["code"].as_str().unwrap_or("-");
    let answers = format!("{}; {} {code}", looked.as_u16(), canceled.as_u16());
    world.remembered.insert(ANSWERS.to_owned(), answers);
    world.remembered.insert("lost by".to_owned(), user);
    Ok(())
}

#[then("the member saw the run and was refused the cancel, and the refusal is on record")]
async fn refused(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let answers = world.remembered.get(ANSWERS).cloned().unwrap_or_default();
    world.equal(
        &["G-107"],
        Orchestrator,
        "answers to a look with the role and to a cancel without it",
        "GET /api/v1/staff/runs/…, POST …/cancel",
        "200; 403 forbidden",
        answers,
    )?;
    let user = world.remembered.get("lost by").cloned().unwrap_or_default();
    let told = world
        .platform()
        .database
        .rows(
            "SELECT e.payload -> 'action' FROM flow_events e
             WHERE e.event_type = 'access.denied' AND e.actor_id = $1 ORDER BY e.id",
            &[&user],
        )
        .await?;
    let told: Vec<&str> = told.iter().filter_map(Value::as_str).collect();
    world.equal(
        &["G-107"],
        Postgres,
        "what the person was refused",
        "flow_events access.denied of the person",
        "cancel",
        told.join(", "),
    )?;
    Ok(())
}

#[then("the agent of the run still works")]
async fn still_works(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let id = text(&run, "id")?;
    let stored = world
        .platform()
        .database
        .run(&id)
        .await?
        .unwrap_or_default();
    let (_, pod) = pod_of(world).await?;
    let phase = pod.status.and_then(|status| status.phase);
    world.equal(
        &["G-107"],
        Kubernetes,
        "Pod of the agent, and status of the run",
        "GET pods by run-id; agent_runs by id",
        "Running, running",
        format!(
            "{}, {}",
            phase.unwrap_or_default(),
            stored["status"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}

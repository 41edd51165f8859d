//! Namespaces that went without the platform's doing.

use anyhow::Context;
use cucumber::{then, when};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use reports::evidence::ObservationSource::{Github, Postgres};

use crate::{
    definitions::{
        comments::{body, status_comments_of},
        outcome::{await_event, run_at_hand},
    },
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

#[when("somebody deletes the namespace of the run")]
async fn somebody_deletes(world: &mut GateWorld) -> Step {
    let run = run_at_hand(world).await?;
    let name = text(&run, "namespace")?;
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    namespaces
        .delete(&name, &DeleteParams::default())
        .await
        .context("failed to delete the namespace")?;
    until("the end of the namespace", RUN_DEADLINE, async || {
        Ok(match namespaces.get_opt(&name).await? {
            None => Reading::Reached(()),
            Some(_) => Reading::NotYet("it is being emptied".to_owned()),
        })
    })
    .await?;
    world.set_run(run);
    Ok(())
}

#[then("the sweep found the namespace gone, and the status comment of the run says so")]
async fn found_gone(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let event = await_event(world, "run.namespace.cleanup_skipped").await?;
    world.equal(
        &["R-31", "R-57"],
        Postgres,
        "reason of run.namespace.cleanup_skipped",
        "flow_events of the run",
        "already_deleted",
        event["payload"]["reason"].as_str().unwrap_or("-"),
    )?;
    let id = text(&run_at_hand(world).await?, "id")?;
    let told = until("the status comment", DECISION_DEADLINE, async || {
        let comments = status_comments_of(world, &id).await?;
        let words = comments
            .iter()
            .flat_map(|comment| body(comment).lines())
            .find(|line| line.starts_with("**Пространство имён:**"))
            .unwrap_or("-")
            .to_owned();
        Ok(if words.ends_with("удалено") {
            Reading::Reached(words)
        } else {
            Reading::NotYet(words)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    world.equal(
        &["R-31", "L-104"],
        Github,
        "what the status comment says of the namespace",
        "GET /repos/…/issues/…/comments",
        "**Пространство имён:** удалено",
        told,
    )?;
    Ok(())
}

//! Labels that configure the agent, and the catalogue of labels in a repository (labels-and-stages 1, 1.4).

use anyhow::Context;
use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Github, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        comments::status_comments,
        people::{remove_by, set_by},
        setup,
    },
    expected,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// L-1.
const COLOUR: &str = "1f6feb";

#[given(expr = "a platform whose model family {string} is switched off")]
async fn family_off(world: &mut GateWorld, family: String) -> Step {
    let setting = match family.as_str() {
        "gpt-5.3" => "CODEXK8S_AGENT_GPT_5_3_ENABLED",
        _ => return Err(anyhow::anyhow!("no setting switches {family} off").into()),
    };
    setup::configured(world, [(setting, "false")]).await
}

#[then(expr = "the status comment shows the model {string}")]
async fn comment_shows_model(
    world: &mut GateWorld,
    model: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let seen = until(
        "the model in the status comment",
        DECISION_DEADLINE,
        async || {
            let comments = status_comments(world).await?;
            let body = comments
                .last()
                .and_then(|comment| comment["body"].as_str())
                .unwrap_or_default()
                .to_owned();
            // The hidden marker knows it too; people read the lines above.
            let visible: Vec<String> = body
                .lines()
                .filter(|line| !line.starts_with("<!--"))
                .filter(|line| line.contains(&format!("`{model}`")))
                .map(str::to_owned)
                .collect();
            Ok(match visible.first() {
                Some(line) => Reading::Reached(line.clone()),
                None => Reading::NotYet("no line with it".to_owned()),
            })
        },
    )
    .await;
    let (ok, seen) = seen.map_or_else(|error| (false, format!("{error:#}")), |seen| (true, seen));
    world.holds(
        &["L-104"],
        Github,
        "model in the visible text of the status comment",
        "GET /repos/…/issues/…/comments",
        &model,
        seen,
        ok,
    )?;
    Ok(())
}

#[then(expr = "the run before used model {string} from {string}")]
async fn model_of_run_before(
    world: &mut GateWorld,
    model: String,
    source: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let profile = events
        .into_iter()
        .find(|event| event["event_type"] == "run.profile.resolved")
        .map(|mut event| event["payload"].take())
        .unwrap_or_default();
    world.equal(
        &["L-14"],
        Postgres,
        "model of the run before",
        "flow_events run.profile.resolved",
        format!("{model} from {source}"),
        format!(
            "{} from {}",
            profile["model"].as_str().unwrap_or("-"),
            profile["model_source"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}

#[when("each configuration label is set on the Issue and removed again")]
async fn each_set_and_removed(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    world.deliveries.clear();
    for label in expected::configuration_labels() {
        set_by(world, &place.member, place.issue, &label).await?;
        remove_by(world, &place.member, place.issue, &label).await?;
    }
    Ok(())
}

#[then(
    expr = "each of these deliveries is ignored because {string} and recorded as a change of labels"
)]
async fn each_ignored(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let labels = expected::configuration_labels();
    let (mut wanted, mut seen) = (Vec::new(), Vec::new());
    let (mut told, mut borne) = (Vec::new(), Vec::new());
    for delivery in world.deliveries.clone() {
        until("the decision", DECISION_DEADLINE, async || {
            let stored = platform
                .database
                .delivery(&delivery.guid)
                .await?
                .unwrap_or_default();
            Ok(match stored["status"].as_str() {
                Some("processing") | None => Reading::NotYet(stored.to_string()),
                Some(_) => Reading::Reached(()),
            })
        })
        .await?;
        let events = platform.database.events(&delivery.guid).await?;
        let payload = |kind: &str| {
            events
                .iter()
                .find(|event| event["event_type"] == kind)
                .map(|event| event["payload"].clone())
                .unwrap_or_default()
        };
        let (ignored, applied) = (payload("webhook.ignored"), payload("label.applied"));
        let op = if delivery.action == "labeled" {
            "add"
        } else {
            "remove"
        };
        told.push(format!("{op}: {}", names(&applied["after"], "")));
        borne.push(format!(
            "{op}: {}",
            names(&delivery.payload["issue"]["labels"], "/name")
        ));
        wanted.push(format!(
            "{reason}, {op} {}",
            delivery.payload["label"]["name"]
        ));
        seen.push(format!(
            "{}, {} {}",
            ignored["reason"].as_str().unwrap_or("-"),
            applied["op"].as_str().unwrap_or("-"),
            applied["label"]
        ));
    }
    world.equal(
        &["L-19", "L-28"],
        Postgres,
        &format!("{} deliveries of {} labels", wanted.len(), labels.len()),
        "flow_events webhook.ignored and label.applied by correlation id",
        wanted.join("; "),
        seen.join("; "),
    )?;
    world.equal(
        &["L-19"],
        Github,
        "labels of the Issue after each change; label.applied tells the same",
        "journal of the stand-in: delivery.issue.labels",
        told.join("; "),
        borne.join("; "),
    )?;
    Ok(())
}

/// Sorted texts of a list, each below `pointer` of its entry.
fn names(list: &Value, pointer: &str) -> String {
    let mut names: Vec<&str> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.pointer(pointer).and_then(Value::as_str))
        .collect();
    names.sort_unstable();
    names.join(", ")
}

/// Names of the repository's labels with their colours, those of the catalogue only.
async fn catalogue_labels(world: &GateWorld) -> anyhow::Result<Vec<String>> {
    let place = world.place()?;
    let labels = place
        .maintainer
        .repository_labels(&place.repository)
        .await?;
    let known = expected::catalogue();
    let mut seen: Vec<String> = labels
        .iter()
        .filter(|label| {
            known
                .iter()
                .any(|name| Some(name.as_str()) == label["name"].as_str())
        })
        .map(|label| {
            format!(
                "{} {}",
                label["name"].as_str().unwrap_or("-"),
                label["color"].as_str().unwrap_or("-")
            )
        })
        .collect();
    seen.sort();
    Ok(seen)
}

#[then("the repository has the 54 labels of the catalogue in their colour")]
async fn has_catalogue(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let mut wanted: Vec<String> = expected::catalogue()
        .into_iter()
        .map(|name| format!("{name} {COLOUR}"))
        .collect();
    wanted.sort();
    let seen = catalogue_labels(world).await?;
    world.equal(
        &["L-1", "L-2"],
        Github,
        &format!("{} labels of the repository", wanted.len()),
        "GET /repos/…/labels",
        wanted.join(", "),
        seen.join(", "),
    )?;
    Ok(())
}

/// A sync happens when a repository is bound: it is unbound and bound again, twice.
#[when("a label is deleted, another one is given another colour and the labels are synced twice")]
async fn damaged_and_synced(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let maintainer = &place.maintainer;
    maintainer
        .delete_label(&place.repository, "run:intake")
        .await?;
    maintainer
        .recolour_label(&place.repository, "need:pm", "d73a4a")
        .await?;
    let damaged = catalogue_labels(world).await?.join(", ");
    if damaged.contains("run:intake 1f6feb") || !damaged.contains("need:pm d73a4a") {
        return Err(anyhow::anyhow!("the labels were not damaged: {damaged}").into());
    }
    rebind(world).await?;
    let first = all_labels(world).await?;
    rebind(world).await?;
    let second = all_labels(world).await?;
    world
        .remembered
        .insert("first sync".to_owned(), Value::from(first).to_string());
    world
        .remembered
        .insert("second sync".to_owned(), Value::from(second).to_string());
    Ok(())
}

/// Every label, catalogue or not, as GitHub shows it.
async fn all_labels(world: &GateWorld) -> anyhow::Result<Vec<Value>> {
    let place = world.place()?;
    place.maintainer.repository_labels(&place.repository).await
}

async fn rebind(world: &mut GateWorld) -> anyhow::Result<()> {
    bind_again(world, "services.yaml").await
}

/// Ends the binding of the repository and binds it anew, with its services.yaml at this path.
pub async fn bind_again(world: &mut GateWorld, services_yaml_path: &str) -> anyhow::Result<()> {
    let place = world.place()?;
    let staff = world.platform().staff.clone();
    let token = world.gate.github.platform_token();
    let (owner, name) = place
        .repository
        .split_once('/')
        .context("a repository has an owner")?;
    staff
        .unbind_repository(&place.project_id, &place.repository)
        .await?;
    staff
        .bind_repository_with(&place.project_id, owner, name, &token, services_yaml_path)
        .await?;
    Ok(())
}

#[then("the second sync changed nothing")]
async fn changed_nothing(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let remembered = |key: &str| world.remembered.get(key).cloned().unwrap_or_default();
    let (first, second) = (remembered("first sync"), remembered("second sync"));
    world.equal(
        &["L-1"],
        Github,
        "labels of the repository after the first and the second sync",
        "GET /repos/…/labels",
        &first,
        &second,
    )?;
    Ok(())
}

#[then(expr = "{int} stages have a revise label, {string} and {string} have none")]
async fn revise_labels(
    world: &mut GateWorld,
    count: usize,
    first: String,
    second: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let names: Vec<String> = all_labels(world)
        .await?
        .iter()
        .filter_map(|label| label["name"].as_str().map(str::to_owned))
        .collect();
    let revise = names
        .iter()
        .filter(|name| name.ends_with(":revise"))
        .count();
    let has = |name: &str| names.contains(&format!("{name}:revise"));
    world.equal(
        &["L-5"],
        Github,
        "revise labels of the repository",
        "GET /repos/…/labels",
        format!("{count}; {first}: false, {second}: false"),
        format!(
            "{revise}; {first}: {}, {second}: {}",
            has(&first),
            has(&second)
        ),
    )?;
    Ok(())
}

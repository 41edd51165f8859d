//! Stacks in the namespaces of runs, read from the API server, and files that describe none (runtime 4.1, 4.2).

use anyhow::Context;
use cucumber::{given, then};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::Api;
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};

use crate::{
    definitions::{
        outcome::{await_end, await_event, current_run},
        setup::{bind, configured},
    },
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};
use fixtures::stories;

#[given("a bound repository with a stack that never becomes ready, with an open Issue")]
async fn never_ready(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::stacked_never_ready()).await?)
}

/// Less than any object of a stack may take by itself, so that it is this limit that ends the wait.
#[given(expr = "a platform that prepares an environment for at most {int} minutes")]
async fn impatient(world: &mut GateWorld, minutes: u64) -> Step {
    let limit = format!("{minutes}m");
    configured(
        world,
        [(
            "CODEXK8S_WORKER_RUNTIME_PREPARE_RETRY_TIMEOUT",
            limit.as_str(),
        )],
    )
    .await
}

/// A stack that would be deployed but for the mistake, so that a platform that overlooks it is seen to deploy.
#[given(expr = "a bound repository whose services.yaml has {word}, with an open Issue")]
async fn mistaken(world: &mut GateWorld, mistake: String) -> Step {
    let mut files = stories::stacked();
    let good = files
        .get("services.yaml")
        .context("the repository has no services.yaml")?
        .clone();
    let changed = match mistake.as_str() {
        "an-unknown-section" => format!("{good}  galaxies: []\n"),
        "an-unknown-scope" => good.replace(
            "      deployGroup: frontend\n",
            "      deployGroup: frontend\n      scope: galaxy\n",
        ),
        "environments-made-from-each-other" => {
            good.replace("staging: {}", "staging: {from: ai}")
        }
        "no-environment-for-runs" => good.replace("    ai: {from: staging}\n", ""),
        "a-lease-that-is-no-time" => {
            format!("{good}  webhookRuntime:\n    defaultNamespaceTTL: soon\n")
        }
        "two-parts-of-one-name" => good.replace("- name: settings", "- name: shop"),
        "a-production-that-is-not-the-platforms" => good.replace(
            "  environments:\n",
            "  project: codex-k8s\n  environments:\n    production: {namespaceTemplate: elsewhere}\n",
        ),
        "a-line-that-is-no-yaml" => format!("{good}  services: [\n"),
        other => return Err(anyhow::anyhow!("no mistake is named {other}").into()),
    };
    if changed == good {
        return Err(anyhow::anyhow!("the mistake {mistake} changes nothing").into());
    }
    files.insert("services.yaml".to_owned(), changed);
    Ok(bind(world, files).await?)
}

/// The stack of the fixtures as the API server shows it: replicas, colour, namespace and version of the settings.
async fn seen(world: &GateWorld, namespace: &str) -> anyhow::Result<String> {
    let deployments: Api<Deployment> = Api::namespaced(world.gate.kube.clone(), namespace);
    let maps: Api<ConfigMap> = Api::namespaced(world.gate.kube.clone(), namespace);
    let (deployment, settings) =
        tokio::try_join!(deployments.get_opt("shop"), maps.get_opt("shop-settings"))
            .context("failed to read the stack")?;
    let ready = deployment
        .and_then(|deployment| deployment.status)
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0);
    let data = settings.and_then(|map| map.data).unwrap_or_default();
    let of = |key: &str| data.get(key).map_or("-", String::as_str);
    Ok(format!(
        "{ready} ready, {}, {}, {}",
        of("colour"),
        of("namespace"),
        of("version")
    ))
}

#[then(expr = "the {word} stack is up in the namespace of the run")]
async fn stack_is_up(world: &mut GateWorld, colour: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    // A run that has started found its environment ready.
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let namespace = text(&run, "namespace")?;
    let expected = format!("1 ready, {colour}, {namespace}, 1.2.3");
    let seen = seen(world, &namespace).await?;
    world.equal(
        &["R-50", "R-99", "R-109", "R-110"],
        Kubernetes,
        "Deployment shop and ConfigMap shop-settings in the namespace of the run",
        "GET deployments, configmaps",
        expected,
        seen,
    )?;
    Ok(())
}

#[then("the run waits for its environment, without a Job")]
async fn waits_for_environment(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let platform = world.platform();
    let kube = world.gate.kube.clone();
    let namespace = until(
        "the Deployment that is waited for",
        DECISION_DEADLINE,
        async || {
            let run = platform.database.run(&id).await?.unwrap_or_default();
            let Some(namespace) = run["namespace"].as_str() else {
                return Ok(Reading::NotYet(format!("run {}", run["status"])));
            };
            let api: Api<Deployment> = Api::namespaced(kube.clone(), namespace);
            Ok(match api.get_opt("shop").await? {
                Some(_) => Reading::Reached(namespace.to_owned()),
                None => Reading::NotYet("no Deployment".to_owned()),
            })
        },
    )
    .await?;
    let shown = seen(world, &namespace).await?;
    world.equal(
        &["R-26", "R-110"],
        Kubernetes,
        "Deployment shop and ConfigMap shop-settings in the namespace of the run",
        "GET deployments, configmaps",
        format!("0 ready, blue, {namespace}, 1.2.3"),
        shown,
    )?;
    let run = current_run(world).await?;
    world.equal(
        &["R-26"],
        Postgres,
        "status and Job of the run",
        "agent_runs by id",
        "\"running\", null",
        format!("{}, {}", run["status"], run["job_name"]),
    )?;
    Ok(())
}

const NAMESPACE_ASKED_FOR: &str = "create namespaces ";

fn asked_for(writes: &[String]) -> bool {
    writes
        .iter()
        .any(|write| write.starts_with(NAMESPACE_ASKED_FOR))
}

/// What the platform asked of a namespace, once the log has the positive control: that the namespace itself was asked
/// for. The end of the run may break that request off, so its answer does not count.
async fn asked_of_namespace(world: &GateWorld, namespace: &str) -> anyhow::Result<Vec<String>> {
    let audit = &world.gate.audit;
    until("the namespace in the audit log", RUN_DEADLINE, async || {
        let writes = audit.by_platform_in(namespace).await?;
        Ok(if asked_for(&writes) {
            Reading::Reached(writes)
        } else {
            Reading::NotYet(writes.join(", "))
        })
    })
    .await
}

#[then("the run had no Job, and neither deploy task nor slot is left of it")]
async fn nothing_left(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = await_end(world).await?;
    let id = text(&run, "id")?;
    let namespace = text(&run, "namespace")?;
    let asked = asked_of_namespace(world, &namespace).await?;
    let jobs = asked
        .iter()
        .filter(|write| write.starts_with("create jobs "))
        .count();
    world.equal(
        &["R-26", "R-20"],
        Kubernetes,
        &format!("Jobs, and whether the namespace was asked for: {namespace}"),
        "audit log: writes of the platform's accounts",
        "0, true",
        format!("{jobs}, {}", asked_for(&asked)),
    )?;
    let rows = world
        .platform()
        .database
        .rows(
            "SELECT jsonb_build_object(
                 'tasks', (SELECT count(*) FROM runtime_deploy_tasks
                           WHERE run_id = $1::uuid AND status IN ('pending', 'running')),
                 'slots', (SELECT count(*) FROM slots WHERE lease_owner = $1))",
            &[&id],
        )
        .await?;
    let row = rows.first().context("the database answered nothing")?;
    world.equal(
        &["R-26", "R-9"],
        Postgres,
        "deploy tasks at work and slots of the run",
        "runtime_deploy_tasks, slots",
        "0, 0",
        format!("{}, {}", row["tasks"], row["slots"]),
    )?;
    Ok(())
}

#[then("nothing of the stack was written into the namespace of the run, and nothing was pushed")]
async fn nothing_written(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = await_end(world).await?;
    let namespace = text(&run, "namespace")?;
    let written = asked_of_namespace(world, &namespace).await?;
    let applied = |resource: &str| {
        let asked = format!("patch {resource} ");
        written
            .iter()
            .filter(|write| write.starts_with(&asked))
            .count()
    };
    let stack = applied("deployments") + applied("configmaps");
    world.equal(
        &["R-97"],
        Kubernetes,
        &format!("applied Deployments and ConfigMaps, and whether the namespace was asked for: {namespace}"),
        "audit log: writes of the platform's accounts",
        "0, true",
        format!("{stack}, {}", asked_for(&written)),
    )?;
    let place = world.place()?;
    let branches = place.member.branches(&place.repository).await?;
    let pull_requests = place.member.pull_requests(&place.repository).await?.len();
    world.equal(
        &["R-97"],
        Github,
        "branches and number of pull requests of the repository",
        "GET /repos/…/branches, /repos/…/pulls",
        "main; 0",
        format!("{}; {pull_requests}", branches.join(", ")),
    )?;
    Ok(())
}

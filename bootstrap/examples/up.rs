//! Brings a target up, runs a Job through it, takes it down and prints the proof.

use std::process::ExitCode;

use bootstrap::{EmbeddedTarget, Event, UpOptions};
use futures::AsyncBufReadExt;
use futures::TryStreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};

#[tokio::main]
async fn main() -> ExitCode {
    let error = match run().await {
        Ok(()) => return ExitCode::SUCCESS,
        Err(error) => error,
    };
    eprintln!("error: {error:#}");
    if let Some(hint) = error
        .downcast_ref::<bootstrap::Error>()
        .and_then(bootstrap::Error::hint)
    {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}

async fn run() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("doctor") => {
            println!(
                "{}",
                serde_json::to_string_pretty(&bootstrap::doctor::doctor().await)?
            );
            return Ok(());
        }
        Some("cleanup") => {
            let cleaned =
                bootstrap::runs::cleanup(&bootstrap::CacheFolder::from_environment()?).await?;
            println!("{}", serde_json::to_string_pretty(&cleaned)?);
            return Ok(());
        }
        _ => {}
    }
    let print = |event: Event| match event {
        Event::Started { piece } => eprintln!("… {piece}"),
        Event::Note { piece, text } => eprintln!("  {piece}: {text}"),
        Event::Ready {
            piece,
            origin,
            milliseconds,
        } => eprintln!("✓ {piece} ({origin}) in {milliseconds} ms"),
    };
    let started = std::time::Instant::now();
    let mut options = UpOptions::new(&print)?;
    options.out_dir = std::env::var_os("UP_OUT").map(Into::into);
    let target = EmbeddedTarget::up(options).await?;
    println!("up in {} ms", started.elapsed().as_millis());
    println!("kubeconfig {}", target.kubeconfig_admin.display());
    for timing in &target.timings {
        println!(
            "  {:<45} {:>6} ms  {}",
            timing.piece, timing.milliseconds, timing.origin
        );
    }
    let (run_job, wait) = (std::env::args().nth(1), std::env::args().nth(2));
    let job = match run_job.as_deref() {
        Some("no-job") => Ok(()),
        Some("probe") => {
            println!(
                "{}",
                serde_json::to_string_pretty(&bootstrap::probe::probe(&target).await)?
            );
            Ok(())
        }
        Some("lane") => lane(&target, &print).await,
        _ => job(&target).await,
    };
    if wait.as_deref() == Some("wait") {
        println!("press Ctrl-C to take it down");
        tokio::signal::ctrl_c().await?;
    }
    let report = target.down().await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    job?;
    anyhow::ensure!(report.is_clean(), "failed to leave nothing behind");
    Ok(())
}

async fn lane(target: &EmbeddedTarget, progress: &dyn bootstrap::Progress) -> anyhow::Result<()> {
    use bootstrap::lane::{GithubAccess, LaneSpec, Processes};
    // A second argument stands in for the program under test.
    let program = match std::env::args().nth(2) {
        Some(path) => path.into(),
        None => {
            let built = bootstrap::orchestrator::build_orchestrator(progress)
                .await
                .map_err(bootstrap::Error::from)?;
            println!("{}", serde_json::to_string(&built)?);
            built.path
        }
    };
    let github = GithubAccess {
        api_base_url: format!("http://{}:8000/api/v3", target.network.stand_ins()),
        git_base_url: format!("http://{}:8000", target.network.stand_ins()),
        platform_token: bootstrap::canary::canary("platform token"),
        bot_token: bootstrap::canary::canary("bot token"),
        bot_username: "codex-bot".to_owned(),
        bot_mail: "codex-bot@example.com".to_owned(),
    };
    for (instance, processes) in [
        ("main", Processes::Split),
        ("lane-2", Processes::All),
        ("lane-3", Processes::Split),
    ] {
        let started = std::time::Instant::now();
        let mut spec = LaneSpec::new(
            instance,
            std::path::PathBuf::clone(&program),
            github.clone(),
        );
        spec.processes = processes;
        let lane = target.lane(spec).await?;
        println!(
            "lane {instance} prepared in {} ms, ready in {} ms",
            lane.took.as_millis(),
            started.elapsed().as_millis()
        );
        for process in &lane.processes {
            println!(
                "  {} pid {:?} {} connections {}",
                process.name,
                process.pid(),
                process.health_url,
                process.connections().len()
            );
        }
        let body = reqwest::get(format!("{}/healthz", lane.internal_url))
            .await?
            .text()
            .await?;
        println!("  {body}");
        if let Ok(gateway) = lane.process("gateway-0") {
            println!("  gateway talks to {:?}", gateway.connections());
            let names: Vec<String> = gateway
                .environment()
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            println!("  gateway knows {names:?}");
        }
        lane.postgres_proxy.cut();
        let answer = reqwest::get(format!("{}/readyz", lane.internal_url)).await?;
        println!("  database cut: {}", answer.status());
        lane.postgres_proxy.pass();
        for process in &lane.processes {
            process.ready().await?;
        }
        println!(
            "  database back: ready; killed by force: {:?}; unexpected {:?}",
            lane.close().await,
            lane.unexpected_exits().len()
        );
    }
    Ok(())
}

async fn job(target: &EmbeddedTarget) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    let job: Job = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "hello"},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "hello", "image": "none", "command": ["sh", "-c", "echo hello from $(hostname); echo $GONOGO_RUN_ID"]},
        ]}}},
    }))?;
    let jobs: Api<Job> = Api::namespaced(target.kube.clone(), "default");
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
        Api::namespaced(target.kube.clone(), "default");
    await_condition(accounts, "default", |account: Option<&_>| account.is_some()).await?;
    jobs.create(&PostParams::default(), &job).await?;
    let done = await_condition(jobs, "hello", conditions::is_job_completed());
    tokio::time::timeout(std::time::Duration::from_secs(20), done).await??;
    println!("job complete after {} ms", started.elapsed().as_millis());
    let pods: Api<Pod> = Api::namespaced(target.kube.clone(), "default");
    for pod in pods
        .list(&ListParams::default().labels("job-name=hello"))
        .await?
    {
        let name = pod.metadata.name.unwrap_or_default();
        let log: Vec<String> = pods
            .log_stream(&name, &LogParams::default())
            .await?
            .lines()
            .try_collect()
            .await?;
        println!("log of {name}: {log:?}");
    }
    Ok(())
}

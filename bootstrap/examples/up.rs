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
    if let Some(hint) = error.downcast_ref::<bootstrap::Error>().and_then(bootstrap::Error::hint) {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}

async fn run() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("doctor") => {
            println!("{}", serde_json::to_string_pretty(&bootstrap::doctor::doctor().await)?);
            return Ok(());
        }
        Some("cleanup") => {
            let cleaned = bootstrap::runs::cleanup(&bootstrap::CacheFolder::from_environment()?).await?;
            println!("{}", serde_json::to_string_pretty(&cleaned)?);
            return Ok(());
        }
        _ => {}
    }
    let print = |event: Event| match event {
        Event::Started { piece } => eprintln!("… {piece}"),
        Event::Note { piece, text } => eprintln!("  {piece}: {text}"),
        Event::Ready { piece, origin, milliseconds } => eprintln!("✓ {piece} ({origin}) in {milliseconds} ms"),
    };
    let started = std::time::Instant::now();
    let target = EmbeddedTarget::up(UpOptions::new(&print)?).await?;
    println!("up in {} ms", started.elapsed().as_millis());
    println!("kubeconfig {}", target.kubeconfig_admin.display());
    for timing in &target.timings {
        println!("  {:<45} {:>6} ms  {}", timing.piece, timing.milliseconds, timing.origin);
    }
    let (run_job, wait) = (std::env::args().nth(1), std::env::args().nth(2));
    let job = match run_job.as_deref() {
        Some("no-job") => Ok(()),
        Some("probe") => {
            println!("{}", serde_json::to_string_pretty(&bootstrap::probe::probe(&target).await)?);
            Ok(())
        }
        _ => job(&target).await,
    };
    if wait.is_some() {
        println!("press Ctrl-C to take it down");
        tokio::signal::ctrl_c().await?;
    }
    let report = target.down().await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    job?;
    anyhow::ensure!(report.is_clean(), "failed to leave nothing behind");
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
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(target.kube.clone(), "default");
    await_condition(accounts, "default", |account: Option<&_>| account.is_some()).await?;
    jobs.create(&PostParams::default(), &job).await?;
    let done = await_condition(jobs, "hello", conditions::is_job_completed());
    tokio::time::timeout(std::time::Duration::from_secs(20), done).await??;
    println!("job complete after {} ms", started.elapsed().as_millis());
    let pods: Api<Pod> = Api::namespaced(target.kube.clone(), "default");
    for pod in pods.list(&ListParams::default().labels("job-name=hello")).await? {
        let name = pod.metadata.name.unwrap_or_default();
        let log: Vec<String> = pods.log_stream(&name, &LogParams::default()).await?.lines().try_collect().await?;
        println!("log of {name}: {log:?}");
    }
    Ok(())
}

//! How long a run waits for the platform: label received → Job object, agent exit → run over, on an idle embedded
//! target; once with the usual poll intervals and once with all of them at one hour. Beside it, in the same run, a
//! bare Kubernetes client makes the same objects.
//!
//! `cargo bench --profile dev --bench latency`; `GONOGO_BENCH_SAMPLES` sets the runs per part (20) and
//! `GONOGO_BENCH_VERBOSE` prints each.

#[path = "latency/bare_client.rs"]
mod bare_client;
#[path = "latency/journals.rs"]
mod journals;
#[path = "shared/samples.rs"]
mod samples;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bare_client::BareClient;
use chrono::{DateTime, Utc};
use gonogo::gate::{self, Running, Wanted};
use gonogo::progress::Reporter;
use journals::Journals;
use reports::evidence::Recorder;
use samples::Samples;
use steps::place::bound_repository;
use steps::platform::{Platform, PlatformSpec};
use steps::wait::{RUN_DEADLINE, Reading, until};

/// Runs per part.
const SAMPLES: usize = 20;
/// Settings that make a missed wake-up cost an hour.
const POLLS: [&str; 3] = [
    "CODEXK8S_WORKER_POLL_INTERVAL",
    "CODEXK8S_WORKER_HEARTBEAT_INTERVAL",
    "CODEXK8S_WORKER_RUNTIME_PREPARE_RETRY_INTERVAL",
];
/// Longest silence of the heartbeat that a worker's registration survives in that part.
const INSTANCE_TTL: (&str, &str) = ("CODEXK8S_WORKER_INSTANCE_TTL", "4h");
/// Between two looks at the status of a run: below what is measured.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What one run took, in milliseconds.
struct Sample {
    label_to_job: f64,
    exit_to_terminal: f64,
}

/// What is known of a run when it is over; the rest is in the journals.
struct Played {
    delivery: String,
    job: String,
    terminal_seen: DateTime<Utc>,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match runtime.block_on(bench()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latency: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench() -> anyhow::Result<()> {
    let samples = match std::env::var("GONOGO_BENCH_SAMPLES") {
        Ok(text) => text
            .parse()
            .context("failed to read GONOGO_BENCH_SAMPLES: it is no number")?,
        Err(_) => SAMPLES,
    };
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let run_id = bootstrap::runs::new_run_id();
    let reporter = Reporter::new(false);
    let recorder = Recorder::create(&folder.path().join("bundle"), &run_id)?;
    let running = gate::bring_up(&run_id, recorder, &reporter, Wanted::default())
        .await
        .map_err(|failure| anyhow::anyhow!(failure.sentence()))?;
    let measured = measure(&running, samples).await;
    let down = gate::take_down(running, &reporter)
        .await
        .map_err(|failure| anyhow::anyhow!(failure.sentence()));
    print(measured?);
    down?;
    Ok(())
}

/// All parts, medians and spread.
struct Measured {
    bare: Samples,
    objects: usize,
    usual: Vec<Sample>,
    hourly: Vec<Sample>,
}

async fn measure(running: &Running, samples: usize) -> anyhow::Result<Measured> {
    let gate = &running.gate;
    let usual_platform = gate.platforms.common();
    let hour: BTreeMap<String, String> = POLLS
        .map(|name| (name.to_owned(), "1h".to_owned()))
        .into_iter()
        .chain([(INSTANCE_TTL.0.to_owned(), INSTANCE_TTL.1.to_owned())])
        .collect();
    let hourly_spec = PlatformSpec {
        settings: hour,
        ..PlatformSpec::default()
    };
    let hourly_platform = gate.platforms.lease(hourly_spec, "latency").await?;
    // The first run of a platform warms connections and caches, as any day's first run does.
    for platform in [&usual_platform, &hourly_platform] {
        play(running, platform).await?;
    }
    let client = BareClient::like_last_run(running).await?;
    let (mut bare, mut usual, mut hourly) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that a busy moment of the machine meets all three alike.
    for number in 0..samples {
        bare.push(client.make(number).await?);
        usual.push(play(running, &usual_platform).await?);
        hourly.push(play(running, &hourly_platform).await?);
    }
    let journals = Journals::read(running)?;
    let sample = |played: &Played| -> anyhow::Result<Sample> {
        let created = journals.job_created(&played.job)?;
        Ok(Sample {
            label_to_job: milliseconds(journals.delivered(&played.delivery)?, created),
            exit_to_terminal: milliseconds(journals.agent_exit(&played.job)?, played.terminal_seen),
        })
    };
    Ok(Measured {
        bare: Samples::of(bare),
        objects: client.objects(),
        usual: usual.iter().map(sample).collect::<Result<_, _>>()?,
        hourly: hourly.iter().map(sample).collect::<Result<_, _>>()?,
    })
}

fn milliseconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).as_seconds_f64() * 1_000.0
}

/// One run of an own repository, from an idle platform to its end.
async fn play(running: &Running, platform: &Arc<Platform>) -> anyhow::Result<Played> {
    let gate = &running.gate;
    let place = bound_repository(gate, platform, fixtures::stories::works()).await?;
    idle(platform).await?;
    place
        .member
        .add_labels(&place.repository, place.issue, &["run:dev"])
        .await?;
    let deadline = tokio::time::Instant::now() + RUN_DEADLINE;
    let (run, terminal_seen) = loop {
        let runs = platform
            .database
            .runs_of_issue(&place.repository, place.issue)
            .await?;
        if let Some(run) = runs.first()
            && !run["finished_at"].is_null()
        {
            break (run.clone(), Utc::now());
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "the run did not end: {runs:?}"
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    anyhow::ensure!(
        run["status"] == "succeeded",
        "the run ended as {}: {}",
        run["status"],
        run["finish_reason"]
    );
    let text = |field: &str| {
        run[field]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("the run has no {field}"))
    };
    Ok(Played {
        delivery: text("correlation_id")?,
        job: text("job_name")?,
        terminal_seen,
    })
}

/// Waits until every delivery is decided and every effect is done.
async fn idle(platform: &Platform) -> anyhow::Result<()> {
    until("an idle platform", RUN_DEADLINE, async || {
        let rows = platform
            .database
            .rows(
                "SELECT to_jsonb(open) FROM (SELECT \
                   (SELECT count(*) FROM webhook_deliveries WHERE processed_at IS NULL) \
                   + (SELECT count(*) FROM outbox_effects WHERE done_at IS NULL) AS open) AS counted",
                &[],
            )
            .await?;
        Ok(match rows.first().and_then(serde_json::Value::as_i64) {
            Some(0) => Reading::Reached(()),
            open => Reading::NotYet(format!("{open:?} open")),
        })
    })
    .await
}

fn print(measured: Measured) {
    if std::env::var_os("GONOGO_BENCH_VERBOSE").is_some() {
        for (number, (usual, hourly)) in measured.usual.iter().zip(&measured.hourly).enumerate() {
            println!(
                "run {number}: label -> Job {:.0} ms, hourly {:.0} ms; exit -> over {:.0} ms, hourly {:.0} ms",
                usual.label_to_job,
                hourly.label_to_job,
                usual.exit_to_terminal,
                hourly.exit_to_terminal
            );
        }
    }
    let part = |samples: &[Sample], field: fn(&Sample) -> f64| {
        Samples::of(samples.iter().map(field).collect())
    };
    let line = |name: &str, found: &Samples, limit: &str| {
        println!(
            "{name:<62} p50 {:>6.0} ms   p95 {:>6.0} ms   {limit}",
            found.median(),
            found.percentile(95)
        );
    };
    let job = part(&measured.usual, |sample| sample.label_to_job);
    let end = part(&measured.usual, |sample| sample.exit_to_terminal);
    let hourly_job = part(&measured.hourly, |sample| sample.label_to_job);
    let hourly_end = part(&measured.hourly, |sample| sample.exit_to_terminal);
    println!(
        "{} runs a part; real API server and Postgres; GitHub and the agent are stand-ins",
        measured.usual.len()
    );
    line(
        &format!("bare client: namespace, {} objects, Job", measured.objects),
        &measured.bare,
        "",
    );
    line(
        "label received -> Job exists",
        &job,
        "wanted: p50 <= 100 ms",
    );
    line("agent exit -> run over", &end, "wanted: p50 <= 300 ms");
    line(
        "label received -> Job exists, polls every hour",
        &hourly_job,
        "",
    );
    line("agent exit -> run over, polls every hour", &hourly_end, "");
    println!(
        "ratios: label -> Job / bare client {:.2}; hourly / usual polls {:.2} (Job), {:.2} (end), wanted <= 1.20",
        job.median() / measured.bare.median(),
        hourly_job.median() / job.median(),
        hourly_end.median() / end.median(),
    );
}

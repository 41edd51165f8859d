//! Durable intake beside pgbench, and the pick-up of what was taken in beside River: one run, the two in turns (ABAB),
//! medians and ratios, on one PostgreSQL that loses nothing it has committed.
//!
//! `cargo bench --profile dev --bench intake_and_queue`; `-- --output json` prints it for programs. docs/RUNBOOK.md
//! tells what it needs and how to read it.

#[path = "intake_and_queue/database.rs"]
mod database;
#[path = "intake_and_queue/delivery.rs"]
mod delivery;
#[path = "intake_and_queue/http.rs"]
mod http;
#[path = "intake_and_queue/intake.rs"]
mod intake;
#[path = "intake_and_queue/load.rs"]
mod load;
#[path = "intake_and_queue/pgbench.rs"]
mod pgbench;
#[path = "intake_and_queue/pick_up.rs"]
mod pick_up;
#[path = "intake_and_queue/platform.rs"]
mod platform;
#[path = "intake_and_queue/report.rs"]
mod report;
#[path = "intake_and_queue/river.rs"]
mod river;
#[path = "shared/samples.rs"]
mod samples;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bootstrap::Event;
use clap::{Parser, ValueEnum};
use database::DurableServer;
use delivery::Deliveries;
use pgbench::Pgbench;
use platform::Template;
use report::Report;
use river::River;

#[derive(Parser)]
#[command(
    name = "intake_and_queue",
    about = "Intake beside pgbench, pick-up beside River"
)]
struct Arguments {
    /// How the result is printed on standard output
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// How often each of the two takes its turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of one turn of intake, in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// What cargo passes to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match runtime.block_on(bench(&arguments)) {
        Ok(report) => {
            match arguments.output {
                Output::Text => print!("{report}"),
                Output::Json => println!("{}", report.json()),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("intake_and_queue: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(arguments: &Arguments) -> anyhow::Result<Report> {
    let folder = tempfile::Builder::new()
        .prefix("gonogo-")
        .tempdir()
        .context("failed to make a folder")?;
    // What is missing is told before anything is started.
    let programs = bootstrap::postgres::find_programs()
        .context("failed to find a PostgreSQL server on this machine: install one (Debian and Ubuntu: postgresql)")?;
    let pgbench = Pgbench::find(&programs.folder)?;
    let river = River::build(folder.path()).await?;
    let orchestrator = bootstrap::orchestrator::build_orchestrator(&|event: Event| {
        if let Event::Note { piece, text } = event {
            eprintln!("  {piece}: {text}");
        }
    })
    .await
    .context("failed to build the orchestrator")?;
    let began = Instant::now();
    let server = DurableServer::start(programs, folder.path()).await?;
    let measured = tokio::select! {
        measured = measure(arguments, folder.path(), &server, &orchestrator, &pgbench, &river) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    server.stop().await?;
    let mut report = measured?;
    report.took(began.elapsed());
    Ok(report)
}

async fn measure(
    arguments: &Arguments,
    folder: &std::path::Path,
    server: &DurableServer,
    orchestrator: &bootstrap::orchestrator::OrchestratorBinary,
    pgbench: &Pgbench,
    river: &River,
) -> anyhow::Result<Report> {
    let settings = server.settings().await?;
    let template = Template::make(server, &orchestrator.path, folder).await?;
    let deliveries = Arc::new(Deliveries::sign(&template.webhook_secret));
    let intake = intake::measure(
        server,
        &template,
        pgbench,
        &deliveries,
        arguments.rounds,
        Duration::from_secs(arguments.seconds),
    )
    .await?;
    let queue = pick_up::measure(server, &template, river, &deliveries, arguments.rounds).await?;
    Ok(Report::new(settings, orchestrator, pgbench, intake, queue))
}

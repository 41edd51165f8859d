//! The command line: each subcommand is one Deployment, or the runner in a Job.
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

use crate::conduct::Conduct;
use crate::config::{Config, Environment, ProcessKind};
use crate::{startup, telemetry};

/// Label-driven agent orchestrator.
#[derive(Parser)]
#[command(name = "orchestrator", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The public edge: checks requests and passes them on to the control plane.
    Gateway,
    /// Domain, migrations, executor, internal HTTP.
    ControlPlane,
    /// Claims runs, prepares and launches Jobs, watches and sweeps.
    Worker {
        /// `namespace-cleanup-once` sweeps expired namespaces and ends: the CronJob's way.
        #[arg(long, value_enum, default_value = "loop")]
        mode: WorkerMode,
    },
    /// Checks for leaks and prints findings and kept namespaces.
    Hygiene {
        /// The only format so far.
        #[arg(long, short, value_enum, default_value = "json")]
        output: OutputFormat,
    },
    /// The embedded console.
    WebConsole,
    /// Gateway, control plane, worker and console in one process, for development.
    All,
    /// Applies the migrations and ends.
    Migrate,
    /// Seals what the key before holds with the present one, and ends (CODEXK8S_TOKEN_ENCRYPTION_KEY_PREVIOUS).
    RotateKeys,
    /// Prints the effective configuration with secrets masked.
    Config,
    /// The runner inside a Job; `agent source` prepares its working tree.
    Agent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WorkerMode {
    Loop,
    #[value(alias = "namespace_cleanup_once")]
    NamespaceCleanupOnce,
}

#[derive(Clone, Copy, ValueEnum)]
enum OutputFormat {
    Json,
}

/// Does what the arguments of the process ask for.
pub fn main(conduct: Arc<dyn Conduct>) -> anyhow::Result<()> {
    let cli = Cli::parse();
    // Ends like any program when the reader of its output is gone, and picks one TLS provider for every client.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        anyhow::bail!("failed to choose the TLS provider: another one is already in use");
    }
    telemetry::init_logs();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let kind = match cli.command {
        Command::Agent { arguments } => return runtime.block_on(startup::run_agent(arguments)),
        Command::Gateway => ProcessKind::Gateway,
        Command::Worker { .. } | Command::Hygiene { .. } => ProcessKind::Worker,
        Command::WebConsole => ProcessKind::WebConsole,
        Command::All => ProcessKind::All,
        Command::ControlPlane | Command::Migrate | Command::RotateKeys | Command::Config => {
            ProcessKind::ControlPlane
        }
    };
    let environment = Environment::from_process()?;
    let config = Config::load(kind, &environment)?;
    for key in environment.unknown_keys() {
        tracing::warn!(key, "unknown configuration key, ignored");
    }
    match cli.command {
        Command::Migrate => runtime.block_on(startup::migrate(config)),
        Command::RotateKeys => {
            let resealed = runtime.block_on(startup::rotate_keys(config))?;
            println!("{resealed} values are under the present key now; none is under another");
            Ok(())
        }
        Command::Config => {
            println!("{config:#?}");
            Ok(())
        }
        Command::Worker {
            mode: WorkerMode::NamespaceCleanupOnce,
        } => runtime.block_on(startup::cleanup_namespaces_once(config, conduct)),
        Command::Hygiene {
            output: OutputFormat::Json,
        } => runtime.block_on(startup::hygiene(config, conduct)),
        _ => runtime.block_on(startup::run(config, conduct)),
    }
}

//! Null (a): every process is the fixture that answers success and does nothing.

use anyhow::Context;
use fixtures::null_orchestrator::{NullConfig, NullOrchestrator};
use orchestrator::command_line;
use orchestrator::config::{Config, Environment, ListenConfig, ProcessKind};
use tokio::signal::unix::{SignalKind, signal};

/// What its health shows instead of a commit, so that a look at health is a look at something.
const REVISION: &str = "null";

/// Serves where the process of this subcommand would; commands that are no process of the platform are the product's.
pub fn main() -> anyhow::Result<()> {
    let subcommand = std::env::args().nth(1).unwrap_or_default();
    let kind = match subcommand.as_str() {
        "gateway" => ProcessKind::Gateway,
        "control-plane" => ProcessKind::ControlPlane,
        "worker" => ProcessKind::Worker,
        "web-console" => ProcessKind::WebConsole,
        "all" => ProcessKind::All,
        "hygiene" => {
            println!("{{\"findings\": []}}");
            return Ok(());
        }
        _ => return command_line::main(std::sync::Arc::new(orchestrator::conduct::Product)),
    };
    let config = Config::load(kind, &Environment::from_process()?)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?
        .block_on(serve(kind, &config.listen))
}

async fn serve(kind: ProcessKind, listen: &ListenConfig) -> anyhow::Result<()> {
    let addresses = match kind {
        ProcessKind::Gateway => vec![listen.http, listen.health],
        ProcessKind::WebConsole => vec![listen.http],
        ProcessKind::ControlPlane => vec![listen.internal, listen.mcp],
        ProcessKind::Worker => vec![listen.health],
        ProcessKind::All => vec![listen.http, listen.internal, listen.mcp, listen.health],
    };
    let mut terminate = signal(SignalKind::terminate()).context("failed to watch for SIGTERM")?;
    let mut serving = Vec::new();
    for address in addresses {
        let config = NullConfig {
            listen: address,
            revision: REVISION.to_owned(),
            dirty: false,
        };
        let null = NullOrchestrator::start(config).await;
        serving.push(null.with_context(|| format!("failed to listen on {address}"))?);
    }
    terminate.recv().await;
    Ok(())
}

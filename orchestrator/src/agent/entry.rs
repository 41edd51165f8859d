//! Entry of `orchestrator agent`: picks the step, ends with the right code.

use super::config::{AgentConfig, GitSettings};
use super::error::{AgentError, describe};
use super::output::Output;
use super::{runner, source};

/// Runs `agent` (no argument) or `agent source`; answers the process exit code.
pub async fn main(arguments: Vec<String>) -> i32 {
    let get = |name: &str| std::env::var(name).ok();
    let result = match arguments.first().map(String::as_str) {
        None => run(&get).await,
        Some("source") if arguments.len() == 1 => prepare_source(&get).await,
        Some(other) => Err(AgentError::Usage(other.to_owned())),
    };
    // Nothing was begun, so no secret is known that the text could hold.
    result.unwrap_or_else(|error| {
        tracing::error!(error = describe(&error), "the run failed");
        error.exit_code()
    })
}

/// The exit code of what failed after it had begun; the text may quote what an agent or a program said (G-124).
fn failed(error: &AgentError, output: &Output) -> i32 {
    let text = output.redact(&describe(error));
    tracing::error!(error = text, "the run failed");
    error.exit_code()
}

async fn run(get: &dyn Fn(&str) -> Option<String>) -> Result<i32, AgentError> {
    let config = AgentConfig::load(get)?;
    tracing::info!(
        run.id = config.run_id,
        correlation.id = config.correlation_id,
        repository = config.git.repository_full_name,
        existing_pr_number = config.existing_pr_number,
        "the run begins"
    );
    let output = Output::new(&config.secrets);
    let result = runner::run(&config, &output, terminated()).await;
    Ok(result.unwrap_or_else(|error| failed(&error, &output)))
}

async fn prepare_source(get: &dyn Fn(&str) -> Option<String>) -> Result<i32, AgentError> {
    let settings = GitSettings::load(get)?;
    let output = Output::new(std::slice::from_ref(&settings.bot_token));
    let result = source::prepare(&settings, output.clone()).await;
    Ok(result.map_or_else(|error| failed(&error, &output), |()| 0))
}

// A handler that cannot be installed leaves the default, which ends the process.
async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(error) => {
            tracing::warn!(%error, "failed to listen for SIGTERM");
            std::future::pending().await
        }
    }
}

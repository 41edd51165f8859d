//! `gonogo stand-in`: one stand-in alone.

use std::net::SocketAddr;

use anyhow::Context;
use fixtures::github::{GithubConfig, GithubStandIn, RequestLimits};

use crate::{
    exit_code::ExitStatus,
    gate::{Failure, asked_to_stop},
    output::print_line,
};

/// GitHub's stand-in until Ctrl-C.
///
/// # Errors
/// When it cannot listen.
pub async fn github(listen: SocketAddr) -> Result<ExitStatus, Failure> {
    let root = tempfile::tempdir().context("failed to make a folder for repositories")?;
    let config = GithubConfig {
        listen,
        root_dir: root.path().join("repositories"),
        journal: None,
        limits: RequestLimits::default(),
    };
    let stand_in = GithubStandIn::start(config)
        .await
        .with_context(|| format!("failed to start GitHub's stand-in on {listen}"))?;
    print_line("GitHub's stand-in listens");
    print_line(&format!("  REST: {}", stand_in.api_base_url()));
    print_line(&format!(
        "  git:  {}/<owner>/<name>.git",
        stand_in.git_base_url()
    ));
    print_line(&format!(
        "  administration: {}/_standin",
        stand_in.base_url()
    ));
    print_line("Ctrl-C ends it");
    asked_to_stop()
        .await
        .context("failed to listen for signals")?;
    stand_in.shutdown().await;
    Ok(ExitStatus::Go)
}

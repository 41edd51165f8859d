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
    print_line(&format!("  GraphQL: {}", stand_in.graphql_url()));
    for line in usage(&stand_in.base_url()) {
        print_line(&line);
    }
    print_line("Ctrl-C ends it");
    asked_to_stop()
        .await
        .context("failed to listen for signals")?;
    stand_in.shutdown().await;
    Ok(ExitStatus::Go)
}

/// How a person gets in with ordinary clients.
fn usage(base: &str) -> Vec<String> {
    let host = fixtures::github::DOOR_HOST;
    vec![
        "To try it with curl, git and the gh command line, in another shell:".to_owned(),
        format!("  curl {base}/_standin/users --json '{{\"login\": \"octo\"}}'"),
        format!(
            "  curl {base}/_standin/repositories --json '{{\"owner\": \"octo\", \"name\": \"shop\"}}'"
        ),
        "  export GH_TOKEN=<the token of the first answer>".to_owned(),
        format!("  export GH_HOST={host} http_proxy={base}"),
        "  gh issue create --repo octo/shop --title Hello --body World".to_owned(),
        format!("  git clone http://octo:$GH_TOKEN@{host}/octo/shop"),
        format!("  curl -H \"Authorization: Bearer $GH_TOKEN\" http://api.{host}/user"),
    ]
}

//! The keys of the platform, without which its control plane does not start (G-11).

use std::time::Duration;

use anyhow::Context;
use cucumber::{then, when};
use reports::evidence::ObservationSource::{Github, Process};

use crate::{
    definitions::outcome::await_end,
    world::{GateWorld, Step},
};

const ENDED: &str = "end of another control plane";
/// A control plane that does start would be at work by then.
const PATIENCE: Duration = Duration::from_secs(30);
const RUN_TOKENS: &str = "CODEXK8S_MCP_TOKEN_SIGNING_KEY";
const SERVICE_TOKENS: &str = "CODEXK8S_SERVICE_TOKEN_KEY";

#[when(regex = r"^another control plane starts (with.+)$")]
async fn starts(world: &mut GateWorld, how: String) -> Step {
    let platform = world.platform();
    let change = match how.as_str() {
        "without the key of run tokens" => (RUN_TOKENS, None),
        "without the key of service tokens" => (SERVICE_TOKENS, None),
        "without the key of what is stored" => ("CODEXK8S_TOKEN_ENCRYPTION_KEY", None),
        "without the key of derived secrets" => ("CODEXK8S_SECRET_DERIVATION_KEY", None),
        "with the key of run tokens for service tokens as well" => {
            let key = platform.lane().secrets.mcp_token_signing_key.clone();
            (SERVICE_TOKENS, Some(key))
        }
        other => return Err(anyhow::anyhow!("no control plane starts {other}").into()),
    };
    let ended = platform
        .start_control_plane_with(&[change], PATIENCE)
        .await?;
    let ended = match ended {
        Some((code, said)) => format!("{code}: {said}"),
        None => "it runs".to_owned(),
    };
    world.remembered.insert(ENDED.to_owned(), ended);
    Ok(())
}

#[then(
    expr = "it ends at once and says {string}, while the platform's own takes a label as before"
)]
async fn ends(world: &mut GateWorld, said: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let ended = world
        .remembered
        .get(ENDED)
        .cloned()
        .context("no other control plane was started")?;
    world.holds(
        &["G-11"],
        Process,
        "exit code and last line of the other control plane",
        "its exit and its standard error",
        &format!("1: … {said}"),
        &ended,
        ended.starts_with("1: ") && ended.contains(&said),
    )?;
    await_end(world).await?;
    let place = world.place()?;
    let pull_requests = place.member.pull_requests(&place.repository).await?.len();
    world.equal(
        &["G-11"],
        Github,
        "pull requests of the repository, by the platform's own control plane",
        "GET /repos/…/pulls",
        1,
        pull_requests,
    )?;
    Ok(())
}

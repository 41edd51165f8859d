//! The keys of the platform, without which its control plane does not start (G-11).

use std::time::Duration;

use anyhow::Context;
use bootstrap::lane::ProcessKind;
use cucumber::{then, when};
use fixtures::stories;
use reports::evidence::ObservationSource::{Github, Postgres, Process};
use serde_json::Value;

use crate::{
    definitions::{
        faults,
        outcome::await_end,
        secret_leakage::{dump, found, search},
    },
    place::bound_repository,
    world::{GateWorld, Step},
};

const ENDED: &str = "end of another control plane";
/// A control plane that does start would be at work by then.
const PATIENCE: Duration = Duration::from_secs(30);
const RUN_TOKENS: &str = "CODEXK8S_MCP_TOKEN_SIGNING_KEY";
const SERVICE_TOKENS: &str = "CODEXK8S_SERVICE_TOKEN_KEY";
const STORED: &str = "CODEXK8S_TOKEN_ENCRYPTION_KEY";
const STORED_BEFORE: &str = "CODEXK8S_TOKEN_ENCRYPTION_KEY_PREVIOUS";
const IDS_BEFORE: &str = "ids of keys before";
const ROTATED: &str = "what the rotation said";
/// First byte of every ciphertext in a column of its own, which names its key, each once.
const KEY_IDS: &str = "SELECT to_jsonb(coalesce(string_agg(DISTINCT get_byte(c, 0)::text, ' '), '-') || ' of ' || count(*))
    FROM (SELECT token_encrypted c FROM repositories UNION ALL SELECT bot_token_encrypted FROM repositories
          UNION ALL SELECT platform_token_encrypted FROM project_github_tokens
          UNION ALL SELECT bot_token_encrypted FROM project_github_tokens
          UNION ALL SELECT platform_token_encrypted FROM platform_github_tokens
          UNION ALL SELECT bot_token_encrypted FROM platform_github_tokens
          UNION ALL SELECT delivery_token_encrypted FROM callback_adapters) every WHERE octet_length(c) > 0";

#[when(regex = r"^another control plane starts (with.+)$")]
async fn starts(world: &mut GateWorld, how: String) -> Step {
    let platform = world.platform();
    let change = match how.as_str() {
        "without the key of run tokens" => (RUN_TOKENS, None),
        "without the key of service tokens" => (SERVICE_TOKENS, None),
        "without the key of what is stored" => (STORED, None),
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

async fn key_ids(world: &mut GateWorld) -> anyhow::Result<String> {
    let found = world.platform().database.rows(KEY_IDS, &[]).await?;
    let ids = found.first().and_then(Value::as_str);
    Ok(ids.unwrap_or("-").to_owned())
}

/// Puts the ciphertext in the row of `to` that `from` gives, which is one of SQL's expressions.
async fn put_token(world: &mut GateWorld, to: &str, from: &str) -> anyhow::Result<String> {
    let statement = format!(
        "UPDATE repositories r SET token_encrypted = {from} FROM repositories before
         WHERE before.id = r.id AND r.owner || '/' || r.name = $1
         RETURNING to_jsonb(encode(before.token_encrypted, 'hex'))"
    );
    let changed = world.platform().database.rows(&statement, &[to]).await?;
    let before = changed.first().and_then(Value::as_str);
    Ok(before.context("the repository has no row")?.to_owned())
}

#[when(
    "the stored token of the repository is put in the row of another, and another control plane starts"
)]
async fn moved(world: &mut GateWorld) -> Step {
    let platform = world.platform();
    let own = world.place()?.repository;
    let other = bound_repository(&world.gate.clone(), &platform, stories::works()).await?;
    let token =
        format!("(SELECT token_encrypted FROM repositories WHERE owner || '/' || name = '{own}')");
    let before = put_token(world, &other.repository, &token).await?;
    let ended = platform.start_control_plane_with(&[], PATIENCE).await;
    put_token(
        world,
        &other.repository,
        &format!("decode('{before}', 'hex')"),
    )
    .await?;
    let ended = match ended? {
        Some((code, said)) => format!("{code}: {said}"),
        None => "it runs".to_owned(),
    };
    world.remembered.insert(ENDED.to_owned(), ended);
    Ok(())
}

#[when("the key of what is stored is changed, and everything is sealed anew")]
async fn rotated(world: &mut GateWorld) -> Step {
    let before = key_ids(world).await?;
    world.remembered.insert(IDS_BEFORE.to_owned(), before);
    let platform = world.platform();
    let present = platform.lane().secrets.token_encryption_key.clone();
    let next = format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    platform.change_control_planes(STORED, &next);
    platform.change_control_planes(STORED_BEFORE, &present);
    faults::restart(world, &[ProcessKind::ControlPlane]).await?;
    let said = platform.rotate_keys().await?;
    world.remembered.insert(ROTATED.to_owned(), said);
    platform.change_control_planes(STORED_BEFORE, "");
    Ok(faults::restart(world, &[ProcessKind::ControlPlane]).await?)
}

#[then("every stored value is under the new key, and no token can be read in the database")]
async fn under_new_key(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let said = world.remembered.get(ROTATED).cloned().unwrap_or_default();
    let before = world
        .remembered
        .get(IDS_BEFORE)
        .cloned()
        .unwrap_or_default();
    let after = key_ids(world).await?;
    let parts = |text: &str| -> (String, usize) {
        let (ids, count) = text.split_once(" of ").unwrap_or_default();
        (ids.to_owned(), count.parse().unwrap_or_default())
    };
    let ((ids_before, count_before), (ids_after, count)) = (parts(&before), parts(&after));
    let one_key = !ids_after.contains([' ', '-']) && ids_after != ids_before;
    world.holds(
        &["G-122"],
        Postgres,
        "ids of the keys and stored values, before and after; what the rotation said",
        "first byte of every *_encrypted; orchestrator rotate-keys",
        format!("{before}; one other of as many; all of them are under the present key"),
        format!("{before}; {after}; {said}"),
        one_key
            && count > 0
            && count == count_before
            && said.starts_with(&format!("{count} values are under the present key")),
    )?;
    let place = world.place()?;
    let values = [
        ("token", world.gate.github.platform_token()),
        ("name of the repository", place.repository.clone()),
    ];
    let values: Vec<(String, String)> = values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let tables = dump(world).await?;
    let seen = found(&search(&values, &tables));
    world.equal(
        &["G-118", "G-122"],
        Postgres,
        "of the repository's token and its name what is in the database in any form",
        "every table as text",
        "name of the repository",
        seen.into_iter().collect::<Vec<_>>().join(", "),
    )?;
    Ok(())
}

//! Tokens that the platform's own key signed and that are wrong in one thing.

use std::time::Instant;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use steps::agent_tools::AgentTools;
use steps::platform::Platform;
use uuid::Uuid;

use crate::SIDE_BY_SIDE;
use crate::runs::{Run, Runs};

/// In what a token is wrong, and how: the number varies it.
const FAULTS: [(&str, fn(&mut Value, usize, &Run)); 5] = [
    ("audience", |claims, number, _| {
        let others = ["worker", "web-console", "gateway", "control-plane-2", ""];
        claims["aud"] = json!(others[number % others.len()]);
    }),
    ("run", |claims, number, other| {
        // Another run in one claim, in both, or one that never was.
        let stranger = if number % 3 == 0 {
            Uuid::new_v4()
        } else {
            other.id
        };
        claims["run_id"] = json!(stranger);
        if number % 3 != 1 {
            claims["sub"] = json!(format!("run:{stranger}"));
        }
    }),
    ("purpose", |claims, number, _| {
        let others = ["interaction_callback", "staff", "run", "RUN_MCP", ""];
        claims["scope"] = json!(others[number % others.len()]);
    }),
    ("generation", |claims, number, _| {
        claims["gen"] = json!(if number % 2 == 0 { 0 } else { 2 + number });
    }),
    ("expiry", |claims, number, _| {
        let now = claims["iat"].as_u64().unwrap_or_default() + 60;
        let ago = u64::try_from(number).unwrap_or_default();
        if number % 2 == 0 {
            claims["exp"] = json!(now - ago - 1);
        } else {
            claims["nbf"] = json!(now + 600 + ago);
        }
    }),
];

/// True when every one was refused as 401 and each right one was accepted beside it.
pub async fn none_is_accepted(
    platform: &Platform,
    runs: &Runs,
    count: usize,
) -> anyhow::Result<bool> {
    let urls = &platform.lane().mcp_replica_urls;
    let began = Instant::now();
    let answers: Vec<(&str, u16, u16)> = stream::iter(0..count)
        .map(|number| async move {
            let (fault, spoil) = FAULTS[number % FAULTS.len()];
            let variant = number / FAULTS.len();
            let run = &runs.all[variant % runs.all.len()];
            let other = &runs.all[(variant + 1) % runs.all.len()];
            let mut claims = runs.claims(run)?;
            spoil(&mut claims, variant, other);
            let wrong = AgentTools::with_token(&urls[number % urls.len()], &runs.sign(&claims)?)?;
            let right = AgentTools::with_token(&wrong.url, &runs.token(run)?)?;
            let refused = wrong.ask("tools/list").await?.status;
            let accepted = right.ask("tools/list").await?.status;
            anyhow::Ok((fault, refused, accepted))
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .try_collect()
        .await?;
    let refused = answers
        .iter()
        .filter(|(_, status, _)| *status == 401)
        .count();
    let controls = answers
        .iter()
        .filter(|(_, _, status)| *status == 200)
        .count();
    println!(
        "{count} tokens wrong in {}: {} accepted; of {count} right ones beside them {controls} accepted; {:.1} s",
        FAULTS.map(|(fault, _)| fault).join(", "),
        count - refused,
        began.elapsed().as_secs_f64(),
    );
    for (fault, status, _) in answers
        .iter()
        .filter(|(_, status, _)| *status != 401)
        .take(5)
    {
        println!("  wrong in {fault}: {status}");
    }
    Ok(refused == count && controls == count)
}

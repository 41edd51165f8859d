//! `gonogo up`: a target to play with, until Ctrl-C.

use std::sync::Arc;

use anyhow::Context;
use reports::evidence::Recorder;

use crate::{
    exit_code::ExitStatus,
    gate::{Failure, asked_to_stop, bring_up, failure},
    progress::Reporter,
};

/// Brings the target up, says what can be opened, waits, takes it down.
///
/// # Errors
/// When the target does not come up.
pub async fn up() -> Result<ExitStatus, Failure> {
    let reporter = Reporter::new(false);
    let run_id = bootstrap::runs::new_run_id();
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let recorder =
        Recorder::create(folder.path(), &run_id).context("failed to open a folder for evidence")?;
    let running = bring_up(&run_id, recorder, &reporter).await?;
    reporter.finish();
    let platform = running.gate.platforms.common();
    println!("staff API and webhooks: {}", platform.lane().public_url);
    println!(
        "owner's token:          {}",
        platform.lane().secrets.staff_owner_token
    );
    println!(
        "GitHub's stand-in:      {}",
        running.stand_in.api_base_url()
    );
    println!(
        "kubeconfig:             {}",
        running.target.kubeconfig_admin.display()
    );
    println!("Ctrl-C takes it down");
    asked_to_stop()
        .await
        .context("failed to listen for signals")?;
    platform.close().await;
    drop(platform);
    drop(running.gate);
    running.stand_in.shutdown().await;
    let target = Arc::try_unwrap(running.target)
        .map_err(|_| anyhow::anyhow!("failed to take the target down: something still uses it"))?;
    let report = target.down().await.map_err(failure)?;
    println!(
        "{}",
        if report.is_clean() {
            "nothing is left"
        } else {
            "something is left; run `gonogo cleanup`"
        }
    );
    Ok(if report.is_clean() {
        ExitStatus::Go
    } else {
        ExitStatus::NoGo
    })
}

//! `gonogo up`: a target to play with, until Ctrl-C.

use std::sync::Arc;

use anyhow::Context;
use reports::evidence::Recorder;

use crate::{
    exit_code::ExitStatus,
    gate::{Failure, Interrupt, bring_up, clean_up_after, failure},
    output::print_line,
    progress::Reporter,
};

/// Brings the target up, says what can be opened, waits, takes it down.
///
/// # Errors
/// When the target does not come up.
pub async fn up() -> Result<ExitStatus, Failure> {
    let mut stop = Interrupt::listen().context("failed to listen for signals")?;
    let reporter = Reporter::new(false);
    let run_id = bootstrap::runs::new_run_id();
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let recorder =
        Recorder::create(folder.path(), &run_id).context("failed to open a folder for evidence")?;
    let running = tokio::select! {
        running = bring_up(&run_id, recorder, &reporter, None) => running,
        _ = stop.asked() => Err(Failure::Interrupted),
    };
    reporter.finish();
    let running = match running {
        Ok(running) => running,
        Err(failure) => {
            clean_up_after(&run_id).await;
            return Err(failure);
        }
    };
    let platform = running.gate.platforms.common();
    print_line(&format!(
        "staff API and webhooks: {}",
        platform.lane().public_url
    ));
    print_line(&format!(
        "owner's token:          {}",
        platform.lane().secrets.staff_owner_token
    ));
    print_line(&format!(
        "GitHub's stand-in:      {}",
        running.stand_in.api_base_url()
    ));
    print_line(&format!(
        "kubeconfig:             {}",
        running.target.kubeconfig_admin.display()
    ));
    print_line("Ctrl-C takes it down");
    stop.asked().await;
    platform.close().await;
    drop(platform);
    drop(running.gate);
    running.stand_in.shutdown().await;
    let target = Arc::try_unwrap(running.target)
        .map_err(|_| anyhow::anyhow!("failed to take the target down: something still uses it"))?;
    let report = target.down().await.map_err(failure)?;
    print_line(if report.is_clean() {
        "nothing is left"
    } else {
        "something is left; run `gonogo cleanup`"
    });
    Ok(if report.is_clean() {
        ExitStatus::Go
    } else {
        ExitStatus::NoGo
    })
}

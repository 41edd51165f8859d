//! `gonogo down`: takes down a target that `gonogo up` keeps.

use std::time::{Duration, Instant};

use bootstrap::{
    CacheFolder,
    runs::{check_name, holder_of, list, tell_to_end},
};
use serde_json::json;

use crate::{
    cli::Output,
    commands::target,
    exit_code::ExitStatus,
    gate::{Failure, failure},
    output::print_line,
};

/// Between two looks whether it is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Longest wait; usual is two seconds.
const END_DEADLINE: Duration = Duration::from_secs(60);

/// Tells the keeper to take the target down, and waits until nothing of it is left.
///
/// # Errors
/// When there is no such target, or it does not go.
pub async fn down(name: &str, output: Output) -> Result<ExitStatus, Failure> {
    let cache = CacheFolder::from_environment().map_err(failure)?;
    check_name(name).map_err(|error| target::failure_of_name(error.into()))?;
    let Some(holder) = holder_of(&cache, name) else {
        return Err(Failure::Usage(format!(
            "failed to take down {name}: no target of this name is up\n  `gonogo status` lists those that are"
        )));
    };
    tell_to_end(&holder).map_err(failure)?;
    let began = Instant::now();
    while holder_of(&cache, name).is_some_and(|now| now.run_id == holder.run_id) {
        if began.elapsed() > END_DEADLINE {
            return Err(Failure::Gate {
                message: format!(
                    "failed to take down {name}: process {} is still at it after {} s",
                    holder.pid,
                    END_DEADLINE.as_secs()
                ),
                hint: Some(format!(
                    "`kill -9 {}`, then `gonogo cleanup`, ends it",
                    holder.pid
                )),
            });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    // Only a target in the background has one.
    let _ = std::fs::remove_file(cache.path().join("names").join(format!("{name}.log")));
    let left = list(&cache).iter().any(|run| {
        run.state
            .as_ref()
            .is_some_and(|state| state.run_id == holder.run_id)
    });
    print_line(&match (output, left) {
        (Output::Json, _) => {
            json!({"name": name, "run_id": holder.run_id, "left": left}).to_string()
        }
        (Output::Text, false) => format!("{name} is down, nothing is left"),
        (Output::Text, true) => {
            format!("{name} is down, but something is left; run `gonogo cleanup`")
        }
    });
    Ok(if left {
        ExitStatus::NoGo
    } else {
        ExitStatus::Go
    })
}

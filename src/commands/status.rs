//! `gonogo status`: which targets are up, and what else of gonogo's lives or is left on this machine.

use bootstrap::{
    CacheFolder,
    runs::{holder_of, holders, list, state_of},
};
use serde_json::json;

use crate::{
    cli::Output,
    commands::target,
    exit_code::ExitStatus,
    gate::{Failure, failure},
    output::print_line,
};

/// Tells of one target, or of all.
///
/// # Errors
/// When there is no cache folder.
pub fn status(name: Option<&str>, output: Output) -> Result<ExitStatus, Failure> {
    let cache = CacheFolder::from_environment().map_err(failure)?;
    if let Some(name) = name {
        bootstrap::runs::check_name(name).map_err(|error| target::failure_of_name(error.into()))?;
        let Some(holder) = holder_of(&cache, name) else {
            print_line(&match output {
                Output::Json => json!({"name": name, "state": "absent"}).to_string(),
                Output::Text => format!("no target named {name} is up"),
            });
            return Ok(ExitStatus::NoGo);
        };
        let access = state_of(&cache, &holder.run_id).and_then(|state| state.access);
        target::print(name, &holder.run_id, access.as_ref(), output);
        return Ok(ExitStatus::Go);
    }
    let named: Vec<_> = holders(&cache)
        .into_iter()
        .map(|holder| {
            let access = state_of(&cache, &holder.run_id).and_then(|state| state.access);
            (holder, access)
        })
        .collect();
    let others: Vec<_> = list(&cache)
        .into_iter()
        .filter_map(|run| Some((run.alive, run.state?)))
        .filter(|(_, state)| {
            named
                .iter()
                .all(|(holder, _)| holder.run_id != state.run_id)
        })
        .collect();
    if output == Output::Json {
        let targets: Vec<_> = named
            .iter()
            .map(|(holder, access)| target::describe(&holder.name, &holder.run_id, access.as_ref()))
            .collect();
        let runs: Vec<_> = others
            .iter()
            .map(|(alive, state)| {
                json!({"run_id": state.run_id, "pid": state.owner_pid, "started_at": state.started_at, "alive": alive})
            })
            .collect();
        print_line(&json!({"targets": targets, "runs": runs}).to_string());
        return Ok(ExitStatus::Go);
    }
    for (holder, access) in &named {
        target::print(&holder.name, &holder.run_id, access.as_ref(), output);
    }
    for (alive, state) in &others {
        print_line(&if *alive {
            format!(
                "run {} of the gate is at work (process {})",
                state.run_id, state.owner_pid
            )
        } else {
            format!(
                "run {} was killed; `gonogo cleanup` removes what it left",
                state.run_id
            )
        });
    }
    if named.is_empty() && others.is_empty() {
        print_line("no target is up; `gonogo up` brings one up");
    }
    Ok(ExitStatus::Go)
}

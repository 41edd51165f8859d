//! `gonogo up`: a target to play with, until Ctrl-C or `gonogo down`.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context;
use bootstrap::{
    CacheFolder,
    runs::{holder_of, new_run_id, state_of, take_name},
};
use reports::evidence::Recorder;

use crate::{
    cli::{Output, UpArguments},
    commands::target,
    exit_code::ExitStatus,
    gate::{Failure, Interrupt, Running, Wanted, bring_up, clean_up_after, failure, take_down},
    output::{print_line, tell_line},
    progress::Reporter,
};

/// Between two looks whether a target in the background is up.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Brings the target up, says what can be opened, waits, takes it down.
///
/// # Errors
/// When the name is taken or the target does not come up.
pub async fn up(arguments: UpArguments) -> Result<ExitStatus, Failure> {
    if arguments.detach {
        detach(&arguments).await
    } else {
        keep(&arguments).await
    }
}

async fn keep(arguments: &UpArguments) -> Result<ExitStatus, Failure> {
    let mut stop = Interrupt::listen().context("failed to listen for signals")?;
    let cache = CacheFolder::from_environment().map_err(failure)?;
    let run_id = new_run_id();
    let _name = take_name(&cache, &arguments.name, &run_id).map_err(target::failure_of_name)?;
    let reporter = Reporter::new(false);
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let recorder =
        Recorder::create(folder.path(), &run_id).context("failed to open a folder for evidence")?;
    let running = tokio::select! {
        running = bring_up(&run_id, recorder, &reporter, Wanted::default()) => running,
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
    let access = match target::open_to_people(&running) {
        Ok(access) => access,
        Err(failure) => {
            if end(running, &reporter).await.is_err() {
                clean_up_after(&run_id).await;
            }
            return Err(failure);
        }
    };
    target::print(&arguments.name, &run_id, Some(&access), arguments.output);
    if arguments.output == Output::Text {
        print_line(&format!(
            "Ctrl-C or `gonogo down {}` takes it down",
            arguments.name
        ));
    }
    stop.asked().await;
    end(running, &reporter).await
}

async fn end(running: Running, reporter: &Reporter) -> Result<ExitStatus, Failure> {
    running.disappearance.abort();
    let phase = take_down(running, reporter).await?;
    reporter.finish();
    if phase.ok {
        tell_line("nothing is left");
        Ok(ExitStatus::Go)
    } else {
        tell_line("something is left; run `gonogo cleanup`");
        Ok(ExitStatus::NoGo)
    }
}

/// Lets a gonogo of its own keep the target, and returns when it is up.
async fn detach(arguments: &UpArguments) -> Result<ExitStatus, Failure> {
    use std::os::unix::process::CommandExt;
    let cache = CacheFolder::from_environment().map_err(failure)?;
    bootstrap::runs::check_name(&arguments.name)
        .map_err(|error| target::failure_of_name(error.into()))?;
    if holder_of(&cache, &arguments.name).is_some() {
        let taken = bootstrap::runs::NameError::Taken(arguments.name.clone());
        return Err(target::failure_of_name(taken.into()));
    }
    let folder = cache.path().join("names");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to create {}", folder.display()))?;
    let log_path = folder.join(format!("{}.log", arguments.name));
    // A rival that brings up the same name at this moment goes on writing behind what is written here.
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .with_context(|| format!("failed to create {}", log_path.display()))?;
    let begins_at = log
        .metadata()
        .with_context(|| format!("failed to read {}", log_path.display()))?
        .len();
    let errors = log.try_clone().context("failed to use the log")?;
    let program = std::env::current_exe().context("failed to find this program")?;
    let mut keeper = Command::new(program)
        .args(["up", "--name", &arguments.name])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Ctrl-C at this terminal is not meant for it.
        .process_group(0)
        .spawn()
        .context("failed to start a gonogo that keeps the target")?;
    tell_line(&format!(
        "bringing up {} in the background; its log: {}",
        arguments.name,
        log_path.display()
    ));
    loop {
        if let Some(status) = keeper
            .try_wait()
            .context("failed to wait for the keeper of the target")?
        {
            let log = std::fs::read(&log_path).unwrap_or_default();
            let own = log
                .get(usize::try_from(begins_at).unwrap_or_default()..)
                .unwrap_or_default();
            tell_line(
                &last_words(&String::from_utf8_lossy(own)).unwrap_or_else(|| {
                    format!(
                        "gonogo: failed to bring up {}: its keeper ended with {status}",
                        arguments.name
                    )
                }),
            );
            return Ok(ExitStatus::from_code(status.code()));
        }
        let ready = holder_of(&cache, &arguments.name)
            .filter(|holder| holder.pid == keeper.id())
            .and_then(|holder| state_of(&cache, &holder.run_id))
            .and_then(|state| Some((state.run_id, state.access?)));
        if let Some((run_id, access)) = ready {
            target::print(&arguments.name, &run_id, Some(&access), arguments.output);
            return Ok(ExitStatus::Go);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The sentence with which a gonogo ended, and what it said to do about it.
fn last_words(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().collect();
    let sentence = lines
        .iter()
        .rposition(|line| line.starts_with("gonogo: "))?;
    Some(lines[sentence..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_sentence_and_its_advice() {
        let log = "  postgres …\ngonogo: earlier\n  postgres ready\ngonogo: failed to find git on PATH\n  install git\n";
        assert_eq!(
            last_words(log).as_deref(),
            Some("gonogo: failed to find git on PATH\n  install git")
        );
        assert_eq!(last_words("killed\n"), None);
    }
}

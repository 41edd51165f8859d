//! Agents and repositories that do what they should not.

use std::fs::File;

use anyhow::Context;
use cucumber::{given, then, when};
use fixtures::stories;
use reports::evidence::ObservationSource::{Github, Postgres, Process};

use crate::{
    definitions::{
        faults::announce,
        outcome::{current_run, run_at_hand},
        setup::{bind, signal_file},
    },
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// Key under which a scenario keeps the file that the agent's process locks.
const LOCK: &str = "lock";
/// What the runner keeps of a stream at most.
const STREAM_LIMIT_BYTES: u64 = 256 * 1024;
/// What git calls the bytes from 0 to 255, in order.
const BLOB_OF_EVERY_BYTE: &str = "c86626638e0bc8cf47ca49bb1525b40e9737ee64";

#[given(expr = "a bound repository whose agent prints {int} MB, with an open Issue")]
async fn prints(world: &mut GateWorld, megabytes: u64) -> Step {
    Ok(bind(world, stories::prints(megabytes * 1024 * 1024)).await?)
}

#[given("a bound repository whose agent leaves a process behind, with an open Issue")]
async fn leaves_a_process(world: &mut GateWorld) -> Step {
    let (lock, signal) = (remember(world, LOCK), remember(world, "signal"));
    Ok(bind(world, stories::leaves_a_process(&lock, &signal)).await?)
}

#[given("a bound repository whose agent ignores the order to end, with an open Issue")]
async fn ignores_the_end(world: &mut GateWorld) -> Step {
    let lock = remember(world, LOCK);
    Ok(bind(world, stories::ignores_the_end(&lock)).await?)
}

#[given("a bound repository whose agent deletes \".git\", with an open Issue")]
async fn deletes_git(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::deletes_git()).await?)
}

#[given("a bound repository that the bot may only read, with an open Issue")]
async fn bot_may_only_read(world: &mut GateWorld) -> Step {
    bind(world, stories::changes_a_file()).await?;
    // Neither may the platform change a label for the bot.
    announce(world, "Resource not accessible", "the bot may only read");
    let place = world.place()?;
    Ok(world.gate.github.let_bot_only_read(&place.repository)?)
}

#[given(
    "a bound repository whose agent writes every byte there is into a file, with an open Issue"
)]
async fn writes_every_byte(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::writes_every_byte()).await?)
}

#[given(
    expr = "a bound repository whose agent misses {string} and reports {string}, with an open Issue"
)]
async fn misses_tools(world: &mut GateWorld, printed: String, reported: String) -> Step {
    Ok(bind(world, stories::misses_tools(&printed, &reported)).await?)
}

fn remember(world: &mut GateWorld, key: &str) -> String {
    let file = signal_file(world);
    world.remembered.insert(key.to_owned(), file.clone());
    file
}

/// Whether a process holds the lock; a file that nobody made is locked by nobody.
fn is_locked(path: &str) -> anyhow::Result<bool> {
    match File::open(path) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(false),
            Err(std::fs::TryLockError::WouldBlock) => Ok(true),
            Err(std::fs::TryLockError::Error(error)) => Err(error).context("failed to try a lock"),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("failed to open a lock"),
    }
}

async fn await_lock(world: &GateWorld, wanted: bool) -> anyhow::Result<bool> {
    let lock = world.remembered.get(LOCK).context("no process is known")?;
    let waited = until("the process of the agent", RUN_DEADLINE, async || {
        let held = is_locked(lock)?;
        Ok(if held == wanted {
            Reading::Reached(())
        } else {
            Reading::NotYet(format!("its lock is held: {held}"))
        })
    });
    Ok(waited.await.is_ok() == wanted)
}

#[when("the process runs")]
async fn process_runs(world: &mut GateWorld) -> Step {
    run_at_hand(world).await?;
    if !await_lock(world, true).await? {
        return Err(anyhow::anyhow!("the agent has started no process").into());
    }
    Ok(())
}

#[then("the process is gone")]
async fn process_is_gone(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let held = await_lock(world, false).await?;
    world.equal(
        &["R-18", "R-69", "R-88"],
        Process,
        "whether a process of the agent holds its lock",
        "flock of its file",
        false,
        held,
    )?;
    Ok(())
}

#[then("of what the agent printed 256 KiB are kept, and it says that the rest was cut")]
async fn output_is_cut(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let kept = world
        .platform()
        .database
        .rows(
            "SELECT jsonb_build_object('bytes', sum(octet_length(text)), \
                 'end', right(string_agg(text, '' ORDER BY seq), 19)) \
             FROM run_log_chunks WHERE run_id = $1::text::uuid AND stream = 'agent'",
            &[&text(&run, "id")?],
        )
        .await?;
    let kept = kept.first().context("nothing was kept")?;
    world.equal(
        &["R-87"],
        Postgres,
        "bytes of the stream agent, and its end",
        "run_log_chunks of the stream agent",
        format!("{STREAM_LIMIT_BYTES} [output truncated]"),
        format!(
            "{} {}",
            kept["bytes"],
            kept["end"].as_str().unwrap_or_default().trim_end()
        ),
    )?;
    Ok(())
}

#[then("the file on the branch of the Issue has every byte there is, in order")]
async fn every_byte(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let branch = format!("codex/issue-{}", place.issue);
    let found = place
        .member
        .file_on_branch(&place.repository, &branch, stories::BINARY_PATH)
        .await?;
    world.equal(
        &["R-82"],
        Github,
        &format!(
            "size and name of the blob of {} on {branch}",
            stories::BINARY_PATH
        ),
        "GET /repos/…/contents/…",
        format!("256 {BLOB_OF_EVERY_BYTE}"),
        format!(
            "{} {}",
            found["size"],
            found["sha"].as_str().unwrap_or_default()
        ),
    )?;
    Ok(())
}

#[then(expr = "{string} are on record as missing, once")]
async fn tools_are_missing(
    world: &mut GateWorld,
    tools: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let told: Vec<String> = events
        .iter()
        .filter(|event| event["event_type"] == "run.toolchain.gap_detected")
        .map(|event| {
            let gaps = event["payload"]["tool_gaps"].as_array();
            let gaps: Vec<&str> = gaps
                .into_iter()
                .flatten()
                .filter_map(|gap| gap.as_str())
                .collect();
            gaps.join(", ")
        })
        .collect();
    world.equal(
        &["R-85"],
        Postgres,
        "tools that the image lacks",
        "flow_events: run.toolchain.gap_detected",
        tools,
        told.join(" and again "),
    )?;
    Ok(())
}

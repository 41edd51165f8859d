//! A failpoint per transition and phase: told in a journal, and deadly when it is the armed one.
//!
//! The folder that `FAILPOINTS_FOLDER` names belongs to one play. A file `armed` in it begins the play: from then on
//! each point reached is a line of `journal`. Its text, `<transition> <phase> <count>`, says which one kills; whoever
//! gets there first takes the file away, so that one play has one death.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use chrono::Utc;
use serde_json::json;

use super::Phase;

const FOLDER_VARIABLE: &str = "FAILPOINTS_FOLDER";

static FOLDER: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from));

/// How often this process came by each point since the play began.
static COUNTS: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);

pub(super) fn reach(name: &str, phase: Phase) {
    let Some(folder) = FOLDER.as_deref() else {
        return;
    };
    let phase = match phase {
        Phase::Before => "before",
        Phase::After => "after",
    };
    let armed = folder.join("armed");
    let fired = folder.join("fired");
    let wanted = fs::read_to_string(&armed);
    if wanted.is_err() && !fired.exists() {
        return;
    }
    let point = format!("{name} {phase}");
    let count = {
        let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(point.clone()).or_default();
        *count += 1;
        *count
    };
    let is_wanted = wanted.is_ok_and(|wanted| wanted.trim() == format!("{point} {count}"));
    let kills = is_wanted && fs::rename(&armed, &fired).is_ok();
    let entry = json!({
        "at": Utc::now(),
        "process": std::process::id(),
        "transition": name,
        "phase": phase,
        "count": count,
        "killed": kills,
    });
    let journal = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("journal"));
    // One write per line: processes share the file.
    if let Err(error) = journal.and_then(|mut file| file.write_all(format!("{entry}\n").as_bytes()))
    {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "failed to tell of a failpoint"
        );
    }
    if kills {
        fail::cfg_callback(&point, die).expect("a callback is a valid action");
    }
    fail::fail_point!(&point);
}

/// As a machine that loses power: no destructor runs, nothing is told.
fn die() {
    let own = rustix::process::getpid();
    if let Err(error) = rustix::process::kill_process(own, rustix::process::Signal::KILL) {
        tracing::error!(error = &error as &dyn std::error::Error, "failed to die");
    }
    loop {
        std::thread::park();
    }
}

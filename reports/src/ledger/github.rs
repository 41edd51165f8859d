//! Bookings from the GitHub stand-in's journal: what the bot changed there.
//! Branches, pull requests, comments and labels are results of a run when a scenario made the repository.
use std::collections::BTreeMap;

use super::Entry;
use crate::journals::{GithubRecord, Journals, Line};

/// Login that the platform writes with, unless the run's settings name another one.
const DEFAULT_BOT: &str = "codex-bot";
/// Commit id with which a reference begins or ends.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

pub(super) fn entries(journals: &Journals) -> Vec<Entry> {
    let bot = journals
        .gate_run
        .settings
        .get("bot_login")
        .map_or(DEFAULT_BOT, String::as_str);
    let mut entries: Vec<Entry> = Vec::new();
    let mut living: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
    for line in &journals.github {
        let record = &line.value;
        if record.kind != "change" {
            continue;
        }
        match booking(record) {
            Some(Booking::Made(kind, name)) if record.actor.as_deref() == Some(bot) => {
                living.entry((kind, name.clone())).or_insert_with(|| {
                    entries.push(entry(journals, line, kind, name));
                    entries.len() - 1
                });
            }
            // Whoever removes it, it is gone.
            Some(Booking::Gone(kind, name)) => {
                if let Some(index) = living.remove(&(kind, name)) {
                    entries[index].deleted = Some(line.pointer());
                    entries[index].kept = None;
                }
            }
            _ => {}
        }
    }
    entries
}

enum Booking {
    Made(&'static str, String),
    Gone(&'static str, String),
}

fn booking(record: &GithubRecord) -> Option<Booking> {
    let repository = record.repository_name()?;
    let thread = record
        .rest
        .get("thread")
        .and_then(serde_json::Value::as_u64)
        .map_or(repository.clone(), |thread| {
            format!("{repository}#{thread}")
        });
    let label = || Some(format!("{thread} {}", record.text("/label")?));
    let comment = || Some(format!("{thread} comment {}", record.field("/comment")?));
    Some(match record.text("/event")? {
        "label_added" => Booking::Made("Label", label()?),
        "label_removed" => Booking::Gone("Label", label()?),
        "comment_created" => Booking::Made("Comment", comment()?),
        "comment_deleted" => Booking::Gone("Comment", comment()?),
        "pull_request_opened" => Booking::Made("PullRequest", thread),
        "reaction_added" => Booking::Made(
            "Reaction",
            format!("{thread} {}", record.text("/content").unwrap_or("reaction")),
        ),
        "ref_moved" => {
            let name = format!("{repository} {}", record.text("/ref")?);
            if record.text("/after") == Some(NO_COMMIT) {
                Booking::Gone("Branch", name)
            } else if record.text("/before") == Some(NO_COMMIT) {
                Booking::Made("Branch", name)
            } else {
                return None;
            }
        }
        _ => return None,
    })
}

fn entry(
    journals: &Journals,
    line: &Line<GithubRecord>,
    kind: &'static str,
    name: String,
) -> Entry {
    let repository = line.value.repository_name().unwrap_or_default();
    let scenario = journals.scenario_of_run("", &repository);
    Entry {
        kind: kind.to_owned(),
        name,
        account: scenario.map_or("unknown".to_owned(), |result| result.key.scenario.clone()),
        created_by: line.value.actor.clone().unwrap_or_default(),
        created_at: Some(line.value.at),
        created: line.pointer(),
        deleted: None,
        kept: scenario.map(|_| "result_of_run".to_owned()),
    }
}

//! Bookings from the GitHub stand-in's journal: what the bot made there.
//! Branches, pull requests, comments and labels are results of a run when a scenario made the repository.
use std::collections::BTreeMap;

use super::Entry;
use crate::journals::{GithubRecord, Journals, Line};

/// Login that the platform writes with, unless the run's settings name another one.
const DEFAULT_BOT: &str = "codex-bot";
/// First path segment of the API behind a GitHub Enterprise address.
const API_PREFIX: &str = "/api/v3";

pub(super) fn entries(journals: &Journals) -> Vec<Entry> {
    let bot = journals
        .gate_run
        .settings
        .get("bot_login")
        .map_or(DEFAULT_BOT, String::as_str);
    let mut entries: Vec<Entry> = Vec::new();
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    let mut branches: BTreeMap<String, usize> = BTreeMap::new();
    for line in &journals.github {
        let record = &line.value;
        if record.kind != "request" || record.actor.as_deref() != Some(bot) {
            continue;
        }
        for booking in bookings(record) {
            match booking {
                Booking::Made { kind, name, known } => {
                    let known = match known {
                        Known::No => None,
                        Known::Label => Some(&mut labels),
                        Known::Branch => Some(&mut branches),
                    };
                    if let Some(known) = known {
                        if known.contains_key(&name) {
                            continue;
                        }
                        known.insert(name.clone(), entries.len());
                    }
                    entries.push(entry(journals, line, kind, name));
                }
                Booking::LabelGone { name } => {
                    if let Some(index) = labels.remove(&name) {
                        entries[index].deleted = Some(line.pointer());
                        entries[index].kept = None;
                    }
                }
            }
        }
    }
    entries
}

enum Known {
    No,
    Label,
    Branch,
}

enum Booking {
    Made {
        kind: &'static str,
        name: String,
        known: Known,
    },
    LabelGone {
        name: String,
    },
}

fn bookings(record: &GithubRecord) -> Vec<Booking> {
    let (Some(method), Some(path), Some(status), Some(repository)) = (
        record.method.as_deref(),
        record.path.as_deref(),
        record.status,
        record.repository_name(),
    ) else {
        return Vec::new();
    };
    if !(200..300).contains(&status) {
        return Vec::new();
    }
    if method == "POST" && path.ends_with("/git-receive-pack") {
        let branch = record.text("/ref").unwrap_or("branches pushed by the bot");
        return vec![Booking::Made {
            kind: "Branch",
            name: format!("{repository} {branch}"),
            known: Known::Branch,
        }];
    }
    let path = path.split('?').next().unwrap_or(path);
    let path = path.strip_prefix(API_PREFIX).unwrap_or(path);
    let parts: Vec<&str> = path.trim_matches('/').split('/').skip(3).collect();
    let made = |kind, name| Booking::Made {
        kind,
        name,
        known: Known::No,
    };
    match (method, parts.as_slice()) {
        ("POST", ["issues", number, "comments"]) => vec![made(
            "Comment",
            format!("{repository}#{number} comment {}", record.seq),
        )],
        ("POST", ["issues", "comments", id, "reactions"]) => {
            vec![made("Reaction", format!("{repository} comment {id} reaction {}", record.seq))]
        }
        ("POST", ["issues", number, "reactions"]) => {
            vec![made("Reaction", format!("{repository}#{number} reaction {}", record.seq))]
        }
        ("POST", ["pulls"]) => {
            vec![made("PullRequest", format!("{repository} pull request {}", record.seq))]
        }
        ("POST", ["issues", number, "labels"]) => record
            .field("/labels")
            .and_then(|labels| labels.as_array())
            .map(|labels| {
                labels
                    .iter()
                    .filter_map(|label| label.as_str().or_else(|| label["name"].as_str()))
                    .map(|label| Booking::Made {
                        kind: "Label",
                        name: format!("{repository}#{number} {label}"),
                        known: Known::Label,
                    })
                    .collect()
            })
            .unwrap_or_default(),
        ("DELETE", ["issues", number, "labels", label]) => vec![Booking::LabelGone {
            name: format!("{repository}#{number} {}", decoded(label)),
        }],
        _ => Vec::new(),
    }
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

fn decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = (bytes[index] == b'%')
            .then(|| segment.get(index + 1..index + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(escaped.unwrap_or(bytes[index]));
        index += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

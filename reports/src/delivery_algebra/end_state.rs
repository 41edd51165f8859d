//! How the world looks when a play is over, without ids and times: two plays of one scenario can be compared.
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// All that a play leaves behind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndState {
    /// Issues and pull requests by number.
    pub threads: BTreeMap<u64, Thread>,
    /// Runs, sorted.
    pub runs: Vec<RunEnd>,
    /// Triggers that the platform refused with a reason that is on record, sorted.
    pub refusals: Vec<Refusal>,
}

/// An Issue or a pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// `open`, `closed` or `merged`.
    pub state: String,
    /// Labels.
    pub labels: BTreeSet<String>,
    /// What its comments say, sorted: in which order they came is the platform's affair.
    pub comments: Vec<String>,
    /// Reactions, sorted.
    pub reactions: Vec<String>,
    /// The head of a pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
}

/// The head of a pull request. Its commit depends on the time; its size does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Branch.
    pub branch: String,
    /// Number of commits.
    pub commits: u64,
    /// Number of changed files.
    pub changed_files: u64,
}

/// A run and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunEnd {
    /// Issue.
    pub issue: Option<u64>,
    /// Pull request.
    pub pull_request: Option<u64>,
    /// Kind, such as `dev`.
    pub kind: String,
    /// Trigger label.
    pub label: String,
    /// What triggered it, such as `issue_label`.
    pub source: String,
    /// Status.
    pub status: String,
    /// Why it failed or was cancelled.
    pub reason: Option<String>,
}

/// A delivery that the platform refused, with the reason that its records hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// Thread.
    pub thread: Option<u64>,
    /// What the delivery told, such as `issues.labeled run:dev`.
    pub delivery: String,
    /// The reason (L-42).
    pub reason: String,
}

impl EndState {
    /// In one line: what a table shows.
    #[must_use]
    pub fn summary(&self) -> String {
        let runs: Vec<String> = self.runs.iter().map(RunEnd::summary).collect();
        let threads: Vec<String> = self
            .threads
            .iter()
            .map(|(number, thread)| {
                let labels: Vec<&str> = thread.labels.iter().map(String::as_str).collect();
                format!("#{number} {} [{}]", thread.state, labels.join(", "))
            })
            .collect();
        let refusals: Vec<String> = self
            .refusals
            .iter()
            .map(|refusal| format!("{}: {}", refusal.delivery, refusal.reason))
            .collect();
        format!(
            "threads: {}; runs: {}; refusals: {}",
            listed(&threads),
            listed(&runs),
            listed(&refusals)
        )
    }
}

impl RunEnd {
    /// In a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        let number = |number: Option<u64>| {
            number.map_or_else(|| "-".to_owned(), |number| format!("#{number}"))
        };
        format!(
            "{} by {} ({}) on Issue {}, pull request {}: {}{}",
            self.kind,
            self.source,
            self.label,
            number(self.issue),
            number(self.pull_request),
            self.status,
            self.reason
                .as_deref()
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default()
        )
    }
}

fn listed(items: &[String]) -> String {
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}

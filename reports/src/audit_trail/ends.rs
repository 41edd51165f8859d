//! What was begun and how often it was ended.
use std::collections::BTreeMap;

use serde_json::Value;

use super::Flaw;

/// Final events of a request for approval; `approved` is on the way to one of them.
const DECIDED: [&str; 4] = [
    "approval.applied",
    "approval.denied",
    "approval.expired",
    "approval.failed",
];

/// What was counted, so that nobody takes an empty journal for a whole one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// `mcp.tool.called`.
    pub calls: usize,
    /// `approval.requested`.
    pub requests: usize,
    /// `run.wait.paused`.
    pub pauses: usize,
    /// What has no end, or two.
    pub flaws: Vec<Flaw>,
}

#[derive(Default)]
struct Count {
    first: usize,
    begun: usize,
    ended: usize,
}

impl Count {
    fn begin(&mut self, index: usize) {
        if self.begun == 0 {
            self.first = index;
        }
        self.begun += 1;
    }
}

/// One follow-up per call of a tool, one final event per request, one resume or else the end of the run per pause
/// (G-131), in a journal after which nothing more is to come.
pub fn ends(events: &[&Value]) -> Ends {
    let mut calls: BTreeMap<(String, String), Count> = BTreeMap::new();
    let mut requests: BTreeMap<String, Count> = BTreeMap::new();
    let mut pauses: BTreeMap<String, (Count, bool)> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        let name = event["event_type"].as_str().unwrap_or_default();
        let run = event["run_id"].as_str().unwrap_or_default().to_owned();
        let call = || (run.clone(), event["payload"]["tool"].to_string());
        let request = || event["payload"]["request_id"].to_string();
        match name {
            "mcp.tool.called" => calls.entry(call()).or_default().begin(index),
            // The end of no call: somebody tried to carry out what nobody had approved (G-80).
            "mcp.tool.failed" if event["payload"]["reason"] == "approval_missing" => {}
            "mcp.tool.succeeded" | "mcp.tool.failed" | "mcp.tool.approval_pending" => {
                calls.entry(call()).or_default().ended += 1;
            }
            "approval.requested" => requests.entry(request()).or_default().begin(index),
            _ if DECIDED.contains(&name) => requests.entry(request()).or_default().ended += 1,
            "run.wait.paused" => pauses.entry(run).or_default().0.begin(index),
            "run.wait.resumed" => pauses.entry(run).or_default().0.ended += 1,
            "run.succeeded" | "run.canceled" => pauses.entry(run).or_default().1 = true,
            _ if name == "run.failed" || name.starts_with("run.failed.") => {
                pauses.entry(run).or_default().1 = true;
            }
            _ => {}
        }
    }
    let mut found = Ends {
        calls: calls.values().map(|count| count.begun).sum(),
        requests: requests.values().map(|count| count.begun).sum(),
        pauses: pauses.values().map(|(count, _)| count.begun).sum(),
        flaws: Vec::new(),
    };
    let mut flaw = |subject: String, count: &Count, of: &str| {
        found.flaws.push(Flaw {
            subject,
            problem: format!("{} {of} and {} ends", count.begun, count.ended),
            index: count.first,
        });
    };
    for ((run, tool), count) in &calls {
        if count.begun != count.ended {
            flaw(format!("calls of {tool} by run {run}"), count, "calls");
        }
    }
    for (request, count) in &requests {
        if (count.begun, count.ended) != (1, 1) {
            flaw(format!("request {request}"), count, "requests");
        }
    }
    for (run, (count, is_over)) in &pauses {
        let open = count.begun > count.ended && !is_over;
        if open || count.ended > count.begun {
            flaw(format!("waits of run {run}"), count, "pauses");
        }
    }
    found
}

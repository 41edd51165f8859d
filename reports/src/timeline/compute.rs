//! Joins delivery, events and run row of each run.
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::journals::{Journals, LaneSlices, Line, field_text, field_time};

/// One point of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// `delivery`, `decision`, `claim`, `namespace`, `job`, `agent`, `pull request`, `end`, `labels`, `cleanup`.
    pub name: &'static str,
    /// Platform time.
    pub at: DateTime<Utc>,
    /// Time since the hop before.
    pub since_before_ms: u64,
    /// Journal line.
    pub source: String,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunTimeline {
    /// Id.
    pub run_id: String,
    /// Scenario that it belongs to.
    pub scenario: Option<String>,
    /// Instance that ran it.
    pub instance: String,
    /// Label that started it.
    pub trigger_label: String,
    /// Repository and thread.
    pub thread: String,
    /// Status at the end.
    pub status: String,
    /// Pull request number.
    pub pr_number: Option<i64>,
    /// Points in order of time.
    pub hops: Vec<Hop>,
    /// Gaps: what should be there and is not.
    pub gaps: Vec<&'static str>,
}

/// All runs, and events that belong to none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timelines {
    /// Every run.
    pub runs: Vec<RunTimeline>,
    /// Journal lines of events whose run is not there.
    pub orphans: Vec<String>,
}

/// First event of each point, in causal order.
const HOPS: [(&str, &[&str]); 9] = [
    ("decision", &["run.enqueued"]),
    ("claim", &["run.profile.resolved"]),
    ("namespace", &["run.namespace.prepared"]),
    ("job", &["run.started"]),
    ("agent", &["run.agent.started"]),
    ("pull request", &["run.pr.created", "run.pr.updated"]),
    (
        "end",
        &[
            "run.succeeded",
            "run.failed",
            "run.failed.job_not_found",
            "run.failed.launch_error",
            "run.failed.precondition",
            "run.failed.timeout",
            "run.canceled",
        ],
    ),
    ("labels", &["label.applied"]),
    (
        "cleanup",
        &[
            "run.namespace.cleaned",
            "run.namespace.cleanup_skipped",
            "run.namespace.delete_by_system",
            "run.namespace.delete_by_staff",
        ],
    ),
];

/// Builds the timelines of all lanes.
pub fn compute(journals: &Journals) -> Timelines {
    let mut runs = Vec::new();
    let mut orphans = Vec::new();
    for (instance, lane) in &journals.lanes {
        let known: BTreeSet<&str> = lane
            .runs
            .iter()
            .map(|line| field_text(&line.value, "id"))
            .collect();
        orphans.extend(
            lane.events
                .iter()
                .filter(|line| {
                    let run = field_text(&line.value, "run_id");
                    !run.is_empty() && !known.contains(run)
                })
                .map(Line::pointer),
        );
        for row in &lane.runs {
            runs.push(timeline(journals, instance, lane, row));
        }
    }
    Timelines { runs, orphans }
}

fn timeline(
    journals: &Journals,
    instance: &str,
    lane: &LaneSlices,
    row: &Line<serde_json::Value>,
) -> RunTimeline {
    let id = field_text(&row.value, "id");
    let correlation = field_text(&row.value, "correlation_id");
    let repository = field_text(&row.value, "repository_full_name");
    let mut points: Vec<(&'static str, DateTime<Utc>, String)> = Vec::new();
    let delivery = lane.deliveries.iter().find(|line| {
        field_text(&line.value, "delivery_id") == correlation
            || field_text(&line.value, "run_id") == id
    });
    if let Some(line) = delivery
        && let Some(at) =
            field_time(&line.value["received_at"]).or_else(|| field_time(&line.value["created_at"]))
    {
        points.push(("delivery", at, line.pointer()));
    }
    let end = HOPS[6].1;
    let ended_at = lane.events.iter().position(|line| {
        field_text(&line.value, "run_id") == id
            && end.contains(&field_text(&line.value, "event_type"))
    });
    for (name, types) in HOPS {
        let found = lane.events.iter().enumerate().find(|(index, line)| {
            field_text(&line.value, "run_id") == id
                && types.contains(&field_text(&line.value, "event_type"))
                // Labels that were set before the run ended are causes, not results.
                && (name != "labels" || ended_at.is_some_and(|end| *index >= end))
        });
        if let Some((_, line)) = found
            && let Some(at) = field_time(&line.value["created_at"])
        {
            points.push((name, at, line.pointer()));
        }
    }
    points.sort_by_key(|(_, at, _)| *at);
    let gaps = gaps(row, &points);
    let mut before: Option<DateTime<Utc>> = None;
    let hops = points
        .into_iter()
        .map(|(name, at, source)| {
            let since = before.map_or(0, |before| (at - before).num_milliseconds());
            before = Some(at);
            Hop {
                name,
                at,
                since_before_ms: u64::try_from(since).unwrap_or(0),
                source,
            }
        })
        .collect();
    let number = row.value["issue_number"].as_i64();
    RunTimeline {
        run_id: id.to_owned(),
        scenario: journals
            .scenario_of_run(id, repository)
            .map(|result| result.key.scenario.clone()),
        instance: instance.to_owned(),
        trigger_label: field_text(&row.value, "trigger_label").to_owned(),
        thread: number.map_or(repository.to_owned(), |number| {
            format!("{repository}#{number}")
        }),
        status: field_text(&row.value, "status").to_owned(),
        pr_number: row.value["pr_number"].as_i64(),
        hops,
        gaps,
    }
}

/// Hops that a run of its kind must have.
fn gaps(
    row: &Line<serde_json::Value>,
    points: &[(&'static str, DateTime<Utc>, String)],
) -> Vec<&'static str> {
    let status = field_text(&row.value, "status");
    let mut wanted = vec!["decision"];
    if matches!(
        field_text(&row.value, "trigger_source"),
        "issue_label"
            | "issue_comment"
            | "pull_request_label"
            | "pull_request_review"
            | "push_main"
    ) {
        wanted.insert(0, "delivery");
    }
    if matches!(status, "succeeded" | "failed" | "canceled") {
        wanted.push("end");
    }
    if status == "succeeded" && row.value["deploy_only"] != true {
        wanted.extend(["claim", "job", "agent"]);
        if field_text(&row.value, "runtime_mode") == "full-env" {
            wanted.push("namespace");
        }
    }
    wanted.retain(|name| !points.iter().any(|(seen, ..)| seen == name));
    wanted
}

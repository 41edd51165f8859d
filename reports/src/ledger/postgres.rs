//! Bookings from the database slices: slots and run leases.
use super::Entry;
use crate::journals::{Journals, Line, field_text, field_time};

pub(super) fn entries(journals: &Journals) -> Vec<Entry> {
    let mut entries = Vec::new();
    for lane in journals.lanes.values() {
        for event in lane.events_of("run.started") {
            let run = field_text(&event.value, "run_id");
            let slot = event.value["payload"]["slot_no"].as_i64().unwrap_or(0);
            let row = lane
                .runs
                .iter()
                .find(|line| field_text(&line.value, "id") == run);
            let mut make = |kind: &str, name: String, held: Option<&Line<serde_json::Value>>| {
                let terminal = row.filter(|line| !line.value["finished_at"].is_null());
                let kept = held
                    .filter(|_| terminal.is_none())
                    .map(|_| "lease_not_over".to_owned());
                entries.push(Entry {
                    kind: kind.to_owned(),
                    name,
                    account: account(journals, run, row),
                    created_by: field_text(&event.value, "actor_id").to_owned(),
                    created_at: field_time(&event.value["created_at"]),
                    created: event.pointer(),
                    deleted: match held {
                        Some(_) => None,
                        None => terminal.map(Line::pointer),
                    },
                    kept,
                });
            };
            if slot > 0 {
                let held = lane
                    .slots
                    .iter()
                    .find(|line| field_text(&line.value, "lease_owner") == run);
                make("Slot", format!("slot {slot} of run {run}"), held);
            }
            let held = row.filter(|line| !field_text(&line.value, "lease_owner").is_empty());
            make("RunLease", format!("lease of run {run}"), held);
        }
    }
    entries
}

fn account(journals: &Journals, run: &str, row: Option<&Line<serde_json::Value>>) -> String {
    let repository = row.map_or("", |line| field_text(&line.value, "repository_full_name"));
    journals
        .scenario_of_run(run, repository)
        .map_or("unknown".to_owned(), |result| result.key.scenario.clone())
}

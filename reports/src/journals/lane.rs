//! Slices of one instance's database, one JSON object per row and line.
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Line;

/// The tables that are exported of every lane.
#[derive(Debug, Clone, Default)]
pub struct LaneSlices {
    /// `agent_runs`.
    pub runs: Vec<Line<Value>>,
    /// `flow_events`, in id order.
    pub events: Vec<Line<Value>>,
    /// `webhook_deliveries`.
    pub deliveries: Vec<Line<Value>>,
    /// `outbox_effects`.
    pub effects: Vec<Line<Value>>,
    /// `namespace_leases`.
    pub leases: Vec<Line<Value>>,
    /// `slots`.
    pub slots: Vec<Line<Value>>,
}

impl LaneSlices {
    /// The list that a table's file is read into.
    pub(super) fn table(&mut self, name: &str) -> Option<&mut Vec<Line<Value>>> {
        match name {
            "agent_runs" => Some(&mut self.runs),
            "flow_events" => Some(&mut self.events),
            "webhook_deliveries" => Some(&mut self.deliveries),
            "outbox_effects" => Some(&mut self.effects),
            "namespace_leases" => Some(&mut self.leases),
            "slots" => Some(&mut self.slots),
            _ => None,
        }
    }

    /// Events of a type.
    pub fn events_of<'a>(&'a self, event_type: &'a str) -> impl Iterator<Item = &'a Line<Value>> {
        self.events
            .iter()
            .filter(move |line| line.value["event_type"] == event_type)
    }

    /// The latest platform time that the slices know of.
    pub fn latest(&self) -> Option<DateTime<Utc>> {
        self.events
            .iter()
            .filter_map(|line| time(&line.value["created_at"]))
            .max()
    }
}

/// A time as Postgres or RFC 3339 writes it.
pub(crate) fn time(value: &Value) -> Option<DateTime<Utc>> {
    let text = value.as_str()?;
    text.parse()
        .ok()
        .or_else(|| {
            DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z")
                .ok()
                .map(Into::into)
        })
        .or_else(|| {
            DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z")
                .ok()
                .map(Into::into)
        })
}

/// Text of a field, empty when absent.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

//! Label coverage from the journals (E-25): a cell needs GitHub's journal and the database slices to agree.
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journals::{Journals, LabelChange, LaneSlices, Line, field_text};
use crate::spec::{CellKind, Label, LabelCell, LabelGroup, Specification};

/// State of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// The journals show it.
    Proven,
    /// The journals do not show it, or only half of it.
    Open,
}

/// One cell in this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportedCell {
    /// What must be seen.
    pub kind: CellKind,
    /// Rule that says what follows.
    pub rule: String,
    /// State.
    pub state: CellState,
    /// Journal lines that show it.
    pub evidence: Vec<String>,
    /// What is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One label in this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelRow {
    /// Canonical name.
    pub label: String,
    /// Group.
    pub group: LabelGroup,
    /// Cells that it has.
    pub cells: Vec<ReportedCell>,
}

/// All labels in this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelCoverage {
    /// Cells of all labels.
    pub cells: usize,
    /// Cells that are proven.
    pub proven: usize,
    /// Every label of the catalogue.
    pub labels: Vec<LabelRow>,
    /// Labels seen that are not in the catalogue.
    pub foreign: Vec<String>,
}

pub(super) fn compute(journals: &Journals, specification: &Specification) -> LabelCoverage {
    let labels: Vec<LabelRow> = specification
        .labels
        .iter()
        .map(|label| LabelRow {
            label: label.name.clone(),
            group: label.group,
            cells: label
                .cells
                .iter()
                .map(|cell| reported(journals, label, cell))
                .collect(),
        })
        .collect();
    let mut foreign: Vec<String> = journals
        .github
        .iter()
        .filter_map(|line| line.value.label_change())
        .map(|(_, label)| label.to_owned())
        .filter(|seen| {
            !specification
                .labels
                .iter()
                .any(|known| same(&known.name, seen))
        })
        .collect();
    foreign.sort();
    foreign.dedup();
    let cells = || labels.iter().flat_map(|label| &label.cells);
    LabelCoverage {
        cells: cells().count(),
        proven: cells()
            .filter(|cell| cell.state == CellState::Proven)
            .count(),
        labels,
        foreign,
    }
}

/// What was found for a cell: journal lines, or what is missing.
type Found = Result<Vec<String>, &'static str>;

fn reported(journals: &Journals, label: &Label, cell: &LabelCell) -> ReportedCell {
    let found = match cell.kind {
        CellKind::Effect => effect(journals, label),
        CellKind::RefusedActor => refused(journals, label, cell),
        CellKind::ConflictOrGuard => conflict(journals, label, cell),
        CellKind::Removal => removal(journals, label),
    };
    let (state, evidence, reason) = match found {
        Ok(evidence) => (CellState::Proven, evidence, None),
        Err(reason) => (CellState::Open, Vec::new(), Some(reason.to_owned())),
    };
    ReportedCell {
        kind: cell.kind,
        rule: cell.rule.clone(),
        state,
        evidence,
        reason,
    }
}

fn effect(journals: &Journals, label: &Label) -> Found {
    let set =
        world(journals, label, LabelChange::Added).ok_or("GitHub's journal never shows it set")?;
    let by_lane =
        |find: &dyn Fn(&LaneSlices) -> Option<String>| journals.lanes.values().find_map(find);
    let followed = match label.group {
        LabelGroup::Trigger => by_lane(&|lane| {
            lane.runs
                .iter()
                .find(|line| {
                    same(field_text(&line.value, "trigger_label"), &label.name)
                        && field_text(&line.value, "trigger_source") == "issue_label"
                        && field_text(&line.value, "status") == "succeeded"
                })
                .map(Line::pointer)
        })
        .ok_or("no run that this label started on an Issue succeeded")?,
        LabelGroup::Model | LabelGroup::Reasoning => {
            let (value, source) = match label.group {
                LabelGroup::Model => ("model", "model_source"),
                _ => ("reasoning_effort", "reasoning_source"),
            };
            by_lane(&|lane| {
                lane.events_of("run.profile.resolved")
                    .find(|line| {
                        let payload = &line.value["payload"];
                        payload[value].as_str() == label.configured_value()
                            && payload[source]
                                .as_str()
                                .is_some_and(|source| source.ends_with("_label"))
                    })
                    .map(Line::pointer)
            })
            .ok_or("no run resolved its profile from this label")?
        }
        LabelGroup::Modifier if label.name == "run:debug" => by_lane(&|lane| {
            lane.events_of("run.namespace.cleanup_skipped")
                .find(|line| line.value["payload"]["reason"] == "debug_label_present")
                .map(Line::pointer)
        })
        .ok_or("no clean-up was skipped for it")?,
        LabelGroup::Modifier => by_lane(&|lane| {
            lane.runs
                .iter()
                .find(|line| line.value["discussion_mode"] == true)
                .map(Line::pointer)
        })
        .ok_or("no discussion run was started")?,
        LabelGroup::State | LabelGroup::Need => guard_or_state(journals, label)?,
    };
    Ok(vec![set, followed])
}

/// Effects of section 1.3: a state that a run set, or a guard that the label closes.
fn guard_or_state(journals: &Journals, label: &Label) -> Result<String, &'static str> {
    let ignored = |reason: &str| {
        journals.lanes.values().find_map(|lane| {
            lane.events_of("webhook.ignored")
                .find(|line| line.value["payload"]["reason"] == reason)
                .map(Line::pointer)
        })
    };
    match label.name.as_str() {
        "state:blocked" => ignored("issue_state_blocked").ok_or("no trigger was refused for it"),
        "state:abandoned" => {
            ignored("issue_state_abandoned").ok_or("no trigger was refused for it")
        }
        "need:input" => ignored("issue_need_input_open").ok_or("no trigger was refused for it"),
        "state:in-review" | "state:superseded" | "state:approved" => {
            applied(journals, label, "add", |payload| {
                payload["source"] == "system"
            })
            .ok_or("the platform never set it")
        }
        // L-85: an open role label stands in the way of acceptance.
        _ => obstacle(journals, label).ok_or("no approval was refused for it"),
    }
}

/// An approval that was taken back while the thread bore this label.
fn obstacle(journals: &Journals, label: &Label) -> Option<String> {
    journals.lanes.values().find_map(|lane| {
        lane.events_of("label.rejected")
            .find(|line| {
                let payload = &line.value["payload"];
                payload["reason"] == "need_label_open" && holds(&payload["before"], label)
            })
            .map(Line::pointer)
    })
}

fn holds(list: &Value, label: &Label) -> bool {
    list.as_array().is_some_and(|list| {
        list.iter()
            .any(|item| item.as_str().is_some_and(|seen| same(seen, &label.name)))
    })
}

fn refused(journals: &Journals, label: &Label, cell: &LabelCell) -> Found {
    if matches!(cell.rule.as_str(), "L-16" | "L-17") {
        return refused_agent(journals, label);
    }
    if cell.rule == "L-76" {
        return refused_approval(journals, label);
    }
    let refusal = |wanted: &dyn Fn(&str) -> bool| {
        journals.lanes.values().find_map(|lane| {
            lane.events_of("webhook.ignored")
                .find(|line| {
                    let payload = &line.value["payload"];
                    payload["label"]
                        .as_str()
                        .is_some_and(|seen| same(seen, &label.name))
                        && payload["reason"].as_str().is_some_and(wanted)
                })
                .map(Line::pointer)
        })
    };
    let bot = refusal(&|reason| reason == "sender_type_bot_not_permitted");
    let outsider = refusal(&|reason| {
        reason.starts_with("sender_") && reason != "sender_type_bot_not_permitted"
    });
    match (bot, outsider) {
        (Some(bot), Some(outsider)) => Ok(vec![bot, outsider]),
        (Some(_), None) => Err("refused for a bot, not yet for an outsider"),
        (None, Some(_)) => Err("refused for an outsider, not yet for a bot"),
        (None, None) => Err("refused for nobody yet"),
    }
}

/// L-16, L-17: an agent asked its tools for the label, and the platform never applied it for an agent.
fn refused_agent(journals: &Journals, label: &Label) -> Found {
    let by_agent = |payload: &Value| payload["source"] == "mcp";
    if applied(journals, label, "add", by_agent).is_some() {
        return Err("it was applied for an agent");
    }
    journals
        .lanes
        .values()
        .find_map(|lane| {
            lane.events_of("label.rejected")
                .find(|line| {
                    let payload = &line.value["payload"];
                    same(field_text(payload, "label"), &label.name)
                        && payload["reason"] == "label_not_allowed"
                        && payload["op"] == "add"
                        && by_agent(payload)
                })
                .map(Line::pointer)
        })
        .map(|pointer| vec![pointer])
        .ok_or("refused to no agent yet")
}

/// L-76: a bot's and an outsider's approval, each taken back.
fn refused_approval(journals: &Journals, label: &Label) -> Found {
    let by = |is_bot: bool| {
        journals.lanes.values().find_map(|lane| {
            lane.events_of("label.rejected")
                .find(|line| {
                    let payload = &line.value["payload"];
                    // GitHub ends the login of a bot so.
                    same(field_text(payload, "label"), &label.name)
                        && payload["reason"] == "state_approval_not_permitted"
                        && field_text(payload, "applied_by").ends_with("[bot]") == is_bot
                })
                .map(Line::pointer)
        })
    };
    match (by(true), by(false)) {
        (Some(bot), Some(human)) => Ok(vec![bot, human]),
        (Some(_), None) => Err("taken back from a bot, not yet from a human"),
        (None, Some(_)) => Err("taken back from a human, not yet from a bot"),
        (None, None) => Err("taken back from nobody yet"),
    }
}

fn conflict(journals: &Journals, label: &Label, cell: &LabelCell) -> Found {
    let names = |value: &Value| holds(value, label);
    match cell.rule.as_str() {
        // The exclusive states: the platform took this one away for another.
        "L-75" => {
            return applied(journals, label, "remove", |payload| {
                payload["source"] == "system"
            })
            .map(|pointer| vec![pointer])
            .ok_or("no other state displaced it");
        }
        "L-85" => {
            return obstacle(journals, label)
                .map(|pointer| vec![pointer])
                .ok_or("no approval was refused for it");
        }
        "L-34" => {
            let found = journals.lanes.values().find_map(|lane| {
                lane.events_of("webhook.ignored")
                    .find(|line| {
                        let payload = &line.value["payload"];
                        same(field_text(payload, "label"), &label.name)
                            && payload["reason"] == "discussion_mode_trigger_label_conflict"
                    })
                    .map(Line::pointer)
            });
            return found
                .map(|pointer| vec![pointer])
                .ok_or("no conflict was seen with it");
        }
        _ => {}
    }
    let found = journals.lanes.values().find_map(|lane| {
        let found = match label.group {
            LabelGroup::Model | LabelGroup::Reasoning => lane
                .events_of("run.failed.precondition")
                .find(|line| field_text(&line.value["payload"], "error").contains(&label.name)),
            _ => lane.events_of("webhook.ignored").find(|line| {
                let payload = &line.value["payload"];
                field_text(payload, "reason").ends_with("trigger_label_conflict")
                    && names(&payload["conflicting_labels"])
            }),
        };
        found.map(Line::pointer)
    });
    found
        .map(|pointer| vec![pointer])
        .ok_or("no conflict or guard was seen with it")
}

fn removal(journals: &Journals, label: &Label) -> Found {
    let gone = world(journals, label, LabelChange::Removed)
        .ok_or("GitHub's journal never shows it removed")?;
    let recorded = applied(journals, label, "remove", |_| true)
        .ok_or("no label.applied records the removal")?;
    Ok(vec![gone, recorded])
}

fn applied(
    journals: &Journals,
    label: &Label,
    operation: &str,
    matches: impl Fn(&Value) -> bool,
) -> Option<String> {
    journals.lanes.values().find_map(|lane| {
        lane.events_of("label.applied")
            .find(|line| {
                let payload = &line.value["payload"];
                payload["op"] == operation
                    && same(field_text(payload, "label"), &label.name)
                    && matches(payload)
            })
            .map(Line::pointer)
    })
}

fn world(journals: &Journals, label: &Label, change: LabelChange) -> Option<String> {
    journals
        .github
        .iter()
        .find(|line| {
            line.value
                .label_change()
                .is_some_and(|(seen, name)| seen == change && same(name, &label.name))
        })
        .map(Line::pointer)
}

/// Names compare trimmed and case-insensitively, brackets are optional (L-2).
fn same(a: &str, b: &str) -> bool {
    let bare = |name: &str| {
        name.trim()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_lowercase()
    };
    bare(a) == bare(b)
}

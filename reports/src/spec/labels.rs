//! The label catalogue and the cells that E-25 asks for, derived from the tables of `labels-and-stages.md` 1.
use serde::{Deserialize, Serialize};

use super::SpecError;
use super::text::{SpecText, code_words, section, table_cells};

/// Group of a label, as in L-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelGroup {
    /// Starts a stage-run (1.1).
    Trigger,
    /// `run:debug`, `mode:discussion` (1.2).
    Modifier,
    /// `state:*` (1.3).
    State,
    /// `need:*` (1.3).
    Need,
    /// `[ai-model-*]` (1.4).
    Model,
    /// `[ai-reasoning-*]` (1.4).
    Reasoning,
}

/// What must be seen of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellKind {
    /// Set by a permitted human, and the rule's effect followed.
    Effect,
    /// Refused or ignored for a bot and for an outsider.
    RefusedActor,
    /// In conflict with another label, or stopped by a guard.
    ConflictOrGuard,
    /// Removed.
    Removal,
}

impl CellKind {
    /// All kinds, in the order of the report.
    pub const ALL: [Self; 4] = [
        Self::Effect,
        Self::RefusedActor,
        Self::ConflictOrGuard,
        Self::Removal,
    ];

    /// The words used in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Effect => "effect seen",
            Self::RefusedActor => "refused actor",
            Self::ConflictOrGuard => "conflict or guard",
            Self::Removal => "removal",
        }
    }
}

/// One cell that a label has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LabelCell {
    /// What must be seen.
    pub kind: CellKind,
    /// Rule that says what follows.
    pub rule: String,
}

/// One label of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Canonical name.
    pub name: String,
    /// Group.
    pub group: LabelGroup,
    /// Stage of a trigger label, such as `doc-audit`.
    pub stage: Option<String>,
    /// Cells that it has.
    pub cells: Vec<LabelCell>,
}

impl Label {
    /// Kind of the runs that a trigger label starts (L-4).
    pub fn trigger_kind(&self) -> Option<String> {
        let name = self.name.strip_prefix("run:")?;
        (self.group == LabelGroup::Trigger).then(|| name.replace([':', '-'], "_"))
    }

    /// Value that a configuration label passes to the agent (1.4).
    pub fn configured_value(&self) -> Option<&str> {
        let bare = self.name.strip_prefix('[')?.strip_suffix(']')?;
        match bare.strip_prefix("ai-reasoning-") {
            Some("extra-high") => Some("xhigh"),
            Some(value) => Some(value),
            None => bare.strip_prefix("ai-model-"),
        }
    }
}

/// Sizes of the groups that L-1 states.
const EXPECTED: [(LabelGroup, usize); 6] = [
    (LabelGroup::Trigger, 28),
    (LabelGroup::Modifier, 2),
    (LabelGroup::State, 5),
    (LabelGroup::Need, 8),
    (LabelGroup::Model, 7),
    (LabelGroup::Reasoning, 4),
];

pub(super) fn read(text: &SpecText) -> Result<Vec<Label>, SpecError> {
    let chapter = text.chapter("labels-and-stages.md");
    let part = |heading: &str| {
        section(chapter, heading).ok_or_else(|| {
            SpecError::Disagreement(format!("labels-and-stages.md has no section {heading}"))
        })
    };
    let exclusive = exclusive_states(chapter);
    let mut labels = Vec::new();
    for cells in part("### 1.1")?.lines().filter_map(table_cells) {
        if cells.len() >= 9 && cells[0] != "Stage" {
            let names = [cells[1], cells[2]];
            for name in names.into_iter().flat_map(code_words) {
                labels.push(trigger(name, cells[0]));
            }
        }
    }
    for cells in part("### 1.2")?.lines().filter_map(table_cells) {
        if let [name] = code_words(cells[0])[..] {
            labels.push(modifier(name, &cells));
        }
    }
    for cells in part("### 1.3")?.lines().filter_map(table_cells) {
        if let ([name], true) = (&code_words(cells[0])[..], cells.len() == 4) {
            labels.push(service(name, cells[2], cells[3], &exclusive));
        }
    }
    for cells in part("### 1.4")?.lines().filter_map(table_cells) {
        let group = match cells[0] {
            "model" => LabelGroup::Model,
            "reasoning" => LabelGroup::Reasoning,
            _ => continue,
        };
        labels.extend(code_words(cells[1]).into_iter().map(|name| Label {
            name: name.to_owned(),
            group,
            stage: None,
            cells: vec![
                cell(CellKind::Effect, "L-14"),
                cell(CellKind::ConflictOrGuard, "L-15"),
                cell(CellKind::Removal, "L-19"),
            ],
        }));
    }
    for (group, number) in EXPECTED {
        let found = labels.iter().filter(|label| label.group == group).count();
        if found != number {
            return Err(SpecError::Disagreement(format!(
                "L-1 states {number} labels of the group {group:?}, the tables hold {found}"
            )));
        }
    }
    Ok(labels)
}

fn trigger(name: &str, stage: &str) -> Label {
    Label {
        name: name.to_owned(),
        group: LabelGroup::Trigger,
        stage: Some(stage.to_owned()),
        cells: vec![
            cell(CellKind::Effect, "L-6"),
            cell(CellKind::RefusedActor, "L-31"),
            cell(CellKind::ConflictOrGuard, "L-33"),
            cell(CellKind::Removal, "L-72"),
        ],
    }
}

fn modifier(name: &str, table: &[&str]) -> Label {
    // "diagnostic trigger" starts runs; "modifier, never a trigger" does not and conflicts with nothing (L-12).
    let starts = table[1].contains("trigger") && !table[1].contains("never");
    let cells = if starts {
        vec![
            cell(CellKind::Effect, "L-27"),
            cell(CellKind::RefusedActor, "L-31"),
            cell(CellKind::ConflictOrGuard, "L-34"),
            cell(CellKind::Removal, "L-107"),
        ]
    } else {
        vec![
            cell(CellKind::Effect, "L-10"),
            cell(CellKind::RefusedActor, "L-16"),
            cell(CellKind::Removal, "L-11"),
        ]
    };
    Label {
        name: name.to_owned(),
        group: LabelGroup::Modifier,
        stage: None,
        cells,
    }
}

fn service(name: &str, effect: &str, set_by: &str, exclusive: &[String]) -> Label {
    let group = if name.starts_with("state:") {
        LabelGroup::State
    } else {
        LabelGroup::Need
    };
    let rule = |word: &str| super::rules::rule_id(word).map(ToOwned::to_owned);
    let first_rule = effect
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .find_map(rule)
        .unwrap_or_else(|| "L-73".to_owned());
    let starts = effect.contains("starts a");
    let mut cells = vec![LabelCell {
        kind: CellKind::Effect,
        rule: first_rule,
    }];
    if starts {
        cells.push(cell(CellKind::RefusedActor, "L-31"));
    } else if set_by.contains("never") || !set_by.contains("agent") {
        cells.push(cell(
            CellKind::RefusedActor,
            if name == "state:approved" {
                "L-76"
            } else {
                "L-17"
            },
        ));
    }
    if exclusive.iter().any(|state| state == name) {
        cells.push(cell(CellKind::ConflictOrGuard, "L-75"));
    } else if starts {
        cells.push(cell(CellKind::ConflictOrGuard, "L-85"));
    }
    cells.push(cell(
        CellKind::Removal,
        match (group, name, starts) {
            (LabelGroup::State, "state:blocked", _) => "L-80",
            (LabelGroup::State, "state:abandoned", _) => "L-83",
            (LabelGroup::State, ..) => "L-75",
            (_, "need:input", _) => "L-84",
            (_, _, true) => "L-87",
            _ => "L-86",
        },
    ));
    Label {
        name: name.to_owned(),
        group,
        stage: None,
        cells,
    }
}

/// The states that L-75 says exclude each other.
fn exclusive_states(chapter: &str) -> Vec<String> {
    chapter
        .lines()
        .find(|line| line.starts_with("- **L-75**"))
        .and_then(|line| line.split("exclude each other").next())
        .map(code_words)
        .unwrap_or_default()
        .into_iter()
        .map(ToOwned::to_owned)
        .collect()
}

fn cell(kind: CellKind, rule: &str) -> LabelCell {
    LabelCell {
        kind,
        rule: rule.to_owned(),
    }
}

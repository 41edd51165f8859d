//! The label matrix: groups of labels, one cell per kind.
use super::words;
use crate::coverage::{CellState, LabelCoverage};
use crate::spec::{CellKind, LabelGroup};
use crate::verdict::Criteria;

/// One group of labels.
pub(super) struct Group {
    pub title: &'static str,
    pub proven: usize,
    pub cells: usize,
    pub rows: Vec<Row>,
}

/// One label.
pub(super) struct Row {
    pub label: String,
    pub cells: Vec<Cell>,
}

/// One cell; `none` when the label has no such cell.
pub(super) struct Cell {
    pub class: &'static str,
    pub glyph: &'static str,
    pub title: String,
    pub demanded: bool,
    pub link: String,
}

const GROUPS: [(LabelGroup, &str); 6] = [
    (LabelGroup::Trigger, "Trigger labels"),
    (LabelGroup::Modifier, "Modifiers"),
    (LabelGroup::State, "state:*"),
    (LabelGroup::Need, "need:*"),
    (LabelGroup::Model, "Model"),
    (LabelGroup::Reasoning, "Reasoning"),
];

pub(super) fn groups(coverage: &LabelCoverage, criteria: &Criteria) -> Vec<Group> {
    GROUPS
        .into_iter()
        .map(|(group, title)| {
            let labels = || {
                coverage
                    .labels
                    .iter()
                    .filter(move |label| label.group == group)
            };
            let cells = || labels().flat_map(|label| &label.cells);
            Group {
                title,
                proven: cells()
                    .filter(|cell| cell.state == CellState::Proven)
                    .count(),
                cells: cells().count(),
                rows: labels()
                    .map(|label| Row {
                        label: label.label.clone(),
                        cells: CellKind::ALL
                            .into_iter()
                            .map(|kind| {
                                let found = label.cells.iter().find(|cell| cell.kind == kind);
                                cell(found, criteria.demands_cell(&label.label, kind))
                            })
                            .collect(),
                    })
                    .collect(),
            }
        })
        .collect()
}

fn cell(found: Option<&crate::coverage::ReportedCell>, demanded: bool) -> Cell {
    let Some(cell) = found else {
        return Cell {
            class: "none",
            glyph: "",
            title: "the label has no such cell".into(),
            demanded: false,
            link: String::new(),
        };
    };
    let (class, glyph, title) = match cell.state {
        CellState::Proven => (
            "proven",
            "✓",
            format!("{}: {}", cell.rule, cell.evidence.join(", ")),
        ),
        CellState::Open => (
            "open",
            "○",
            format!(
                "{}: {}",
                cell.rule,
                cell.reason.as_deref().unwrap_or("open")
            ),
        ),
    };
    Cell {
        class,
        glyph,
        title,
        demanded,
        link: cell
            .evidence
            .first()
            .map(|pointer| words::file(pointer).to_owned())
            .unwrap_or_default(),
    }
}

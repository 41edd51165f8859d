//! The rows to be proven: what they must show (`gate.md` 1) and which scenarios bind them (`rows.md`).
use serde::Serialize;

use super::SpecError;
use super::scenarios::scenario_id;
use super::text::{SpecText, section, table_cells};

/// One row of the regression gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Id, such as `S2-1`.
    pub id: String,
    /// What must be shown.
    pub must_show: String,
    /// Main feature files, as the specification words them.
    pub features: String,
    /// Scenarios that bind it.
    pub scenarios: Vec<String>,
}

pub(super) fn read(text: &SpecText) -> Result<Vec<Row>, SpecError> {
    let mut rows = Vec::new();
    let gate = text.chapter("gate.md");
    for line in section(gate, "## 1.").unwrap_or_default().lines() {
        if let Some(cells) = table_cells(line).filter(|cells| is_row_id(cells[0])) {
            let [id, must_show, features] = cells[..] else {
                return Err(SpecError::Disagreement(format!(
                    "the row {} has not three cells",
                    cells[0]
                )));
            };
            rows.push(Row {
                id: id.to_owned(),
                must_show: must_show.to_owned(),
                features: features.to_owned(),
                scenarios: Vec::new(),
            });
        }
    }
    for (index, line) in text.chapter("rows.md").lines().enumerate() {
        let Some(cells) = table_cells(line).filter(|cells| is_row_id(cells[0])) else {
            continue;
        };
        let problem = |problem: String| SpecError::Line {
            chapter: "rows.md",
            line: index + 1,
            problem,
        };
        let [id, number, list] = cells[..] else {
            return Err(problem("a row has three cells".into()));
        };
        let row = rows
            .iter_mut()
            .find(|row| row.id == id)
            .ok_or_else(|| problem(format!("gate.md has no row {id}")))?;
        if !row.scenarios.is_empty() {
            return Err(problem(format!("{id} is bound twice")));
        }
        for word in list.split_whitespace() {
            match scenario_id(word) {
                Some((scenario, "")) => row.scenarios.push(scenario.to_owned()),
                _ => return Err(problem(format!("{word:?} is no scenario id"))),
            }
        }
        if number.parse() != Ok(row.scenarios.len()) {
            return Err(problem(format!(
                "{id} says {number} scenarios and lists {}",
                row.scenarios.len()
            )));
        }
    }
    if let Some(row) = rows.iter().find(|row| row.scenarios.is_empty()) {
        return Err(SpecError::Disagreement(format!(
            "rows.md binds no scenario to {}",
            row.id
        )));
    }
    Ok(rows)
}

fn is_row_id(cell: &str) -> bool {
    cell.strip_prefix("S2-")
        .or_else(|| cell.strip_prefix("S3-"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

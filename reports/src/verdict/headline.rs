//! The answer in one line: rows counted, waiting scenarios counted, the words of E-43.
use super::compute::{Counts, RowVerdict};
use super::finding::Outcome;
use crate::coverage::RowState;

pub(super) fn text(outcome: Outcome, counts: &Counts, rows: &[RowVerdict]) -> String {
    let mut text = match outcome {
        Outcome::Go => format!("GO for {} of {} rows", counts.rows_proven, counts.rows),
        other => format!(
            "{}: {} of {} rows proven",
            other.title(),
            counts.rows_proven,
            counts.rows
        ),
    };
    let parts: Vec<String> = rows
        .iter()
        .filter(|row| row.in_scope && row.state == RowState::ProvenInPart)
        .map(|row| match &row.words {
            Some(words) => format!("{} {words}", row.id),
            None => format!("{} in part", row.id),
        })
        .collect();
    if !parts.is_empty() {
        text += &format!(" ({})", parts.join(", "));
    }
    text + &format!(
        ", {} of {} scenarios passed, {} waiting, {} not run",
        counts.passed, counts.scenarios, counts.waiting, counts.not_run
    )
}

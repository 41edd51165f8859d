//! Tiles of the row matrix.
use crate::coverage::{RowCoverage, RowState};
use crate::verdict::Criteria;

/// One tile.
pub(super) struct Tile {
    pub id: String,
    pub must_show: String,
    pub class: &'static str,
    pub glyph: &'static str,
    pub words: String,
    pub in_scope: bool,
    pub passed: usize,
    pub bound: usize,
    pub parts: Vec<Part>,
    pub missing: String,
}

/// One coloured part of a tile's bar.
pub(super) struct Part {
    pub class: &'static str,
    pub percent: String,
}

pub(super) fn tiles(rows: &[RowCoverage], criteria: &Criteria) -> Vec<Tile> {
    rows.iter()
        .map(|row| {
            let in_scope = criteria.scope.rows.contains(&row.id);
            let (class, glyph, words) = match row.state {
                RowState::Failed => ("failed", "✕", "failed"),
                RowState::Proven if in_scope => ("proven", "✓", "proven"),
                RowState::ProvenInPart if in_scope => ("part", "◐", "proven in part"),
                RowState::Proven | RowState::ProvenInPart => ("open", "○", "not in scope"),
                RowState::NotProven => ("open", "○", "not proven"),
            };
            let bound = row.bound();
            let part = |class, number: usize| {
                (number > 0).then(|| Part {
                    class,
                    percent: format!("{:.2}", number as f64 * 100.0 / bound.max(1) as f64),
                })
            };
            let missing: Vec<&str> = [
                &row.failed,
                &row.waiting,
                &row.not_provable_here,
                &row.not_run,
            ]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
            Tile {
                id: row.id.clone(),
                must_show: row.must_show.clone(),
                class,
                glyph,
                words: match &row.words {
                    Some(own) if class == "part" => own.clone(),
                    _ => words.to_owned(),
                },
                in_scope,
                passed: row.passed.len(),
                bound,
                parts: [
                    part("passed", row.passed.len()),
                    part("failed", row.failed.len()),
                    part("waiting", row.waiting.len()),
                    part("elsewhere", row.not_provable_here.len()),
                ]
                .into_iter()
                .flatten()
                .collect(),
                missing: missing.join(" "),
            }
        })
        .collect()
}

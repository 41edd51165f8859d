//! The matrix as a table: a row for each transition and phase, a column for what the runs were.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{CellResult, CrashCell, CrashSweep};

/// Kills and reds of a cell.
type Counts = BTreeMap<(String, String), (usize, usize)>;

fn counts(cells: &[CrashCell]) -> (BTreeSet<String>, Counts) {
    let mut states = BTreeSet::new();
    let mut counts = Counts::new();
    for cell in cells {
        states.insert(cell.state.clone());
        let row = format!("{} {}", cell.phase, cell.point);
        let (kills, red) = counts.entry((row, cell.state.clone())).or_default();
        *kills += 1;
        *red += usize::from(cell.result == CellResult::Red);
    }
    (states, counts)
}

fn rows(counts: &Counts) -> BTreeSet<&str> {
    counts.keys().map(|(row, _)| row.as_str()).collect()
}

/// For a terminal: kills in each cell, with its reds.
#[must_use]
pub fn matrix_text(cells: &[CrashCell]) -> String {
    let (states, counts) = counts(cells);
    let width = rows(&counts)
        .iter()
        .map(|row| row.len())
        .max()
        .unwrap_or_default();
    let mut text = format!("{:<width$}", "killed");
    for state in &states {
        let _ = write!(text, "  {state:>10}");
    }
    text.push('\n');
    for row in rows(&counts) {
        let _ = write!(text, "{row:<width$}");
        for state in &states {
            let cell = match counts.get(&(row.to_owned(), state.clone())) {
                None => "·".to_owned(),
                Some((kills, 0)) => kills.to_string(),
                Some((kills, red)) => format!("{kills} ({red} red)"),
            };
            let column = state.chars().count().max(10);
            let _ = write!(text, "  {cell:>column$}");
        }
        text.push('\n');
    }
    text
}

/// Looks of the page; nothing is loaded from elsewhere.
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1b1f24;background:#fff}\
table{border-collapse:collapse;margin:1rem 0}th,td{border:1px solid #d0d7de;padding:.3rem .6rem;text-align:left}\
thead th{background:#f6f8fa}tbody th{font-weight:400;font-family:ui-monospace,monospace}\
.ok{background:#dafbe1}.red{background:#ffebe9;font-weight:600}li{margin:.3rem 0}";

/// The sweep as a page: its numbers, the matrix, and each red kill with what was wrong.
#[must_use]
pub fn matrix_html(sweep: &CrashSweep) -> String {
    let verdict = match (sweep.kills, sweep.red) {
        (0, _) => "Nobody was killed".to_owned(),
        (kills, 0) => format!("{kills} kills, none red"),
        (kills, red) => format!("{red} of {kills} kills red"),
    };
    let longest = sweep
        .takeover
        .max_ms
        .map_or_else(|| "-".to_owned(), |longest| format!("{longest} ms"));
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Crash sweep: {verdict}</title>\
         <style>{STYLE}</style></head><body><h1>{verdict}</h1>\
         <p>Seed {}, {} kills possible, {} takeovers, the longest {longest} after the dead owner's leases were over.</p>\
         <p>A row is a persisted transition, killed before or after it; a column is what the runs were then.</p>",
        sweep.seed, sweep.possible, sweep.takeover.count
    );
    html.push_str(&matrix_table(&sweep.cells));
    let red = sweep
        .cells
        .iter()
        .filter(|cell| cell.result == CellResult::Red);
    html.push_str("<ul>");
    for cell in red {
        let _ = write!(
            html,
            "<li><b>{} {} {} ({} in {}, while {})</b>: {}</li>",
            escaped(&cell.phase),
            escaped(&cell.point),
            cell.count,
            escaped(&cell.process),
            escaped(&cell.scenario),
            escaped(&cell.state),
            escaped(&cell.faults.join("; "))
        );
    }
    for (what, lines) in [
        ("not reached", &sweep.not_reached),
        ("left out", &sweep.left_out),
    ] {
        for line in lines {
            let _ = write!(html, "<li>{what}: {}</li>", escaped(line));
        }
    }
    html.push_str("</ul></body></html>");
    html
}

/// The matrix alone, as a table of a page.
#[must_use]
pub fn matrix_table(cells: &[CrashCell]) -> String {
    let (states, counts) = counts(cells);
    let mut html = String::from("<table><thead><tr><th>killed</th>");
    for state in &states {
        let _ = write!(html, "<th>{}</th>", escaped(state));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows(&counts) {
        let _ = write!(html, "<tr><th>{}</th>", escaped(row));
        for state in &states {
            let _ = match counts.get(&(row.to_owned(), state.clone())) {
                None => write!(html, "<td></td>"),
                Some((kills, 0)) => write!(html, "<td class=\"ok\">{kills} ok</td>"),
                Some((kills, red)) => write!(html, "<td class=\"red\">{red} of {kills} red</td>"),
            };
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(phase: &str, state: &str, result: CellResult) -> CrashCell {
        CrashCell {
            scenario: "SL-07".to_owned(),
            line: 1,
            point: "run.claim".to_owned(),
            phase: phase.to_owned(),
            count: 1,
            process: "worker-0".to_owned(),
            state: state.to_owned(),
            expected: String::new(),
            seen: String::new(),
            result,
            faults: Vec::new(),
            takeover_ms: None,
        }
    }

    #[test]
    fn a_red_kill_is_seen_in_its_cell() {
        let cells = [
            cell("after", "running", CellResult::Ok),
            cell("after", "running", CellResult::Red),
            cell("before", "pending", CellResult::Ok),
        ];
        let text = matrix_text(&cells);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect()
            })
            .collect();
        assert_eq!(
            rows,
            [
                vec!["killed", "pending", "running"],
                vec!["after run.claim", "·", "2 (1 red)"],
                vec!["before run.claim", "1", "·"],
            ]
        );
        let sweep = CrashSweep::new(1, 3, cells.to_vec(), Vec::new(), vec!["a < b".to_owned()]);
        let page = matrix_html(&sweep);
        assert!(page.contains("<td class=\"red\">1 of 2 red</td>"));
        assert!(page.contains("<h1>1 of 3 kills red</h1>"));
        assert!(page.contains("left out: a &lt; b"));
    }
}

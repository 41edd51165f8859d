//! A sweep and its cells.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::CrashPoint;

/// What a kill means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellResult {
    /// The world ended as without a death, and nothing is lost, doubled or left.
    Ok,
    /// It did not.
    Red,
}

/// One kill and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashCell {
    /// Scenario id.
    pub scenario: String,
    /// Its line.
    pub line: u32,
    /// Transition at which the process died.
    pub point: String,
    /// `before` or `after` it was persisted.
    pub phase: String,
    /// The how-manieth time it came by.
    pub count: u32,
    /// Process that died.
    pub process: String,
    /// What the runs of the scenario were then, as Postgres says; `no run` without any.
    pub state: String,
    /// The expected end state, in one line.
    pub expected: String,
    /// The end state, in one line, and what the oracle found.
    pub seen: String,
    /// What that means.
    pub result: CellResult,
    /// What differs, a line each.
    pub faults: Vec<String>,
    /// From the end of the dead owner's leases to the next persisted step, in real milliseconds; none when nothing was
    /// left to do.
    pub takeover_ms: Option<u64>,
}

/// How long takeovers took.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Takeover {
    /// How many there were.
    pub count: usize,
    pub p50_ms: Option<u64>,
    pub p99_ms: Option<u64>,
    pub max_ms: Option<u64>,
}

impl Takeover {
    fn of(cells: &[CrashCell]) -> Self {
        let mut all: Vec<u64> = cells.iter().filter_map(|cell| cell.takeover_ms).collect();
        all.sort_unstable();
        // The nearest rank: of few values the highest is the 99th percentile.
        let rank = |percent: usize| {
            let index = (all.len() * percent).div_ceil(100).saturating_sub(1);
            all.get(index).copied()
        };
        Self {
            count: all.len(),
            p50_ms: rank(50),
            p99_ms: rank(99),
            max_ms: all.last().copied(),
        }
    }
}

/// A sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashSweep {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Commit that was checked out.
    pub revision: String,
    /// Whether the checkout had changes that no commit has.
    pub dirty: bool,
    /// The seed that chose the kills.
    pub seed: u64,
    /// How many kills there could have been.
    pub possible: usize,
    /// Plays in which a process was killed; one that broke off counts too, and is red.
    pub kills: usize,
    /// Kills after which something was wrong.
    pub red: usize,
    /// Takeovers.
    pub takeover: Takeover,
    /// Points that a play was to die at and did not come by.
    pub not_reached: Vec<String>,
    /// Scenarios or plays that say nothing, with the reason.
    pub left_out: Vec<String>,
    /// The kills.
    pub cells: Vec<CrashCell>,
}

impl CrashSweep {
    /// Counts what was judged.
    #[must_use]
    pub fn new(
        seed: u64,
        possible: usize,
        cells: Vec<CrashCell>,
        not_reached: Vec<(String, CrashPoint)>,
        left_out: Vec<String>,
    ) -> Self {
        Self {
            at: Utc::now(),
            revision: String::new(),
            dirty: false,
            seed,
            possible,
            kills: cells.len(),
            red: cells
                .iter()
                .filter(|cell| cell.result == CellResult::Red)
                .count(),
            takeover: Takeover::of(&cells),
            not_reached: not_reached
                .into_iter()
                .map(|(scenario, point)| format!("{scenario}: {point}"))
                .collect(),
            left_out,
            cells,
        }
    }

    /// With the code that it speaks of.
    #[must_use]
    pub fn played_on(mut self, revision: &str, dirty: bool) -> Self {
        revision.clone_into(&mut self.revision);
        self.dirty = dirty;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(takeover_ms: Option<u64>, result: CellResult) -> CrashCell {
        CrashCell {
            scenario: "SL-07".to_owned(),
            line: 1,
            point: "run.claim".to_owned(),
            phase: "after".to_owned(),
            count: 1,
            process: "worker-0".to_owned(),
            state: "running".to_owned(),
            expected: String::new(),
            seen: String::new(),
            result,
            faults: Vec::new(),
            takeover_ms,
        }
    }

    #[test]
    fn kills_reds_and_takeovers_are_counted() {
        let cells = vec![
            cell(Some(30), CellResult::Ok),
            cell(None, CellResult::Red),
            cell(Some(10), CellResult::Ok),
            cell(Some(20), CellResult::Ok),
        ];
        let sweep = CrashSweep::new(1, 9, cells, Vec::new(), Vec::new());
        assert_eq!((sweep.kills, sweep.red), (4, 1));
        let expected = Takeover {
            count: 3,
            p50_ms: Some(20),
            p99_ms: Some(30),
            max_ms: Some(30),
        };
        assert_eq!(sweep.takeover, expected);
    }
}

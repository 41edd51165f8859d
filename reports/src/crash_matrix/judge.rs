//! What one kill means.
use super::{CellResult, CrashCell, CrashPoint};
use crate::delivery_algebra::{Comparison, EndState, compare};

/// What a play with a death left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeathPlay {
    /// Process that died.
    pub process: String,
    /// What the runs were then.
    pub state: String,
    /// From the end of its leases to the next persisted step, in milliseconds.
    pub takeover_ms: Option<u64>,
    /// What the oracle found lost, doubled or left behind.
    pub faults: Vec<String>,
    /// The end state; the reason when the play broke off.
    pub end: Result<EndState, String>,
}

/// Judges a kill by the end state that the scenario has without one.
#[must_use]
pub fn judge(
    (scenario, line): (&str, u32),
    point: &CrashPoint,
    expected: &EndState,
    play: DeathPlay,
) -> CrashCell {
    let mut faults = play.faults;
    let seen = match &play.end {
        Ok(end) => {
            match compare(expected, end) {
                Comparison::Same => {}
                // A death is no reason to refuse anything.
                Comparison::Refused { reasons } => {
                    faults.extend(reasons.iter().map(|reason| format!("refused: {reason}")));
                }
                Comparison::Different { differences } => faults.extend(differences),
            }
            end.summary()
        }
        Err(why) => {
            faults.push(format!("the play broke off: {why}"));
            "the play broke off".to_owned()
        }
    };
    CrashCell {
        scenario: scenario.to_owned(),
        line,
        point: point.transition.clone(),
        phase: point.phase.clone(),
        count: point.count,
        process: play.process,
        state: play.state,
        expected: expected.summary(),
        seen,
        result: if faults.is_empty() {
            CellResult::Ok
        } else {
            CellResult::Red
        },
        faults,
        takeover_ms: play.takeover_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery_algebra::RunEnd;

    fn end(status: &str) -> EndState {
        EndState {
            threads: Default::default(),
            runs: vec![RunEnd {
                issue: Some(1),
                pull_request: None,
                kind: "dev".to_owned(),
                label: "run:dev".to_owned(),
                source: "issue_label".to_owned(),
                status: status.to_owned(),
                reason: None,
            }],
            refusals: Vec::new(),
        }
    }

    fn judged(end: Result<EndState, String>, faults: Vec<String>) -> CrashCell {
        let point = CrashPoint {
            transition: "run.claim".to_owned(),
            phase: "after".to_owned(),
            count: 1,
        };
        let play = DeathPlay {
            process: "worker-0".to_owned(),
            state: "running".to_owned(),
            takeover_ms: None,
            faults,
            end,
        };
        judge(("SL-07", 3), &point, &self::end("succeeded"), play)
    }

    #[test]
    fn only_the_expected_end_without_a_fault_is_ok() {
        let two_jobs = "run 1 has 2 Jobs".to_owned();
        let ok = judged(Ok(end("succeeded")), Vec::new());
        assert_eq!((ok.result, ok.faults.len()), (CellResult::Ok, 0));
        for (end, faults) in [
            (Ok(end("failed")), Vec::new()),
            (Ok(end("succeeded")), vec![two_jobs]),
            (Err("a step failed".to_owned()), Vec::new()),
        ] {
            let red = judged(end, faults);
            assert_eq!(red.result, CellResult::Red);
            assert!(!red.faults.is_empty());
        }
    }
}

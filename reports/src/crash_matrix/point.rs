//! Points at which a process can be killed, as the journal of a play names them.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::delivery_algebra::sample;

/// A point in a play: the transition, before or after it is persisted, and the how-manieth time of one process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CrashPoint {
    /// Such as `run.finish` or `kubernetes.create.jobs`.
    pub transition: String,
    /// `before` or `after`.
    pub phase: String,
    /// From 1.
    pub count: u32,
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {} {}",
            self.transition, self.phase, self.count
        )
    }
}

/// A line of the journal that processes with failpoints write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Real time.
    pub at: DateTime<Utc>,
    /// Process id.
    pub process: u32,
    /// Which point.
    #[serde(flatten)]
    pub point: CrashPoint,
    /// Whether the process died of it.
    pub killed: bool,
}

/// The points that a journal shows: of each transition and phase the first, the middle and the last, since runs are at
/// different places there.
#[must_use]
pub fn points(journal: &[Reached]) -> Vec<CrashPoint> {
    let mut counts: BTreeMap<(&str, &str), BTreeSet<u32>> = BTreeMap::new();
    for reached in journal {
        let point = &reached.point;
        counts
            .entry((&point.transition, &point.phase))
            .or_default()
            .insert(point.count);
    }
    counts
        .into_iter()
        .flat_map(|((transition, phase), counts)| {
            let counts: Vec<u32> = counts.into_iter().collect();
            let chosen: BTreeSet<u32> = [0, counts.len() / 2, counts.len() - 1]
                .into_iter()
                .map(|index| counts[index])
                .collect();
            chosen.into_iter().map(move |count| CrashPoint {
                transition: transition.to_owned(),
                phase: phase.to_owned(),
                count,
            })
        })
        .collect()
}

/// At most so many of them, as the seed chooses, in a stable order.
#[must_use]
pub fn choose<T>(all: Vec<(T, CrashPoint)>, seed: u64, most: usize) -> Vec<(T, CrashPoint)>
where
    T: fmt::Display,
{
    sample(all, seed, most, |(story, point)| format!("{story} {point}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(transition: &str, phase: &str, count: u32) -> Reached {
        Reached {
            at: DateTime::UNIX_EPOCH,
            process: 1,
            point: CrashPoint {
                transition: transition.to_owned(),
                phase: phase.to_owned(),
                count,
            },
            killed: false,
        }
    }

    #[test]
    fn of_each_point_the_first_the_middle_and_the_last_time_count() {
        let mut journal: Vec<Reached> = (1..=9)
            .map(|count| reached("effect.complete", "after", count))
            .collect();
        journal.push(reached("run.finish", "before", 1));
        let points: Vec<String> = points(&journal).iter().map(ToString::to_string).collect();
        assert_eq!(
            points,
            [
                "effect.complete after 1",
                "effect.complete after 5",
                "effect.complete after 9",
                "run.finish before 1"
            ]
        );
    }

    #[test]
    fn a_seed_chooses_the_same_again() {
        let all = || {
            (1..=40)
                .map(|count| ("SL-07", reached("run.claim", "after", count).point))
                .collect::<Vec<_>>()
        };
        assert_eq!(choose(all(), 7, 5), choose(all(), 7, 5));
        assert_ne!(choose(all(), 7, 5), choose(all(), 8, 5));
        assert_eq!(choose(all(), 7, 100).len(), 40);
    }
}

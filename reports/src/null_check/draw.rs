//! Which nulls a check plays a scenario against: all of them, or one that a seed draws.
use sha2::{Digest as _, Sha256};

use super::Null;
use super::outcome::concerns;
use crate::evidence::{Observation, ScenarioKey};

/// What a check plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Every scenario against every null.
    Every,
    /// Every scenario against one null that can judge it, another one for another seed: a third of the time, for
    /// checks that are repeated with each revision.
    One {
        /// The same seed draws the same.
        seed: u64,
    },
}

impl Draw {
    /// The nulls that a scenario is played against, given what it observed in the healthy run.
    ///
    /// A draw prefers (b) and (c), under which every `Given` succeeds; (a) judges what reads nothing that those two take
    /// away.
    pub fn nulls_of(self, key: &ScenarioKey, observations: &[&Observation]) -> Vec<Null> {
        let seed = match self {
            Self::Every => return Null::ALL.to_vec(),
            Self::One { seed } => seed,
        };
        let judging: Vec<Null> = [Null::B, Null::C]
            .into_iter()
            .filter(|null| {
                observations
                    .iter()
                    .any(|observation| concerns(observation, *null))
            })
            .collect();
        let digest = Sha256::digest(format!("{seed} {} {}", key.scenario, key.line));
        let drawn = judging.get(usize::from(digest[0]) % judging.len().max(1));
        vec![drawn.copied().unwrap_or(Null::A)]
    }
}

//! The plays that there are, and the choice that a seed makes among them.
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{JournaledDelivery, TransformKind};
use crate::evidence::ScenarioKey;

/// One play: a scenario, one of its deliveries, and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Scenario id.
    pub scenario: String,
    /// Its line.
    pub line: u32,
    /// The delivery that is met.
    pub delivery: JournaledDelivery,
    /// What happens to it.
    pub transform: TransformKind,
}

/// Every play of a scenario with these deliveries. The last one has none to be swapped with.
#[must_use]
pub fn cells(scenario: &ScenarioKey, deliveries: &[JournaledDelivery]) -> Vec<Cell> {
    let last = deliveries.len().saturating_sub(1);
    deliveries
        .iter()
        .enumerate()
        .flat_map(|(position, delivery)| {
            TransformKind::ALL
                .into_iter()
                .filter(move |kind| *kind != TransformKind::Swap || position != last)
                .map(move |transform| Cell {
                    scenario: scenario.scenario.clone(),
                    line: scenario.line,
                    delivery: delivery.clone(),
                    transform,
                })
        })
        .collect()
}

/// At most `most` of the plays, in the order that the seed gives them. A smaller choice is the beginning of a larger
/// one. Deliveries that people caused and those that the platform caused take turns: few of the many are decisive.
#[must_use]
pub fn choose(all: Vec<Cell>, seed: u64, most: usize) -> Vec<Cell> {
    let mut numbered: Vec<([u8; 32], Cell)> = all
        .into_iter()
        .map(|cell| (number(seed, &cell), cell))
        .collect();
    numbered.sort();
    let (mut people, mut platform): (Vec<_>, Vec<_>) = numbered
        .into_iter()
        .map(|(_, cell)| cell)
        .partition(|cell| cell.delivery.sent.by_person);
    people.reverse();
    platform.reverse();
    let mut chosen = Vec::new();
    while chosen.len() < most {
        match (people.pop(), platform.pop()) {
            (None, None) => break,
            (first, second) => chosen.extend(first.into_iter().chain(second)),
        }
    }
    chosen.truncate(most);
    chosen
}

/// At most `most` of what `key` names, in the order that the seed gives them.
#[must_use]
pub fn sample<T>(all: Vec<T>, seed: u64, most: usize, key: impl Fn(&T) -> String) -> Vec<T> {
    let mut numbered: Vec<([u8; 32], T)> = all
        .into_iter()
        .map(|item| (digest(seed, key(&item).as_bytes()), item))
        .collect();
    numbered.sort_by_key(|(number, _)| *number);
    numbered
        .into_iter()
        .take(most)
        .map(|(_, item)| item)
        .collect()
}

/// A number that depends on the seed and on the whole play, on nothing else.
fn number(seed: u64, cell: &Cell) -> [u8; 32] {
    let play = serde_json::to_vec(cell).expect("a play has only string keys");
    digest(seed, &play)
}

fn digest(seed: u64, of: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(seed.to_be_bytes());
    digest.update(of);
    digest.finalize().into()
}

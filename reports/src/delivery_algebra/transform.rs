//! The four things that GitHub does to a delivery on its way, and whether one of them really happened in a play.
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What happens to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransformKind {
    /// It never arrives.
    Drop,
    /// It arrives twice under the same id.
    Duplicate,
    /// It arrives after the one that was sent next.
    Swap,
    /// It arrives when everything else has.
    Late,
}

impl TransformKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Drop, Self::Duplicate, Self::Swap, Self::Late];

    /// Its name in tables and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Swap => "swap",
            Self::Late => "late",
        }
    }
}

impl fmt::Display for TransformKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A transform at a position of a list of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transform {
    /// What happens.
    pub kind: TransformKind,
    /// To which.
    pub position: usize,
}

impl Transform {
    /// The order of arrival, given the order in which deliveries were sent.
    #[must_use]
    pub fn apply<T: Clone>(self, sent: &[T]) -> Vec<T> {
        let mut arrived = sent.to_vec();
        let Some(chosen) = sent.get(self.position).cloned() else {
            return arrived;
        };
        match self.kind {
            TransformKind::Drop => {
                arrived.remove(self.position);
            }
            TransformKind::Duplicate => arrived.insert(self.position, chosen),
            TransformKind::Swap if self.position + 1 < arrived.len() => {
                arrived.swap(self.position, self.position + 1);
            }
            TransformKind::Swap => {}
            TransformKind::Late => {
                arrived.remove(self.position);
                arrived.push(chosen);
            }
        }
        arrived
    }
}

/// One attempt of GitHub to hand over a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Id of the delivery.
    pub delivery: String,
    /// When the change behind it happened.
    pub queued_at: DateTime<Utc>,
    /// When it reached the platform; none when it never did.
    pub arrived_at: Option<DateTime<Utc>>,
    /// Whether somebody asked for it again.
    pub redelivery: bool,
}

/// Whether a play's attempts, in the order they were queued, show that the transform happened to `chosen`.
///
/// The order of arrival is compared with what the algebra says of the order of sending, as far as the transform speaks
/// of it: deliveries beside it may overtake each other at any time.
#[must_use]
pub fn came_about(kind: TransformKind, chosen: &str, attempts: &[Attempt]) -> bool {
    let own: Vec<&Attempt> = attempts
        .iter()
        .filter(|attempt| !attempt.redelivery)
        .collect();
    let Some(first) = own.iter().position(|attempt| attempt.delivery == chosen) else {
        return false;
    };
    let last_arrival = own
        .iter()
        .filter(|attempt| attempt.delivery == chosen)
        .filter_map(|attempt| attempt.arrived_at)
        .max();
    let mut after: Vec<&str> = Vec::new();
    for attempt in &own[first + 1..] {
        let name = attempt.delivery.as_str();
        if name != chosen && !after.contains(&name) && last_arrival > Some(attempt.queued_at) {
            after.push(name);
        }
    }
    match kind {
        TransformKind::Drop | TransformKind::Duplicate => after.clear(),
        TransformKind::Swap => after.truncate(1),
        TransformKind::Late => {}
    }
    // Without anybody who overtakes it, a delivery that was never held looks the same.
    if matches!(kind, TransformKind::Swap | TransformKind::Late) && after.is_empty() {
        return false;
    }
    let sent: Vec<&str> = std::iter::once(chosen).chain(after).collect();
    let mut arrived: Vec<(DateTime<Utc>, &str)> = own
        .iter()
        .filter_map(|attempt| Some((attempt.arrived_at?, attempt.delivery.as_str())))
        .filter(|(_, name)| sent.contains(name))
        .collect();
    arrived.sort();
    let arrived: Vec<&str> = arrived.into_iter().map(|(_, name)| name).collect();
    let wanted = Transform { kind, position: 0 }.apply(&sent);
    match kind {
        // Those that were sent later come in any order among themselves.
        TransformKind::Late => arrived.len() == wanted.len() && arrived.last() == wanted.last(),
        _ => arrived == wanted,
    }
}

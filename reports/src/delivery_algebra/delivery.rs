//! A delivery as another play of the same scenario finds it again: by what it tells, not by its id.
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a journal tells of a delivery that was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sent {
    /// Event name.
    pub event: String,
    /// Action, if the event has one.
    pub action: Option<String>,
    /// Label that it is about.
    pub label: Option<String>,
    /// Number of the Issue or pull request.
    pub thread: Option<u64>,
    /// Whether a person caused it, not the platform or its bot.
    pub by_person: bool,
}

/// A delivery of a scenario, with its place among those that tell the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JournaledDelivery {
    /// What it tells.
    #[serde(flatten)]
    pub sent: Sent,
    /// How many before it told the same.
    pub occurrence: u32,
}

/// Numbers deliveries that tell the same, oldest first.
pub fn journaled(sent: impl IntoIterator<Item = Sent>) -> Vec<JournaledDelivery> {
    let mut before: BTreeMap<_, u32> = BTreeMap::new();
    sent.into_iter()
        .map(|sent| {
            let Sent {
                event,
                action,
                label,
                thread,
                ..
            } = sent.clone();
            let count = before.entry((event, action, label, thread)).or_default();
            let occurrence = *count;
            *count += 1;
            JournaledDelivery { sent, occurrence }
        })
        .collect()
}

impl fmt::Display for JournaledDelivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sent {
            event,
            action,
            label,
            thread,
            ..
        } = &self.sent;
        formatter.write_str(event)?;
        if let Some(action) = action {
            write!(formatter, ".{action}")?;
        }
        if let Some(label) = label {
            write!(formatter, " {label}")?;
        }
        if let Some(thread) = thread {
            write!(formatter, " on #{thread}")?;
        }
        if self.occurrence > 0 {
            write!(formatter, ", number {}", self.occurrence + 1)?;
        }
        Ok(())
    }
}

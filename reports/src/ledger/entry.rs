//! Bookings and their sums.
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One object from its creation to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `Namespace`, `Job`, `Comment`, `Slot`, …
    pub kind: String,
    /// Name, with namespace or repository in front.
    pub name: String,
    /// Scenario id, `target`, or `unknown`.
    pub account: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Option<DateTime<Utc>>,
    /// Journal line of the creation.
    pub created: String,
    /// Journal line of the deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
    /// Why it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

impl Entry {
    /// Neither deleted nor kept with a reason.
    pub fn leaked(&self) -> bool {
        self.deleted.is_none() && self.kept.is_none()
    }
}

/// Sum of the entries of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindTotals {
    /// Number created.
    pub created: usize,
    /// Number deleted.
    pub deleted: usize,
    /// Number kept, by reason.
    pub kept: BTreeMap<String, usize>,
    /// Number that is neither.
    pub leaked: usize,
}

impl KindTotals {
    pub(super) fn add(&mut self, entry: &Entry) {
        self.created += 1;
        match (&entry.deleted, &entry.kept) {
            (Some(_), _) => self.deleted += 1,
            (None, Some(reason)) => *self.kept.entry(reason.clone()).or_default() += 1,
            (None, None) => self.leaked += 1,
        }
    }

    /// Number kept, whatever the reason.
    pub fn kept_in_all(&self) -> usize {
        self.kept.values().sum()
    }
}

/// Sums of one scenario, or of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// By kind.
    pub kinds: BTreeMap<String, KindTotals>,
    /// Sum over the kinds.
    pub leaked: usize,
}

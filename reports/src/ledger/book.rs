//! Brings the bookings of all sources together.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Account, Entry, KindTotals, github, kubernetes, postgres};
use crate::journals::Journals;

/// All bookings of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Every entry is deleted or kept with a reason.
    pub balanced: bool,
    /// Sums by kind.
    pub totals: BTreeMap<String, KindTotals>,
    /// Sums by scenario; `target` for what the gate itself made.
    pub accounts: BTreeMap<String, Account>,
    /// What this ledger does not book yet, said openly.
    pub not_booked: Vec<String>,
    /// All entries.
    pub entries: Vec<Entry>,
}

impl Ledger {
    /// Entries that are neither deleted nor kept.
    pub fn leaks(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.leaked())
    }

    /// Entries that are kept with a reason.
    pub fn kept(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.deleted.is_none() && entry.kept.is_some())
    }
}

/// Books everything that the journals show.
pub fn compute(journals: &Journals) -> Ledger {
    let mut entries = kubernetes::entries(journals);
    entries.extend(github::entries(journals));
    entries.extend(postgres::entries(journals));
    for entry in &mut entries {
        if entry.leaked() {
            entry.kept = declared_reason(journals, entry);
        }
    }
    let mut totals: BTreeMap<String, KindTotals> = BTreeMap::new();
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    for entry in &entries {
        totals.entry(entry.kind.clone()).or_default().add(entry);
        let account = accounts.entry(entry.account.clone()).or_default();
        account
            .kinds
            .entry(entry.kind.clone())
            .or_default()
            .add(entry);
        account.leaked += usize::from(entry.leaked());
    }
    Ledger {
        balanced: entries.iter().all(|entry| !entry.leaked()),
        totals,
        accounts,
        not_booked: vec!["approval requests".into(), "project databases".into()],
        entries,
    }
}

/// A scenario may keep an object on purpose, but only for a reason that E-20 names.
fn declared_reason(journals: &Journals, entry: &Entry) -> Option<String> {
    const NAMED_REASONS: [&str; 3] = ["lease_not_over", "run_debug", "result_of_run"];
    journals
        .results_of(&entry.account)
        .flat_map(|result| &result.kept)
        .find(|kept| kept.kind == entry.kind && kept.name == entry.name)
        .map(|kept| kept.reason.clone())
        .filter(|reason| NAMED_REASONS.contains(&reason.as_str()))
}

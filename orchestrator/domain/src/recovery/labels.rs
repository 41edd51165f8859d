//! Where the trigger labels of open threads differ from what deliveries and runs tell of them. Nothing acts on that:
//! without the delivery nobody knows who set a label and when.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::GRACE;
use crate::events::{Event, Thread, ThreadKind};
use crate::labels::{Catalogue, CatalogueLabel};

/// Changes may be listed later than they were made; the next pass compares this much again.
const OVERLAP: TimeDelta = TimeDelta::seconds(60);

/// What a delivery tells of one trigger label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelTold {
    /// Where.
    pub thread: Thread,
    /// Configured name.
    pub label: String,
    /// Set or removed.
    pub is_set: bool,
    /// GitHub's time of the change, so that deliveries may come in any order.
    pub changed_at: DateTime<Utc>,
}

/// What is remembered of a delivery, if it tells of a trigger label.
pub fn label_told(event: &Event, catalogue: &Catalogue) -> Option<LabelTold> {
    let is_set = match event.action.as_str() {
        "labeled" => true,
        "unlabeled" => false,
        _ => return None,
    };
    let label = event.label().filter(|label| is_trigger(catalogue, label))?;
    Some(LabelTold {
        thread: event.thread()?,
        label: catalogue.canonical(label),
        is_set,
        changed_at: event.thread_updated_at()?,
    })
}

fn is_trigger(catalogue: &Catalogue, label: &str) -> bool {
    matches!(catalogue.classify(label), Some(CatalogueLabel::Trigger(_)))
}

/// An open thread as GitHub shows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenThread {
    /// Issue or pull request.
    pub kind: ThreadKind,
    /// Its number.
    pub number: i64,
    /// All its labels.
    pub labels: Vec<String>,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
}

/// What is known of the trigger labels of a repository's threads, by thread and configured name.
#[derive(Debug, Clone, Default)]
pub struct ToldLabels {
    /// By the newest delivery of each label: whether it is set.
    pub told: BTreeMap<(ThreadKind, i64, String), bool>,
    /// Labels that started a run which has not ended.
    pub at_work: BTreeSet<(ThreadKind, i64, String)>,
}

/// A thread whose trigger labels are not those that were told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Issue or pull request.
    pub kind: ThreadKind,
    /// Its number.
    pub number: i64,
    /// Trigger labels that it bears.
    pub labels: Vec<String>,
    /// Trigger labels that it should bear.
    pub expected: Vec<String>,
    /// Its last change when this was seen, by GitHub's clock.
    pub since: DateTime<Utc>,
}

/// What a comparison saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Threads that differ.
    pub different: Vec<Difference>,
    /// Threads that do not.
    pub same: Vec<(ThreadKind, i64)>,
    /// A thread that differs has just changed, so that its delivery may be under way.
    pub look_again_soon: bool,
    /// Threads that do not change after this need not be compared again.
    pub compared_until: DateTime<Utc>,
}

/// Compares the threads; `now` is GitHub's.
pub fn differences(
    threads: &[OpenThread],
    catalogue: &Catalogue,
    known: &ToldLabels,
    now: DateTime<Utc>,
) -> Seen {
    let mut seen = Seen {
        different: Vec::new(),
        same: Vec::new(),
        look_again_soon: false,
        compared_until: now - OVERLAP,
    };
    for thread in threads {
        let labels: BTreeSet<String> = thread
            .labels
            .iter()
            .filter(|label| is_trigger(catalogue, label))
            .map(|label| catalogue.canonical(label))
            .collect();
        let expected = expected(thread, &labels, known);
        if labels == expected {
            seen.same.push((thread.kind, thread.number));
        } else if now - thread.updated_at < GRACE {
            seen.look_again_soon = true;
        } else {
            seen.different.push(Difference {
                kind: thread.kind,
                number: thread.number,
                labels: labels.into_iter().collect(),
                expected: expected.into_iter().collect(),
                since: thread.updated_at,
            });
        }
    }
    seen
}

/// What was told to be set; and a label that is there is accounted for by the run that works on it.
fn expected(
    thread: &OpenThread,
    labels: &BTreeSet<String>,
    known: &ToldLabels,
) -> BTreeSet<String> {
    let of_thread = |(kind, number, _): &(ThreadKind, i64, String)| {
        *kind == thread.kind && *number == thread.number
    };
    let told = known
        .told
        .iter()
        .filter(|(key, is_set)| of_thread(key) && **is_set);
    let at_work = known
        .at_work
        .iter()
        .filter(|key| of_thread(key) && labels.contains(&key.2));
    told.map(|(key, _)| key)
        .chain(at_work)
        .map(|(_, _, label)| label.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::parse;
    use crate::ids::DeliveryId;
    use serde_json::json;

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    fn thread(labels: &[&str], seconds_ago: i64) -> OpenThread {
        OpenThread {
            kind: ThreadKind::Issue,
            number: 7,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            updated_at: now() - TimeDelta::seconds(seconds_ago),
        }
    }

    fn key(label: &str) -> (ThreadKind, i64, String) {
        (ThreadKind::Issue, 7, label.to_owned())
    }

    fn compared(thread: OpenThread, told: &[(&str, bool)], at_work: &[&str]) -> Seen {
        let known = ToldLabels {
            told: told
                .iter()
                .map(|(label, is_set)| (key(label), *is_set))
                .collect(),
            at_work: at_work.iter().map(|label| key(label)).collect(),
        };
        differences(&[thread], &Catalogue::default(), &known, now())
    }

    #[test]
    fn labels_differ_when_deliveries_and_runs_tell_others() {
        for (case, labels, told, at_work, expected) in [
            ("nothing", &[][..], &[][..], &[][..], None),
            ("told", &["run:dev"], &[("run:dev", true)], &[], None),
            (
                "told in another case",
                &["Run:Dev"],
                &[("run:dev", true)],
                &[],
                None,
            ),
            (
                "told, and removed since",
                &[],
                &[("run:dev", false)],
                &[],
                None,
            ),
            (
                "no trigger label",
                &["bug", "state:blocked", "run:debug"],
                &[],
                &[],
                None,
            ),
            ("a run works on it", &["run:dev"], &[], &["run:dev"], None),
            (
                "nobody told",
                &["run:dev", "bug"],
                &[],
                &[],
                Some((vec!["run:dev"], vec![])),
            ),
            (
                "removed, and nobody told",
                &[],
                &[("run:dev", true)],
                &["run:dev"],
                Some((vec![], vec!["run:dev"])),
            ),
            (
                "set again, and nobody told",
                &["run:dev"],
                &[("run:dev", false)],
                &[],
                Some((vec!["run:dev"], vec![])),
            ),
            (
                "one of two told",
                &["run:vision", "run:dev"],
                &[("run:dev", true)],
                &["run:plan"],
                Some((vec!["run:dev", "run:vision"], vec!["run:dev"])),
            ),
        ] {
            let seen = compared(thread(labels, 100), told, at_work);
            let expected = expected.map(|(labels, expected)| Difference {
                kind: ThreadKind::Issue,
                number: 7,
                labels: labels.into_iter().map(str::to_owned).collect(),
                expected: expected.into_iter().map(str::to_owned).collect(),
                since: now() - TimeDelta::seconds(100),
            });
            assert_eq!(seen.different.first(), expected.as_ref(), "{case}");
            assert_eq!(
                seen.same.as_slice() == [(ThreadKind::Issue, 7)],
                expected.is_none(),
                "{case}"
            );
        }
    }

    #[test]
    fn a_thread_that_has_just_changed_is_looked_at_again_if_it_differs() {
        let seen = compared(thread(&["run:dev"], 11), &[], &[]);
        assert!(seen.look_again_soon && seen.different.is_empty() && seen.same.is_empty());
        let seen = compared(thread(&["run:dev"], 11), &[("run:dev", true)], &[]);
        assert!(!seen.look_again_soon && seen.same.len() == 1);
        // What is young now is compared again by the next pass.
        assert!(seen.compared_until <= now() - GRACE);
    }

    #[test]
    fn the_same_number_of_another_kind_tells_nothing() {
        let pull_request = OpenThread {
            kind: ThreadKind::PullRequest,
            ..thread(&["run:dev"], 100)
        };
        let seen = compared(pull_request, &[("run:dev", true)], &["run:dev"]);
        assert_eq!(seen.different.len(), 1);
    }

    #[test]
    fn only_changes_of_trigger_labels_are_remembered() {
        let told = |event: &str, action: &str, label: &str| {
            let payload = json!({
                "action": action,
                "label": {"name": label},
                "repository": {"id": 1, "full_name": "o/r"},
                "issue": {"number": 7, "updated_at": "2026-01-02T03:04:05Z"},
                "pull_request": {"number": 7, "updated_at": "2026-01-02T03:04:05Z"},
            });
            let event = parse(DeliveryId::new("id"), event, payload, now());
            label_told(&event, &Catalogue::default())
                .map(|told| (told.thread.kind, told.label, told.is_set))
        };
        let dev = |kind, is_set| Some((kind, "run:dev".to_owned(), is_set));
        for (event, action, label, expected) in [
            ("issues", "labeled", "Run:Dev", dev(ThreadKind::Issue, true)),
            (
                "issues",
                "unlabeled",
                "run:dev",
                dev(ThreadKind::Issue, false),
            ),
            (
                "pull_request",
                "labeled",
                "run:dev",
                dev(ThreadKind::PullRequest, true),
            ),
            ("issues", "labeled", "bug", None),
            ("issues", "labeled", "run:debug", None),
            ("issues", "opened", "run:dev", None),
        ] {
            assert_eq!(
                told(event, action, label),
                expected,
                "{event} {action} {label}"
            );
        }
    }
}

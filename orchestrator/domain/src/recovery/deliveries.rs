//! Which deliveries GitHub shall send again.
//!
//! Everything here is GitHub's time, `now` included: platform time may be moved, and no clock of ours says when GitHub
//! made an attempt.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

/// GitHub lists the attempts of the last three days and redelivers nothing older.
const REACH: TimeDelta = TimeDelta::days(3);

/// Longer than the ten seconds that GitHub waits for an answer: what is younger may still be under way.
pub const GRACE: TimeDelta = TimeDelta::seconds(12);

/// Attempts may be listed later than they were made; the next pass reads this much again.
const OVERLAP: TimeDelta = TimeDelta::seconds(60);

/// Redeliveries of one repository in one pass: GitHub limits how many calls a token may make in an hour.
const MOST_AT_ONCE: usize = 200;

/// One attempt of GitHub to hand over a delivery, as the hook's list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Id of the attempt.
    pub id: i64,
    /// GUID of the delivery, the same for all its attempts.
    pub delivery_id: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// `action` of the payload, empty when it has none.
    pub action: String,
    /// When it was made; none while it is under way.
    pub made_at: Option<DateTime<Utc>>,
    /// Status of the answer; 0 when none came.
    pub status: i64,
}

impl Attempt {
    fn has_failed(&self) -> bool {
        !(200..300).contains(&self.status)
    }

    /// An answer that refuses ends the attempt; nothing of it is under way any more.
    fn was_refused(&self) -> bool {
        self.status >= 300
    }
}

/// What the platform knows of listed deliveries, by GUID.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Those that are stored here.
    pub stored: BTreeSet<String>,
    /// Those that GitHub was asked for a moment ago.
    pub asked_lately: BTreeSet<String>,
}

/// A delivery that GitHub shall send again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its GUID.
    pub delivery_id: String,
    /// The attempt to repeat.
    pub attempt_id: i64,
}

/// What a pass found in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What to ask for, oldest first.
    pub ask: Vec<Asked>,
    /// A lost delivery is too young to be asked for, so that looking again soon is worth it.
    pub look_again_soon: bool,
    /// A delivery about a label is missing, so that what deliveries told of labels is not complete.
    pub labels_missing: bool,
    /// Where the next pass may stop reading: nothing older is lost.
    pub read_until: DateTime<Utc>,
}

/// Back to where the list is read: to where the last complete pass came, and never beyond what GitHub keeps.
pub fn read_from(read_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    let oldest = now - REACH;
    read_until.map_or(oldest, |until| until.max(oldest))
}

/// Judges the deliveries by their last attempts. Other events than `answered` are not the platform's business.
pub fn lost(attempts: &[Attempt], answered: &[String], known: &Known, now: DateTime<Utc>) -> Lost {
    let mut deliveries: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for attempt in attempts {
        if !attempt.delivery_id.is_empty() && answered.contains(&attempt.event) {
            deliveries
                .entry(&attempt.delivery_id)
                .or_default()
                .push(attempt);
        }
    }
    let mut found = Lost {
        ask: Vec::new(),
        look_again_soon: false,
        labels_missing: false,
        read_until: now - OVERLAP,
    };
    let mut due: Vec<(DateTime<Utc>, Asked)> = Vec::new();
    for (delivery_id, attempts) in deliveries {
        let is_under_way = attempts.iter().any(|attempt| attempt.made_at.is_none());
        let Some((made_at, last)) = attempts
            .iter()
            .filter_map(|attempt| Some((attempt.made_at?, *attempt)))
            .max_by_key(|(made_at, attempt)| (*made_at, attempt.id))
        else {
            continue;
        };
        let is_stored = known.stored.contains(delivery_id);
        if is_stored && !last.has_failed() {
            continue;
        }
        // It stays in reach of the next pass until an attempt succeeds.
        found.read_until = found.read_until.min(made_at);
        found.labels_missing |=
            !is_stored && matches!(last.action.as_str(), "labeled" | "unlabeled");
        if is_under_way || known.asked_lately.contains(delivery_id) {
            continue;
        }
        if !last.was_refused() && now - made_at < GRACE {
            found.look_again_soon = true;
            continue;
        }
        let asked = Asked {
            delivery_id: delivery_id.to_owned(),
            attempt_id: last.id,
        };
        due.push((made_at, asked));
    }
    // A delivery that fails again has a younger last attempt, and so cannot keep the others from their turn.
    due.sort_by_key(|(made_at, asked)| (*made_at, asked.attempt_id));
    found.ask = due
        .into_iter()
        .map(|(_, asked)| asked)
        .take(MOST_AT_ONCE)
        .collect();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds_ago: i64) -> DateTime<Utc> {
        now() - TimeDelta::seconds(seconds_ago)
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    fn attempt(id: i64, delivery_id: &str, status: i64, seconds_ago: i64) -> Attempt {
        Attempt {
            id,
            delivery_id: delivery_id.to_owned(),
            event: "issues".to_owned(),
            action: "labeled".to_owned(),
            made_at: Some(at(seconds_ago)),
            status,
        }
    }

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn judged(attempts: &[Attempt], stored: &[&str], asked: &[&str]) -> Lost {
        let known = Known {
            stored: set(stored),
            asked_lately: set(asked),
        };
        let answered = ["issues", "push"].map(str::to_owned);
        lost(attempts, &answered, &known, now())
    }

    /// GUIDs to ask for, whether to look again soon, and how far back the next pass reads.
    fn verdict(found: &Lost) -> (Vec<(&str, i64)>, bool, i64) {
        (
            found
                .ask
                .iter()
                .map(|asked| (asked.delivery_id.as_str(), asked.attempt_id))
                .collect(),
            found.look_again_soon,
            (now() - found.read_until).num_seconds(),
        )
    }

    #[test]
    fn a_delivery_is_judged_by_its_last_attempt_and_by_what_is_stored() {
        for (case, attempts, stored, asked, expected) in [
            (
                "arrived",
                vec![attempt(1, "a", 202, 100)],
                &["a"][..],
                &[][..],
                (vec![], false, 60),
            ),
            (
                "refused",
                vec![attempt(1, "a", 503, 100)],
                &[],
                &[],
                (vec![("a", 1)], false, 100),
            ),
            (
                "timed out, though it was stored",
                vec![attempt(1, "a", 0, 100)],
                &["a"],
                &[],
                (vec![("a", 1)], false, 100),
            ),
            (
                "redirected",
                vec![attempt(1, "a", 302, 100)],
                &["a"],
                &[],
                (vec![("a", 1)], false, 100),
            ),
            (
                "taken by somebody, but not stored here",
                vec![attempt(1, "a", 200, 100)],
                &[],
                &[],
                (vec![("a", 1)], false, 100),
            ),
            (
                "arrived at the second attempt",
                vec![attempt(2, "a", 200, 50), attempt(1, "a", 503, 100)],
                &["a"],
                &[],
                (vec![], false, 60),
            ),
            (
                "failed at the second attempt",
                vec![attempt(1, "a", 503, 100), attempt(2, "a", 503, 50)],
                &[],
                &[],
                (vec![("a", 2)], false, 60),
            ),
            (
                "two attempts in one second",
                vec![attempt(2, "a", 200, 100), attempt(1, "a", 503, 100)],
                &["a"],
                &[],
                (vec![], false, 60),
            ),
            (
                "asked for a moment ago",
                vec![attempt(1, "a", 503, 100)],
                &[],
                &["a"],
                (vec![], false, 100),
            ),
            (
                "refused a moment ago",
                vec![attempt(1, "a", 503, 1)],
                &[],
                &[],
                (vec![("a", 1)], false, 60),
            ),
            (
                "too young to be given up",
                vec![attempt(1, "a", 0, 11)],
                &[],
                &[],
                (vec![], true, 60),
            ),
            (
                "young no more",
                vec![attempt(1, "a", 0, 12)],
                &[],
                &[],
                (vec![("a", 1)], false, 60),
            ),
            (
                "oldest first",
                vec![attempt(2, "b", 503, 100), attempt(1, "a", 503, 200)],
                &[],
                &[],
                (vec![("a", 1), ("b", 2)], false, 200),
            ),
        ] {
            let found = judged(&attempts, stored, asked);
            assert_eq!(verdict(&found), expected, "{case}");
        }
    }

    #[test]
    fn what_is_under_way_is_left_alone_and_stays_in_reach() {
        let under_way = Attempt {
            made_at: None,
            ..attempt(2, "a", 0, 0)
        };
        let found = judged(&[under_way.clone(), attempt(1, "a", 503, 100)], &[], &[]);
        assert_eq!(verdict(&found), (vec![], false, 100));
        assert!(found.labels_missing);
        let found = judged(&[under_way], &[], &[]);
        assert_eq!(verdict(&found), (vec![], false, 60));
    }

    #[test]
    fn events_that_nobody_answers_and_deliveries_without_an_id_do_not_matter() {
        let ping = Attempt {
            event: "ping".to_owned(),
            ..attempt(1, "a", 503, 100)
        };
        let nameless = attempt(2, "", 400, 100);
        let found = judged(&[ping, nameless], &[], &[]);
        assert_eq!(verdict(&found), (vec![], false, 60));
        assert!(!found.labels_missing);
    }

    #[test]
    fn only_a_missing_label_delivery_leaves_labels_unknown() {
        let opened = Attempt {
            action: "opened".to_owned(),
            ..attempt(1, "a", 503, 100)
        };
        assert!(!judged(std::slice::from_ref(&opened), &[], &[]).labels_missing);
        let labeled = attempt(2, "b", 503, 5);
        assert!(judged(&[opened, labeled.clone()], &[], &[]).labels_missing);
        assert!(!judged(&[labeled], &["b"], &[]).labels_missing);
    }

    #[test]
    fn one_pass_asks_for_so_many_and_begins_with_the_oldest() {
        let many: Vec<Attempt> = (0..300)
            .map(|id| attempt(id, &format!("{id:03}"), 503, 1000 + id))
            .collect();
        let found = judged(&many, &[], &[]);
        assert_eq!(found.ask.len(), MOST_AT_ONCE);
        assert_eq!(found.ask[0].attempt_id, 299);
        assert_eq!(verdict(&found).2, 1299);
    }

    #[test]
    fn the_list_is_read_back_to_the_last_pass_and_never_beyond_three_days() {
        let days = |days: i64| now() - TimeDelta::days(days);
        assert_eq!(read_from(None, now()), days(3));
        assert_eq!(read_from(Some(days(1)), now()), days(1));
        assert_eq!(read_from(Some(days(9)), now()), days(3));
    }
}

//! The algebra's own laws, and two receivers that it must tell apart: one that reads the world, one that trusts what
//! a delivery says.
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;

use reports::{delivery_algebra::*, evidence::ScenarioKey};

fn kind() -> impl Strategy<Value = TransformKind> {
    prop::sample::select(TransformKind::ALL.to_vec())
}

/// A list of deliveries, by number, and one of them.
fn list() -> impl Strategy<Value = (Vec<u32>, usize)> {
    (1_u32..12).prop_flat_map(|length| (Just((0..length).collect::<Vec<_>>()), 0..length as usize))
}

fn apply(kind: TransformKind, position: usize, sent: &[u32]) -> Vec<u32> {
    Transform { kind, position }.apply(sent)
}

fn others(chosen: u32, list: &[u32]) -> Vec<u32> {
    list.iter()
        .copied()
        .filter(|other| *other != chosen)
        .collect()
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::seconds(second)
}

/// Attempts that arrive in this order, all after the last was queued.
fn attempts(sent: &[u32], arrived: &[u32]) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::new();
    for (position, delivery) in sent.iter().enumerate() {
        let arrivals: Vec<usize> = (0..arrived.len())
            .filter(|at| arrived[*at] == *delivery)
            .collect();
        let mut attempt = |arrived_at| {
            attempts.push(Attempt {
                delivery: delivery.to_string(),
                queued_at: at(i64::try_from(position).expect("a short list")),
                arrived_at,
                redelivery: false,
            });
        };
        for arrival in &arrivals {
            attempt(Some(at(
                100 + i64::try_from(*arrival).expect("a short list")
            )));
        }
        if arrivals.is_empty() {
            attempt(None);
        }
    }
    attempts
}

proptest! {
    #[test]
    fn a_drop_takes_the_chosen_one_and_no_other((sent, position) in list()) {
        prop_assert_eq!(apply(TransformKind::Drop, position, &sent), others(sent[position], &sent));
    }

    #[test]
    fn a_duplicate_is_undone_by_a_drop((sent, position) in list()) {
        let twice = apply(TransformKind::Duplicate, position, &sent);
        prop_assert_eq!(twice.len(), sent.len() + 1);
        prop_assert_eq!(apply(TransformKind::Drop, position, &twice), sent);
    }

    #[test]
    fn two_swaps_are_none((sent, position) in list()) {
        let once = apply(TransformKind::Swap, position, &sent);
        prop_assert_eq!(once == sent, position + 1 == sent.len());
        prop_assert_eq!(apply(TransformKind::Swap, position, &once), sent);
    }

    #[test]
    fn what_is_late_comes_last_and_hurries_nobody((sent, position) in list()) {
        let arrived = apply(TransformKind::Late, position, &sent);
        prop_assert_eq!(arrived.last(), Some(&sent[position]));
        prop_assert_eq!(others(sent[position], &arrived), others(sent[position], &sent));
    }

    #[test]
    fn late_is_as_many_swaps_as_there_are_others_after_it((sent, position) in list()) {
        let swapped = (position..sent.len()).fold(sent.clone(), |list, place| apply(TransformKind::Swap, place, &list));
        prop_assert_eq!(swapped, apply(TransformKind::Late, position, &sent));
    }

    #[test]
    fn a_journal_shows_the_transform_that_made_it(kind in kind(), (sent, position) in list()) {
        let arrived = apply(kind, position, &sent);
        let overtaken = matches!(kind, TransformKind::Swap | TransformKind::Late);
        let alone = overtaken && position + 1 == sent.len();
        prop_assert_eq!(came_about(kind, &sent[position].to_string(), &attempts(&sent, &arrived)), !alone);
    }

    #[test]
    fn an_untouched_journal_shows_no_transform(kind in kind(), (sent, position) in list()) {
        prop_assert!(!came_about(kind, &sent[position].to_string(), &attempts(&sent, &sent)));
    }

    #[test]
    fn a_seed_chooses_the_same_and_a_smaller_choice_begins_a_larger_one(seed: u64, length in 1_usize..9, most in 0_usize..40) {
        let all = cells(&ScenarioKey::new("XX-01", 3), &example_deliveries(length));
        let chosen = choose(all.clone(), seed, most);
        prop_assert_eq!(&chosen, &choose(all.iter().rev().cloned().collect(), seed, most));
        prop_assert_eq!(chosen.len(), most.min(all.len()));
        prop_assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), chosen.len());
        prop_assert!(chosen.iter().all(|cell| all.contains(cell)));
        prop_assert_eq!(&choose(all, seed, most + 1)[..chosen.len()], &chosen[..]);
    }

    #[test]
    fn who_reads_the_world_ends_the_same_whatever_the_way_does(kind in kind(), (sent, position) in list()) {
        let arrived = apply(kind, position, &sent);
        // Only a delivery after which nothing else comes can be missed.
        prop_assume!(kind != TransformKind::Drop || position + 1 < sent.len());
        prop_assert_eq!(compare(&reading(&sent), &reading(&arrived)), Comparison::Same);
    }

    #[test]
    fn who_trusts_deliveries_is_found_out_by_a_duplicate((sent, position) in list()) {
        let arrived = apply(TransformKind::Duplicate, position, &sent);
        let found = compare(&trusting(&sent), &trusting(&arrived));
        let is_different = matches!(found, Comparison::Different { .. });
        prop_assert!(is_different, "{:?}", found);
    }
}

fn example_deliveries(length: usize) -> Vec<JournaledDelivery> {
    journaled((0..length).map(|number| Sent {
        event: "issues".to_owned(),
        action: Some("labeled".to_owned()),
        label: (number % 2 == 0).then(|| "run:dev".to_owned()),
        thread: Some(1),
        by_person: number % 3 == 0,
    }))
}

fn run(label: &str) -> RunEnd {
    RunEnd {
        issue: Some(1),
        pull_request: Some(2),
        kind: "dev".to_owned(),
        label: label.to_owned(),
        source: "issue_label".to_owned(),
        status: "succeeded".to_owned(),
        reason: None,
    }
}

/// Looks at the world when a delivery comes, and does what is not done yet.
fn reading(arrived: &[u32]) -> EndState {
    EndState {
        runs: arrived
            .first()
            .map(|_| run("run:dev"))
            .into_iter()
            .collect(),
        ..EndState::default()
    }
}

/// Starts a run for every delivery.
fn trusting(arrived: &[u32]) -> EndState {
    EndState {
        runs: arrived.iter().map(|_| run("run:dev")).collect(),
        ..EndState::default()
    }
}

fn refused(thread: u64, delivery: &str) -> Refusal {
    Refusal {
        thread: Some(thread),
        delivery: delivery.to_owned(),
        reason: "issue_closed".to_owned(),
    }
}

fn thread(labels: &[&str]) -> Thread {
    Thread {
        state: "open".to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..Thread::default()
    }
}

fn expected() -> EndState {
    EndState {
        threads: [(1, thread(&["state:in-review"])), (7, thread(&[]))].into(),
        runs: vec![run("run:dev")],
        refusals: Vec::new(),
    }
}

#[test]
fn a_missing_run_is_refused_only_with_a_reason_on_record() {
    let mut seen = expected();
    seen.runs.clear();
    seen.threads.insert(1, thread(&["run:dev"]));
    let without_reason = compare(&expected(), &seen);
    assert!(
        matches!(without_reason, Comparison::Different { .. }),
        "{without_reason:?}"
    );
    seen.refusals = vec![refused(1, "issues.labeled run:dev")];
    let reasons = vec!["issue_closed".to_owned()];
    assert_eq!(compare(&expected(), &seen), Comparison::Refused { reasons });
}

#[test]
fn a_reason_explains_nothing_but_its_own_run_and_threads() {
    let refusals = [
        refused(1, "issues.labeled run:plan"),
        refused(7, "issues.labeled run:dev"),
    ];
    for refusal in refusals {
        let mut seen = expected();
        seen.runs.clear();
        seen.refusals = vec![refusal];
        let compared = compare(&expected(), &seen);
        assert!(
            matches!(compared, Comparison::Different { .. }),
            "{compared:?}"
        );
    }
    let mut seen = expected();
    seen.runs.clear();
    seen.refusals = vec![refused(1, "issues.labeled run:dev")];
    seen.threads.insert(7, thread(&["need:input"]));
    assert_eq!(
        compare(&expected(), &seen),
        Comparison::Different {
            differences: vec![
                "no run dev by issue_label (run:dev) on Issue #1, pull request #2: succeeded"
                    .to_owned(),
                "a refusal more: issues.labeled run:dev: issue_closed".to_owned(),
                "#7: labels [need:input] instead of []".to_owned(),
            ]
        }
    );
}

#[test]
fn a_run_that_is_lost_otherwise_is_not_called_refused() {
    let mut given_up = expected();
    given_up.runs.clear();
    given_up.refusals = vec![Refusal {
        reason: "effect.given_up: label_add".to_owned(),
        ..refused(1, "issues.labeled run:dev")
    }];
    let mut silent = expected();
    silent.runs.clear();
    silent.refusals = vec![refused(1, "issues.labeled run:dev")];
    let mut wanted = expected();
    wanted.refusals = vec![refused(7, "issues.labeled run:qa")];
    for (expected, seen) in [(expected(), given_up), (wanted, silent)] {
        let compared = compare(&expected, &seen);
        assert!(
            matches!(compared, Comparison::Different { .. }),
            "{compared:?}"
        );
    }
}

#[test]
fn a_comment_said_twice_differs_and_the_order_of_comments_does_not() {
    let said = |comments: &[&str]| {
        let mut state = expected();
        let mut comments: Vec<String> = comments.iter().map(|said| (*said).to_owned()).collect();
        comments.sort();
        state.threads.entry(1).or_default().comments = comments;
        state
    };
    assert_eq!(
        compare(&said(&["a", "b"]), &said(&["b", "a"])),
        Comparison::Same
    );
    assert_eq!(
        compare(&said(&["a"]), &said(&["a", "a"])),
        Comparison::Different {
            differences: vec!["#1: a comment more: \"a\"".to_owned()]
        }
    );
}

/// One line per case: what was dropped or not, and what must be said of it.
#[test]
fn a_play_is_judged_by_what_it_left_and_by_whether_it_happened() {
    let base = ScenarioBase {
        scenario: "XX-01".to_owned(),
        line: 3,
        expected: expected(),
    };
    let cell = |transform| Cell {
        scenario: "XX-01".to_owned(),
        line: 3,
        delivery: example_deliveries(1).remove(0),
        transform,
    };
    let mut nothing = expected();
    nothing.runs.clear();
    let ended = |met, came_about, before: Option<&EndState>, end: &EndState| Played::Ended {
        met,
        came_about,
        before: before.cloned(),
        end: Box::new(end.clone()),
    };
    let (drop, swap) = (TransformKind::Drop, TransformKind::Swap);
    let late = TransformKind::Late;
    let whole = expected();
    for (transform, played, name) in [
        (drop, ended(true, true, Some(&whole), &whole), "same"),
        (
            drop,
            ended(true, true, Some(&nothing), &whole),
            "same after redelivery",
        ),
        (
            drop,
            ended(true, true, Some(&nothing), &nothing),
            "different",
        ),
        (drop, ended(false, false, None, &nothing), "different"),
        (drop, ended(true, false, None, &whole), "broke"),
        (late, ended(true, false, None, &whole), "not applicable"),
        (swap, ended(true, true, None, &whole), "same"),
        (swap, ended(true, false, None, &whole), "not applicable"),
        (swap, ended(false, false, None, &whole), "not applicable"),
        (swap, ended(true, true, None, &nothing), "different"),
        (
            swap,
            Played::Broke("When x: not reached".to_owned()),
            "broke",
        ),
    ] {
        let judged = judge(&cell(transform), 1, &base, &played);
        assert_eq!(judged.result.name(), name, "{transform} {played:?}");
        assert_eq!(
            judged.result.is_red(),
            matches!(name, "different" | "broke")
        );
    }
}

#[test]
fn two_plays_of_one_comment_read_alike() {
    let names = |suffix: &str, run: &str| {
        BTreeMap::from([
            (format!("shop-{suffix}"), "shop".to_owned()),
            (run.to_owned(), "run".to_owned()),
        ])
    };
    let said = |suffix: &str, run: &str, time: &str, address: &str| {
        plain(
            &format!(
                "### [Готово](http://{address}/runs/{run})\n- {time} – `shop-{suffix}/app` at 4f2a91c0d, #2, gpt-5.4, `run:dev:revise`, exit 42"
            ),
            &names(suffix, run),
        )
    };
    let one = said(
        "0c3049a5fd",
        "04f7c355-6fdd-460f-b346-808003cc0d2f",
        "2026-11-21T18:35:47Z",
        "127.190.231.20:8080",
    );
    let other = said(
        "8deb1b8a9b",
        "bd4f0e79-8aa0-4411-b44d-7124bdc9360d",
        "2026-11-21T18:36:01Z",
        "127.7.7.7:9090",
    );
    assert_eq!(one, other);
    assert_eq!(
        one,
        "### [Готово](http://…/runs/run)\n- … – `shop/app` at …, #2, gpt-5.4, `run:dev:revise`, exit 42"
    );
}

#[test]
fn an_id_that_nobody_named_is_made_alike() {
    assert_eq!(
        plain(
            "<!-- codex-k8s:effect 7fc21c94af99d866bc8d201b9b33effa --> 04f7c355-6fdd-460f-b346-808003cc0d2f 700123",
            &BTreeMap::new()
        ),
        "<!-- codex-k8s:effect … --> … …"
    );
}

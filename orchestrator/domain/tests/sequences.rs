//! Laws over sequences of events: nothing that people, bots and time do in any order breaks them. The world holds the
//! laws of a single delivery after every move; see `walking`.

mod walking;

use proptest::prelude::*;
use reference::{BOT, Model, Move, PEOPLE, Place, Walk};
use walking::{NO_MUTATION, World};

fn anybody() -> impl Strategy<Value = String> {
    let logins: Vec<String> = PEOPLE
        .iter()
        .map(|person| person.login.to_owned())
        .collect();
    proptest::sample::select(logins)
}

fn any_label() -> impl Strategy<Value = String> {
    let states = [
        "state:blocked",
        "state:in-review",
        "state:approved",
        "state:abandoned",
    ];
    let others = [
        "need:input",
        "need:reviewer",
        "need:qa",
        "mode:discussion",
        "run:debug",
        "bug",
    ];
    let mut labels = Model::default().tables.trigger_labels();
    labels.extend(
        states
            .iter()
            .chain(&others)
            .map(|label| (*label).to_owned()),
    );
    proptest::sample::select(labels)
}

fn any_place() -> impl Strategy<Value = Place> {
    prop_oneof![
        3 => Just(Place::issue(1)),
        1 => Just(Place::issue(2)),
        1 => (101_i64..104).prop_map(Place::pull),
    ]
}

fn any_move() -> impl Strategy<Value = Move> {
    let label = (anybody(), any_place(), any_label());
    let unlabel = (anybody(), any_place(), any_label());
    let next = (anybody(), any_label());
    let review = (
        anybody(),
        101_i64..104,
        "changes_requested|approved|commented",
    );
    let end = (1_usize..8, "succeeded|failed", any::<bool>());
    prop_oneof![
        6 => label.prop_map(|(who, at, label)| Move::Label { who, at, label }),
        3 => unlabel.prop_map(|(who, at, label)| Move::Unlabel { who, at, label }),
        3 => end.prop_map(|(run, how, makes_pull)| Move::End { run, how, makes_pull }),
        2 => review.prop_map(|(who, pull, state)| Move::Review { who, pull, state }),
        1 => next
            .prop_filter("a next step is a stage", |(_, label)| label.starts_with("run:") && label != "run:debug")
            .prop_map(|(who, label)| Move::NextStep { who, issue: 1, label }),
        1 => (anybody(), any_place()).prop_map(|(who, at)| Move::Comment { who, at }),
        1 => (anybody(), any::<bool>()).prop_map(|(who, open)| Move::SetIssueOpen { who, issue: 1, open }),
        1 => (anybody(), 101_i64..104, any::<bool>())
            .prop_map(|(who, pull, merged)| Move::ClosePull { who, pull, merged }),
        1 => (1_usize..8, any::<bool>()).prop_map(|(run, abandon)| Move::Cancel { run, abandon }),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    proptest::collection::vec(any_move(), 1..40)
}

/// The world after some moves; what broke a law in them fails the case.
fn walked(moves: &[Move]) -> Result<World<'static>, TestCaseError> {
    let mut world = World::new(&NO_MUTATION);
    for step in moves {
        world.play(step);
        prop_assert!(world.broken.is_empty(), "after {step}: {:?}", world.broken);
    }
    Ok(world)
}

/// Labels that neither start anything nor answer another label: of them, only what is there in the end counts.
const INERT: [&str; 5] = [
    "bug",
    "run:debug",
    "run:foo",
    "[ai-model-gpt-5.4]",
    "[ai-reasoning-low]",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    /// One active stage-run at most, one reason and one event for each delivery, no run of a bot, and nothing that
    /// follows from the platform's own webhooks.
    #[test]
    fn no_sequence_breaks_a_law(moves in moves()) {
        walked(&moves)?;
    }

    /// A bot sets any labels in any state of the world: no run begins, no run is cancelled.
    #[test]
    fn a_bot_never_begins_or_ends_a_run(before in moves(), labels in proptest::collection::vec((any_place(), any_label()), 1..6)) {
        let mut world = walked(&before)?;
        // A push into no pull request does nothing but look.
        let nothing = Move::Push { pull: 0 };
        let view = world.play(&nothing);
        let runs = view.runs;
        let active: Vec<&String> = runs.iter().filter(|run| run.ends_with(": active")).collect();
        // A grant that waits for the bot is a person's doing; none is left when every delivery has come.
        prop_assert!(view.grants.is_empty());
        for (at, label) in labels {
            for who in [BOT, "robot[bot]"] {
                let after = world.play(&Move::Label { who: who.to_owned(), at: at.clone(), label: label.clone() });
                let now: Vec<&String> = after.runs.iter().filter(|run| run.ends_with(": active")).collect();
                prop_assert_eq!(&now, &active, "{} sets {} on {}", who, label, at);
                prop_assert_eq!(after.runs.len(), runs.len());
            }
        }
    }

    /// L-3, L-15, L-19: labels that only lie there commute, with one another and with the label that starts a run.
    #[test]
    fn the_order_of_inert_labels_does_not_matter(before in moves(), order in Just(INERT.to_vec()).prop_shuffle(), who in anybody()) {
        let set = |labels: &[&str]| -> Result<_, TestCaseError> {
            let mut world = walked(&before)?;
            for label in labels {
                world.play(&Move::Label { who: who.clone(), at: Place::issue(2), label: (*label).to_owned() });
            }
            let plan = Move::Label { who: "alice".to_owned(), at: Place::issue(2), label: "run:plan".to_owned() };
            Ok(world.play(&plan))
        };
        prop_assert_eq!(set(&INERT)?, set(&order)?);
    }

    /// L-33: of two trigger labels set at once, neither order starts a run, and both are answered alike.
    #[test]
    fn the_order_of_conflicting_labels_does_not_matter(before in moves(), first in 0_usize..28, second in 0_usize..28) {
        prop_assume!(first != second);
        let labels = Model::default().tables.trigger_labels();
        let click = |first: usize, second: usize| -> Result<_, TestCaseError> {
            let mut world = walked(&before)?;
            for label in world.forge.labels(&Place::issue(2)).to_vec() {
                world.play(&Move::Unlabel { who: "alice".to_owned(), at: Place::issue(2), label });
            }
            let runs = world.runs.len();
            let labels = [labels[first].clone(), labels[second].clone()];
            let after = world.play(&Move::LabelTwo { who: "alice".to_owned(), issue: 2, labels });
            prop_assert_eq!(after.runs.len(), runs);
            Ok(after)
        };
        let (one, other) = (click(first, second)?, click(second, first)?);
        prop_assert_eq!(&one, &other);
        let conflict = "ignored(issue_trigger_label_conflict) with a comment".to_owned();
        prop_assert_eq!(one.answers, vec![conflict; 2]);
    }
}

/// The same delivery decided again wants the same comment under the same key: doing it twice is doing it once (L-24,
/// D-31). Every conflict of the walks is decided twice.
#[test]
fn conflict_comments_are_idempotent() {
    let fresh = Model::default();
    let mut all = 0;
    for seed in 0..200 {
        let mut conflicts = 0;
        let mut world = World::new(&NO_MUTATION);
        world.decide_twice = true;
        for step in Walk::of_seed(seed, 30, &fresh).moves {
            let view = world.play(&step);
            let conflict = |answer: &&String| answer.contains("label_conflict) with a comment");
            conflicts += view.answers.iter().filter(conflict).count();
            assert_eq!(world.conflict_comments, conflicts, "seed {seed}: {step}");
        }
        assert!(world.broken.is_empty(), "seed {seed}: {:?}", world.broken);
        all += conflicts;
    }
    assert!(all > 100, "{all} conflicts are too few to tell");
}

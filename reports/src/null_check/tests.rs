//! One case per line: what a scenario reads, how it ended against each null, and what must be said of it.
use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;

use super::*;
use crate::evidence::{
    Observation, ObservationSource as Source, ScenarioKey, ScenarioResult, ScenarioState,
    StepResult, StepState,
};

/// The steps of every scenario here, so that "the second When" has a place.
const STEPS: [(&str, &str); 6] = [
    ("Given", "a bound repository"),
    ("And", "an outsider has set a label"),
    ("When", "the member sets a label"),
    ("And", "the same delivery arrives again"),
    ("Then", "something is seen"),
    ("But", "something else is not"),
];

/// Position of the step that fails; none for a scenario that passes.
type Fails = Option<usize>;

fn scenario(fails: Fails) -> ScenarioResult {
    let now = Utc::now();
    let steps = STEPS
        .iter()
        .enumerate()
        .take_while(|(index, _)| fails.is_none_or(|fails| *index <= fails))
        .map(|(index, (keyword, text))| {
            let failed = fails == Some(index);
            StepResult {
                keyword: (*keyword).to_owned(),
                text: (*text).to_owned(),
                state: if failed {
                    StepState::Failed
                } else {
                    StepState::Passed
                },
                error: failed.then(|| "not reached in time".to_owned()),
                line: 10,
                started_at: now,
                duration_ms: 1,
            }
        })
        .collect();
    ScenarioResult {
        key: ScenarioKey::new("XX-01", 7),
        feature: "example".to_owned(),
        file: "features/example.feature".to_owned(),
        name: "An example".to_owned(),
        tags: vec!["XX-01".to_owned(), "p0".to_owned()],
        state: if fails.is_some() {
            ScenarioState::Failed
        } else {
            ScenarioState::Passed
        },
        reason: fails.map(|_| "not reached in time".to_owned()),
        steps,
        runs: Vec::new(),
        repositories: Vec::new(),
        instance: String::new(),
        kept: Vec::new(),
        announced: Vec::new(),
        started_at: now,
        finished_at: now,
    }
}

fn observation((source, query): &(Source, &str)) -> Observation {
    Observation {
        key: ScenarioKey::new("XX-01", 7),
        step: "something is seen".to_owned(),
        rules: vec!["L-1".to_owned()],
        subject: "labels".to_owned(),
        expected: "one".to_owned(),
        seen: "one".to_owned(),
        ok: true,
        source: *source,
        query: (*query).to_owned(),
        contradiction: false,
        at: Utc::now(),
    }
}

fn check(reads: &[(Source, &str)], ends: [Fails; 3]) -> NullCheck {
    let observations: Vec<_> = reads.iter().map(observation).collect();
    let nulls = Null::ALL
        .into_iter()
        .zip(ends.map(|fails| vec![scenario(fails)]))
        .collect();
    judge(Draw::Every, &[scenario(None)], &observations, &nulls)
}

const GIVEN: Fails = Some(0);
const LATER_GIVEN: Fails = Some(1);
const WHEN: Fails = Some(3);
const THEN: Fails = Some(4);
const BUT: Fails = Some(5);
const GREEN: Fails = None;

const ANSWER: (Source, &str) = (Source::Answer, "journal of the stand-in: delivery");
const HEALTH: (Source, &str) = (Source::Orchestrator, "GET /healthz");
const STORED: (Source, &str) = (Source::Postgres, "webhook_deliveries by delivery id");
const CATALOGUE: (Source, &str) = (Source::Postgres, "UPDATE agent_runs (pg_trigger refuses)");
const RUNS: (Source, &str) = (Source::Postgres, "agent_runs by repository and Issue");
const COMMENT: (Source, &str) = (Source::Github, "GET /repos/…/comments");
const NAMESPACE: (Source, &str) = (Source::Kubernetes, "GET namespaces");
const JOB_LOG: (Source, &str) = (Source::JobLog, "log of the Job");

#[test]
fn what_a_scenario_reads_says_which_nulls_judge_it() {
    let vacuous = |null| Problem::Vacuous { null };
    let given = |null| Problem::GivenFailed {
        null,
        step: "And an outsider has set a label".to_owned(),
        error: "not reached in time".to_owned(),
    };
    let mutant = || Problem::NeedsMutant {
        step: "Given a bound repository".to_owned(),
    };
    use Cell::{AtGiven, Green, NotJudged, Red};
    let cases: Vec<(
        &str,
        Vec<(Source, &str)>,
        [Fails; 3],
        [Cell; 3],
        Vec<Problem>,
    )> = vec![
        (
            "red at a When, a Then and a But",
            vec![RUNS, COMMENT],
            [WHEN, THEN, BUT],
            [Red, Red, Red],
            vec![],
        ),
        (
            "rows alone are not judged by (c)",
            vec![RUNS],
            [THEN, THEN, GREEN],
            [Red, Red, NotJudged],
            vec![],
        ),
        (
            "and need not be green there",
            vec![RUNS],
            [THEN, THEN, THEN],
            [Red, Red, NotJudged],
            vec![],
        ),
        (
            "answers are judged by (a) alone",
            vec![ANSWER, HEALTH],
            [THEN, GREEN, GREEN],
            [Red, NotJudged, NotJudged],
            vec![],
        ),
        (
            "so is what is stored before the decision",
            vec![STORED],
            [THEN, GREEN, GREEN],
            [Red, NotJudged, NotJudged],
            vec![],
        ),
        (
            "and a catalogue of the database",
            vec![CATALOGUE],
            [THEN, GREEN, GREEN],
            [Red, NotJudged, NotJudged],
            vec![],
        ),
        (
            "green on (a)",
            vec![HEALTH],
            [GREEN, GREEN, GREEN],
            [Green, NotJudged, NotJudged],
            vec![vacuous(Null::A)],
        ),
        (
            "green on (b)",
            vec![RUNS],
            [THEN, GREEN, GREEN],
            [Red, Green, NotJudged],
            vec![vacuous(Null::B)],
        ),
        (
            "GitHub is the world",
            vec![COMMENT],
            [THEN, THEN, GREEN],
            [Red, Red, Green],
            vec![vacuous(Null::C)],
        ),
        (
            "Kubernetes is the world",
            vec![ANSWER, NAMESPACE],
            [THEN, THEN, GREEN],
            [Red, Red, Green],
            vec![vacuous(Null::C)],
        ),
        (
            "a Pod's log is the world",
            vec![JOB_LOG],
            [THEN, THEN, GREEN],
            [Red, Red, Green],
            vec![vacuous(Null::C)],
        ),
        (
            "one world source among many suffices",
            vec![RUNS, STORED, COMMENT],
            [THEN, GREEN, GREEN],
            [Red, Green, Green],
            vec![vacuous(Null::B), vacuous(Null::C)],
        ),
        (
            "a Given of (a) proves nothing, (b) judges",
            vec![RUNS],
            [GIVEN, THEN, GREEN],
            [AtGiven, Red, NotJudged],
            vec![],
        ),
        (
            "a Given of (a) and nobody else judges",
            vec![ANSWER],
            [GIVEN, GREEN, GREEN],
            [AtGiven, NotJudged, NotJudged],
            vec![mutant()],
        ),
        (
            "a Given of (b) fails",
            vec![RUNS],
            [THEN, LATER_GIVEN, GREEN],
            [Red, AtGiven, NotJudged],
            vec![given(Null::B)],
        ),
        (
            "a Given of (c) fails, though (c) does not judge",
            vec![RUNS],
            [THEN, THEN, LATER_GIVEN],
            [Red, Red, AtGiven],
            vec![given(Null::C)],
        ),
    ];
    for (case, reads, ends, cells, problems) in cases {
        let found = check(&reads, ends);
        assert_eq!(
            found.rows[0].cells,
            Null::ALL.into_iter().zip(cells).collect(),
            "{case}"
        );
        let seen: Vec<_> = found
            .findings
            .into_iter()
            .map(|finding| finding.problem)
            .collect();
        assert_eq!(seen, problems, "{case}");
    }
}

#[test]
fn a_planted_vacuous_scenario_is_named() {
    // As `tests/features/planted.feature`: its Then reads the label that its When has just set.
    let label = (Source::Github, "GET /repos/shop/app/issues/1/labels");
    let found = check(&[label], [WHEN, GREEN, GREEN]);
    let sentences: Vec<_> = found
        .findings
        .iter()
        .map(|finding| {
            format!(
                "{} {}: {}",
                finding.key.scenario, finding.name, finding.problem
            )
        })
        .collect();
    assert_eq!(sentences.len(), 2);
    assert!(
        sentences[0].starts_with("XX-01 An example: vacuous: green against (b)"),
        "{sentences:?}"
    );
    assert!(
        sentences[1].starts_with("XX-01 An example: vacuous: green against (c)"),
        "{sentences:?}"
    );
}

#[test]
fn what_is_exempt_or_cannot_run_is_left_out_and_what_is_sick_is_a_finding() {
    let none = BTreeMap::new();
    let mut exempt = scenario(THEN);
    exempt.tags.push("subject-gate".to_owned());
    assert_eq!(judge(Draw::Every, &[exempt], &[], &none).findings, vec![]);

    let mut waiting = scenario(GREEN);
    waiting.state = ScenarioState::Waiting;
    let check = judge(Draw::Every, &[waiting], &[], &none);
    assert_eq!(check.findings, vec![]);
    assert_eq!(check.rows[0].left_out.as_deref(), Some("waiting"));

    let check = judge(Draw::Every, &[scenario(THEN)], &[], &none);
    assert!(matches!(
        check.findings[0].problem,
        Problem::NotHealthy { .. }
    ));
}

#[test]
fn what_was_not_played_to_an_end_fails_the_check() {
    let observations = [observation(&RUNS)];
    let mut undefined = scenario(THEN);
    undefined.steps[4].state = StepState::Undefined;
    let nulls = BTreeMap::from([
        (Null::A, vec![scenario(THEN)]),
        (Null::B, vec![undefined]),
        (Null::C, vec![]),
    ]);
    let check = judge(Draw::Every, &[scenario(GREEN)], &observations, &nulls);
    let unclear: Vec<_> = check
        .findings
        .iter()
        .filter_map(|finding| match &finding.problem {
            Problem::Unclear { null, .. } => Some(*null),
            _ => None,
        })
        .collect();
    assert_eq!(unclear, vec![Null::B, Null::C]);
}

#[test]
fn examples_of_an_outline_are_told_apart() {
    let mut other = scenario(GREEN);
    other.key.line = 8;
    let mut green = scenario(GREEN);
    green.key.line = 8;
    let observations = [observation(&HEALTH), {
        let mut of_other = observation(&HEALTH);
        of_other.key.line = 8;
        of_other
    }];
    let nulls = Null::ALL
        .into_iter()
        .map(|null| (null, vec![scenario(THEN), green.clone()]))
        .collect();
    let check = judge(
        Draw::Every,
        &[scenario(GREEN), other],
        &observations,
        &nulls,
    );
    assert_eq!(check.findings.len(), 1);
    assert_eq!(check.findings[0].key.line, 8);
}

#[test]
fn a_draw_judges_by_one_null_that_can_and_the_seeds_come_by_all_of_them() {
    let drawn = |reads: &[(Source, &str)]| -> BTreeSet<Vec<Null>> {
        let observations: Vec<_> = reads.iter().map(observation).collect();
        let read: Vec<_> = observations.iter().collect();
        (0..64)
            .map(|seed| Draw::One { seed }.nulls_of(&ScenarioKey::new("XX-01", 7), &read))
            .collect()
    };
    let of = |nulls: &[Null]| nulls.iter().map(|null| vec![*null]).collect();
    assert_eq!(drawn(&[COMMENT]), of(&[Null::B, Null::C]));
    assert_eq!(drawn(&[RUNS]), of(&[Null::B]));
    assert_eq!(drawn(&[STORED]), of(&[Null::A]));
}

#[test]
fn a_draw_finds_what_is_green_against_the_null_that_was_drawn() {
    let observations = [observation(&RUNS)];
    let green = BTreeMap::from([(Null::B, vec![scenario(GREEN)])]);
    let draw = Draw::One { seed: 1 };
    let check = judge(draw, &[scenario(GREEN)], &observations, &green);
    assert_eq!(
        check.findings[0].problem,
        Problem::Vacuous { null: Null::B }
    );
    let red = BTreeMap::from([(Null::B, vec![scenario(THEN)])]);
    let check = judge(draw, &[scenario(GREEN)], &observations, &red);
    assert_eq!(check.findings, vec![]);
    assert_eq!(check.rows[0].cells, BTreeMap::from([(Null::B, Cell::Red)]));
    let check = judge(draw, &[scenario(GREEN)], &observations, &BTreeMap::new());
    assert!(matches!(
        check.findings[0].problem,
        Problem::Unclear { null: Null::B, .. }
    ));
}

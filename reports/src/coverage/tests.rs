//! Coverage falls with what is not observed, and rises with nothing else.
use serde_json::{Value, json};

use super::{CellState, Coverage, RuleState, compute};
use crate::evidence::{ScenarioResult, ScenarioState};
use crate::journals::{GithubRecord, Journals};
use crate::spec::{CellKind, SpecText, Specification};
use crate::verdict::sample::{green, line, observation, result};

fn embedded() -> Specification {
    Specification::embedded().expect("the specification")
}

fn state_of(coverage: &Coverage, rule: &str) -> RuleState {
    let found = coverage.rules.iter().find(|found| found.id == rule);
    found.expect(rule).state
}

#[test]
fn a_new_rule_is_open_until_it_is_observed() {
    let text = SpecText::embedded();
    let chapter = text.chapter("labels-and-stages.md").to_owned();
    let text = text.with_chapter(
        "labels-and-stages.md",
        format!("{chapter}\n- **L-999** A rule that nobody has played.\n"),
    );
    let book = Specification::parse(&text).expect("the specification");
    let mut journals = green(&book);
    assert_eq!(
        state_of(&compute(&journals, &book), "L-999"),
        RuleState::Open
    );
    let mut observed = observation("SL-07");
    observed.rules = vec!["L-999".into()];
    journals
        .observations
        .push(line("journals/observations.ndjson", 99, observed));
    assert_eq!(
        state_of(&compute(&journals, &book), "L-999"),
        RuleState::Proven
    );
}

#[test]
fn a_tag_without_an_observation_proves_nothing() {
    let book = embedded();
    let mut journals = green(&book);
    for scenario in &mut journals.scenarios {
        scenario.value.tags.push("L-25".into());
    }
    assert_eq!(
        state_of(&compute(&journals, &book), "L-25"),
        RuleState::Open
    );
}

#[test]
fn what_a_failed_scenario_saw_proves_nothing() {
    let book = embedded();
    let mut journals = green(&book);
    assert_eq!(
        state_of(&compute(&journals, &book), "L-73"),
        RuleState::Proven
    );
    for scenario in &mut journals.scenarios {
        scenario.value.state = ScenarioState::Failed;
    }
    assert_eq!(
        state_of(&compute(&journals, &book), "L-73"),
        RuleState::Open
    );
}

#[test]
fn a_rule_waits_with_the_scenarios_that_bear_its_tag() {
    let book = embedded();
    let mut journals = green(&book);
    let waiting = |rule: &str| ScenarioResult {
        tags: vec!["SL-11".into(), rule.into(), "waits-deploy".into()],
        state: ScenarioState::Waiting,
        ..result("SL-11", &book)
    };
    for (number, rule) in [(98, "L-67"), (99, "L-73")] {
        journals
            .scenarios
            .push(line("journals/scenarios.ndjson", number, waiting(rule)));
    }
    let coverage = compute(&journals, &book);
    assert_eq!(state_of(&coverage, "L-67"), RuleState::Waiting);
    let rule = coverage.rules.iter().find(|rule| rule.id == "L-67");
    assert_eq!(rule.expect("L-67").waits, ["waits-deploy"]);
    assert_eq!(
        state_of(&coverage, "L-73"),
        RuleState::Proven,
        "what is proven does not wait"
    );
}

/// One scenario's lines: a label set and removed on GitHub, and the platform's word for it.
fn play(journals: &mut Journals, repository: &str, label: &str) {
    for (number, action) in [(1, "label_added"), (2, "label_removed")] {
        let record: GithubRecord = serde_json::from_value(json!({
            "at": "2026-11-21T12:00:00Z", "kind": "change", "repository": repository,
            "event": action, "detail": {"label": label},
        }))
        .expect("a record");
        journals
            .github
            .push(line("journals/github.ndjson", number, record));
    }
    let event = json!({
        "id": 7, "event_type": "label.applied", "created_at": "2026-11-21T12:00:00Z",
        "repository": repository, "payload": {"op": "remove", "label": label},
    });
    let lane = journals.lanes.get_mut("common").expect("the lane");
    lane.events.push(line(
        "journals/postgres/common/flow_events.ndjson",
        9,
        event,
    ));
}

/// The journals of a run that never played what works in `repository`.
fn without(mut journals: Journals, repository: &str) -> Journals {
    journals
        .github
        .retain(|line| line.value.repository.as_deref() != Some(repository));
    for lane in journals.lanes.values_mut() {
        lane.events
            .retain(|line| line.value["repository"] != Value::from(repository));
    }
    journals
}

#[test]
fn deleting_a_scenario_lowers_the_coverage_of_labels() {
    let book = embedded();
    let mut journals = green(&book);
    let before = compute(&journals, &book).labels.proven;
    play(&mut journals, "acme/one", "need:qa");
    play(&mut journals, "acme/two", "need:sre");
    let both = compute(&journals, &book).labels;
    assert_eq!(both.proven, before + 2);
    let one = compute(&without(journals, "acme/two"), &book).labels;
    assert_eq!(one.proven, before + 1);
    let removal = |label: &str| {
        let row = one.labels.iter().find(|row| row.label == label);
        let cells = &row.expect(label).cells;
        let cell = cells.iter().find(|cell| cell.kind == CellKind::Removal);
        cell.expect("a removal").state
    };
    assert_eq!(removal("need:qa"), CellState::Proven);
    assert_eq!(removal("need:sre"), CellState::Open);
}

#[test]
fn a_label_is_refused_to_agents_until_one_of_them_set_it() {
    let book = embedded();
    let refusal = |journals: &Journals| {
        let labels = compute(journals, &book).labels.labels;
        let row = labels.iter().find(|row| row.label == "run:debug");
        let cells = &row.expect("run:debug").cells;
        let cell = cells
            .iter()
            .find(|cell| cell.kind == CellKind::RefusedActor);
        cell.expect("a refused actor").state
    };
    let mut journals = green(&book);
    assert_eq!(refusal(&journals), CellState::Open);
    let event = |event_type: &str, reason: Option<&str>| {
        json!({"event_type": event_type, "payload": {
            "op": "add", "label": "run:debug", "source": "mcp", "reason": reason}})
    };
    let tell = |journals: &mut Journals, event: Value| {
        let lane = journals.lanes.values_mut().next().expect("a lane");
        lane.events.push(line("journals/events.ndjson", 900, event));
    };
    tell(
        &mut journals,
        event("label.rejected", Some("label_not_allowed")),
    );
    assert_eq!(refusal(&journals), CellState::Proven);
    tell(&mut journals, event("label.applied", None));
    assert_eq!(refusal(&journals), CellState::Open);
}

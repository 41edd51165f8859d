//! Every kind of defect turns the verdict of a run that is otherwise GO.
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::criteria::DemandedCells;
use super::sample::{at, green, line, result};
use super::{
    Baseline, Criteria, LabelDemand, Outcome, Risk, Scope, SelfCheckDemand, Verdict, compute,
};
use crate::canary::CanaryHit;
use crate::crash_matrix::CrashSweep;
use crate::evidence::{AnnouncedLog, Capability, CapabilityState, ScenarioState};
use crate::journals::{CertificateProblem, CertificateRoute, Journals};
use crate::spec::{CellKind, Specification};

fn criteria() -> Criteria {
    Criteria {
        schema_version: 1,
        scope: Scope {
            rows: vec!["S2-1".into(), "S2-3".into(), "S2-13".into()],
            features: vec!["stage_lifecycle".into(), "label_conflicts".into()],
        },
        labels: LabelDemand {
            all: false,
            cells: vec![DemandedCells {
                label: "run:dev".into(),
                kinds: vec![CellKind::ConflictOrGuard],
            }],
        },
        self_check: SelfCheckDemand {
            required: true,
            most_age_hours: 24,
        },
        demanded_capabilities: vec!["pods".into()],
        canary_search: true,
        lowered: vec!["one label cell is demanded".into()],
    }
}

fn sweep(kills: usize, red: usize) -> CrashSweep {
    let mut sweep = CrashSweep::new(1, 24, Vec::new(), Vec::new(), Vec::new());
    (sweep.kills, sweep.red) = (kills, red);
    sweep
}

fn judge(journals: &Journals, criteria: &Criteria, specification: &Specification) -> Verdict {
    compute(journals, criteria, specification).verdict
}

#[test]
fn a_run_without_defect_is_go_and_says_what_it_does_not_speak_of() {
    let specification = Specification::embedded().expect("specification");
    let verdict = judge(&green(&specification), &criteria(), &specification);
    assert_eq!(verdict.findings, []);
    assert_eq!(
        verdict.headline,
        "GO for 2 of 32 rows (S2-13 processes only), 8 of 556 scenarios passed, 0 waiting, 548 not run"
    );
    assert_eq!((verdict.verdict, verdict.exit_code), (Outcome::Go, 0));
    assert_eq!(verdict.rows_outside_scope.len(), 29);
    assert_eq!(verdict.lowered, ["one label cell is demanded"]);
}

type Change = fn(&mut Journals, &mut Criteria);

/// Name of the check that must find it, the verdict that must follow, and the defect.
const DEFECTS: &[(&str, Outcome, Change)] = &[
    ("scenario_failed", Outcome::NoGo, |j, _| {
        j.scenarios[0].value.state = ScenarioState::Failed
    }),
    ("row_not_proven", Outcome::NoGo, |j, _| {
        j.scenarios[0].value.state = ScenarioState::Failed
    }),
    ("scenario_flaky", Outcome::NoGo, |j, _| {
        j.scenarios[0].value.state = ScenarioState::Flaky
    }),
    ("step_undefined", Outcome::NoGo, |j, _| {
        j.scenarios[0].value.state = ScenarioState::Undefined
    }),
    ("scenario_skipped", Outcome::NoGo, |j, _| {
        j.scenarios[0].value.state = ScenarioState::Skipped
    }),
    ("unknown_scenario", Outcome::NoGo, |j, _| {
        j.scenarios[0].value.key.scenario = "XX-01".into()
    }),
    ("row_not_proven", Outcome::Inconclusive, |j, _| {
        j.scenarios[0].value.state = ScenarioState::Waiting;
        j.scenarios[0].value.tags.push("waits-mcp".into());
    }),
    ("row_not_proven", Outcome::Inconclusive, |j, _| {
        j.scenarios.remove(1);
    }),
    ("waiting_tag", Outcome::NoGo, |j, _| {
        j.scenarios[0].value.state = ScenarioState::Waiting;
        j.scenarios[0].value.tags.push("waits-weather".into());
    }),
    ("waiting_tag", Outcome::NoGo, |j, _| {
        j.scenarios[0].value.state = ScenarioState::Waiting;
        j.scenarios[0].value.tags.push("waits-mcp".into());
        j.capabilities.as_mut().expect("probe").push(Capability {
            name: "mcp".into(),
            state: CapabilityState::Present,
            reason: "answered".into(),
        });
    }),
    ("capability_missing", Outcome::Inconclusive, |j, _| {
        j.scenarios[0].value.state = ScenarioState::NotProvableHere;
        j.scenarios[0].value.tags.push("needs-pods".into());
    }),
    ("then_without_observation", Outcome::NoGo, |j, _| {
        j.observations.remove(0);
    }),
    ("observation_disagrees", Outcome::NoGo, |j, _| {
        j.observations[0].value.ok = false
    }),
    ("contradiction", Outcome::NoGo, |j, _| {
        j.observations[0].value.contradiction = true
    }),
    ("ledger_leak", Outcome::NoGo, |j, _| {
        j.audit.as_mut().expect("audit").remove(1);
    }),
    ("ledger_leak", Outcome::Inconclusive, |j, _| {
        j.audit.as_mut().expect("audit").remove(1);
        j.gate_run.kept = true;
    }),
    ("ledger_not_established", Outcome::Inconclusive, |j, _| {
        j.audit = None
    }),
    ("canary_found", Outcome::NoGo, |j, _| {
        j.canaries.as_mut().expect("search").hits.push(CanaryHit {
            sink: "logs".into(),
            name: "worker.log".into(),
            canary: "pat".into(),
            form: "base64".into(),
            offset: 7,
        });
    }),
    ("canary_search_void", Outcome::Inconclusive, |j, _| {
        j.canaries.as_mut().expect("search").planted_found = false;
    }),
    ("canary_search_absent", Outcome::Inconclusive, |j, _| {
        j.canaries = None
    }),
    ("certificate_absent", Outcome::Inconclusive, |j, _| {
        j.certificate = None
    }),
    ("certificate_void", Outcome::Inconclusive, |j, _| {
        j.certificate.as_mut().expect("certificate").deliveries = 0;
    }),
    ("certificate_void", Outcome::Inconclusive, |j, _| {
        let certificate = j.certificate.as_mut().expect("certificate");
        certificate.routes[0].clients = ["gonogo".into()].into();
    }),
    ("stand_in_unverified", Outcome::Inconclusive, |j, _| {
        let certificate = j.certificate.as_mut().expect("certificate");
        certificate
            .unverified
            .webhooks
            .push("weather.changed".into());
    }),
    ("stand_in_wrong", Outcome::Inconclusive, |j, _| {
        let certificate = j.certificate.as_mut().expect("certificate");
        certificate.problems.push(CertificateProblem::default());
    }),
    ("stand_in_unverified", Outcome::Inconclusive, |j, _| {
        let certificate = j.certificate.as_mut().expect("certificate");
        certificate.unverified.routes.push(CertificateRoute {
            clients: ["gonogo".into(), "octocrab".into()].into(),
            ..CertificateRoute::default()
        });
    }),
    ("probe_absent", Outcome::Inconclusive, |j, _| {
        j.capabilities = None
    }),
    ("capability", Outcome::Inconclusive, |j, _| {
        j.capabilities.as_mut().expect("probe")[0].state = CapabilityState::Unknown;
    }),
    ("self_check", Outcome::Inconclusive, |j, _| {
        j.self_check = None
    }),
    ("self_check", Outcome::Inconclusive, |j, _| {
        j.self_check.as_mut().expect("check").at -= TimeDelta::hours(25);
    }),
    ("self_check", Outcome::NoGo, |j, _| {
        j.self_check.as_mut().expect("check").passed = false
    }),
    ("crash_sweep", Outcome::Inconclusive, |j, _| {
        j.crash_sweep = Some(sweep(0, 0))
    }),
    ("crash_sweep", Outcome::NoGo, |j, _| {
        j.crash_sweep = Some(sweep(24, 1))
    }),
    ("risk_undecided", Outcome::NoGo, |j, _| {
        j.risks.push(Risk {
            id: "RISK-1".into(),
            title: "it may rain".into(),
            severity: "P1".into(),
            owner: "owner".into(),
            expires: None,
            scenario: None,
            decision: None,
        });
    }),
    ("log_panic", Outcome::NoGo, |j, _| {
        j.logs[0].1 = "thread 'main' panicked at x.rs:1".into()
    }),
    ("log_error", Outcome::NoGo, |j, _| {
        j.logs[0].1 = "{\"level\":\"ERROR\",\"message\":\"x\"}".into()
    }),
    ("audit_event", Outcome::NoGo, |j, _| {
        let lane = j.lanes.get_mut("common").expect("lane");
        lane.events[0].value["actor_id"] = json!("");
    }),
    ("audit_end", Outcome::NoGo, |j, _| {
        let lane = j.lanes.get_mut("common").expect("lane");
        let requested = json!({"id": 2, "event_type": "approval.requested", "actor_type": "system",
                               "actor_id": "control-plane", "payload": {"request_id": 7}});
        let file = "journals/postgres/common/flow_events.ndjson";
        lane.events.push(line(file, 2, requested));
    }),
    ("unknown_route", Outcome::NoGo, |j, _| {
        let record = json!({"seq": 1, "at": "2026-11-21T12:00:00Z", "kind": "unknown_route", "method": "GET", "path": "/x"});
        j.github.push(line(
            "journals/github.ndjson",
            1,
            serde_json::from_value(record).expect("record"),
        ));
    }),
    ("phase", Outcome::NoGo, |j, _| {
        j.gate_run.phases[1].facts[0].ok = false
    }),
    ("phase", Outcome::Inconclusive, |j, _| {
        j.gate_run.phases[0].ok = false
    }),
    ("phase", Outcome::Inconclusive, |j, _| {
        j.gate_run.phases.pop();
    }),
    ("run_interrupted", Outcome::Inconclusive, |j, _| {
        j.gate_run.finished_at = None
    }),
    ("run_interrupted", Outcome::Inconclusive, |j, _| {
        j.gate_run.interrupted = Some("Ctrl-C".into())
    }),
    ("vacuous_run", Outcome::Inconclusive, |j, _| {
        j.scenarios.clear();
        j.gate_run.features.clear();
    }),
    ("run_interrupted", Outcome::Inconclusive, |j, _| {
        j.gate_run.interrupted = Some("Ctrl-C".into());
        j.scenarios[0].value.state = ScenarioState::Failed;
    }),
    ("feature_without_scenario", Outcome::NoGo, |j, c| {
        j.gate_run.features.push("revise".into());
        c.scope.features.push("revise".into());
    }),
    ("feature_without_scenario", Outcome::Inconclusive, |_, c| {
        c.scope.features.push("revise".into())
    }),
    ("label_cell_open", Outcome::Inconclusive, |_, c| {
        c.labels.all = true
    }),
    ("scope_shrunk", Outcome::NoGo, |j, c| {
        let mut scope = c.scope.clone();
        scope.rows.push("S2-2".into());
        j.baseline = Some(Baseline {
            gate_run_id: "run-0".into(),
            scope,
            headline: String::new(),
            findings: Vec::new(),
        });
    }),
];

#[test]
fn every_kind_of_defect_turns_the_verdict() {
    let specification = Specification::embedded().expect("specification");
    for (number, (check, expected, change)) in DEFECTS.iter().enumerate() {
        let (mut journals, mut criteria) = (green(&specification), criteria());
        change(&mut journals, &mut criteria);
        let verdict = judge(&journals, &criteria, &specification);
        assert_eq!(
            verdict.verdict, *expected,
            "defect {number}, {check}: {verdict:#?}"
        );
        assert!(
            verdict
                .findings
                .iter()
                .any(|finding| finding.check == *check),
            "defect {number}: {check} not among {:#?}",
            verdict.findings
        );
        assert_ne!(verdict.exit_code, 0);
    }
}

#[test]
fn what_is_out_of_scope_or_mere_comfort_is_reported_without_turning_the_verdict() {
    let specification = Specification::embedded().expect("specification");
    for id in ["WH-06", "SL-18"] {
        let mut journals = green(&specification);
        let mut failed = result(id, &specification);
        failed.state = ScenarioState::Failed;
        journals
            .scenarios
            .push(line("journals/scenarios.ndjson", 99, failed));
        let verdict = judge(&journals, &criteria(), &specification);
        assert_eq!(verdict.verdict, Outcome::Go, "{id}");
        assert!(verdict.findings.iter().any(|finding| finding.subject == id));
    }
}

#[test]
fn an_announced_error_excuses_its_own_platform_and_where_others_play_its_own_text_time_and_runs() {
    let specification = Specification::embedded().expect("specification");
    // The scenarios of the sample end when they begin.
    let (while_it_ran, later) = ("2026-11-21T12:00:00Z", "2026-11-21T13:00:00Z");
    assert_eq!(at(), while_it_ran.parse::<DateTime<Utc>>().expect("time"));
    let (plain, named) = ("out of comments", "out of comments of run-1");
    for (alone, contains, message, timestamp, expected) in [
        (true, "", plain, later, Outcome::Go),
        (true, "of comments", plain, later, Outcome::Go),
        (true, "of labels", plain, while_it_ran, Outcome::NoGo),
        (false, "of comments", plain, while_it_ran, Outcome::Go),
        (false, "of comments", plain, later, Outcome::NoGo),
        (false, "of comments", named, later, Outcome::Go),
        (false, "of labels", named, later, Outcome::NoGo),
        (false, "", named, while_it_ran, Outcome::NoGo),
    ] {
        let mut journals = green(&specification);
        let instance = if alone { "own" } else { "common" };
        let scenario = &mut journals.scenarios[0].value;
        scenario.instance = instance.into();
        scenario.runs = vec!["run-1".into()];
        scenario.announced.push(AnnouncedLog {
            contains: contains.into(),
            reason: "GitHub refuses it".into(),
        });
        let error = json!({"timestamp": timestamp, "level": "ERROR", "message": message});
        let file = |instance| format!("journals/orchestrator/{instance}/worker.log");
        journals.logs.push((file(instance), error.to_string()));
        let case = format!("{alone} {contains:?} {message} {timestamp}");
        let verdict = judge(&journals, &criteria(), &specification);
        assert_eq!(verdict.verdict, expected, "{case}: {verdict:#?}");
        let elsewhere = if alone { "common" } else { "own" };
        journals.logs.push((file(elsewhere), error.to_string()));
        let verdict = judge(&journals, &criteria(), &specification);
        assert_eq!(verdict.verdict, Outcome::NoGo, "{case} elsewhere");
    }
}

#[test]
fn an_undefined_step_turns_the_verdict_wherever_it_stands() {
    let specification = Specification::embedded().expect("specification");
    for id in ["WH-06", "SL-18"] {
        let mut journals = green(&specification);
        let mut undefined = result(id, &specification);
        undefined.state = ScenarioState::Undefined;
        journals
            .scenarios
            .push(line("journals/scenarios.ndjson", 99, undefined));
        let verdict = judge(&journals, &criteria(), &specification);
        assert_eq!(verdict.verdict, Outcome::NoGo, "{id}");
    }
}

#[test]
fn what_cannot_be_proven_here_leaves_the_row_proven_in_part_and_out_of_the_number() {
    let specification = Specification::embedded().expect("specification");
    let mut journals = green(&specification);
    journals.scenarios[1].value.state = ScenarioState::NotProvableHere;
    let verdict = judge(&journals, &criteria(), &specification);
    assert_eq!(verdict.verdict, Outcome::Go, "{:#?}", verdict.findings);
    assert!(
        verdict
            .headline
            .starts_with("GO for 1 of 32 rows (S2-1 in part, S2-13 processes only)"),
        "{}",
        verdict.headline
    );
}

#[test]
fn only_the_capability_that_is_missing_stops_go() {
    let specification = Specification::embedded().expect("specification");
    for (missing, verdict) in [
        ("network-policy", Outcome::Go),
        ("pods", Outcome::Inconclusive),
    ] {
        let mut journals = green(&specification);
        let result = &mut journals.scenarios[1].value;
        result.state = ScenarioState::NotProvableHere;
        for name in ["pods", "network-policy"] {
            result.tags.push(format!("needs-{name}"));
        }
        result.reason = Some(format!("@needs-{missing}: this target cannot show it"));
        let judged = judge(&journals, &criteria(), &specification);
        assert_eq!(judged.verdict, verdict, "{missing}: {:#?}", judged.findings);
    }
}

#[test]
fn a_finding_says_since_when_and_how_to_run_it_again() {
    let specification = Specification::embedded().expect("specification");
    let mut journals = green(&specification);
    journals.scenarios[0].value.state = ScenarioState::Failed;
    let criteria = criteria();
    journals.baseline = Some(Baseline {
        gate_run_id: "run-0".into(),
        scope: criteria.scope.clone(),
        headline: String::new(),
        findings: vec!["SL-07".into()],
    });
    let verdict = judge(&journals, &criteria, &specification);
    let finding = verdict
        .findings
        .iter()
        .find(|finding| finding.check == "scenario_failed")
        .expect("the failure is found");
    assert_eq!(finding.since.as_deref(), Some("at least run-0"));
    assert_eq!(
        finding.rerun.as_deref(),
        Some("gonogo run --target embedded --tags '@SL-07'")
    );
}

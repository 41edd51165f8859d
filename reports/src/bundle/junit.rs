//! `junit.xml` for CI: one suite per feature, one case per played scenario.
use std::collections::BTreeMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::BundleError;
use crate::evidence::{ScenarioResult, ScenarioState};
use crate::journals::Journals;

pub(super) fn xml(journals: &Journals) -> Result<String, BundleError> {
    let mut features: BTreeMap<&str, Vec<&ScenarioResult>> = BTreeMap::new();
    for line in &journals.scenarios {
        features
            .entry(&line.value.feature)
            .or_default()
            .push(&line.value);
    }
    let mut report = Report::new(format!("gonogo {}", journals.gate_run.gate_run_id));
    report.set_timestamp(journals.gate_run.started_at);
    for (feature, mut results) in features {
        results.sort_by_key(|result| result.key.clone());
        let mut suite = TestSuite::new(feature);
        suite.add_test_cases(results.into_iter().map(case));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(BundleError::Junit)
}

fn case(result: &ScenarioResult) -> TestCase {
    let broken = |kind| {
        let mut status = TestCaseStatus::non_success(kind);
        let step = result.steps.iter().find(|step| step.error.is_some());
        let message = step
            .and_then(|step| step.error.clone())
            .or_else(|| result.reason.clone())
            .unwrap_or_else(|| result.state.title().to_owned());
        status.set_message(message);
        if let Some(step) = step {
            status.set_description(format!(
                "{} {} ({}:{})",
                step.keyword, step.text, result.file, step.line
            ));
        }
        status
    };
    let status = match result.state {
        ScenarioState::Passed => TestCaseStatus::success(),
        ScenarioState::Failed | ScenarioState::Flaky => broken(NonSuccessKind::Failure),
        ScenarioState::Undefined | ScenarioState::Skipped => broken(NonSuccessKind::Error),
        ScenarioState::Waiting | ScenarioState::NotProvableHere => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!(
                "{}: {}",
                result.state.title(),
                result.reason.as_deref().unwrap_or("no reason")
            ));
            status
        }
    };
    let mut case = TestCase::new(
        format!(
            "{} {} (line {}, attempt {})",
            result.key.scenario, result.name, result.key.line, result.key.attempt
        ),
        status,
    );
    case.set_classname(format!("features.{}", result.feature));
    case.set_timestamp(result.started_at);
    case.set_time(Duration::from_millis(result.duration_ms()));
    case
}

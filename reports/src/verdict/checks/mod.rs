//! What GO needs, one check per demand of E-30 and E-31.
mod audit;
mod evidence;
mod logs;
mod platform;
mod scenarios;
mod scope;

use super::{Criteria, Effect, Finding, Severity};
use crate::coverage::Coverage;
use crate::journals::Journals;
use crate::ledger::Ledger;
use crate::spec::Specification;
use crate::timeline::Timelines;

/// What the checks look at.
pub(super) struct Input<'a> {
    pub journals: &'a Journals,
    pub criteria: &'a Criteria,
    pub specification: &'a Specification,
    pub coverage: &'a Coverage,
    pub ledger: &'a Ledger,
    pub timelines: &'a Timelines,
}

pub(super) fn all(input: &Input<'_>) -> Vec<Finding> {
    let mut findings = scope::findings(input);
    findings.extend(scenarios::findings(input));
    findings.extend(evidence::findings(input));
    findings.extend(logs::findings(input));
    findings.extend(audit::findings(input));
    findings.extend(platform::findings(input));
    findings
}

fn finding(
    check: &str,
    subject: impl Into<String>,
    (severity, effect): (Severity, Effect),
    expected: impl Into<String>,
    seen: impl Into<String>,
    evidence: Vec<String>,
) -> Finding {
    Finding {
        check: check.to_owned(),
        subject: subject.into(),
        severity,
        effect,
        expected: expected.into(),
        seen: seen.into(),
        evidence,
        since: None,
        rerun: None,
    }
}

/// Command that plays one scenario again (E-33).
fn rerun(target: &str, scenario: &str) -> Option<String> {
    Some(format!("gonogo run --target {target} --tags '@{scenario}'"))
}

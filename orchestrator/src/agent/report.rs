//! What the agent says about its work.

use std::collections::BTreeSet;

use domain::launch_profiles::RiskSignal;
use serde_json::{Value, json};

use super::error::AgentError;

/// The agent's report; which parts must be there depends on the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) summary: Option<String>,
    /// Number of the pull request that holds the work, when the agent opened or chose one itself.
    pub(super) pull_request: Option<u64>,
    pub(super) diagnosis: String,
    pub(super) action_items: Vec<Value>,
    pub(super) evidence_refs: Vec<Value>,
    pub(super) tool_gaps: Vec<Value>,
    /// What makes the work riskier than its Issue said (L-96).
    pub(super) risk_signals: BTreeSet<RiskSignal>,
}

/// The names of all risks.
pub(super) fn known_risks() -> Vec<&'static str> {
    RiskSignal::ALL.iter().map(|known| known.as_str()).collect()
}

/// Reads the names of risks; an error says what is wrong with them.
pub(super) fn risk_signals(names: &[String]) -> Result<BTreeSet<RiskSignal>, String> {
    names
        .iter()
        .map(|name| {
            RiskSignal::from_text(name).ok_or_else(|| {
                let known = known_risks().join(", ");
                format!("\"{name}\" is none of the risks {known}")
            })
        })
        .collect()
}

impl Report {
    /// Payload of `run.self_improve.diagnosis_ready`; the run fails for lack of any part but the tool gaps (L-110).
    pub(super) fn diagnosis(&self) -> Result<Value, AgentError> {
        let parts = [
            ("diagnosis", self.diagnosis.trim().is_empty()),
            ("action_items", self.action_items.is_empty()),
            ("evidence_refs", self.evidence_refs.is_empty()),
        ];
        let missing: Vec<&'static str> = parts
            .into_iter()
            .filter_map(|(name, is_missing)| is_missing.then_some(name))
            .collect();
        if !missing.is_empty() {
            return Err(AgentError::ReportIncomplete(missing.join(", ")));
        }
        Ok(json!({
            "diagnosis": self.diagnosis,
            "action_items": self.action_items,
            "evidence_refs": self.evidence_refs,
            "tool_gaps": self.tool_gaps,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Report {
        Report {
            diagnosis: "prompts disagree".to_owned(),
            action_items: vec![json!("align them")],
            evidence_refs: vec![json!("#7")],
            ..Report::default()
        }
    }

    #[test]
    fn a_risk_that_nobody_knows_is_told() {
        let names = ["db_migration".to_owned(), "nfr_change".to_owned()];
        assert_eq!(
            risk_signals(&names),
            Ok(BTreeSet::from([
                RiskSignal::DbMigration,
                RiskSignal::NfrChange
            ]))
        );
        let error = risk_signals(&["big".to_owned()]).expect_err("unknown");
        assert!(
            error.contains("\"big\"") && error.contains("db_migration"),
            "{error}"
        );
    }

    #[test]
    fn tool_gaps_may_be_missing_and_nothing_else() {
        assert!(complete().diagnosis().is_ok());
        type Emptied = fn(&mut Report);
        let cases: [(&str, Emptied); 3] = [
            ("diagnosis", |report| report.diagnosis = " ".to_owned()),
            ("action_items", |report| report.action_items.clear()),
            ("evidence_refs", |report| report.evidence_refs.clear()),
        ];
        for (name, empty) in cases {
            let mut report = complete();
            empty(&mut report);
            let error = report.diagnosis().expect_err("incomplete");
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(error.exit_code(), 1);
        }
    }
}

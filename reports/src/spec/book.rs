//! The whole specification, read strictly: its parts must agree before anything is judged by it.
use super::events::{self, EventKind};
use super::guards::{self, Guard};
use super::labels::{self, Label};
use super::rows::{self, Row};
use super::rules::{self, Rule};
use super::scenarios::{self, FeatureFile, SpecScenario};
use super::stages::{self, StageRow};
use super::{SpecError, SpecText};

/// The specification as data.
#[derive(Debug, Clone)]
pub struct Specification {
    /// Rows that must be proven.
    pub rows: Vec<Row>,
    /// All scenarios of the chapters.
    pub scenarios: Vec<SpecScenario>,
    /// All rules.
    pub rules: Vec<Rule>,
    /// All labels of the catalogue with their cells.
    pub labels: Vec<Label>,
    /// Guards of a trigger with their reasons (L-29).
    pub guards: Vec<Guard>,
    /// Types of audit events (DF-1).
    pub events: Vec<EventKind>,
    /// What a run of each trigger label is (L-6).
    pub stages: Vec<StageRow>,
    /// All feature files with their folders.
    pub features: Vec<FeatureFile>,
}

impl Specification {
    /// Reads the chapters that this crate was compiled with.
    pub fn embedded() -> Result<Self, SpecError> {
        Self::parse(&SpecText::embedded())
    }

    /// Reads chapters and checks that they agree with each other.
    pub fn parse(text: &SpecText) -> Result<Self, SpecError> {
        let book = Self {
            rows: rows::read(text)?,
            scenarios: scenarios::read(text)?,
            rules: rules::read(text),
            labels: labels::read(text)?,
            guards: guards::read(text),
            events: events::read(text)?,
            stages: stages::read(text)?,
            features: scenarios::feature_files(text)?,
        };
        book.check()?;
        Ok(book)
    }

    /// The scenario with this id.
    pub fn scenario(&self, id: &str) -> Option<&SpecScenario> {
        self.scenarios.iter().find(|scenario| scenario.id == id)
    }

    /// Ids of the rows that a scenario binds.
    pub fn rows_of(&self, scenario: &str) -> Vec<&str> {
        self.rows
            .iter()
            .filter(|row| row.scenarios.iter().any(|id| id == scenario))
            .map(|row| row.id.as_str())
            .collect()
    }

    /// Severity by E-2: `p0`, `p1` or `p2`.
    pub fn severity(&self, scenario: &SpecScenario) -> &'static str {
        const DECISIVE_FEATURES: [&str; 3] = ["approvals", "secret_sync", "webhook_ingress"];
        if scenario.comfort {
            return "p2";
        }
        let set_e = self
            .features
            .iter()
            .any(|file| file.name == scenario.feature && file.set == "set-e");
        let early_row = self
            .rows_of(&scenario.id)
            .iter()
            .any(|row| row.starts_with("S2-"));
        if set_e || early_row || DECISIVE_FEATURES.contains(&scenario.feature.as_str()) {
            "p0"
        } else {
            "p1"
        }
    }

    fn check(&self) -> Result<(), SpecError> {
        for row in &self.rows {
            for id in &row.scenarios {
                match self.scenario(id) {
                    None => {
                        return disagree(format!("{} binds {id}, which no chapter lists", row.id));
                    }
                    Some(scenario) if scenario.comfort => {
                        return disagree(format!("{} binds {id}, which E-2 calls `@p2`", row.id));
                    }
                    Some(_) => {}
                }
            }
        }
        for scenario in &self.scenarios {
            if !scenario.comfort && self.rows_of(&scenario.id).is_empty() {
                return disagree(format!("{} is bound to no row", scenario.id));
            }
            if !self
                .features
                .iter()
                .any(|file| file.name == scenario.feature)
            {
                return disagree(format!("{}.feature has no folder", scenario.feature));
            }
            for rule in &scenario.rules {
                if !self.rules.iter().any(|known| known.id == *rule) {
                    return disagree(format!(
                        "{} names {rule}, which no chapter defines",
                        scenario.id
                    ));
                }
            }
        }
        Ok(())
    }
}

fn disagree<T>(what: String) -> Result<T, SpecError> {
    Err(SpecError::Disagreement(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{CellKind, LabelGroup};

    fn book() -> Specification {
        Specification::embedded().expect("the specification agrees with itself")
    }

    #[test]
    fn the_counts_are_those_that_the_specification_states() {
        let book = book();
        assert_eq!(book.rows.len(), 32);
        assert_eq!(book.scenarios.len(), 556);
        assert_eq!(book.labels.len(), 54);
        assert_eq!(book.features.len(), 43);
        let severity = |wanted| {
            book.scenarios
                .iter()
                .filter(|scenario| book.severity(scenario) == wanted)
                .count()
        };
        assert_eq!(
            (severity("p0"), severity("p1"), severity("p2")),
            (163, 379, 14)
        );
    }

    #[test]
    fn every_label_has_an_effect_and_a_removal() {
        for label in &book().labels {
            for kind in [CellKind::Effect, CellKind::Removal] {
                assert!(
                    label.cells.iter().any(|cell| cell.kind == kind),
                    "{label:?}"
                );
            }
        }
    }

    #[test]
    fn cells_follow_the_tables() {
        let book = book();
        let kinds = |name: &str| -> Vec<CellKind> {
            let label = book
                .labels
                .iter()
                .find(|label| label.name == name)
                .expect(name);
            label.cells.iter().map(|cell| cell.kind).collect()
        };
        use CellKind::{ConflictOrGuard, Effect, RefusedActor, Removal};
        assert_eq!(
            kinds("run:dev"),
            [Effect, RefusedActor, ConflictOrGuard, Removal]
        );
        assert_eq!(kinds("run:debug"), [Effect, RefusedActor, Removal]);
        assert_eq!(kinds("state:blocked"), [Effect, Removal]);
        assert_eq!(
            kinds("state:approved"),
            [Effect, RefusedActor, ConflictOrGuard, Removal]
        );
        assert_eq!(kinds("need:pm"), [Effect, Removal]);
        assert_eq!(
            kinds("need:reviewer"),
            [Effect, RefusedActor, ConflictOrGuard, Removal]
        );
        assert_eq!(
            kinds("[ai-model-gpt-5.2]"),
            [Effect, ConflictOrGuard, Removal]
        );
    }

    #[test]
    fn names_turn_into_kinds_and_values() {
        let book = book();
        let label = |name: &str| {
            book.labels
                .iter()
                .find(|label| label.name == name)
                .expect(name)
        };
        assert_eq!(
            label("run:doc-audit:revise").trigger_kind().as_deref(),
            Some("doc_audit_revise")
        );
        assert_eq!(label("run:debug").trigger_kind(), None);
        assert_eq!(
            label("[ai-reasoning-extra-high]").configured_value(),
            Some("xhigh")
        );
        assert_eq!(
            label("[ai-model-gpt-5.4]").configured_value(),
            Some("gpt-5.4")
        );
        assert_eq!(label("run:debug").group, LabelGroup::Modifier);
    }

    #[test]
    fn rules_of_both_forms_are_found_once() {
        let book = book();
        for id in ["L-33", "G-1", "R-31", "DM-1", "E-43", "L-46", "B-0", "DE-4"] {
            let found = book.rules.iter().filter(|rule| rule.id == id).count();
            assert_eq!(found, 1, "{id}");
        }
        assert!(!book.rules.iter().any(|rule| rule.id == "E-14"));
    }

    #[test]
    fn a_wrong_count_a_strange_id_and_an_unbound_scenario_are_refused() {
        let with_rows = |from: &str, to: &str| {
            let text = SpecText::embedded();
            let rows = text.chapter("rows.md").replacen(from, to, 1);
            Specification::parse(&text.with_chapter("rows.md", rows))
                .expect_err("a defect is found")
                .to_string()
        };
        assert!(with_rows("| S2-1 | 2 |", "| S2-1 | 3 |").contains("says 3 scenarios"));
        assert!(with_rows("SL-07 RL-01", "SL-07 RL-1").contains("no scenario id"));
        assert!(with_rows("SL-07 RL-01", "SL-07 RL-99").contains("RL-99"));
        assert!(with_rows("| S3-1 | 10 |", "| S3-99 | 10 |").contains("no row S3-99"));
        assert!(with_rows("PH-01 PH-02", "PH-01 PH-03").contains("PH-02 is bound to no row"));
    }
}

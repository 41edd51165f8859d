//! Scope and criteria as data, `gate.yaml` (gate.md 5).
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::spec::{CellKind, Specification};

/// Why the criteria cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CriteriaError {
    /// The file cannot be read.
    #[error("failed to read the criteria {path}")]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file is not of the form.
    #[error("failed to parse the criteria {path}")]
    Parse {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: serde_yaml::Error,
    },
    /// A name that the specification does not know.
    #[error("the criteria name {kind} {name:?}, which the specification does not know")]
    Unknown {
        /// `row`, `feature` or `label`.
        kind: &'static str,
        /// The name.
        name: String,
    },
}

/// What must hold for GO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criteria {
    /// Version of this form.
    pub schema_version: u32,
    /// Rows and feature files that the verdict speaks of.
    pub scope: Scope,
    /// Label cells that must be proven.
    pub labels: LabelDemand,
    /// Demand on the self-check.
    pub self_check: SelfCheckDemand,
    /// Capabilities without which nothing can be concluded.
    #[serde(default)]
    pub demanded_capabilities: Vec<String>,
    /// Whether the canary search must have run.
    pub canary_search: bool,
    /// What is demanded less than the specification does, in words; shown in every report.
    #[serde(default)]
    pub lowered: Vec<String>,
}

/// Rows and feature files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Row ids.
    pub rows: Vec<String>,
    /// Feature names without `.feature`.
    pub features: Vec<String>,
}

/// Which label cells are demanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelDemand {
    /// `all`, or only those listed.
    pub all: bool,
    /// Cells demanded when not all are.
    #[serde(default)]
    pub cells: Vec<DemandedCells>,
}

/// Cells of one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemandedCells {
    /// Label.
    pub label: String,
    /// Kinds of cells.
    pub kinds: Vec<CellKind>,
}

/// Demand on the self-check (E-40).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfCheckDemand {
    /// Whether it must be there at all.
    pub required: bool,
    /// How old it may be, in hours.
    pub most_age_hours: u32,
}

impl Criteria {
    /// The criteria that `gonogo run` uses unless others are given.
    pub fn walking_gate() -> Self {
        serde_yaml::from_str(include_str!("../../criteria/walking-gate.yaml"))
            .expect("a test of this crate parses the criteria compiled in")
    }

    /// Reads a criteria file.
    pub fn read(path: &Path) -> Result<Self, CriteriaError> {
        let text = fs::read_to_string(path).map_err(|source| CriteriaError::Read {
            path: path.to_owned(),
            source,
        })?;
        serde_yaml::from_str(&text).map_err(|source| CriteriaError::Parse {
            path: path.to_owned(),
            source,
        })
    }

    /// Checks every name against the specification.
    pub fn check(&self, specification: &Specification) -> Result<(), CriteriaError> {
        let unknown = |kind, name: &String| CriteriaError::Unknown {
            kind,
            name: name.clone(),
        };
        for row in &self.scope.rows {
            if !specification.rows.iter().any(|known| known.id == *row) {
                return Err(unknown("row", row));
            }
        }
        for feature in &self.scope.features {
            if !specification
                .features
                .iter()
                .any(|known| known.name == *feature)
            {
                return Err(unknown("feature", feature));
            }
        }
        for cell in &self.labels.cells {
            if !specification
                .labels
                .iter()
                .any(|known| known.name == cell.label)
            {
                return Err(unknown("label", &cell.label));
            }
        }
        Ok(())
    }

    /// Whether a cell must be proven.
    pub fn demands_cell(&self, label: &str, kind: CellKind) -> bool {
        self.labels.all
            || self
                .labels
                .cells
                .iter()
                .any(|cells| cells.label == label && cells.kinds.contains(&kind))
    }

    /// The criteria as text, as they are put into the bundle.
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(self).expect("plain data has a YAML form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_criteria_compiled_in_name_only_what_the_specification_knows() {
        let specification = Specification::embedded().expect("specification");
        let criteria = Criteria::walking_gate();
        criteria.check(&specification).expect("every name is known");
        let cells = || criteria.labels.cells.iter().flat_map(|cells| &cells.kinds);
        let all: usize = specification
            .labels
            .iter()
            .map(|label| label.cells.len())
            .sum();
        assert!(
            criteria.lowered[0].starts_with(&format!("{} of {all} label cells", cells().count())),
            "{:?} and {all}",
            cells().count()
        );
    }

    #[test]
    fn a_name_that_the_specification_does_not_know_is_refused() {
        let specification = Specification::embedded().expect("specification");
        let mut criteria = Criteria::walking_gate();
        criteria.scope.rows.push("S9-1".into());
        let error = criteria.check(&specification).expect_err("S9-1 is no row");
        assert!(error.to_string().contains("S9-1"), "{error}");
    }
}

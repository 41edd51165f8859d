//! The specification as data: rows, scenarios, rules, labels and their cells.
//! Read from `docs/spec`, never from the orchestrator, so that a wrong catalogue in the product cannot agree with itself.
mod book;
mod error;
mod events;
mod guards;
mod labels;
mod names;
mod rows;
mod rules;
mod scenarios;
mod stages;
mod text;

pub use book::Specification;
pub use error::SpecError;
pub use events::EventKind;
pub use guards::Guard;
pub use labels::{CellKind, Label, LabelCell, LabelGroup};
pub use names::{stage_labels, trigger_labels};
pub use rows::Row;
pub use rules::Rule;
pub use scenarios::{FeatureFile, SpecScenario};
pub use stages::StageRow;
pub use text::SpecText;

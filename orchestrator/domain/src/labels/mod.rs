//! The label catalogue: 54 names, their groups, and how a text becomes one of them.
//!
//! Everything that is not in the catalogue is foreign and never touched (L-3).

mod catalogue;
mod label;

pub use catalogue::{CATALOGUE_SIZE, Catalogue, CatalogueError, LABEL_COLOUR};
pub use label::{CatalogueLabel, LabelGroup, ModelLabel, NeedLabel, ReasoningLabel, StateLabel};

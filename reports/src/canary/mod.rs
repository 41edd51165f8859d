//! The search for planted secrets (E-24): every sink, every form, and one planted leak that must be found.
mod forms;
mod search;

pub use search::{CanaryHit, CanarySearch, CanarySearcher, Sink, SinkResult};

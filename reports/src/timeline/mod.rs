//! The causal timeline of every run (E-27): where the time went, and what is missing.
mod compute;

pub use compute::{Hop, RunTimeline, Timelines, compute};

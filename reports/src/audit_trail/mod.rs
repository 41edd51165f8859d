//! Whether a journal of audit events is whole: every event is what the catalogue says (G-129, G-130), and what was begun
//! was ended once (G-131). Read by the verdict for each platform of a run, and by the scenarios about the audit.
mod catalogue;
mod ends;

pub use catalogue::off_catalogue;
pub use ends::{Ends, ends};

/// What is wrong with an event, or with what should have followed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The event, request or run that it is about.
    pub subject: String,
    /// What is wrong.
    pub problem: String,
    /// Place of the event among those that were read.
    pub index: usize,
}

#[cfg(test)]
mod tests;

//! The verdict: a pure function of journals and criteria (E-30 to E-33, E-43).
mod baseline;
mod checks;
mod compute;
mod criteria;
mod finding;
mod headline;
mod risk;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use baseline::Baseline;
pub use compute::{Counts, Judgement, RowVerdict, Verdict, compute};
pub use criteria::{Criteria, CriteriaError, LabelDemand, Scope, SelfCheckDemand};
pub use finding::{Effect, Finding, Outcome, Severity};
pub use risk::Risk;

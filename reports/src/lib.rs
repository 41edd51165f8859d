//! Evidence and judgement: journals come in, a verdict and a bundle that people and machines can check go out.
//! Knows nothing of the orchestrator's code; labels, rules, rows and scenarios are read from `docs/spec`.
pub mod audit_trail;
pub mod bundle;
pub mod canary;
pub mod coverage;
pub mod crash_matrix;
pub mod delivery_algebra;
pub mod evidence;
mod html;
pub mod journals;
pub mod ledger;
pub mod null_check;
pub mod spec;
pub mod timeline;
pub mod verdict;

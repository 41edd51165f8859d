//! Evidence and judgement: journals come in, a verdict and a bundle that people and machines can check go out.
//! Knows nothing of the orchestrator's code; labels, rules, rows and scenarios are read from `docs/spec`.
pub mod evidence;
pub mod spec;

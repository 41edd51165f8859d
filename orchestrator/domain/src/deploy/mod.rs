//! How a project's stack comes into its environment, as far as it can be said without looking at the world
//! (runtime 4.1, 4.2): templates, order, which manifests are refused, when an object is ready, and which faults pass.
//!
//! Whoever applies a stack asks here, so that a preview of it and its deployment cannot differ.

mod fault;
mod manifest;
mod order;
mod readiness;
mod template;

pub use fault::{FaultKind, of_answer};
pub use manifest::{Manifest, ManifestKind, ManifestRefusal, check};
pub use order::{DEFAULT_DEPLOY_ORDER, DEFAULT_GROUP, OrderError, Unit, UnitRole, apply_order};
pub use readiness::{Readiness, readiness};
pub use template::{TemplateContext, TemplateError, render};

//! The process the internet reaches (design invariant 6): it bounds, authenticates and forwards. It holds no database
//! credential, no GitHub token and no domain rule.
mod backend;
mod forward;
mod metrics;
mod router;
mod signature;
mod webhook;

pub use backend::{Gateway, GatewayError};
pub use router::router;

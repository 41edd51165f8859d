//! The MCP server of the control plane (governance 1 and 2): the tools through which an agent acts on the platform.
//!
//! `rmcp` speaks the protocol; who calls is checked before it, what a call means is decided by `domain::tools`, and what
//! it changes goes through the outbox like everything else.
mod call;
mod calls;
mod database_calls;
mod endpoint;
mod feedback_calls;
mod label_calls;
mod notification_calls;
mod rate;
mod requests;
mod schemas;
mod secret_calls;
mod self_improve_calls;
mod server;
mod status_calls;
mod waiting_calls;

pub use endpoint::router;
pub(crate) use rate::TokenBuckets;

//! Notifications, and questions through adapters (governance 7): messages are written down with the change that they tell
//! of, delivered by one loop with retries, and answered over callbacks.
//!
//! What a callback or a failed delivery comes to is decided in `domain::notifications`; whose word a request needs stays
//! with `approvals`.
mod authentication;
mod callback;
mod decisions;
mod dispatch;
mod ending;
mod envelope;
mod handles;
mod opening;
mod router;
mod sweep;

pub use opening::{Opening, announce_request, open};
pub use router::router;
pub use sweep::run;

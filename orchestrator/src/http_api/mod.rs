//! What every HTTP surface of the platform shares: the error body, the request id, health, and serving until shutdown.
mod error;
mod health;
mod request_id;
mod serve;

pub use error::{ApiError, ErrorCode, unknown_method, unknown_route};
pub use health::{Readiness, health_routes};
pub use request_id::{REQUEST_ID_HEADER, current_request_id, with_request_id};
pub use serve::{ServeError, bind, serve};

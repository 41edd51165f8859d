//! The embedded console. Its pages are not built yet: the process answers health and nothing else.
use std::sync::Arc;

use axum::{Router, middleware};

use crate::http_api;

/// Routes of the console process.
pub fn router() -> Router {
    http_api::health_routes(Arc::new(|| Box::pin(async { Vec::new() })))
        .fallback(http_api::unknown_route)
        .layer(middleware::from_fn(http_api::with_request_id))
}

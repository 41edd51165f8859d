//! The public routes.
use std::sync::Arc;

use axum::routing::{any, post};
use axum::{Router, middleware};

use super::backend::Gateway;
use super::{forward, webhook};
use crate::http_api;

/// Everything the internet may reach.
pub fn router(gateway: Gateway) -> Router {
    let probed = gateway.clone();
    let readiness: http_api::Readiness = Arc::new(move || {
        let gateway = probed.clone();
        Box::pin(async move { gateway.failing_checks().await })
    });
    Router::new()
        .route("/api/v1/webhooks/github", post(webhook::receive))
        .route("/api/v1/staff/{*path}", any(forward::staff))
        .route("/api/v1/auth/{*path}", any(forward::staff))
        .route("/api/v1/mcp/{kind}/callback", post(forward::callback))
        .with_state(gateway)
        .merge(http_api::health_routes(readiness))
        .method_not_allowed_fallback(http_api::unknown_method)
        .fallback(http_api::unknown_route)
        .layer(middleware::from_fn(http_api::with_request_id))
}

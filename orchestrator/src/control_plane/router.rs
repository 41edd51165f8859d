//! The internal listener: edge, worker and runner routes, clock, health and metrics. Never public.
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};
use axum::{Router, middleware};

use super::{ControlPlane, clock_routes, edge, failing_checks};
use crate::http_api::{self, Readiness};
use crate::internal_api;
use crate::staff::Services;

/// Room for the largest webhook body a deployment may configure.
fn body_limit(control_plane: &ControlPlane) -> DefaultBodyLimit {
    DefaultBodyLimit::max(control_plane.app.config.webhook_max_body_bytes)
}

/// Every route.
pub fn router(control_plane: ControlPlane) -> Router {
    let app = control_plane.app.clone();
    let metrics = app.metrics.clone();
    let readiness: Readiness = {
        let app = app.clone();
        Arc::new(move || {
            let app = app.clone();
            Box::pin(async move { failing_checks(&app, false).await })
        })
    };
    Router::new()
        .route(
            "/internal/v1/edge/webhooks/github",
            post(edge::webhook).layer(body_limit(&control_plane)),
        )
        .route("/internal/v1/edge/staff/{*path}", any(edge::staff))
        .route("/internal/v1/edge/auth/{*path}", any(edge::staff))
        .route(
            "/internal/v1/edge/callbacks/{kind}",
            post(edge::callback).layer(DefaultBodyLimit::disable()),
        )
        .route(
            "/internal/v1/clock",
            get(clock_routes::show).put(clock_routes::advance),
        )
        .with_state(control_plane)
        .route("/metrics", get(move || async move { metrics.render() }))
        .merge(http_api::health_routes(readiness))
        .merge(internal_api::router(Services::new(app)))
        .method_not_allowed_fallback(http_api::unknown_method)
        .fallback(http_api::unknown_route)
        .layer(middleware::from_fn(http_api::with_request_id))
}

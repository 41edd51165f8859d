//! The routes of the worker, the runner and the gateway under `/internal/v1`.
use axum::Router;
use axum::routing::{get, post, put};

use super::{
    context, credentials, deliveries, discussion, environment, risk_signals, run_events, run_logs,
    session, threads, waits,
};
use crate::http_api::unknown_method;
use crate::staff::Services;

/// Every route of this module, for tests and documentation.
pub const ROUTES: [(&str, &str); 17] = [
    ("POST", "/internal/v1/runs/{run_id}/mcp-token"),
    ("PUT", "/internal/v1/runs/{run_id}/credentials-owner"),
    ("POST", "/internal/v1/runs/{run_id}/environment"),
    ("GET", "/internal/v1/runs/{run_id}/environment"),
    ("POST", "/internal/v1/runs/{run_id}/environment/plan"),
    ("GET", "/internal/v1/runs/{run_id}/threads"),
    ("GET", "/internal/v1/runs/{run_id}/context"),
    ("GET", "/internal/v1/runs/{run_id}/discussion"),
    ("GET", "/internal/v1/runs/{run_id}/session"),
    ("PUT", "/internal/v1/runs/{run_id}/session"),
    ("POST", "/internal/v1/runs/{run_id}/events"),
    ("POST", "/internal/v1/runs/{run_id}/logs"),
    ("POST", "/internal/v1/runs/{run_id}/token-usage"),
    ("GET", "/internal/v1/runs/{run_id}/resume-payload"),
    ("POST", "/internal/v1/runs/{run_id}/github-limit"),
    ("POST", "/internal/v1/runs/{run_id}/risk-signals"),
    ("GET", "/internal/v1/webhook-deliveries/{delivery_id}"),
];

/// Full paths; the caller adds request ids, health and the fallback.
pub fn router(services: Services) -> Router {
    Router::new()
        .route(
            "/internal/v1/runs/{run_id}/mcp-token",
            post(credentials::issue),
        )
        .route(
            "/internal/v1/runs/{run_id}/credentials-owner",
            put(credentials::set_owner),
        )
        .route(
            "/internal/v1/runs/{run_id}/environment",
            post(environment::desire).get(environment::show),
        )
        .route(
            "/internal/v1/runs/{run_id}/environment/plan",
            post(environment::plan),
        )
        .route("/internal/v1/runs/{run_id}/threads", get(threads::show))
        .route("/internal/v1/runs/{run_id}/context", get(context::show))
        .route(
            "/internal/v1/runs/{run_id}/discussion",
            get(discussion::show),
        )
        .route(
            "/internal/v1/runs/{run_id}/session",
            get(session::show).put(session::save),
        )
        .route(
            "/internal/v1/runs/{run_id}/events",
            post(run_events::append),
        )
        .route("/internal/v1/runs/{run_id}/logs", post(run_logs::append))
        .route(
            "/internal/v1/runs/{run_id}/token-usage",
            post(run_logs::usage),
        )
        .route(
            "/internal/v1/runs/{run_id}/resume-payload",
            get(waits::resume_payload),
        )
        .route(
            "/internal/v1/runs/{run_id}/github-limit",
            post(waits::github_limit),
        )
        .route(
            "/internal/v1/runs/{run_id}/risk-signals",
            post(risk_signals::name),
        )
        .route(
            "/internal/v1/webhook-deliveries/{delivery_id}",
            get(deliveries::show),
        )
        .method_not_allowed_fallback(unknown_method)
        .with_state(services)
}

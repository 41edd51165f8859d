//! Liveness and readiness.
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use http::StatusCode;
use serde::Serialize;

use crate::build_info;

/// Names the checks that fail at this moment; none means ready.
pub type Readiness = Arc<dyn Fn() -> BoxFuture<'static, Vec<&'static str>> + Send + Sync>;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    revision: &'static str,
    dirty: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failing: Vec<&'static str>,
}

fn health(status: &'static str, failing: Vec<&'static str>) -> Json<Health> {
    Json(Health {
        status,
        revision: build_info::build().revision,
        dirty: build_info::build().dirty,
        failing,
    })
}

/// `/healthz`, `/health/livez`, `/readyz`, `/health/readyz`.
pub fn health_routes<S: Clone + Send + Sync + 'static>(readiness: Readiness) -> Router<S> {
    let alive = || get(|| async { health("alive", Vec::new()) });
    let ready = || {
        let readiness = readiness.clone();
        get(move || answer(readiness.clone()))
    };
    Router::new()
        .route("/healthz", alive())
        .route("/health/livez", alive())
        .route("/readyz", ready())
        .route("/health/readyz", ready())
}

async fn answer(readiness: Readiness) -> Response {
    let failing = readiness().await;
    if failing.is_empty() {
        return health("ok", failing).into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        health("unavailable", failing),
    )
        .into_response()
}

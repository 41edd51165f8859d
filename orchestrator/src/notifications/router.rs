//! The public callback routes (3.5, governance 7): bounded, authenticated, then read strictly.
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::HeaderValue;
use http::header::RETRY_AFTER;

use super::{authentication, callback, decisions};
use crate::http_api::{ApiError, ErrorCode, unknown_method, unknown_route};
use crate::mcp::TokenBuckets;
use crate::staff::{Services, read_body};

/// G-22.
pub const BODY_LIMIT_BYTES: usize = 64 * 1024;
/// G-23, callbacks about one request at once.
const BURST: u32 = 20;
/// G-23, callbacks about one request in a second.
const PER_SECOND: u32 = 5;

/// What the routes share.
#[derive(Clone)]
pub(super) struct Callbacks {
    pub services: Services,
    rate: Arc<TokenBuckets<String>>,
}

impl Callbacks {
    /// Lets a callback about a request in (G-23).
    pub fn admit(&self, request: &str) -> Result<(), ApiError> {
        self.rate
            .take(request.to_owned(), Instant::now())
            .map_err(|wait| {
                let message = "too many callbacks about this request; try again later";
                ApiError::new(ErrorCode::ResourceExhausted, message)
                    .with("reason", "rate_limited")
                    .with("retry_after_seconds", wait.as_secs_f64().ceil())
            })
    }
}

/// The routes under their public paths.
pub fn router(services: Services) -> Router {
    let callbacks = Callbacks {
        services,
        rate: Arc::new(TokenBuckets::new(BURST, PER_SECOND)),
    };
    Router::new()
        .route("/api/v1/mcp/approver/callback", post(approver))
        .route("/api/v1/mcp/executor/callback", post(executor))
        .route("/api/v1/mcp/interactions/callback", post(interactions))
        .method_not_allowed_fallback(unknown_method)
        .fallback(unknown_route)
        .with_state(callbacks)
}

async fn approver(State(callbacks): State<Callbacks>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = async {
        let adapter = authentication::adapter(&callbacks.services, &parts.headers).await?;
        let body = read_body(Request::new(body), BODY_LIMIT_BYTES).await?;
        decisions::approver(&callbacks, &adapter, &body).await
    };
    respond(answer.await)
}

async fn executor(State(callbacks): State<Callbacks>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = async {
        let adapter = authentication::adapter(&callbacks.services, &parts.headers).await?;
        let body = read_body(Request::new(body), BODY_LIMIT_BYTES).await?;
        decisions::executor(&callbacks, &adapter, &body).await
    };
    respond(answer.await)
}

async fn interactions(State(callbacks): State<Callbacks>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = async {
        let id = authentication::interaction(&callbacks.services, &parts.headers).await?;
        let body = read_body(Request::new(body), BODY_LIMIT_BYTES).await?;
        callback::take(&callbacks, id, &body).await
    };
    respond(answer.await)
}

fn respond(answer: Result<serde_json::Value, ApiError>) -> Response {
    match answer {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => {
            let wait = error.details.get("retry_after_seconds").cloned();
            let mut response = error.into_response();
            if let Some(Ok(wait)) = wait.map(|wait| HeaderValue::from_str(&wait.to_string())) {
                response.headers_mut().insert(RETRY_AFTER, wait);
            }
            response
        }
    }
}

//! `POST /api/v1/webhooks/github`: the checks of L-21 in their order, then forward.
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::backend::{Backend, Gateway, Remote};
use super::{metrics, signature};
use crate::control_plane::IntakeRequest;
use crate::control_plane::edge::{self, SERVICE_TOKEN_HEADER};
use crate::http_api::{ApiError, ErrorCode, REQUEST_ID_HEADER, current_request_id};

const DELIVERY: &str = "X-GitHub-Delivery";
const EVENT: &str = "X-GitHub-Event";
const SIGNATURE: &str = "X-Hub-Signature-256";
/// Bounds a sender who never finishes a body.
const BODY_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Longer ids are no GUID of GitHub.
const HEADER_LIMIT: usize = 255;

pub(super) async fn receive(State(gateway): State<Gateway>, request: Request) -> Response {
    let started = Instant::now();
    let event = text(request.headers(), EVENT).map(str::to_owned);
    let response = match check(&gateway, request).await {
        Ok(checked) => forward(&gateway, checked).await,
        Err(error) => error.into_response(),
    };
    let (response, result) = classify(response).await;
    metrics::count(event.as_deref(), result, started.elapsed());
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty() && value.len() <= HEADER_LIMIT)
}

/// L-21: the first failure answers; nothing is stored and nothing is told.
async fn check(gateway: &Gateway, request: Request) -> Result<IntakeRequest, ApiError> {
    let (parts, body) = request.into_parts();
    let required = |name: &'static str| text(&parts.headers, name).map(str::to_owned);
    let missing =
        |name: &'static str| ApiError::invalid(name, format!("the header {name} is missing"));
    let delivery_id = required(DELIVERY).ok_or_else(|| missing(DELIVERY))?;
    let event_type = required(EVENT).ok_or_else(|| missing(EVENT))?;
    let given = required(SIGNATURE).ok_or_else(|| {
        ApiError::unauthorized(format!("the header {SIGNATURE} is missing")).with_field(SIGNATURE)
    })?;
    let body = read_body(body, gateway.0.webhook_max_body_bytes).await?;
    if !signature::is_valid(&gateway.0.webhook_secret, &body, &given) {
        return Err(
            ApiError::unauthorized("the signature does not match the body").with_field(SIGNATURE),
        );
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
        return Err(ApiError::invalid("body", "the body is not JSON"));
    }
    Ok(IntakeRequest {
        delivery_id,
        event_type,
        body,
    })
}

async fn read_body(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIME_LIMIT, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(ApiError::invalid(
            "body",
            format!("the body is longer than {limit} bytes, or was cut off"),
        )),
        Err(_) => Err(ApiError::invalid("body", "the body did not arrive in time")),
    }
}

async fn forward(gateway: &Gateway, request: IntakeRequest) -> Response {
    match &gateway.0.backend {
        Backend::Local(control_plane) => edge::answer(control_plane.intake().accept(request).await),
        Backend::Remote(remote) => forward_remote(remote, request)
            .await
            .unwrap_or_else(IntoResponse::into_response),
    }
}

async fn forward_remote(remote: &Remote, request: IntakeRequest) -> Result<Response, ApiError> {
    let token = remote.token().map_err(|error| ApiError::internal(&error))?;
    // Whether a lost answer was a lost delivery nobody knows here: a redelivery finds a stored one (L-23).
    let unavailable = |error: reqwest::Error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "failed to pass a delivery on"
        );
        ApiError::unavailable("the control plane is not available, redeliver later")
    };
    let answer = remote
        .client
        .post(format!(
            "{}/internal/v1/edge/webhooks/github",
            remote.base_url
        ))
        .timeout(remote.webhook_timeout())
        .header(SERVICE_TOKEN_HEADER, token.expose_secret())
        .header(REQUEST_ID_HEADER, current_request_id())
        .header(DELIVERY, &request.delivery_id)
        .header(EVENT, &request.event_type)
        .header(header::CONTENT_TYPE, "application/json")
        .body(request.body)
        .send()
        .await
        .map_err(unavailable)?;
    let status = answer.status();
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        // Our own credential was refused: a fault of the installation, not of the sender.
        return Err(ApiError::new(ErrorCode::Internal, "internal error"));
    }
    let body = answer.bytes().await.map_err(unavailable)?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// `result` of the metrics, read from the answer.
async fn classify(response: Response) -> (Response, &'static str) {
    #[derive(Deserialize)]
    struct Status {
        status: String,
    }
    if !response.status().is_success() {
        return (response, "error");
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return (
            ApiError::new(ErrorCode::Internal, "internal error").into_response(),
            "error",
        );
    };
    let result = match serde_json::from_slice::<Status>(&bytes)
        .as_ref()
        .map(|answer| answer.status.as_str())
    {
        Ok("duplicate") => "duplicate",
        Ok("ignored") => "ignored",
        Ok("accepted") => "accepted",
        _ => "error",
    };
    (Response::from_parts(parts, Body::from(bytes)), result)
}

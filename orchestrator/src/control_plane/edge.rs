//! What the gateway passes on: checked deliveries, and staff requests with the caller's own credential (DU-12).
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use tower::ServiceExt;

use super::intake::{IntakeError, IntakeRequest};
use super::{Answer, AnswerStatus, ControlPlane};
use crate::app::App;
use crate::credentials::Service;
use crate::http_api::{ApiError, ErrorCode};

/// Carries the gateway's service token, because `Authorization` carries the caller's own credential.
pub const SERVICE_TOKEN_HEADER: HeaderName = HeaderName::from_static("x-codexk8s-service-token");
const DELIVERY_HEADER: &str = "x-github-delivery";
const EVENT_HEADER: &str = "x-github-event";
/// Before it stands `/internal/v1/edge`, after it what follows `/api/v1`.
const EDGE_PREFIX: &str = "/internal/v1/edge";
const PUBLIC_PREFIX: &str = "/api/v1";

/// Refuses everybody but the named processes.
pub fn require_service(
    app: &App,
    headers: &HeaderMap,
    allowed: &[Service],
) -> Result<(), ApiError> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let token = text(&SERVICE_TOKEN_HEADER)
        .or_else(|| text(&http::header::AUTHORIZATION)?.strip_prefix("Bearer "));
    let refused = || ApiError::unauthorized("this route needs a service token");
    let caller = app
        .service_token
        .verify(token.ok_or_else(refused)?, Service::ControlPlane)
        .map_err(|_| refused())?;
    if allowed.contains(&caller) {
        Ok(())
    } else {
        Err(ApiError::forbidden("this process may not call this route"))
    }
}

/// `POST /internal/v1/edge/webhooks/github`.
pub(super) async fn webhook(
    State(control_plane): State<ControlPlane>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    require_service(&control_plane.app, &headers, &[Service::Gateway])?;
    let text = |name: &'static str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
            .ok_or_else(|| ApiError::invalid(name, "the header is missing"))
    };
    let request = IntakeRequest {
        delivery_id: text(DELIVERY_HEADER)?,
        event_type: text(EVENT_HEADER)?,
        body,
    };
    Ok(answer(control_plane.intake.accept(request).await))
}

/// L-22: 202 when accepted, 200 when ignored or a duplicate; L-23 otherwise.
pub fn answer(outcome: Result<Answer, IntakeError>) -> Response {
    match outcome {
        Ok(answer) if answer.status == AnswerStatus::Accepted => {
            (StatusCode::ACCEPTED, Json(answer)).into_response()
        }
        Ok(answer) => (StatusCode::OK, Json(answer)).into_response(),
        Err(IntakeError::Unavailable) => {
            ApiError::unavailable("the delivery was not stored, redeliver it").into_response()
        }
        Err(IntakeError::Internal) => {
            ApiError::new(ErrorCode::Internal, "internal error").into_response()
        }
    }
}

/// `/internal/v1/edge/callbacks/{kind}`: a callback under its public path, with the credential of its caller.
pub(super) async fn callback(
    State(control_plane): State<ControlPlane>,
    Path(kind): Path<String>,
    mut request: Request,
) -> Result<Response, ApiError> {
    require_service(&control_plane.app, request.headers(), &[Service::Gateway])?;
    request.headers_mut().remove(&SERVICE_TOKEN_HEADER);
    *request.uri_mut() = format!("{PUBLIC_PREFIX}/mcp/{kind}/callback")
        .parse()
        .map_err(|_| ApiError::not_found("no such route"))?;
    request.extensions_mut().clear();
    match control_plane.callbacks.oneshot(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// `/internal/v1/edge/staff/…` and `/internal/v1/edge/auth/…`: the staff routes under their public paths.
pub(super) async fn staff(
    State(control_plane): State<ControlPlane>,
    mut request: Request,
) -> Result<Response, ApiError> {
    require_service(&control_plane.app, request.headers(), &[Service::Gateway])?;
    request.headers_mut().remove(&SERVICE_TOKEN_HEADER);
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str());
    let public: Uri = path
        .strip_prefix(EDGE_PREFIX)
        .and_then(|rest| format!("{PUBLIC_PREFIX}{rest}").parse().ok())
        .ok_or_else(|| ApiError::not_found("no such route"))?;
    *request.uri_mut() = public;
    // The parameters of this route would be counted among those of the route that follows.
    request.extensions_mut().clear();
    match control_plane.staff.oneshot(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

//! Passes staff requests and callbacks on with the caller's own credential.
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::ExposeSecret;
use tower::ServiceExt;

use super::backend::{Backend, Gateway, Remote};
use crate::control_plane::edge::SERVICE_TOKEN_HEADER;
use crate::http_api::{ApiError, ErrorCode, REQUEST_ID_HEADER, current_request_id};
use crate::staff::FORWARDED_ADDRESS_HEADER;

/// No staff request needs more; what a route accepts it bounds itself.
const BODY_LIMIT: usize = 2 * 1024 * 1024;
/// G-22.
const CALLBACK_BODY_LIMIT: usize = 64 * 1024;
/// Who calls back.
const CALLBACK_KINDS: [&str; 3] = ["approver", "executor", "interactions"];
/// Headers of one connection, not of the request (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(super) async fn staff(
    State(gateway): State<Gateway>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Result<Response, ApiError> {
    mark_origin(request.headers_mut(), peer);
    match &gateway.0.backend {
        Backend::Local(control_plane) => {
            match control_plane.staff_router().oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        }
        Backend::Remote(remote) => {
            let path = request
                .uri()
                .path_and_query()
                .and_then(|path| path.as_str().strip_prefix("/api/v1"))
                .ok_or_else(|| ApiError::not_found("no such route"))?
                .to_owned();
            forward(remote, request, &path, BODY_LIMIT).await
        }
    }
}

/// Passes the callback of an adapter on; the control plane knows whose token it is.
pub(super) async fn callback(
    State(gateway): State<Gateway>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(kind): Path<String>,
    mut request: Request,
) -> Result<Response, ApiError> {
    if !CALLBACK_KINDS.contains(&kind.as_str()) {
        return Err(ApiError::not_found("no such route"));
    }
    mark_origin(request.headers_mut(), peer);
    match &gateway.0.backend {
        Backend::Local(control_plane) => {
            match control_plane.callback_router().oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        }
        Backend::Remote(remote) => {
            let path = format!("/callbacks/{kind}");
            forward(remote, request, &path, CALLBACK_BODY_LIMIT).await
        }
    }
}

/// What only the gateway may say is taken from nobody else.
fn mark_origin(headers: &mut HeaderMap, peer: SocketAddr) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(&SERVICE_TOKEN_HEADER);
    if let Ok(address) = HeaderValue::from_str(&peer.ip().to_string()) {
        headers.insert(FORWARDED_ADDRESS_HEADER, address);
    }
}

async fn forward(
    remote: &Remote,
    request: Request,
    path: &str,
    body_limit: usize,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, body_limit).await.map_err(|_| {
        ApiError::new(
            ErrorCode::PayloadTooLarge,
            format!("the body is longer than {body_limit} bytes, or was cut off"),
        )
    })?;
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let token = remote.token().map_err(|error| ApiError::internal(&error))?;
    if let Ok(mut token) = HeaderValue::from_str(token.expose_secret()) {
        token.set_sensitive(true);
        headers.insert(SERVICE_TOKEN_HEADER, token);
    }
    if let Ok(id) = HeaderValue::from_str(&current_request_id()) {
        headers.insert(REQUEST_ID_HEADER, id);
    }
    let answer = remote
        .client
        .request(
            parts.method,
            format!("{}/internal/v1/edge{path}", remote.base_url),
        )
        .headers(headers)
        .body(body)
        .send()
        .await
        .map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to pass a request on"
            );
            ApiError::unavailable("the control plane is not available")
        })?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = answer.headers().clone();
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        headers.remove(header::CONTENT_LENGTH);
    }
    response
        .body(Body::from_stream(answer.bytes_stream()))
        .map_err(|error| ApiError::internal(&error))
}

//! `POST /mcp`: who may call, how often and how much, before the protocol is spoken (G-1 to G-4, G-8, G-22, G-23).
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use rmcp::model::{ErrorCode as JsonRpcCode, ProtocolVersion};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rate::TokenBuckets;
use super::server::Server;
use crate::http_api::{self, ApiError, ErrorCode};
use crate::internal_api::RunCaller;
use crate::staff::Services;

/// G-22: 256 KiB; the largest call holds twenty labels.
const BODY_LIMIT_BYTES: usize = 256 * 1024;
/// G-23, calls of one run at once.
const BURST: u32 = 40;
/// G-23, calls of one run in a second.
const PER_SECOND: u32 = 10;
const VERSION_HEADER: &str = "mcp-protocol-version";
const SESSION_HEADER: &str = "mcp-session-id";

#[derive(Clone)]
struct Endpoint {
    services: Services,
    rate: Arc<TokenBuckets<Uuid>>,
    protocol: StreamableHttpService<Server, NeverSessionManager>,
}

/// The listener of `/mcp`; everything else answers 404.
pub fn router(services: Services) -> Router {
    let config = &services.config().mcp;
    let versions: Arc<[ProtocolVersion]> = config
        .supported_versions
        .iter()
        .filter_map(|version| serde_json::from_value(json!(version)).ok())
        .collect();
    // Any host: agents reach the listener by the names of the cluster, and a token that no browser holds is needed.
    let transport = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_cancellation_token(services.app.shutdown.clone())
        .disable_allowed_hosts()
        .with_allowed_origins(config.allowed_origins.clone())
        .enforce_origin_validation();
    let server = Server::new(services.clone(), versions);
    let endpoint = Endpoint {
        services,
        rate: Arc::new(TokenBuckets::new(BURST, PER_SECOND)),
        protocol: StreamableHttpService::new(
            move || Ok(server.clone()),
            Arc::new(NeverSessionManager::default()),
            transport,
        ),
    };
    Router::new()
        .route("/mcp", post(serve).fallback(http_api::unknown_method))
        .with_state(endpoint)
        .fallback(http_api::unknown_route)
        .layer(middleware::from_fn(http_api::with_request_id))
}

async fn serve(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let caller = match RunCaller::authenticate(&endpoint.services, &parts).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    if let Err(wait) = endpoint.rate.take(caller.run_id, Instant::now()) {
        return too_many(wait.as_secs_f64().ceil());
    }
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT_BYTES).await else {
        return ApiError::new(
            ErrorCode::PayloadTooLarge,
            "a call has at most 256 KiB (G-22)",
        )
        .into_response();
    };
    if let Some(refusal) = refuse_revision(&parts.headers, &body, endpoint.services.config()) {
        return refusal;
    }
    // Who calls is known now: nothing behind this line needs the token, and no session is minted or kept (G-1).
    parts.headers.remove(http::header::AUTHORIZATION);
    parts.headers.remove(SESSION_HEADER);
    parts.extensions.insert(caller);
    let request = Request::from_parts(parts, Body::from(body));
    endpoint.protocol.handle(request).await.into_response()
}

fn too_many(wait_seconds: f64) -> Response {
    let mut response = ApiError::new(
        ErrorCode::ResourceExhausted,
        "this run calls too often; try again later",
    )
    .with("reason", "rate_limited")
    .into_response();
    if let Ok(value) = HeaderValue::from_str(&wait_seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

/// The header that names the revision: present on every request but the legacy handshake, and one of those served (G-2,
/// G-3). `rmcp` knows more revisions than are served here, and takes a missing header for the oldest.
fn refuse_revision(
    headers: &HeaderMap,
    body: &Bytes,
    config: &crate::config::Config,
) -> Option<Response> {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = message.get("id").cloned();
    let supported = &config.mcp.supported_versions;
    match headers.get(VERSION_HEADER).map(HeaderValue::to_str) {
        Some(Ok(version)) if supported.iter().any(|known| known == version) => None,
        Some(version) => Some(refusal(
            id,
            JsonRpcCode::UNSUPPORTED_PROTOCOL_VERSION,
            "Unsupported protocol version",
            Some(json!({"requested": version.unwrap_or_default(), "supported": supported})),
        )),
        None if id.is_none() || message["method"] == "initialize" => None,
        None => Some(refusal(
            id,
            JsonRpcCode::HEADER_MISMATCH,
            "the header MCP-Protocol-Version is missing",
            None,
        )),
    }
}

fn refusal(id: Option<Value>, code: JsonRpcCode, message: &str, data: Option<Value>) -> Response {
    let mut error = json!({"code": code.0, "message": message});
    if let Some(data) = data {
        error["data"] = data;
    }
    let body = json!({"jsonrpc": "2.0", "id": id, "error": error});
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

//! The place of the MCP server. It is not built yet and says so instead of hanging.
use axum::Router;
use axum::middleware;
use axum::routing::any;

use crate::http_api::{self, ApiError, ErrorCode};

/// `/mcp` answers 501, everything else 404.
pub fn mcp_router() -> Router {
    Router::new()
        .route(
            "/mcp",
            any(|| async {
                ApiError::new(ErrorCode::Unimplemented, "the MCP server is not built yet")
            }),
        )
        .fallback(http_api::unknown_route)
        .layer(middleware::from_fn(http_api::with_request_id))
}

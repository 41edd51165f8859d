//! `X-Request-Id` on every response and in every error body (DA-20).
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};

/// Carries the id; a forwarded request keeps the one its first process gave.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that is being answered, empty outside of one.
pub fn current_request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Middleware: gives the request an id and the response its header.
pub async fn with_request_id(request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(&REQUEST_ID_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<uuid::Uuid>().ok());
    let id = given.unwrap_or_else(uuid::Uuid::now_v7).to_string();
    let header = HeaderValue::from_str(&id);
    let mut response = REQUEST_ID.scope(id, next.run(request)).await;
    if let Ok(header) = header {
        response.headers_mut().insert(REQUEST_ID_HEADER, header);
    }
    response
}

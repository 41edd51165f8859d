//! Who calls back: an adapter with the token of its registration (G-95), or one that answers about one interaction with
//! the token of its delivery (G-136).
use http::{HeaderMap, header};
use uuid::Uuid;

use crate::http_api::ApiError;
use crate::secrets::hash_token;
use crate::staff::{Services, bearer_value};
use crate::store::callback_adapters::{self, Adapter};
use crate::store::clock;

const TOKEN_HEADER: &str = "x-codex-mcp-token";

fn refused() -> ApiError {
    metrics::counter!("codexk8s_callback_token_refused_total").increment(1);
    ApiError::unauthorized("this route needs a valid token of its own kind")
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer_value)
}

/// The adapter behind a callback. Tokens are compared by their hashes, so that the time tells nothing of them.
///
/// # Errors
/// 503 where no adapter is registered, 401 for any other token.
pub async fn adapter(services: &Services, headers: &HeaderMap) -> Result<Adapter, ApiError> {
    if !callback_adapters::is_any_active(services.pool()).await? {
        return Err(ApiError::unavailable("no callback adapter is registered"));
    }
    let token = headers
        .get(TOKEN_HEADER)
        .and_then(|value| value.to_str().ok())
        .or_else(|| bearer(headers))
        .ok_or_else(refused)?;
    callback_adapters::with_token(services.pool(), &hash_token(token))
        .await?
        .ok_or_else(refused)
}

/// The interaction that a token is for.
///
/// # Errors
/// 401: the token is none of ours, for another purpose, or no longer valid.
pub async fn interaction(services: &Services, headers: &HeaderMap) -> Result<Uuid, ApiError> {
    let token = bearer(headers).ok_or_else(refused)?;
    let (id, claims) = services
        .run_tokens()
        .decode_callback(token)
        .map_err(|_| refused())?;
    if !claims.lives_at(clock::now(services.pool()).await?) {
        return Err(refused());
    }
    Ok(id)
}

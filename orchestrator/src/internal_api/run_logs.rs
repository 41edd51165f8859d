//! Log chunks and token usage of a run's agent.
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::RunCaller;
use crate::http_api::ApiError;
use crate::staff::{JsonBody, Services};
use crate::store::run_logs::{self, TokenUsage};

const STREAMS: [&str; 4] = ["agent", "git", "runner", "system"];
/// What the column holds at most.
const MAX_CHUNK_BYTES: usize = 32 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChunkRequest {
    stream: String,
    seq: i64,
    text: String,
}

/// Stores a chunk, redacted once more on this side (G-124).
pub(super) async fn append(
    State(services): State<Services>,
    caller: RunCaller,
    JsonBody(chunk): JsonBody<ChunkRequest>,
) -> Result<StatusCode, ApiError> {
    if !STREAMS.contains(&chunk.stream.as_str()) {
        return Err(ApiError::invalid(
            "stream",
            format!("expected one of {}", STREAMS.join(", ")),
        ));
    }
    let text = services.redactor().redact(&chunk.text);
    if text.len() > MAX_CHUNK_BYTES {
        return Err(ApiError::invalid(
            "text",
            format!("a chunk holds at most {MAX_CHUNK_BYTES} bytes"),
        ));
    }
    let mut connection = services.pool().acquire().await?;
    run_logs::insert_chunk(
        &mut connection,
        caller.run_id,
        &chunk.stream,
        chunk.seq,
        &text,
    )
    .await?;
    Ok(StatusCode::ACCEPTED)
}

/// Stores the usage of a turn.
pub(super) async fn usage(
    State(services): State<Services>,
    caller: RunCaller,
    JsonBody(usage): JsonBody<TokenUsage>,
) -> Result<StatusCode, ApiError> {
    let mut connection = services.pool().acquire().await?;
    run_logs::insert_usage(&mut connection, caller.run_id, &usage).await?;
    Ok(StatusCode::ACCEPTED)
}

//! The log of a run, line by line from the end.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use http::header;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::access::Need;
use super::principal::Principal;
use super::query::Query;
use super::runs::require_run;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::clock;
use crate::store::run_logs::{self, LogChunk};
use crate::store::run_reads::{self, RunFilter};

const DEFAULT_LINES: i64 = 200;
const MAX_LINES: i64 = 2000;
const STREAMS: [&str; 4] = ["agent", "git", "runner", "system"];
/// A line id is its chunk's id times this, plus its place in the chunk: a chunk of 32 KiB holds fewer lines.
const LINES_PER_CHUNK: i64 = 65_536;

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    id: i64,
    stream: String,
    at: DateTime<Utc>,
    text: String,
}

/// Lines before an id, newest last; `chunks` come newest first.
fn last_lines(
    chunks: Vec<LogChunk>,
    before_id: Option<i64>,
    wanted: usize,
) -> (Vec<Line>, Option<i64>) {
    let mut lines: Vec<Line> = Vec::new();
    for chunk in chunks.into_iter().rev() {
        for (place, text) in chunk.text.lines().enumerate() {
            let id = chunk.id * LINES_PER_CHUNK + i64::try_from(place).unwrap_or_default();
            if before_id.is_none_or(|before| id < before) {
                lines.push(Line {
                    id,
                    stream: chunk.stream.clone(),
                    at: chunk.created_at,
                    text: text.to_owned(),
                });
            }
        }
    }
    let cut = lines.len().saturating_sub(wanted);
    let lines = lines.split_off(cut);
    let previous = lines.first().filter(|_| cut > 0).map(|line| line.id);
    (lines, previous)
}

/// The last lines, or those before one.
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Path(run_id): Path<Uuid>,
    mut query: Query,
) -> Result<Response, ApiError> {
    let wanted = query.number("tail_lines", DEFAULT_LINES, 1, MAX_LINES)?;
    let stream = query.one_of("stream", &STREAMS)?;
    let before_id: Option<i64> = query.parsed("before_id")?;
    let search = query.text("q")?;
    let download = query.parsed("download")?.unwrap_or(false);
    query.finish()?;
    require_run(&services, &principal, run_id, Need::Read).await?;
    let filter = RunFilter {
        id: Some(run_id),
        include_deploy: true,
        ..RunFilter::default()
    };
    let run = run_reads::page(services.pool(), &filter, 1, 0)
        .await?
        .pop()
        .ok_or_else(|| ApiError::not_found("there is no such run"))?;
    let before_chunk = before_id.map(|id| id / LINES_PER_CHUNK);
    // One chunk more than enough: part of the first one may lie behind `before_id`.
    let chunks = run_logs::tail(
        services.pool(),
        run_id,
        stream.as_deref(),
        before_chunk,
        wanted + LINES_PER_CHUNK,
    )
    .await?;
    let updated_at = chunks.first().map(|chunk| chunk.created_at);
    let purged_at = match chunks.is_empty() {
        true => purged_at(&services, run.finished_at).await?,
        false => None,
    };
    let (mut lines, previous) = last_lines(
        chunks,
        before_id,
        usize::try_from(wanted).unwrap_or_default(),
    );
    if let Some(text) = search {
        lines.retain(|line| line.text.contains(&text));
    }
    if download {
        let text: String = lines
            .iter()
            .map(|line| format!("{}\n", line.text))
            .collect();
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
            (
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"run-{run_id}.log\""),
            ),
        ];
        return Ok((headers, text).into_response());
    }
    Ok(Json(json!({
        "run_id": run_id,
        "status": run.status,
        "updated_at": updated_at,
        "lines": lines,
        "prev_before_id": previous,
        "source": if purged_at.is_some() { "expired" } else { "chunks" },
        "purged_at": purged_at,
    }))
    .into_response())
}

/// Since when the log of a run that ended is past its retention (DA-21).
async fn purged_at(
    services: &Services,
    finished_at: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>, ApiError> {
    let days = services.app.config.retention.run_logs_days;
    let end = finished_at.map(|finished_at| finished_at + TimeDelta::days(i64::from(days)));
    let now = clock::now(services.pool()).await?;
    Ok(end.filter(|end| *end < now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: i64, text: &str) -> LogChunk {
        LogChunk {
            id,
            stream: "agent".to_owned(),
            text: text.to_owned(),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn pages_back_without_missing_or_doubling_a_line() {
        let chunks = || vec![chunk(3, "e\nf\n"), chunk(2, "c\nd"), chunk(1, "a\nb\n")];
        let (lines, previous) = last_lines(chunks(), None, 3);
        assert_eq!(texts(&lines), ["d", "e", "f"]);
        let (lines, previous) = last_lines(chunks(), previous, 2);
        assert_eq!(texts(&lines), ["b", "c"]);
        let (lines, previous) = last_lines(chunks(), previous, 5);
        assert_eq!((texts(&lines), previous), (vec!["a"], None));
    }
}

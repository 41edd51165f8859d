//! Session snapshots of runs (`agent_sessions`): compare-and-set writes and the look-up for resume.
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// A stored snapshot.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow, serde::Serialize)]
pub struct SessionSnapshot {
    pub run_id: Uuid,
    pub status: String,
    pub branch_name: Option<String>,
    pub pr_number: Option<i32>,
    pub pr_url: Option<String>,
    pub session_id: Option<String>,
    pub session_json: Value,
    pub agent_session_json: Option<Value>,
    pub model: Option<String>,
    pub reasoning_effort: Option<String>,
    pub snapshot_version: i64,
    pub snapshot_checksum: Option<String>,
    pub snapshot_updated_at: DateTime<Utc>,
}

/// A snapshot to be stored; absent facts leave what is known.
#[derive(Debug)]
pub struct SnapshotWrite<'a> {
    pub expected_version: Option<i64>,
    pub checksum: &'a str,
    pub status: &'a str,
    pub branch_name: Option<&'a str>,
    pub pr_number: Option<i32>,
    pub pr_url: Option<&'a str>,
    pub session_id: Option<&'a str>,
    pub session_json: &'a Value,
    pub agent_session_json: Option<&'a Value>,
    pub model: Option<&'a str>,
    pub reasoning_effort: Option<&'a str>,
}

/// What a compare-and-set did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// Stored under this version.
    Saved { version: i64 },
    /// The same content was stored already; version and time stay (D-9).
    Replayed { version: i64 },
    /// Somebody else wrote in between; nothing changed.
    Conflict { actual: i64 },
}

/// The decision of the compare-and-set, apart from SQL so that it can be read and tested alone.
fn decide(
    stored_version: i64,
    stored_checksum: Option<&str>,
    expected: Option<i64>,
    checksum: &str,
) -> SnapshotOutcome {
    match stored_checksum {
        Some(stored) if stored == checksum => SnapshotOutcome::Replayed {
            version: stored_version,
        },
        // The row exists from the claim on (D-8), so that the first snapshot finds it without one.
        None if expected.is_none_or(|version| version == stored_version) => {
            SnapshotOutcome::Saved {
                version: stored_version,
            }
        }
        Some(_) if expected == Some(stored_version) => SnapshotOutcome::Saved {
            version: stored_version + 1,
        },
        _ => SnapshotOutcome::Conflict {
            actual: stored_version,
        },
    }
}

/// Writes a snapshot if its expected version still holds (R-89..R-91).
pub async fn save(
    connection: &mut PgConnection,
    run_id: Uuid,
    write: &SnapshotWrite<'_>,
) -> Result<SnapshotOutcome, sqlx::Error> {
    // The run before its session, as its end takes them: the other way round each would wait for the other.
    sqlx::query("SELECT 1 FROM agent_runs WHERE id = $1 FOR NO KEY UPDATE")
        .bind(run_id)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO agent_sessions (run_id, correlation_id, project_id, repository_full_name, agent_key,
                                     issue_number, trigger_kind)
         SELECT id, correlation_id, project_id, repository_full_name, COALESCE(agent_key, ''), issue_number, trigger_kind
         FROM agent_runs WHERE id = $1
         ON CONFLICT (run_id) DO NOTHING",
    )
    .bind(run_id)
    .execute(&mut *connection)
    .await?;
    let (version, checksum): (i64, Option<String>) = sqlx::query_as(
        "SELECT snapshot_version, snapshot_checksum FROM agent_sessions WHERE run_id = $1 FOR UPDATE",
    )
    .bind(run_id)
    .fetch_one(&mut *connection)
    .await?;
    let outcome = decide(
        version,
        checksum.as_deref(),
        write.expected_version,
        write.checksum,
    );
    let (version, renewed) = match outcome {
        SnapshotOutcome::Conflict { .. } => return Ok(outcome),
        SnapshotOutcome::Saved { version } => (version, true),
        SnapshotOutcome::Replayed { version } => (version, false),
    };
    sqlx::query(
        "UPDATE agent_sessions SET
             status = $2, branch_name = COALESCE($3, branch_name), pr_number = COALESCE($4, pr_number),
             pr_url = COALESCE($5, pr_url), session_id = COALESCE($6, session_id), session_json = $7,
             agent_session_json = COALESCE($8, agent_session_json), model = COALESCE($9, model),
             reasoning_effort = COALESCE($10, reasoning_effort),
             snapshot_version = $11, snapshot_checksum = $12,
             snapshot_updated_at = CASE WHEN $13 THEN platform_now() ELSE snapshot_updated_at END,
             last_heartbeat_at = platform_now()
         WHERE run_id = $1",
    )
    .bind(run_id)
    .bind(write.status)
    .bind(write.branch_name)
    .bind(write.pr_number)
    .bind(write.pr_url)
    .bind(write.session_id)
    .bind(write.session_json)
    .bind(write.agent_session_json)
    .bind(write.model)
    .bind(write.reasoning_effort)
    .bind(version)
    .bind(write.checksum)
    .bind(renewed)
    .execute(&mut *connection)
    .await?;
    // The run's own pull request is part of what later triggers look up.
    if let Some(pr_number) = write.pr_number {
        sqlx::query("UPDATE agent_runs SET pr_number = $2 WHERE id = $1 AND pr_number IS NULL")
            .bind(run_id)
            .bind(pr_number)
            .execute(connection)
            .await?;
    }
    Ok(outcome)
}

/// The snapshot of one run; `None` until something was saved.
pub async fn find(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<SessionSnapshot>, sqlx::Error> {
    sqlx::query_as(
        "SELECT run_id, status, branch_name, pr_number, pr_url, session_id, session_json,
                agent_session_json, model, reasoning_effort, snapshot_version, snapshot_checksum,
                snapshot_updated_at
         FROM agent_sessions WHERE run_id = $1 AND snapshot_checksum IS NOT NULL",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await
}

/// The newest snapshot another run left for (repository, branch, agent) (R-92, L-51). One that the retention emptied is
/// none.
pub async fn latest_for_resume(
    executor: impl PgExecutor<'_>,
    repository_full_name: &str,
    branch_name: &str,
    agent_key: &str,
    not_of_run: Uuid,
) -> Result<Option<SessionSnapshot>, sqlx::Error> {
    sqlx::query_as(
        "SELECT run_id, status, branch_name, pr_number, pr_url, session_id, session_json,
                agent_session_json, model, reasoning_effort, snapshot_version, snapshot_checksum,
                snapshot_updated_at
         FROM agent_sessions
         WHERE repository_full_name = $1 AND branch_name = $2 AND agent_key = $3 AND run_id <> $4
           AND snapshot_checksum IS NOT NULL AND agent_session_json IS NOT NULL
         ORDER BY snapshot_updated_at DESC, snapshot_version DESC LIMIT 1",
    )
    .bind(repository_full_name)
    .bind(branch_name)
    .bind(agent_key)
    .bind(not_of_run)
    .fetch_optional(executor)
    .await
}

#[cfg(test)]
mod tests {
    use super::SnapshotOutcome::{Conflict, Replayed, Saved};
    use super::decide;

    #[test]
    fn the_first_save_keeps_version_one() {
        assert_eq!(decide(1, None, None, "a"), Saved { version: 1 });
        assert_eq!(decide(1, None, Some(1), "a"), Saved { version: 1 });
        assert_eq!(decide(1, None, Some(4), "a"), Conflict { actual: 1 });
    }

    #[test]
    fn a_match_bumps_and_a_stale_version_conflicts() {
        assert_eq!(decide(3, Some("a"), Some(3), "b"), Saved { version: 4 });
        assert_eq!(decide(3, Some("a"), Some(2), "b"), Conflict { actual: 3 });
        assert_eq!(decide(3, Some("a"), None, "b"), Conflict { actual: 3 });
    }

    #[test]
    fn the_same_content_is_a_replay_whatever_was_expected() {
        for expected in [None, Some(1), Some(3), Some(9)] {
            assert_eq!(decide(3, Some("a"), expected, "a"), Replayed { version: 3 });
        }
    }
}

//! The outbox (D-31): what shall be done to the world, under a lease and a rising fence.
use chrono::{DateTime, Utc};
use domain::effects::PlannedEffect;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// D-31: an executor that died is replaced after this.
pub const LEASE_SECONDS: f64 = 60.0;
/// Claims take turns under this advisory lock, so that each sees the leases of the one before.
const CLAIM_LOCK: i64 = 0x6566_6665_6374_7331;

/// Calls of GitHub for a run whose limit is being waited out: they would only be refused like the first.
macro_rules! awaits_limit {
    () => {
        "(e.kind IN ('status_comment', 'add_label', 'remove_label', 'create_comment', 'add_reaction') AND EXISTS (
             SELECT 1 FROM github_rate_limit_waits w WHERE w.run_id = e.run_id AND w.contour_kind = 'platform_pat'
                 AND w.state IN ('open', 'auto_resume_scheduled', 'manual_action_required')))"
    };
}

/// What a plan belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub struct EffectOwner<'a> {
    pub delivery_id: Option<&'a str>,
    pub run_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    /// Of what neither a delivery nor a run asked for.
    pub correlation_id: Option<&'a str>,
}

/// An effect that this process performs.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ClaimedEffect {
    pub id: i64,
    pub idempotency_key: String,
    pub kind: String,
    pub delivery_id: Option<String>,
    pub run_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    pub payload: Value,
    pub attempts: i32,
    pub fence: i64,
    pub created_at: DateTime<Utc>,
}

/// Inserts a plan in its order; an effect whose key is known already is not wanted twice.
pub async fn insert_plan(
    connection: &mut PgConnection,
    plan: &[PlannedEffect],
    owner: EffectOwner<'_>,
) -> Result<usize, EffectInsertError> {
    let mut ids: Vec<i64> = Vec::with_capacity(plan.len());
    let mut inserted = 0;
    for planned in plan {
        let mut payload =
            serde_json::to_value(&planned.effect).map_err(EffectInsertError::Encode)?;
        domain::events::replace_nul(&mut payload);
        let after = planned
            .after
            .and_then(|position| ids.get(position).copied());
        let new: Option<i64> = sqlx::query_scalar(
            "INSERT INTO outbox_effects (idempotency_key, kind, after_id, delivery_id, run_id, project_id, payload, correlation_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id",
        )
        .bind(&planned.idempotency_key)
        .bind(planned.effect.kind())
        .bind(after)
        .bind(owner.delivery_id)
        .bind(run_of(&planned.effect).or(owner.run_id))
        .bind(owner.project_id)
        .bind(payload)
        .bind(owner.correlation_id)
        .fetch_optional(&mut *connection)
        .await?;
        let id = match new {
            Some(id) => {
                inserted += 1;
                id
            }
            None => {
                sqlx::query_scalar("SELECT id FROM outbox_effects WHERE idempotency_key = $1")
                    .bind(&planned.idempotency_key)
                    .fetch_one(&mut *connection)
                    .await?
            }
        };
        ids.push(id);
    }
    Ok(inserted)
}

/// Why a plan was not stored.
#[derive(Debug, thiserror::Error)]
pub enum EffectInsertError {
    #[error("failed to store an effect")]
    Store(#[from] sqlx::Error),
    #[error("failed to encode an effect")]
    Encode(#[source] serde_json::Error),
}

fn run_of(effect: &domain::effects::Effect) -> Option<Uuid> {
    use domain::effects::Effect;
    match effect {
        Effect::UpsertStatusComment { run_id, .. }
        | Effect::RefreshStatusComment { run_id, .. }
        | Effect::DeleteNamespace { run_id, .. }
        | Effect::CancelDiscussion { run_id, .. }
        | Effect::StopRun { run_id } => Some(run_id.as_uuid()),
        _ => None,
    }
}

/// Leases the oldest due effects whose predecessors are done, at most `limit`, oldest first. Status comments of one run
/// take turns: two at once would both find no comment and write two.
pub async fn claim(
    connection: &mut PgConnection,
    owner: &str,
    limit: usize,
) -> Result<Vec<ClaimedEffect>, sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(CLAIM_LOCK)
        .execute(&mut *connection)
        .await?;
    let mut claimed: Vec<ClaimedEffect> = sqlx::query_as(concat!(
        "UPDATE outbox_effects SET lease_owner = $1, lease_until = platform_now() + make_interval(secs => $2),
             attempts = attempts + 1, fence = fence + 1
         WHERE id IN (
             SELECT e.id FROM outbox_effects e
             WHERE e.state = 'pending' AND e.next_attempt_at <= platform_now()
               AND (e.lease_until IS NULL OR e.lease_until <= platform_now())
               AND (e.after_id IS NULL OR EXISTS (SELECT 1 FROM outbox_effects a WHERE a.id = e.after_id AND a.state = 'done'))
               AND NOT (e.kind = 'status_comment' AND EXISTS (
                   SELECT 1 FROM outbox_effects o WHERE o.run_id = e.run_id AND o.kind = e.kind AND o.id <> e.id
                     AND o.state = 'pending'
                     AND (o.lease_until > platform_now() OR (o.id < e.id AND o.next_attempt_at <= platform_now()))))
               AND NOT ",
        awaits_limit!(),
        " ORDER BY e.id LIMIT $3 FOR UPDATE OF e SKIP LOCKED)
         RETURNING id, idempotency_key, kind, delivery_id, run_id, project_id, payload, attempts, fence, created_at",
    ))
    .bind(owner)
    .bind(LEASE_SECONDS)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    claimed.sort_by_key(|effect| effect.id);
    Ok(claimed)
}

/// Marks an effect as done; `false` when somebody with a newer fence has it. Here and below a pending effect is one that
/// is neither done nor given up: asked for `pending`, a server without statistics may walk through all that are, instead
/// of reading the one with this id.
pub async fn complete(
    connection: &mut PgConnection,
    effect: &ClaimedEffect,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE outbox_effects SET state = 'done', done_at = platform_now(), lease_owner = NULL, lease_until = NULL, last_error = NULL
         WHERE id = $1 AND fence = $2 AND state NOT IN ('done', 'given_up')",
    )
    .bind(effect.id)
    .bind(effect.fence)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether something pending could only start once these effects are done.
pub async fn has_followers(
    connection: &mut PgConnection,
    done: &[&ClaimedEffect],
) -> Result<bool, sqlx::Error> {
    let ids: Vec<i64> = done.iter().map(|effect| effect.id).collect();
    let runs: Vec<Uuid> = done.iter().filter_map(|effect| effect.run_id).collect();
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM outbox_effects WHERE after_id = ANY($1) AND state = 'pending')
             OR EXISTS (SELECT 1 FROM outbox_effects WHERE run_id = ANY($2) AND kind = 'status_comment' AND state = 'pending')",
    )
    .bind(ids)
    .bind(runs)
    .fetch_one(connection)
    .await
}

/// Gives an effect back for a later attempt.
pub async fn postpone(
    executor: impl PgExecutor<'_>,
    effect: &ClaimedEffect,
    error: &str,
    pause_seconds: f64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE outbox_effects SET lease_owner = NULL, lease_until = NULL, last_error = $3, next_attempt_at = platform_now() + make_interval(secs => $4)
         WHERE id = $1 AND fence = $2 AND state NOT IN ('done', 'given_up')",
    )
    .bind(effect.id)
    .bind(effect.fence)
    .bind(error.replace('\0', "\u{fffd}"))
    .bind(pause_seconds)
    .execute(executor)
    .await?;
    Ok(())
}

/// Gives an effect up, with those that wait for it; answers what was given up, none when the fence is stale.
pub async fn give_up(
    connection: &mut PgConnection,
    effect: &ClaimedEffect,
    error: &str,
) -> Result<Vec<ClaimedEffect>, sqlx::Error> {
    sqlx::query_as(
        "WITH RECURSIVE chain AS (
             SELECT id FROM outbox_effects WHERE id = $1 AND fence = $2 AND state NOT IN ('done', 'given_up')
             UNION SELECT e.id FROM outbox_effects e JOIN chain ON e.after_id = chain.id WHERE e.state = 'pending')
         UPDATE outbox_effects SET state = 'given_up', lease_owner = NULL, lease_until = NULL, last_error = $3
         WHERE id IN (SELECT id FROM chain)
         RETURNING id, idempotency_key, kind, delivery_id, run_id, project_id, payload, attempts, fence, created_at",
    )
    .bind(effect.id)
    .bind(effect.fence)
    .bind(error.replace('\0', "\u{fffd}"))
    .fetch_all(connection)
    .await
}

/// The performed effects that this one waited for, first to last.
pub async fn done_before(
    connection: &mut PgConnection,
    id: i64,
) -> Result<Vec<PlannedEffect>, sqlx::Error> {
    let rows: Vec<(String, Value)> = sqlx::query_as(
        "WITH RECURSIVE chain AS (
             SELECT after_id AS id FROM outbox_effects WHERE id = $1
             UNION SELECT e.after_id FROM outbox_effects e JOIN chain ON e.id = chain.id)
         SELECT idempotency_key, payload FROM outbox_effects
         WHERE id IN (SELECT id FROM chain) AND state = 'done' ORDER BY id",
    )
    .bind(id)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(idempotency_key, payload)| {
            Ok(PlannedEffect {
                effect: serde_json::from_value(payload)
                    .map_err(|error| sqlx::Error::Decode(error.into()))?,
                idempotency_key,
                after: None,
            })
        })
        .collect()
}

/// `pending`, `done` or `given_up` by key, of those keys that are known.
pub async fn states(
    executor: impl PgExecutor<'_>,
    idempotency_keys: &[String],
) -> Result<std::collections::BTreeMap<String, String>, sqlx::Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT idempotency_key, state FROM outbox_effects WHERE idempotency_key = ANY($1)",
    )
    .bind(idempotency_keys)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Seconds until the next effect is due, if any waits.
pub async fn seconds_until_due(executor: impl PgExecutor<'_>) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar(concat!(
        "SELECT extract(epoch FROM min(greatest(e.next_attempt_at, coalesce(e.lease_until, e.next_attempt_at))) - platform_now())::float8
         FROM outbox_effects e
         WHERE e.state = 'pending'
           AND (e.after_id IS NULL OR EXISTS (SELECT 1 FROM outbox_effects a WHERE a.id = e.after_id AND a.state = 'done'))
           AND NOT ",
        awaits_limit!()
    ))
    .fetch_one(executor)
    .await
}

/// Gives an effect back until the limit of its run is over; none: until staff says so. It
/// does not come before its turn, since the run's wait holds it.
pub async fn await_limit(
    connection: &mut PgConnection,
    effect: &ClaimedEffect,
    error: &str,
    not_before: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE outbox_effects SET lease_owner = NULL, lease_until = NULL, last_error = $3,
             next_attempt_at = coalesce($4, platform_now())
         WHERE id = $1 AND fence = $2 AND state NOT IN ('done', 'given_up')",
    )
    .bind(effect.id)
    .bind(effect.fence)
    .bind(error.replace('\0', "\u{fffd}"))
    .bind(not_before)
    .execute(connection)
    .await?;
    Ok(())
}

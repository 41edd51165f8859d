//! Runs that are at work, as rows: each with an Issue and a token of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use steps::place::{Place, bound_repository};
use steps::platform::Platform;
use steps::world::Gate;
use uuid::Uuid;

use crate::SIDE_BY_SIDE;

/// Longest signed life of a token (G-7).
const LIFE_SECONDS: u64 = 168 * 3600;

/// One run.
pub struct Run {
    pub id: Uuid,
    pub issue: u64,
    pub token_id: Uuid,
}

/// All runs of a bound repository.
pub struct Runs {
    pub place: Place,
    pub all: Vec<Run>,
    key: EncodingKey,
    key_id: String,
}

/// The name by which tokens say which key signed them.
fn id_of(key: &[u8]) -> String {
    let mut digest = Sha256::new();
    digest.update(b"codex-k8s run token key id");
    digest.update(key);
    hex::encode(&digest.finalize()[..4])
}

impl Runs {
    /// Opens an Issue for each, and writes what a decision and a claim would have left.
    pub async fn make(gate: &Gate, platform: &Platform, count: usize) -> anyhow::Result<Self> {
        let place = bound_repository(gate, platform, fixtures::stories::works()).await?;
        let member = &place.member;
        let repository = place.repository.as_str();
        let issues: Vec<u64> = stream::iter(0..count)
            .map(|number| async move {
                let title = format!("Greet visitor {number}");
                member.open_issue(repository, &title, "Say hello.").await
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        let all: Vec<Run> = issues
            .into_iter()
            .map(|issue| Run {
                id: Uuid::now_v7(),
                issue,
                token_id: Uuid::new_v4(),
            })
            .collect();
        write(platform, &place, &all).await?;
        let key = platform
            .lane()
            .secrets
            .mcp_token_signing_key
            .as_bytes()
            .to_vec();
        Ok(Self {
            place,
            all,
            key_id: id_of(&key),
            key: EncodingKey::from_secret(&key),
        })
    }

    /// What the token of a run says.
    pub fn claims(&self, run: &Run) -> anyhow::Result<Value> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("failed to read the clock")?
            .as_secs();
        Ok(json!({
            "iss": "codex-k8s", "aud": "control-plane", "scope": "run_mcp",
            "sub": format!("run:{}", run.id), "run_id": run.id, "jti": run.token_id, "gen": 1,
            "correlation_id": run.id, "project_id": self.place.project_id,
            "namespace": "governance", "runtime_mode": "full-env",
            "iat": now - 60, "nbf": now - 60, "exp": now + LIFE_SECONDS,
        }))
    }

    /// The token that a run was given.
    pub fn token(&self, run: &Run) -> anyhow::Result<String> {
        self.sign(&self.claims(run)?)
    }

    /// A token that says this, signed as the platform signs.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = Header {
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, claims, &self.key).context("failed to sign a token")
    }
}

async fn write(platform: &Platform, place: &Place, runs: &[Run]) -> anyhow::Result<()> {
    let ids: Vec<Uuid> = runs.iter().map(|run| run.id).collect();
    let tokens: Vec<Uuid> = runs.iter().map(|run| run.token_id).collect();
    let issues: Vec<i32> = runs
        .iter()
        .map(|run| i32::try_from(run.issue))
        .collect::<Result<_, _>>()
        .context("an Issue has a small number")?;
    let pool = platform.database.pool();
    sqlx::query(
        "INSERT INTO agent_runs (id, scope_run_id, correlation_id, project_id, status, trigger_source, trigger_kind,
             trigger_label, repository_full_name, issue_number, agent_key, runtime_mode, job_name, started_at, run_payload)
         SELECT id, id, id::text, $3::text::uuid, 'running', 'issue_label', 'dev', 'run:dev', $4, issue, 'dev', 'full-env',
                'job-' || id, platform_now(), '{}'
         FROM unnest($1::uuid[], $2::int[]) AS run (id, issue)",
    )
    .bind(&ids)
    .bind(&issues)
    .bind(&place.project_id)
    .bind(&place.repository)
    .execute(pool)
    .await
    .context("failed to write the runs")?;
    sqlx::query(
        "INSERT INTO run_mcp_tokens (run_id, generation, token_id, expires_at)
         SELECT run_id, 1, token_id, platform_now() + interval '1 day'
         FROM unnest($1::uuid[], $2::uuid[]) AS token (run_id, token_id)",
    )
    .bind(&ids)
    .bind(&tokens)
    .execute(pool)
    .await
    .context("failed to write the tokens")?;
    Ok(())
}

//! Read-only SQL on a lane's database: the Postgres witness of an observation. Set-up never goes this way.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Scenarios read one after the other most of the time; more would take connections from the platform.
const CONNECTIONS: u32 = 4;
/// A sweep opens hundreds of lanes one after the other, and nobody reads those that have ended.
const IDLE_CONNECTION_LIFETIME: Duration = Duration::from_secs(10);

/// A lane's database, for reading.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
}

impl Database {
    /// Opens the database on its first use, past the proxy in front of it: reading goes on while a fault is on.
    #[must_use]
    pub fn connect(options: PgConnectOptions) -> Self {
        Self {
            pool: PgPoolOptions::new()
                .max_connections(CONNECTIONS)
                .idle_timeout(IDLE_CONNECTION_LIFETIME)
                .connect_lazy_with(options),
        }
    }

    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The rows of `query`, which selects one jsonb column and has text parameters only.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn rows(&self, query: &str, parameters: &[&str]) -> anyhow::Result<Vec<Value>> {
        let mut statement = sqlx::query_scalar::<_, Value>(AssertSqlSafe(query.to_owned()));
        for parameter in parameters {
            statement = statement.bind((*parameter).to_owned());
        }
        statement
            .fetch_all(&self.pool)
            .await
            .with_context(|| format!("failed to read: {query}"))
    }

    /// The run with this correlation id.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn run_by_correlation(&self, correlation_id: &str) -> anyhow::Result<Option<Value>> {
        let rows = self
            .rows(
                "SELECT to_jsonb(r) FROM agent_runs r WHERE correlation_id = $1",
                &[correlation_id],
            )
            .await?;
        Ok(rows.into_iter().next())
    }

    /// # Errors
    /// When the query fails.
    pub async fn run(&self, run_id: &str) -> anyhow::Result<Option<Value>> {
        let rows = self
            .rows(
                "SELECT to_jsonb(r) FROM agent_runs r WHERE id = $1::text::uuid",
                &[run_id],
            )
            .await?;
        Ok(rows.into_iter().next())
    }

    /// A run as `run`, and the type of its newest flow event as `last_event`.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn run_with_last_event(&self, run_id: &str) -> anyhow::Result<Option<Value>> {
        let rows = self
            .rows(
                "SELECT jsonb_build_object('run', to_jsonb(r), 'last_event', \
                 (SELECT event_type FROM flow_events WHERE run_id = r.id ORDER BY id DESC LIMIT 1)) \
                 FROM agent_runs r WHERE id = $1::text::uuid",
                &[run_id],
            )
            .await?;
        Ok(rows.into_iter().next())
    }

    /// Runs of an Issue, oldest first.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn runs_of_issue(&self, repository: &str, issue: u64) -> anyhow::Result<Vec<Value>> {
        self.rows(
            "SELECT to_jsonb(r) FROM agent_runs r WHERE repository_full_name = $1 AND issue_number = $2::text::bigint \
             ORDER BY created_at, id",
            &[repository, &issue.to_string()],
        )
        .await
    }

    /// Flow events of one correlation id, in order.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn events(&self, correlation_id: &str) -> anyhow::Result<Vec<Value>> {
        self.rows(
            "SELECT to_jsonb(e) FROM flow_events e WHERE correlation_id = $1 ORDER BY id",
            &[correlation_id],
        )
        .await
    }

    /// Flow events of one run, in order.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn events_of_run(&self, run_id: &str) -> anyhow::Result<Vec<Value>> {
        self.rows(
            "SELECT to_jsonb(e) FROM flow_events e WHERE run_id = $1::text::uuid ORDER BY id",
            &[run_id],
        )
        .await
    }

    /// The stored delivery, without its body.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn delivery(&self, delivery_id: &str) -> anyhow::Result<Option<Value>> {
        let rows = self
            .rows(
                "SELECT to_jsonb(d) - 'raw_body' FROM webhook_deliveries d WHERE delivery_id = $1",
                &[delivery_id],
            )
            .await?;
        Ok(rows.into_iter().next())
    }
}

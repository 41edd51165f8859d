//! A control plane with all its loops in this process, on a database of its own; GitHub is not there.

use std::sync::Arc;

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;
use orchestrator::app::{App, SharedApp};
use orchestrator::conduct::Product;
use orchestrator::config::{Config, Environment, ProcessKind};
use orchestrator::control_plane::{AnswerStatus, ControlPlane, IntakeRequest};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store_support::TestDatabase;

/// What webhooks are signed with.
pub const WEBHOOK_SECRET: &str = "webhook-secret-of-this-test";

pub struct Running {
    pub app: SharedApp,
    pub control_plane: ControlPlane,
    pub database: TestDatabase,
    shutdown: CancellationToken,
    loops: JoinSet<()>,
}

impl Running {
    pub async fn start() -> Self {
        let database = TestDatabase::migrated().await;
        let pairs = [
            ("DATABASE_URL", database.url.expose_secret().to_owned()),
            ("SERVICE_TOKEN_KEY", "a".repeat(64)),
            ("TOKEN_ENCRYPTION_KEY", "b".repeat(64)),
            ("MCP_TOKEN_SIGNING_KEY", "c".repeat(64)),
            ("SECRET_DERIVATION_KEY", "d".repeat(64)),
            ("GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
            // No fallback may help: only wake-ups are on the way.
            ("WORKER_POLL_INTERVAL", "1h".to_owned()),
            // Nobody listens there: what the outcome asks of GitHub stays in the outbox.
            (
                "GITHUB_API_BASE_URL",
                "http://127.0.0.1:9/api/v3".to_owned(),
            ),
        ];
        let environment =
            Environment::from_pairs(pairs.map(|(key, value)| (format!("CODEXK8S_{key}"), value)))
                .unwrap();
        let config = Config::load(ProcessKind::ControlPlane, &environment).unwrap();
        // The first test installs the provider that every client of this process uses.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let shutdown = CancellationToken::new();
        let app = App::new(
            config,
            PrometheusBuilder::new().build_recorder().handle(),
            Arc::new(Product),
            shutdown.clone(),
        )
        .await
        .unwrap();
        let (control_plane, parts) = ControlPlane::new(&app);
        let mut loops = JoinSet::new();
        for (_, part) in parts {
            loops.spawn(part);
        }
        Self {
            app,
            control_plane,
            database,
            shutdown,
            loops,
        }
    }

    pub async fn send(
        &self,
        delivery_id: &str,
        event_type: &str,
        body: &Value,
    ) -> (AnswerStatus, bool) {
        let request = IntakeRequest {
            delivery_id: delivery_id.to_owned(),
            event_type: event_type.to_owned(),
            body: Bytes::from(body.to_string()),
        };
        let answer = self.control_plane.intake().accept(request).await.unwrap();
        (answer.status, answer.duplicate)
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    pub async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.loops.join_next().await {
            ended.unwrap();
        }
    }
}

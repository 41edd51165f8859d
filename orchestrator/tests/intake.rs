//! The way of a delivery through a real control plane and a real PostgreSQL (L-22 to L-24, D-2, D-32).
#![allow(clippy::unwrap_used)]
mod store_support;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;
use orchestrator::app::App;
use orchestrator::conduct::Product;
use orchestrator::config::{Config, Environment, ProcessKind};
use orchestrator::control_plane::{AnswerStatus, ControlPlane, IntakeRequest};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use store_support::TestDatabase;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

struct Running {
    control_plane: ControlPlane,
    database: TestDatabase,
    shutdown: CancellationToken,
    loops: JoinSet<()>,
}

impl Running {
    async fn start() -> Self {
        let database = TestDatabase::migrated().await;
        let pairs = [
            ("DATABASE_URL", database.url.expose_secret().to_owned()),
            ("SERVICE_TOKEN_KEY", "a".repeat(64)),
            ("TOKEN_ENCRYPTION_KEY", "b".repeat(64)),
            ("MCP_TOKEN_SIGNING_KEY", "c".repeat(64)),
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
            control_plane,
            database,
            shutdown,
            loops,
        }
    }

    async fn send(
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

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.loops.join_next().await {
            ended.unwrap();
        }
    }
}

fn labelled(number: i64, title: &str) -> Value {
    json!({
        "action": "labeled", "label": {"name": "run:dev"},
        "issue": {"id": number, "number": number, "title": title, "state": "open", "labels": [{"name": "run:dev"}]},
        "repository": {"id": 1, "full_name": "o/r", "name": "r"}, "sender": {"id": 2, "login": "ann", "type": "User"},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeats_of_one_delivery_are_decided_once() {
    let running = Running::start().await;
    let body = labelled(1, "t");
    let answers =
        futures::future::join_all((0..20).map(|_| running.send("same", "issues", &body))).await;
    let duplicates = answers
        .iter()
        .filter(|answer| **answer == (AnswerStatus::Duplicate, true))
        .count();
    let ignored = answers
        .iter()
        .filter(|answer| **answer == (AnswerStatus::Ignored, false))
        .count();
    assert_eq!((duplicates, ignored), (19, 1));
    assert_eq!(
        running
            .count("SELECT count(*) FROM flow_events WHERE event_type = 'webhook.ignored'")
            .await,
        1
    );
    assert_eq!(
        running
            .count("SELECT count(*) FROM flow_events WHERE event_type = 'webhook.duplicate'")
            .await,
        19
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deliveries_are_each_decided_once() {
    let running = Running::start().await;
    let ids: Vec<String> = (0..40).map(|number| format!("delivery-{number}")).collect();
    let bodies: Vec<Value> = (0..40).map(|number| labelled(number, "t")).collect();
    let answers = futures::future::join_all(
        ids.iter()
            .zip(&bodies)
            .map(|(id, body)| running.send(id, "issues", body)),
    )
    .await;
    assert!(
        answers
            .iter()
            .all(|answer| *answer == (AnswerStatus::Ignored, false))
    );
    let decided: Vec<String> = sqlx::query_scalar(
        "SELECT payload ->> 'delivery_id' FROM flow_events WHERE event_type = 'webhook.ignored'",
    )
    .fetch_all(&running.database.pool)
    .await
    .unwrap();
    assert_eq!(
        decided.into_iter().collect::<BTreeSet<_>>(),
        ids.into_iter().collect()
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_id_with_another_body_is_a_duplicate_and_a_warning() {
    let running = Running::start().await;
    running.send("id", "issues", &labelled(1, "t")).await;
    assert_eq!(
        running.send("id", "issues", &labelled(2, "t")).await,
        (AnswerStatus::Duplicate, true)
    );
    assert_eq!(running.count("SELECT count(*) FROM runtime_errors WHERE source = 'webhook-intake' AND level = 'warning'").await, 1);
    assert_eq!(
        running
            .count("SELECT count(*) FROM webhook_deliveries")
            .await,
        1
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_and_unknown_events_are_taken_in() {
    let running = Running::start().await;
    assert_eq!(
        running.send("nul", "issues", &labelled(1, "a\0b")).await,
        (AnswerStatus::Ignored, false)
    );
    assert_eq!(
        running
            .send(
                "unknown",
                "invented_event",
                &json!({"repository": "no object"})
            )
            .await,
        (AnswerStatus::Accepted, false)
    );
    assert_eq!(
        running
            .count("SELECT count(*) FROM flow_events WHERE payload::text LIKE '%a\u{fffd}b%'")
            .await,
        1
    );
    running.stop().await;
}

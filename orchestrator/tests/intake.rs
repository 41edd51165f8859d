//! The way of a delivery through a real control plane and a real PostgreSQL (L-22 to L-24, D-2, D-32).
#![allow(clippy::unwrap_used)]
mod control_plane_support;
mod store_support;

use std::collections::BTreeSet;

use control_plane_support::Running;
use orchestrator::control_plane::AnswerStatus;
use serde_json::{Value, json};

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

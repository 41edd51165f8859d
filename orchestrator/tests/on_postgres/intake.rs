//! The way of a delivery through a real control plane and a real PostgreSQL (L-22 to L-24, D-2, D-32).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::control_plane_support::Running;
use bytes::Bytes;
use orchestrator::control_plane::{AnswerStatus, IntakeRequest};
use serde_json::{Value, json};

/// Forty decisions take a fraction of a second; a loaded machine gets more.
const DECIDED_LIMIT: Duration = Duration::from_secs(60);

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
    // So many at once are answered with or without their outcome (L-22), and each has it soon.
    assert!(answers.iter().all(|answer| {
        [
            (AnswerStatus::Ignored, false),
            (AnswerStatus::Accepted, false),
        ]
        .contains(answer)
    }));
    let all_decided = async {
        let open = "SELECT count(*) FROM webhook_deliveries WHERE status = 'processing'";
        while running.count(open).await > 0 {}
    };
    tokio::time::timeout(DECIDED_LIMIT, all_decided)
        .await
        .expect("every delivery is decided");
    let decided: Vec<String> = sqlx::query_scalar(
        "SELECT payload ->> 'delivery_id' FROM flow_events WHERE event_type = 'webhook.ignored'",
    )
    .fetch_all(&running.database.pool)
    .await
    .unwrap();
    assert_eq!(decided.len(), ids.len());
    assert_eq!(
        decided.into_iter().collect::<BTreeSet<_>>(),
        ids.into_iter().collect()
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_cannot_be_stored_refuses_none_of_its_neighbours() {
    let running = Running::start().await;
    let body = Bytes::from(labelled(1, "t").to_string());
    // PostgreSQL has no text with NUL; HTTP has no header with it, so only here can such an id come.
    let ids: Vec<String> = (0..20)
        .map(|number| format!("delivery-{number}{}", if number == 7 { "\0" } else { "" }))
        .collect();
    let answers = futures::future::join_all(ids.iter().map(|id| {
        running.control_plane.intake().accept(IntakeRequest {
            delivery_id: id.clone(),
            event_type: "issues".to_owned(),
            body: body.clone(),
        })
    }))
    .await;
    for (id, answer) in ids.iter().zip(answers) {
        assert_eq!(answer.is_err(), id.contains('\0'), "{id:?}: {answer:?}");
    }
    assert_eq!(
        running
            .count("SELECT count(*) FROM webhook_deliveries")
            .await,
        19
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

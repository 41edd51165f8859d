//! Every event example that GitHub publishes, through the public door and a real control plane: each gets the outcome that
//! the routing table documents (L-27), and none starts anything, for none comes from a bound repository.

use std::collections::BTreeMap;

use crate::control_plane_support::{Running, WEBHOOK_SECRET};
use axum::Router;
use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use orchestrator::gateway::{self, Gateway};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use tower::ServiceExt;

const EXAMPLES: &[u8] = include_bytes!("published_events/examples.json.zst");

#[derive(Deserialize)]
struct Event {
    name: String,
    examples: Vec<Value>,
}

fn published() -> Vec<Event> {
    let text = zstd::decode_all(EXAMPLES).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// What the door answered, and what the delivery was stored with.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: StatusCode,
    stored: String,
    reason: Option<String>,
}

impl Outcome {
    fn received() -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            stored: "accepted".to_owned(),
            reason: None,
        }
    }

    fn ignored(reason: &str) -> Self {
        Self {
            status: StatusCode::OK,
            stored: "ignored".to_owned(),
            reason: Some(reason.to_owned()),
        }
    }
}

/// Events of L-27 whose row is not "received", in a repository that nobody has bound.
fn documented(event: &str, payload: &Value) -> Outcome {
    let label = payload["label"]["name"].as_str().unwrap_or_default();
    let is_labeled = payload["action"] == "labeled";
    match event {
        "issues" if is_labeled && label.starts_with("run:") => {
            Outcome::ignored("repository_not_bound_for_issue_label")
        }
        "issues" => Outcome::ignored("issue_event_not_trigger_label"),
        "push"
            if matches!(
                payload["ref"].as_str(),
                Some("refs/heads/main" | "refs/heads/master")
            ) && payload["deleted"] == false =>
        {
            Outcome::ignored("repository_not_bound_for_push_main")
        }
        _ => Outcome::received(),
    }
}

async fn deliver(
    running: &Running,
    door: &Router,
    delivery_id: &str,
    event: &str,
    payload: &Value,
) -> Outcome {
    let body = payload.to_string();
    let mut signature = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
    signature.update(body.as_bytes());
    let signature = hex::encode(signature.finalize().into_bytes());
    let request = Request::post("/api/v1/webhooks/github")
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", delivery_id)
        .header("X-Hub-Signature-256", format!("sha256={signature}"))
        .header("Content-Type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let status = door.clone().oneshot(request).await.unwrap().status();
    let (stored, reason) =
        sqlx::query_as("SELECT status, reason FROM webhook_deliveries WHERE delivery_id = $1")
            .bind(delivery_id)
            .fetch_one(&running.database.pool)
            .await
            .unwrap();
    Outcome {
        status,
        stored,
        reason,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_published_example_gets_its_documented_outcome() {
    let running = Running::start().await;
    let gateway = Gateway::local(&running.app.config, running.control_plane.clone()).unwrap();
    let door = gateway::router(gateway);
    let mut surprises = Vec::new();
    let mut seen = BTreeMap::<String, usize>::new();
    let events = published();
    for event in &events {
        for (number, example) in event.examples.iter().enumerate() {
            let id = format!("{}-{number}", event.name);
            let outcome = deliver(&running, &door, &id, &event.name, example).await;
            let expected = documented(&event.name, example);
            let kind = outcome.reason.clone().unwrap_or(outcome.stored.clone());
            *seen.entry(kind).or_default() += 1;
            if outcome != expected {
                surprises.push(format!("{id}: {outcome:?} instead of {expected:?}"));
            }
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    insta::assert_json_snapshot!(seen, @r#"
    {
      "accepted": 298,
      "issue_event_not_trigger_label": 29,
      "repository_not_bound_for_push_main": 2
    }
    "#);
    let stored = running
        .count("SELECT count(*) FROM webhook_deliveries")
        .await;
    let examples: usize = events.iter().map(|event| event.examples.len()).sum();
    assert_eq!(usize::try_from(stored).unwrap(), examples);
    assert_eq!(running.count("SELECT count(*) FROM agent_runs").await, 0);
    running.stop().await;
}

/// The same payloads with a label of the platform in place of theirs: only then is there a trigger to refuse.
#[tokio::test(flavor = "multi_thread")]
async fn a_published_label_event_with_a_trigger_label_reaches_the_guards() {
    let running = Running::start().await;
    let gateway = Gateway::local(&running.app.config, running.control_plane.clone()).unwrap();
    let door = gateway::router(gateway);
    let mut reached = 0;
    for event in published() {
        for (number, mut example) in event.examples.into_iter().enumerate() {
            if example["action"] != "labeled" || example["label"].is_null() {
                continue;
            }
            example["label"]["name"] = "run:dev".into();
            let id = format!("{}-{number}", event.name);
            let outcome = deliver(&running, &door, &id, &event.name, &example).await;
            assert_eq!(outcome, documented(&event.name, &example), "{id}");
            reached += usize::from(outcome.reason.is_some());
        }
    }
    assert!(reached > 0, "no published example sets a label on an Issue");
    running.stop().await;
}

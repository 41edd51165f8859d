//! GitHub webhook payloads as events.
//!
//! Lenient by intent: a delivery was accepted before it is read (L-23), so a missing field becomes an
//! empty one and the guards judge it; only the shape that routing needs decides the kind.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Account, Comment, Event, EventKind, Issue, PullRequest, Push, Repository, Review};
use crate::ids::DeliveryId;

/// Reads a delivery.
pub fn parse(
    delivery_id: DeliveryId,
    event_type: &str,
    mut payload: Value,
    received_at: DateTime<Utc>,
) -> Event {
    replace_nul(&mut payload);
    let action = text(&payload, "/action");
    let kind = kind_of(event_type, &action, &payload);
    Event {
        delivery_id,
        event_type: event_type.to_owned(),
        action,
        received_at,
        sender: payload
            .get("sender")
            .filter(|sender| sender.is_object())
            .map(account),
        repository: payload
            .get("repository")
            .filter(|repository| repository.is_object())
            .map(repository),
        installation_id: payload.pointer("/installation/id").and_then(Value::as_i64),
        kind,
        raw_payload: payload,
    }
}

/// Replaces U+0000, which no jsonb or text column takes, by U+FFFD (D-32).
pub fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(map) => {
            if map.keys().any(|key| key.contains('\0')) {
                let old = std::mem::take(map);
                map.extend(
                    old.into_iter()
                        .map(|(key, item)| (key.replace('\0', "\u{fffd}"), item)),
                );
            }
            map.values_mut().for_each(replace_nul);
        }
        _ => {}
    }
}

fn kind_of(event_type: &str, action: &str, payload: &Value) -> EventKind {
    let issue = payload
        .get("issue")
        .filter(|issue| issue.is_object())
        .map(issue_from);
    let pull_request = payload
        .get("pull_request")
        .filter(|pull| pull.is_object())
        .map(pull_request_from);
    let label = text(payload, "/label/name");
    match (event_type, action, issue, pull_request) {
        ("issues", "labeled", Some(issue), _) => EventKind::IssueLabeled { issue, label },
        ("issues", "unlabeled", Some(issue), _) => EventKind::IssueUnlabeled { issue, label },
        ("issues", "closed", Some(issue), _) => EventKind::IssueClosed { issue },
        ("issues", "deleted", Some(issue), _) => EventKind::IssueDeleted { issue },
        ("issues", _, issue, _) => EventKind::IssueOther { issue },
        ("issue_comment", "created", Some(issue), _) => {
            let comment = payload.get("comment").map(comment).unwrap_or_default();
            EventKind::IssueCommentCreated { issue, comment }
        }
        ("issue_comment", ..) => EventKind::IssueCommentOther,
        ("pull_request", "labeled", _, Some(pull_request)) => EventKind::PullRequestLabeled {
            pull_request,
            label,
        },
        ("pull_request", "unlabeled", _, Some(pull_request)) => EventKind::PullRequestUnlabeled {
            pull_request,
            label,
        },
        ("pull_request", "closed", _, Some(pull_request)) => {
            EventKind::PullRequestClosed { pull_request }
        }
        ("pull_request", ..) => EventKind::PullRequestOther,
        ("pull_request_review", "submitted", _, Some(pull_request)) => {
            let review = payload.get("review").map(review).unwrap_or_default();
            EventKind::ReviewSubmitted {
                pull_request,
                review,
            }
        }
        ("pull_request_review", ..) => EventKind::ReviewOther,
        ("push", ..) => EventKind::Push(push(payload)),
        _ => EventKind::Other,
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn number(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn flag(value: &Value, pointer: &str) -> bool {
    value
        .pointer(pointer)
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

fn time(value: &Value, pointer: &str) -> Option<DateTime<Utc>> {
    let text = value.pointer(pointer)?.as_str()?;
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.with_timezone(&Utc))
}

fn label_names(value: &Value) -> Vec<String> {
    let labels = value.get("labels").and_then(Value::as_array);
    labels
        .into_iter()
        .flatten()
        .map(|label| text(label, "/name"))
        .filter(|name| !name.is_empty())
        .collect()
}

fn account(value: &Value) -> Account {
    Account {
        id: number(value, "/id"),
        login: text(value, "/login"),
        account_type: text(value, "/type"),
    }
}

fn account_at(value: &Value, key: &str) -> Account {
    value.get(key).map(account).unwrap_or_default()
}

fn repository(value: &Value) -> Repository {
    Repository {
        id: number(value, "/id"),
        full_name: text(value, "/full_name"),
        name: text(value, "/name"),
        private: flag(value, "/private"),
        fork: flag(value, "/fork"),
        default_branch: text(value, "/default_branch"),
    }
}

/// Reads an Issue in GitHub's shape, from a payload or from the REST API.
pub fn issue_from(value: &Value) -> Issue {
    Issue {
        id: number(value, "/id"),
        number: number(value, "/number"),
        title: text(value, "/title"),
        html_url: text(value, "/html_url"),
        state: text(value, "/state"),
        user: account_at(value, "user"),
        labels: label_names(value),
        is_pull_request: value
            .get("pull_request")
            .is_some_and(|link| !link.is_null()),
        updated_at: time(value, "/updated_at"),
    }
}

/// Reads a pull request in GitHub's shape, from a payload or from the REST API.
pub fn pull_request_from(value: &Value) -> PullRequest {
    PullRequest {
        id: number(value, "/id"),
        number: number(value, "/number"),
        title: text(value, "/title"),
        html_url: text(value, "/html_url"),
        state: text(value, "/state"),
        merged: flag(value, "/merged")
            || value.pointer("/merged_at").is_some_and(|at| !at.is_null()),
        head_ref: text(value, "/head/ref"),
        head_sha: text(value, "/head/sha"),
        head_repository: text(value, "/head/repo/full_name"),
        base_ref: text(value, "/base/ref"),
        user: account_at(value, "user"),
        labels: label_names(value),
        updated_at: time(value, "/updated_at"),
    }
}

fn review(value: &Value) -> Review {
    Review {
        id: number(value, "/id"),
        state: text(value, "/state").to_lowercase(),
        body: text(value, "/body"),
        user: account_at(value, "user"),
        commit_id: text(value, "/commit_id"),
        submitted_at: time(value, "/submitted_at"),
    }
}

fn comment(value: &Value) -> Comment {
    Comment {
        id: number(value, "/id"),
        body: text(value, "/body"),
        user: account_at(value, "user"),
        created_at: time(value, "/created_at"),
    }
}

fn push(payload: &Value) -> Push {
    let commits = payload.get("commits").and_then(Value::as_array);
    let mut changed_paths: Vec<String> = commits
        .into_iter()
        .flatten()
        .flat_map(|commit| ["added", "modified", "removed"].map(|key| commit.get(key)))
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    changed_paths.sort();
    changed_paths.dedup();
    Push {
        ref_name: text(payload, "/ref"),
        before: text(payload, "/before"),
        after: text(payload, "/after"),
        deleted: flag(payload, "/deleted"),
        changed_paths,
    }
}

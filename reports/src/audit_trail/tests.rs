use serde_json::{Value, json};

use super::{ends, off_catalogue};
use crate::spec::Specification;

fn event(name: &str, payload: Value) -> Value {
    json!({"id": 1, "event_type": name, "actor_type": "system", "actor_id": "worker", "run_id": "r",
           "project_id": null, "payload": payload})
}

#[test]
fn an_event_that_is_not_as_its_row_says_is_told() {
    let specification = Specification::embedded().expect("specification");
    let good = event("mcp.tool.called", json!({"run_id": "r", "tool": "x"}));
    let with = |key: &str, value: Value| {
        let mut event = good.clone();
        event[key] = value;
        event
    };
    for (event, expected) in [
        (good.clone(), None),
        (
            with("event_type", json!("mcp.tool.forgotten")),
            Some("the catalogue has no such type"),
        ),
        (
            with("actor_type", json!("human")),
            Some("caused by \"human\", not by system"),
        ),
        (
            with("actor_id", json!(" ")),
            Some("nobody is named as its actor"),
        ),
        (
            with("actor_id", Value::Null),
            Some("nobody is named as its actor"),
        ),
        (
            with("payload", json!({"run_id": "r", "arguments": "x"})),
            Some("its payload has \"arguments\""),
        ),
        (
            with("payload", json!({"tool": "x"})),
            Some("its payload lacks its run_id"),
        ),
        (
            with("project_id", json!("p")),
            Some("its payload lacks its project_id"),
        ),
    ] {
        let flaws = off_catalogue(&[&event], &specification);
        let seen: Vec<&str> = flaws.iter().map(|flaw| flaw.problem.as_str()).collect();
        assert_eq!(seen, expected.into_iter().collect::<Vec<_>>(), "{event}");
    }
}

#[test]
fn what_was_begun_is_ended_once() {
    let call = |name: &str| event(name, json!({"tool": "x"}));
    let refused = || {
        event(
            "mcp.tool.failed",
            json!({"tool": "x", "reason": "approval_missing"}),
        )
    };
    let request = |name: &str| event(name, json!({"request_id": 7}));
    let wait = |name: &str| event(name, json!({}));
    for (names, whole) in [
        (vec![call("mcp.tool.called"), call("mcp.tool.failed")], true),
        (vec![call("mcp.tool.called")], false),
        (
            vec![call("mcp.tool.called"), call("mcp.tool.failed"), refused()],
            true,
        ),
        (vec![call("mcp.tool.called"), refused()], false),
        (
            vec![
                call("mcp.tool.called"),
                call("mcp.tool.failed"),
                call("mcp.tool.succeeded"),
            ],
            false,
        ),
        (
            vec![
                request("approval.requested"),
                request("approval.approved"),
                request("approval.decision.ignored"),
                request("approval.applied"),
            ],
            true,
        ),
        (
            vec![request("approval.requested"), request("approval.approved")],
            false,
        ),
        (
            vec![
                request("approval.requested"),
                request("approval.denied"),
                request("approval.expired"),
            ],
            false,
        ),
        (vec![request("approval.denied")], false),
        (
            vec![wait("run.wait.paused"), wait("run.wait.resumed")],
            true,
        ),
        (
            vec![
                wait("run.wait.paused"),
                wait("run.wait.paused"),
                wait("run.canceled"),
            ],
            true,
        ),
        (
            vec![wait("run.wait.paused"), wait("run.failed.timeout")],
            true,
        ),
        (vec![wait("run.wait.paused")], false),
        (vec![wait("run.wait.resumed")], false),
    ] {
        let events: Vec<&Value> = names.iter().collect();
        let seen = ends(&events);
        assert_eq!(seen.flaws.is_empty(), whole, "{names:?}: {:?}", seen.flaws);
    }
}

//! Next steps over HTTP, on a real Postgres (L-97 to L-101): routes, rights, grants and what is written down.

use crate::staff_support::{Answer, Lab, OWNER_TOKEN, read};
use orchestrator::store::label_grants;
use reqwest::Method;
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};
use uuid::Uuid;

const PREVIEW: &str = "/api/v1/staff/github/next-step-actions/preview";
const EXECUTE: &str = "/api/v1/staff/github/next-step-actions/execute";
const PROFILE: &str = "/api/v1/staff/github/launch-profile";

fn step(label: &str) -> Value {
    json!({"repository_full_name": "acme/shop", "action_kind": "issue_stage_transition", "target_label": label, "issue_number": 7})
}

fn with(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

async fn bear(lab: &Lab, labels: &[&str]) {
    let labels: Vec<Value> = labels.iter().map(|name| json!({"name": name})).collect();
    lab.github
        .change(|repository| repository.thread_labels = labels);
}

/// A person with a role in the project, and their personal token.
async fn person(lab: &Lab, project: Uuid, login: &str, role: Option<&str>) -> String {
    let user = lab
        .post(
            "/api/v1/staff/users",
            json!({"email": format!("{login}@example.org"), "github_login": login}),
        )
        .await
        .expect(201);
    let id = user.body["id"].as_str().unwrap().to_owned();
    if let Some(role) = role {
        lab.post(
            &format!("/api/v1/staff/projects/{project}/members"),
            json!({"user_id": id, "role": role}),
        )
        .await
        .expect(204);
    }
    // Only a person can make a token, so the test stores its hash.
    let token = format!("ck8s_{login}");
    sqlx::query(
        "INSERT INTO staff_tokens (user_id, name, token_hash) VALUES ($1::uuid, 'test', $2)",
    )
    .bind(&id)
    .bind(orchestrator::secrets::hash_token(&token))
    .execute(&lab.app.pool)
    .await
    .unwrap();
    token
}

/// The Issue has a finished stage behind it, linked and accepted.
async fn finished(lab: &Lab, project: Uuid, kind: &str) -> Uuid {
    let run = lab.running_run(project, &format!("delivery-{kind}")).await;
    sqlx::query("UPDATE agent_runs SET status = 'succeeded', finished_at = platform_now(), trigger_kind = $2, trigger_label = 'run:' || $2 WHERE id = $1")
        .bind(run)
        .bind(kind)
        .execute(&lab.app.pool)
        .await
        .unwrap();
    sqlx::query("INSERT INTO links (source_type, source_id, target_type, target_id, link_type) VALUES ('issue', 'acme/shop#7', 'run', $1, 'references')")
        .bind(run.to_string())
        .execute(&lab.app.pool)
        .await
        .unwrap();
    run
}

/// The outbox has been performed.
async fn performed(lab: &Lab) {
    sqlx::query("UPDATE outbox_effects SET state = 'done', done_at = platform_now()")
        .execute(&lab.app.pool)
        .await
        .unwrap();
}

async fn as_member(lab: &Lab, path: &str, token: &str, body: Value) -> Answer {
    lab.send(Method::POST, path, token, Some(body)).await
}

#[tokio::test]
async fn a_preview_changes_nothing_and_execute_writes_it_all_down_once() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let member = person(&lab, project, "alice", Some("read_write")).await;
    finished(&lab, project, "plan").await;
    bear(&lab, &["run:plan", "state:approved", "run:debug", "bug"]).await;
    let expected = json!({
        "repository_full_name": "acme/shop", "thread_kind": "issue", "thread_number": 7,
        "thread_url": "https://github.example/acme/shop/issues/7",
        "removed_labels": ["run:plan"], "added_labels": ["run:dev"],
        "final_labels": ["bug", "run:debug", "run:dev", "state:approved"],
    });
    let preview = as_member(
        &lab,
        PREVIEW,
        &member,
        with(step("run:dev"), "repository_full_name", json!("ACME/shop")),
    )
    .await
    .expect(200);
    assert_eq!(preview.body, expected);
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects").await, 0);
    assert_eq!(lab.count("SELECT count(*) FROM label_grants").await, 0);
    assert_eq!(lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'run.next_step.preview_requested' AND actor_type = 'human'").await, 1);

    let body = with(step("run:dev"), "expected_run_labels", json!(["run:plan"]));
    let first = as_member(&lab, EXECUTE, &member, body.clone())
        .await
        .expect(200);
    assert_eq!(first.body, expected);
    // The second click comes before the executor has done anything, the third after it has.
    let second = as_member(&lab, EXECUTE, &member, body.clone())
        .await
        .expect(200);
    performed(&lab).await;
    bear(&lab, &["run:dev", "state:approved", "run:debug", "bug"]).await;
    let third = as_member(&lab, EXECUTE, &member, body).await.expect(200);
    for again in [second, third] {
        assert_eq!(
            (&again.body["removed_labels"], &again.body["added_labels"]),
            (&json!([]), &json!([]))
        );
        assert_eq!(again.body["final_labels"], expected["final_labels"]);
    }
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects").await, 2);
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects a JOIN outbox_effects r ON a.after_id = r.id WHERE a.kind = 'add_label' AND a.payload ->> 'label' = 'run:dev' AND r.kind = 'remove_label' AND r.payload ->> 'label' = 'run:plan' AND a.payload #>> '{origin,source}' = 'ui'").await, 1);
    assert_eq!(lab.count("SELECT count(*) FROM flow_events f JOIN outbox_effects e ON e.correlation_id = f.correlation_id AND e.kind = 'add_label' WHERE f.event_type = 'run.next_step.executed' AND f.payload -> 'added_labels' = '[\"run:dev\"]'").await, 1);
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'run.next_step.executed'")
            .await,
        1
    );
    assert_eq!(lab.count("SELECT count(*) FROM label_grants g JOIN users u ON u.id = g.user_id WHERE g.repository_full_name = 'acme/shop' AND g.thread_number = 7 AND g.label = 'run:dev' AND u.github_login = 'alice'").await, 1);
}

#[tokio::test]
async fn two_clicks_at_once_move_the_labels_once() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    finished(&lab, project, "plan").await;
    bear(&lab, &["state:approved"]).await;
    let clicks = (0..4).map(|_| lab.post(EXECUTE, step("run:dev")));
    let answers = futures::future::join_all(clicks).await;
    let moved = answers
        .into_iter()
        .filter(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.body["added_labels"] == json!(["run:dev"])
        })
        .count();
    assert_eq!(moved, 1);
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects").await, 1);
}

#[tokio::test]
async fn each_refusal_has_its_status_and_writes_nothing() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let member = person(&lab, project, "alice", Some("read_write")).await;
    let reader = person(&lab, project, "rita", Some("read")).await;
    let stranger = person(&lab, project, "sam", None).await;
    finished(&lab, project, "plan").await;
    bear(&lab, &["state:approved"]).await;
    let good = || step("run:dev");
    let cases: [(&str, &str, Value, u16, &str, Option<&str>); 12] = [
        (
            "action kind",
            &member,
            with(good(), "action_kind", json!("merge")),
            400,
            "invalid_argument",
            Some("action_kind"),
        ),
        (
            "ai-repair",
            &member,
            step("run:ai-repair"),
            400,
            "invalid_argument",
            Some("target_label"),
        ),
        (
            "unbound",
            &member,
            with(good(), "repository_full_name", json!("acme/other")),
            400,
            "invalid_argument",
            Some("repository_full_name"),
        ),
        (
            "missing",
            &member,
            json!({}),
            400,
            "invalid_argument",
            Some("repository_full_name"),
        ),
        (
            "number",
            &member,
            with(good(), "issue_number", json!(0)),
            400,
            "invalid_argument",
            Some("issue_number"),
        ),
        (
            "no Issue",
            &member,
            with(good(), "issue_number", json!(404)),
            400,
            "invalid_argument",
            Some("issue_number"),
        ),
        (
            "unknown member",
            &member,
            with(good(), "force", json!(true)),
            400,
            "invalid_argument",
            Some("body"),
        ),
        ("nobody", "wrong-token", good(), 401, "unauthorized", None),
        ("reader", &reader, good(), 403, "forbidden", None),
        ("stranger", &stranger, good(), 403, "forbidden", None),
        (
            "stale",
            &member,
            with(good(), "expected_run_labels", json!(["run:plan"])),
            409,
            "conflict",
            None,
        ),
        (
            "order",
            &member,
            step("run:intake"),
            409,
            "failed_precondition",
            None,
        ),
    ];
    for (name, token, body, status, code, field) in cases {
        let refused = as_member(&lab, EXECUTE, token, body).await.expect(status);
        assert_eq!(refused.body["code"], code, "{name}");
        assert_eq!(refused.body["field"].as_str(), field, "{name}");
    }
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects").await, 0);
    assert_eq!(lab.count("SELECT count(*) FROM label_grants").await, 0);
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type LIKE 'run.next_step.%'")
            .await,
        0
    );
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'access.denied'")
            .await,
        2
    );
    // The same request of the same person is taken once nothing stands against it.
    as_member(&lab, EXECUTE, &member, good()).await.expect(200);
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects").await, 1);
}

#[tokio::test]
async fn a_session_needs_its_origin_and_csrf_token() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    finished(&lab, project, "plan").await;
    bear(&lab, &["state:approved"]).await;
    let url = |path: &str| format!("{}{path}", lab.base);
    let signed_in = read(
        lab.client
            .post(url("/api/v1/auth/token"))
            .json(&json!({"token": OWNER_TOKEN})),
    )
    .await
    .expect(204);
    let cookie = signed_in.headers[SET_COOKIE]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let me = read(
        lab.client
            .get(url("/api/v1/auth/me"))
            .header(COOKIE, &cookie),
    )
    .await
    .expect(200);
    let csrf = me.body["csrf_token"].as_str().unwrap();
    for path in [EXECUTE, PREVIEW, PROFILE] {
        read(lab.client.post(url(path)).json(&step("run:dev")))
            .await
            .expect(401);
        read(
            lab.client
                .post(url(path))
                .header(COOKIE, &cookie)
                .json(&step("run:dev")),
        )
        .await
        .expect(403);
    }
    let own = lab
        .client
        .post(url(EXECUTE))
        .header(COOKIE, &cookie)
        .header(ORIGIN, "http://console.example");
    read(own.header("x-csrf-token", csrf).json(&step("run:dev")))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_sign_in_proxy_is_believed_about_people_it_may_name() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    person(&lab, project, "rita", Some("read")).await;
    let me = |address: Option<&str>, email: &str| {
        let request = lab
            .client
            .get(format!("{}/api/v1/auth/me", lab.base))
            .header("x-auth-request-email", email);
        match address {
            Some(address) => request.header("x-codexk8s-client-address", address),
            None => request,
        }
    };
    let known = read(me(Some("127.0.0.1"), "RITA@example.org"))
        .await
        .expect(200);
    assert_eq!(
        (
            &known.body["auth_method"],
            &known.body["user"]["github_login"]
        ),
        (&json!("trusted_header"), &json!("rita"))
    );
    read(me(Some("10.1.2.3"), "rita@example.org"))
        .await
        .expect(401);
    read(me(Some("127.0.0.1"), "nobody@example.org"))
        .await
        .expect(403);
    read(me(Some("127.0.0.1"), " ")).await.expect(401);
    let post = |origin: Option<&'static str>| {
        let request = lab
            .client
            .post(format!("{}{PREVIEW}", lab.base))
            .header("x-forwarded-email", "owner@example.org")
            .header("x-codexk8s-client-address", "127.0.0.1")
            .json(&step("run:dev"));
        match origin {
            Some(origin) => request.header(ORIGIN, origin),
            None => request,
        }
    };
    read(post(None)).await.expect(403);
    read(post(Some("http://elsewhere.example")))
        .await
        .expect(403);
    read(post(Some("http://console.example"))).await.expect(200);
}

#[tokio::test]
async fn an_unclear_stage_is_asked_about_once() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    finished(&lab, project, "plan").await;
    bear(&lab, &["run:dev", "run:plan"]).await;
    let blocked = lab.post(EXECUTE, step("run:dev")).await.expect(409);
    assert_eq!(
        (&blocked.body["code"], &blocked.body["conflicting_labels"]),
        (
            &json!("failed_precondition"),
            &json!(["run:dev", "run:plan"])
        )
    );
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects c JOIN outbox_effects l ON c.after_id = l.id WHERE c.kind = 'create_comment' AND l.kind = 'add_label' AND l.payload ->> 'label' = 'need:input'").await, 1);
    assert_eq!(
        lab.count("SELECT count(*) FROM thread_states WHERE need_input_reason IS NOT NULL")
            .await,
        1
    );
    performed(&lab).await;
    bear(&lab, &["run:dev", "run:plan", "need:input"]).await;
    lab.post(EXECUTE, step("run:dev")).await.expect(409);
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects").await, 2);
    assert_eq!(
        lab.count(
            "SELECT count(*) FROM flow_events WHERE event_type = 'run.next_step.blocked_need_input'"
        )
        .await,
        2
    );
    // The platform's own question does not stand in the way once the labels are clear (L-84).
    bear(&lab, &["run:plan", "need:input", "state:approved"]).await;
    lab.post(EXECUTE, step("run:dev")).await.expect(200);
}

#[tokio::test]
async fn a_grant_lasts_ten_minutes_of_platform_time_and_serves_once() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    finished(&lab, project, "plan").await;
    bear(&lab, &["state:approved"]).await;
    lab.post(EXECUTE, step("run:dev")).await.expect(200);
    let found = async || {
        label_grants::find(&lab.app.pool, "acme/shop", 7, "run:dev", project)
            .await
            .unwrap()
    };
    let minutes_pass = async |minutes: i32| {
        sqlx::query("UPDATE platform_clock SET offset_interval = offset_interval + make_interval(mins => $1)")
            .bind(minutes)
            .execute(&lab.app.pool)
            .await
            .unwrap();
    };
    assert!(
        found()
            .await
            .is_some_and(|grant| grant.user.is_platform_owner)
    );
    minutes_pass(9).await;
    assert!(found().await.is_some());
    minutes_pass(2).await;
    assert!(found().await.is_none());
    assert!(
        !label_grants::consume(&lab.app.pool, "acme/shop", 7, "run:dev", "late")
            .await
            .unwrap()
    );
    // Asked for again, the old one is renewed; it serves one delivery.
    performed(&lab).await;
    lab.post(EXECUTE, step("run:dev")).await.expect(200);
    assert!(found().await.is_some());
    for (delivery, served) in [("first", true), ("second", false)] {
        assert_eq!(
            label_grants::consume(&lab.app.pool, "acme/shop", 7, "run:dev", delivery)
                .await
                .unwrap(),
            served
        );
    }
}

#[tokio::test]
async fn a_path_is_chosen_raised_and_shortened_by_an_owner_only() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let member = person(&lab, project, "alice", Some("admin")).await;
    finished(&lab, project, "intake").await;
    bear(&lab, &["state:approved"]).await;
    as_member(&lab, EXECUTE, &member, step("run:plan"))
        .await
        .expect(200);
    let profile = |profile: Value, signals: Value| json!({"repository_full_name": "acme/shop", "issue_number": 7, "reason": "seen in review", "launch_profile": profile, "risk_signals": signals});
    let raised = as_member(
        &lab,
        PROFILE,
        &member,
        profile(Value::Null, json!(["db_migration"])),
    )
    .await
    .expect(200);
    assert_eq!(
        raised.body,
        json!({"launch_profile": "feature", "previous_profile": "quick-fix"})
    );
    assert_eq!(lab.count("SELECT count(*) FROM thread_states WHERE launch_profile = 'feature' AND risk_signals = '{db_migration}'").await, 1);
    assert_eq!(lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'run.stage.escalated' AND payload ->> 'signal' = 'db_migration'").await, 1);
    assert_eq!(
        lab.count(
            "SELECT count(*) FROM flow_events WHERE event_type = 'stage.launch_profile.resolved'"
        )
        .await,
        2
    );
    assert_eq!(
        lab.count("SELECT count(*) FROM outbox_effects WHERE kind = 'status_comment'")
            .await,
        1
    );
    let back = profile(json!("quick-fix"), Value::Null);
    as_member(&lab, PROFILE, &member, back.clone())
        .await
        .expect(403);
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'access.denied'")
            .await,
        1
    );
    let shortened = lab.post(PROFILE, back).await.expect(200);
    assert_eq!(
        shortened.body,
        json!({"launch_profile": "quick-fix", "previous_profile": "feature"})
    );
    let refused = lab
        .post(PROFILE, profile(Value::Null, json!(["fog"])))
        .await
        .expect(400);
    assert_eq!(refused.body["field"], "risk_signals");
}

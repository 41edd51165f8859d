//! The staff and internal routes over HTTP, on a real Postgres.

use std::collections::BTreeSet;

use crate::staff_support::{BOT_LOGIN, Lab, OWNER_TOKEN, read};
use orchestrator::credentials::Service;
use orchestrator::staff::ROUTES;
use reqwest::Method;
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};
use uuid::Uuid;

#[test]
fn the_document_lists_exactly_the_routes_that_exist() {
    let document: serde_yaml::Value =
        serde_yaml::from_str(include_str!("../../../docs/openapi/staff.yaml")).unwrap();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_mapping().unwrap() {
        for method in operations.as_mapping().unwrap().keys() {
            let method = method.as_str().unwrap();
            if ["get", "post", "put", "delete", "patch"].contains(&method) {
                documented.insert(format!(
                    "{} {}",
                    method.to_uppercase(),
                    path.as_str().unwrap()
                ));
            }
        }
    }
    let served: BTreeSet<String> = ROUTES
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| format!("{method} {path}")))
        .collect();
    assert_eq!(documented, served);
}

#[tokio::test]
async fn every_listed_route_is_served_and_an_unknown_one_is_not() {
    let lab = Lab::start().await;
    let id = uuid::Uuid::nil().to_string();
    for (path, methods) in ROUTES {
        let mut concrete = path.to_owned();
        while let (Some(start), Some(end)) = (concrete.find('{'), concrete.find('}')) {
            concrete.replace_range(start..=end, &id);
        }
        for method in methods {
            let answer = read(
                lab.client
                    .request(method.clone(), format!("{}/api/v1{concrete}", lab.base)),
            )
            .await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert_ne!(answer.body["message"], "no such route", "{method} {path}");
        }
    }
    let unknown = lab.get("/api/v1/staff/nothing").await.expect(404);
    assert_eq!(unknown.body["code"], "not_found");
    assert_eq!(
        unknown.body["request_id"].as_str().unwrap(),
        unknown.headers["x-request-id"]
    );
    lab.send(Method::DELETE, "/api/v1/auth/me", OWNER_TOKEN, None)
        .await
        .expect(405);
}

#[tokio::test]
async fn the_owner_signs_in_and_a_cookie_needs_its_csrf_token() {
    let lab = Lab::start().await;
    let sign_in = |token: &str| {
        lab.client
            .post(format!("{}/api/v1/auth/token", lab.base))
            .json(&json!({"token": token}))
    };
    read(sign_in("wrong")).await.expect(401);
    let answer = read(sign_in(OWNER_TOKEN)).await.expect(204);
    let cookie = answer.headers[SET_COOKIE]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");

    let with_cookie = |method: Method, path: &str| {
        lab.client
            .request(method, format!("{}/api/v1{path}", lab.base))
            .header(COOKIE, cookie.clone())
    };
    let me = read(with_cookie(Method::GET, "/auth/me")).await.expect(200);
    assert_eq!(me.body["user"]["is_platform_owner"], true);
    let csrf = me.body["csrf_token"].as_str().unwrap().to_owned();

    let project = json!({"slug": "shop", "name": "Shop"});
    let create = || with_cookie(Method::POST, "/staff/projects").json(&project);
    read(create()).await.expect(403);
    read(
        create()
            .header("x-csrf-token", &csrf)
            .header(ORIGIN, "http://elsewhere.example"),
    )
    .await
    .expect(403);
    read(
        create()
            .header("x-csrf-token", &csrf)
            .header(ORIGIN, "http://console.example"),
    )
    .await
    .expect(201);

    // A bad Bearer is not skipped for a good cookie (DU-9).
    read(with_cookie(Method::GET, "/auth/me").bearer_auth("bad"))
        .await
        .expect(401);
    read(with_cookie(Method::POST, "/auth/logout"))
        .await
        .expect(204);
    read(with_cookie(Method::POST, "/auth/logout"))
        .await
        .expect(204);
    read(with_cookie(Method::GET, "/auth/me")).await.expect(401);
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'staff.change.recorded'")
            .await,
        2
    );
}

#[tokio::test]
async fn five_wrong_tokens_block_the_right_one() {
    let lab = Lab::start().await;
    let sign_in = |token: &str| {
        lab.client
            .post(format!("{}/api/v1/auth/token", lab.base))
            .json(&json!({"token": token}))
    };
    for _ in 0..5 {
        read(sign_in("wrong")).await.expect(401);
    }
    let blocked = read(sign_in(OWNER_TOKEN)).await.expect(429);
    assert!(blocked.headers.contains_key("retry-after"));
    assert_eq!(blocked.body["code"], "resource_exhausted");
}

#[tokio::test]
async fn roles_are_asked_at_every_request_and_refusals_are_recorded() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let user = lab
        .post(
            "/api/v1/staff/users",
            json!({"email": "reader@example.org", "github_login": "reader"}),
        )
        .await
        .expect(201);
    let user_id = user.body["id"].as_str().unwrap().to_owned();
    lab.post(
        "/api/v1/staff/users",
        json!({"email": "READER@example.org"}),
    )
    .await
    .expect(409);
    let bot = lab
        .post(
            "/api/v1/staff/users",
            json!({"email": "bot@example.org", "github_login": BOT_LOGIN.to_uppercase()}),
        )
        .await
        .expect(400);
    assert_eq!(bot.body["field"], "github_login");

    // A personal token of the reader: only a person can make one, so the test stores its hash.
    let token = "ck8s_reader";
    sqlx::query(
        "INSERT INTO staff_tokens (user_id, name, token_hash) VALUES ($1::uuid, 'test', $2)",
    )
    .bind(&user_id)
    .bind(orchestrator::secrets::hash_token(token))
    .execute(&lab.app.pool)
    .await
    .unwrap();
    let run = lab.running_run(project, "delivery-1").await;
    let run_path = format!("/api/v1/staff/runs/{run}");
    lab.send(Method::GET, &run_path, token, None)
        .await
        .expect(403);
    lab.get(&format!("/api/v1/staff/runs/{}", uuid::Uuid::nil()))
        .await
        .expect(404);

    let members = format!("/api/v1/staff/projects/{project}/members");
    lab.post(&members, json!({"user_id": user_id, "role": "read"}))
        .await
        .expect(204);
    let seen = lab
        .send(Method::GET, &run_path, token, None)
        .await
        .expect(200);
    assert_eq!(seen.body["status"], "running");
    lab.send(Method::POST, &format!("{run_path}/cancel"), token, None)
        .await
        .expect(403);
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'access.denied'")
            .await,
        1
    );

    lab.send(
        Method::DELETE,
        &format!("/api/v1/staff/users/{user_id}"),
        OWNER_TOKEN,
        None,
    )
    .await
    .expect(204);
    lab.send(Method::GET, &run_path, token, None)
        .await
        .expect(401);
}

#[tokio::test]
async fn personal_tokens_are_shown_once_and_die_when_revoked() {
    let lab = Lab::start().await;
    let made = lab
        .post("/api/v1/auth/tokens", json!({"name": "gate"}))
        .await
        .expect(201);
    let token = made.body["token"].as_str().unwrap().to_owned();
    lab.post("/api/v1/auth/tokens", json!({"name": "gate"}))
        .await
        .expect(409);
    let me = lab
        .send(Method::GET, "/api/v1/auth/me", &token, None)
        .await
        .expect(200);
    assert_eq!(me.body["auth_method"], "personal_token");
    let listed = lab.get("/api/v1/auth/tokens").await.expect(200);
    assert!(!listed.body.to_string().contains(&token));
    let path = format!("/api/v1/auth/tokens/{}", made.body["id"].as_str().unwrap());
    lab.send(Method::DELETE, &path, OWNER_TOKEN, None)
        .await
        .expect(204);
    lab.send(Method::GET, "/api/v1/auth/me", &token, None)
        .await
        .expect(401);
}

#[tokio::test]
async fn an_agent_is_switched_off_for_one_project_only() {
    let lab = Lab::start().await;
    let mut projects = Vec::new();
    for slug in ["shop", "docs"] {
        let made = lab
            .post(
                "/api/v1/staff/projects",
                json!({"slug": slug, "name": slug}),
            )
            .await
            .expect(201);
        let id = made.body["id"].as_str().unwrap();
        projects.push(id.parse::<uuid::Uuid>().unwrap());
    }
    let (project, other) = (projects[0], projects[1]);
    let path = |project: uuid::Uuid| format!("/api/v1/staff/projects/{project}/agents");
    let active = |body: &Value, key: &str| {
        let agents = body["items"].as_array().unwrap();
        assert_eq!(agents.len(), 8, "{agents:?}");
        let agent = agents.iter().find(|agent| agent["agent_key"] == key);
        agent.unwrap()["is_active"].as_bool().unwrap()
    };
    let architect = format!("{}/sa", path(project));
    let changed = lab
        .send(
            Method::PUT,
            &architect,
            OWNER_TOKEN,
            Some(json!({"is_active": false})),
        )
        .await
        .expect(200);
    assert_eq!(
        changed.body,
        json!({"agent_key": "sa", "name": "Solution architect", "is_active": false, "is_own": true})
    );
    let here = lab.get(&path(project)).await.expect(200).body;
    assert!(!active(&here, "sa") && active(&here, "dev"));
    let there = lab.get(&path(other)).await.expect(200).body;
    assert!(active(&there, "sa"));

    let again = json!({"is_active": true});
    lab.send(Method::PUT, &architect, OWNER_TOKEN, Some(again.clone()))
        .await
        .expect(200);
    assert!(active(
        &lab.get(&path(project)).await.expect(200).body,
        "sa"
    ));
    for (unknown, status) in [
        (format!("{}/party", path(project)), 404),
        (format!("{}/sa", path(uuid::Uuid::nil())), 404),
    ] {
        lab.send(Method::PUT, &unknown, OWNER_TOKEN, Some(again.clone()))
            .await
            .expect(status);
    }
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'staff.change.recorded' AND payload ->> 'entity' = 'agent'")
            .await,
        2
    );
}

#[tokio::test]
async fn unknown_members_and_parameters_are_refused() {
    let lab = Lab::start().await;
    let answer = lab
        .post(
            "/api/v1/staff/projects",
            json!({"slug": "a", "name": "A", "colour": "red"}),
        )
        .await
        .expect(400);
    assert_eq!(answer.body["code"], "invalid_argument");
    for (path, field) in [
        ("/api/v1/staff/runs?staus=running", "staus"),
        ("/api/v1/staff/runs?status=busy", "status"),
        ("/api/v1/staff/runs?wait_state=x", "wait_state"),
        ("/api/v1/staff/runs?page_size=1001", "page_size"),
        ("/api/v1/staff/runs?project_id=7", "project_id"),
    ] {
        assert_eq!(
            lab.get(path).await.expect(400).body["field"],
            field,
            "{path}"
        );
    }
    let page = lab
        .get("/api/v1/staff/runs?status=running&wait_state=waiting_mcp&include_deploy=true&q=x")
        .await
        .expect(200);
    assert_eq!(
        page.body["pagination"],
        json!({"page": 1, "page_size": 20, "total_count": 0})
    );
    let labels = lab.get("/api/v1/staff/labels").await.expect(200);
    assert_eq!(labels.body["items"].as_array().unwrap().len(), 54);
}

#[tokio::test]
async fn binding_ensures_webhook_and_labels_and_hides_the_token() {
    let lab = Lab::start().await;
    lab.github.change(|repository| {
        repository.labels = vec![
            json!({"name": "bug", "color": "d73a4a"}),
            json!({"name": "RUN:dev", "color": "000000"}),
        ]
    });
    let started = std::time::Instant::now();
    let project = lab.project_with_repository().await;
    let took = started.elapsed();
    lab.github.change(|repository| {
        assert_eq!(repository.labels.len(), 55);
        assert!(
            repository
                .labels
                .iter()
                .filter(|label| label["name"] != "bug")
                .all(|label| label["color"] == "1f6feb" && label["description"] != Value::Null)
        );
        assert_eq!(repository.hooks.len(), 1);
        assert_eq!(repository.hooks[0]["config"]["secret"], "webhook-secret");
        assert_eq!(repository.hooks[0]["events"].as_array().unwrap().len(), 6);
    });
    assert!(took < std::time::Duration::from_secs(2), "{took:?}");
    let path = format!("/api/v1/staff/projects/{project}/repositories");
    let listed = lab.get(&path).await.expect(200);
    assert_eq!(listed.body["items"][0]["has_token"], true);
    assert_eq!(listed.body["items"][0]["default_ref"], "main");
    assert!(!listed.body.to_string().contains("ghp_management"));
    assert_eq!(lab.count("SELECT count(*) FROM repositories WHERE position('ghp_management'::bytea IN token_encrypted) > 0").await, 0);
    lab.post(&path, json!({"owner": "acme", "name": "shop"}))
        .await
        .expect(409);

    let id = listed.body["items"][0]["id"].as_str().unwrap();
    lab.send(Method::DELETE, &format!("{path}/{id}"), OWNER_TOKEN, None)
        .await
        .expect(204);
    // Bound again, nothing is doubled; a refusal of GitHub leaves no row.
    lab.post(&path, json!({"owner": "acme", "name": "shop"}))
        .await
        .expect(201);
    lab.github.change(|repository| {
        assert_eq!((repository.hooks.len(), repository.labels.len()), (1, 55))
    });
}

#[tokio::test]
async fn a_refusal_of_github_leaves_no_binding() {
    let lab = Lab::start().await;
    lab.github
        .change(|repository| repository.refuses_labels = true);
    let project = lab
        .post(
            "/api/v1/staff/projects",
            json!({"slug": "shop", "name": "Shop"}),
        )
        .await
        .expect(201);
    let path = format!(
        "/api/v1/staff/projects/{}/repositories",
        project.body["id"].as_str().unwrap()
    );
    let refused = lab
        .post(&path, json!({"owner": "acme", "name": "shop"}))
        .await
        .expect(409);
    assert_eq!(refused.body["code"], "failed_precondition");
    lab.post(&path, json!({"owner": "acme", "name": "missing"}))
        .await
        .expect(409);
    assert_eq!(lab.count("SELECT count(*) FROM repositories").await, 0);
}

#[tokio::test]
async fn cancel_happens_once_and_says_so_when_repeated() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let run = lab.running_run(project, "delivery-1").await;
    let path = format!("/api/v1/staff/runs/{run}/cancel");
    let first = lab.post(&path, json!({})).await.expect(200);
    assert_eq!(
        (
            &first.body["previous_status"],
            &first.body["already_terminal"]
        ),
        (&json!("running"), &json!(false))
    );
    let second = lab.post(&path, json!({})).await.expect(200);
    assert_eq!(second.body["already_terminal"], true);
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'run.canceled'")
            .await,
        1
    );
    assert_eq!(lab.count("SELECT count(*) FROM agent_runs WHERE status = 'canceled' AND finish_reason = 'canceled_by_staff'").await, 1);
    assert_eq!(
        lab.count("SELECT count(*) FROM outbox_effects WHERE kind = 'stop_run'")
            .await,
        1
    );
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects WHERE kind = 'add_label' AND payload ->> 'label' = 'state:abandoned'").await, 1);

    let kept = lab.running_run(project, "delivery-2").await;
    lab.post(
        &format!("/api/v1/staff/runs/{kept}/cancel"),
        json!({"abandon": false}),
    )
    .await
    .expect(200);
    assert_eq!(
        lab.count("SELECT count(*) FROM outbox_effects WHERE kind = 'add_label'")
            .await,
        1
    );
    assert_eq!(lab.count("SELECT count(*) FROM outbox_effects WHERE kind = 'remove_label' AND payload ->> 'label' = 'run:dev'").await, 2);
}

#[tokio::test]
async fn a_run_token_opens_the_routes_of_its_living_run_only() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let run = lab.running_run(project, "delivery-1").await;
    let other = lab.running_run(project, "delivery-2").await;
    let token = lab.run_token(run, "delivery-1", project).await;
    let session = format!("/internal/v1/runs/{run}/session");
    lab.send(Method::GET, &session, &token, None)
        .await
        .expect(404);
    let foreign = lab
        .send(
            Method::GET,
            &format!("/internal/v1/runs/{other}/session"),
            &token,
            None,
        )
        .await
        .expect(403);
    assert_eq!(foreign.body["reason"], "identity_mismatch");
    lab.send(Method::GET, "/api/v1/staff/runs", &token, None)
        .await
        .expect(401);
    lab.send(
        Method::GET,
        &session,
        &lab.service_token(Service::Worker),
        None,
    )
    .await
    .expect(401);
    lab.send(
        Method::GET,
        &format!("/internal/v1/runs/{run}/environment"),
        &token,
        None,
    )
    .await
    .expect(401);

    let next = lab.run_token(run, "delivery-1", project).await;
    let old = lab
        .send(Method::GET, &session, &token, None)
        .await
        .expect(401);
    assert_eq!(old.body["code"], "unauthorized");
    assert_eq!(lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'mcp.auth.rejected' AND payload ->> 'reason' = 'revoked'").await, 1);
    lab.post(&format!("/api/v1/staff/runs/{run}/cancel"), json!({}))
        .await
        .expect(200);
    lab.send(Method::GET, &session, &next, None)
        .await
        .expect(401);
}

#[tokio::test]
async fn a_snapshot_is_written_by_compare_and_set() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let run = lab.running_run(project, "delivery-1").await;
    let token = lab.run_token(run, "delivery-1", project).await;
    let path = format!("/internal/v1/runs/{run}/session");
    let save = async |expected: Option<i64>, turn: i64, status: &str| {
        let mut body =
            json!({"status": status, "branch": "codex/issue-7", "session_json": {"turn": turn}});
        body["expected_version"] = json!(expected);
        lab.send(Method::PUT, &path, &token, Some(body)).await
    };
    assert_eq!(
        save(None, 1, "running").await.expect(200).body["snapshot_version"],
        1
    );
    assert_eq!(
        save(Some(1), 2, "running").await.expect(200).body["snapshot_version"],
        2
    );
    assert_eq!(
        save(Some(1), 2, "running").await.expect(200).body["snapshot_version"],
        2
    );
    let stale = save(Some(1), 3, "running").await.expect(409);
    assert_eq!(
        (&stale.body["expected"], &stale.body["actual"]),
        (&json!(1), &json!(2))
    );
    let failed = json!({"expected_version": 2, "status": "failed_precondition", "error": "write scope violated: src/x", "error_paths": ["src/x"]});
    lab.send(Method::PUT, &path, &token, Some(failed))
        .await
        .expect(200);
    let stored = lab.send(Method::GET, &path, &token, None).await.expect(200);
    assert_eq!(
        stored.body["session_json"]["error"],
        "write scope violated: src/x"
    );
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'run.agent.session.saved'")
            .await,
        3
    );
}

#[tokio::test]
async fn a_runner_writes_only_its_own_kinds_of_events_and_logs_once() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let run = lab.running_run(project, "delivery-1").await;
    let token = lab.run_token(run, "delivery-1", project).await;
    let base = format!("/internal/v1/runs/{run}");
    let event = async |event_type: &str, payload: Value| {
        lab.send(
            Method::POST,
            &format!("{base}/events"),
            &token,
            Some(json!({"event_type": event_type, "payload": payload})),
        )
        .await
    };
    event("approval.approved", json!({})).await.expect(400);
    event("run.succeeded", json!({})).await.expect(400);
    event("run.agent.ready", json!({"surprise": 1}))
        .await
        .expect(400);
    event(
        "run.agent.status_reported",
        json!({"status_text": "x".repeat(300)}),
    )
    .await
    .expect(202);
    let told = json!({"event_type": "run.agent.status_reported", "event_id": Uuid::new_v4(),
        "payload": {"status_text": "once"}});
    for _ in 0..2 {
        lab.send(
            Method::POST,
            &format!("{base}/events"),
            &token,
            Some(told.clone()),
        )
        .await
        .expect(202);
    }
    let once = "SELECT count(*) FROM flow_events WHERE payload ->> 'status_text' = 'once'";
    assert_eq!(lab.count(once).await, 1);
    for _ in 0..2 {
        event(
            "run.pr.created",
            json!({"pr_number": 12, "head_sha": "abc", "branch": "codex/issue-7"}),
        )
        .await
        .expect(202);
    }
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'run.pr.created'")
            .await,
        1
    );
    assert_eq!(lab.count("SELECT max(length(payload ->> 'status_text'))::bigint FROM flow_events WHERE actor_type = 'agent' AND actor_id = 'dev'").await, 100);
    for _ in 0..2 {
        let chunk =
            json!({"stream": "agent", "seq": 1, "text": "first\nghp_bot0123456789abcdef\nlast\n"});
        lab.send(Method::POST, &format!("{base}/logs"), &token, Some(chunk))
            .await
            .expect(202);
    }
    let logs = lab
        .get(&format!("/api/v1/staff/runs/{run}/logs?tail_lines=2"))
        .await
        .expect(200);
    assert_eq!(logs.body["lines"].as_array().unwrap().len(), 2);
    assert!(!logs.body.to_string().contains("ghp_bot"), "{}", logs.body);
    let events = lab
        .get(&format!(
            "/api/v1/staff/runs/{run}/events?limit=1&order=asc"
        ))
        .await
        .expect(200);
    assert!(events.body["next_after_id"].is_i64());
}

#[tokio::test]
async fn an_environment_is_prepared_at_one_commit_and_answered_at_once() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let run = lab.running_run(project, "delivery-1").await;
    let path = format!("/internal/v1/runs/{run}/environment");
    let desired = |build_ref: &str| {
        json!({"runtime_mode": "full-env", "target_env": "ai", "namespace": "codex-issue-7", "build_ref": build_ref,
               "repository_full_name": "acme/shop", "services_yaml_path": "services.yaml", "slot_no": 1, "deploy_only": false})
    };
    let worker = lab.service_token(Service::Worker);
    let prepared = lab
        .send(Method::POST, &path, &worker, Some(desired("main")))
        .await
        .expect(200);
    assert_eq!(prepared.body["status"], "succeeded", "{}", prepared.body);
    assert_eq!(
        prepared.body["build_ref_sha"],
        "0123456789abcdef0123456789abcdef01234567"
    );
    assert_eq!(prepared.body["result_namespace"], "codex-issue-7");
    let again = lab
        .send(Method::POST, &path, &worker, Some(desired("main")))
        .await
        .expect(200);
    assert_eq!(again.body, prepared.body);
    assert_eq!(
        lab.count("SELECT attempts::bigint FROM runtime_deploy_tasks")
            .await,
        1
    );

    let unknown = lab
        .send(Method::POST, &path, &worker, Some(desired("nowhere")))
        .await
        .expect(200);
    assert_eq!(unknown.body["status"], "failed");
    lab.github.change(|repository| {
        repository.services_yaml = Some(
            "apiVersion: codex-k8s.dev/v1alpha1\nkind: ServiceStack\nmetadata: {name: shop}\nspec:\n  galaxies: []\n"
                .to_owned(),
        )
    });
    let refused = lab
        .send(Method::POST, &path, &worker, Some(desired("main")))
        .await
        .expect(200);
    let error = refused.body["last_error"].as_str().unwrap();
    assert!(
        error.starts_with("failed to read services.yaml: spec.galaxies: unknown field"),
        "{error}"
    );
    let planned = lab
        .send(
            Method::POST,
            &format!("{path}/plan"),
            &worker,
            Some(desired("main")),
        )
        .await
        .expect(200);
    assert_eq!(planned.body, json!({"services_config": false}));
    lab.send(
        Method::POST,
        &path,
        &lab.service_token(Service::Gateway),
        Some(desired("main")),
    )
    .await
    .expect(403);
}

#[tokio::test]
async fn an_agent_is_told_what_it_needs() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    let run = lab.running_run(project, "delivery-1").await;
    let token = lab.run_token(run, "delivery-1", project).await;
    let path = format!("/internal/v1/runs/{run}/context");
    let context = lab.send(Method::GET, &path, &token, None).await.expect(200);
    assert_eq!(context.body["run"]["target_branch"], "codex/issue-7");
    assert_eq!(context.body["run"]["template_kind"], "work");
    assert_eq!(context.body["issue"]["title"], "A basket");
    assert_eq!(context.body["bot"]["username"], BOT_LOGIN);
    assert!(
        context.body["prompt"]
            .as_str()
            .unwrap()
            .contains("#7 A basket")
    );
    assert!(!context.body.to_string().contains("ghp_"));
    lab.send(Method::GET, &path, &token, None).await.expect(200);
    assert_eq!(
        lab.count("SELECT count(*) FROM flow_events WHERE event_type = 'prompt.context.assembled'")
            .await,
        1
    );
}

#[tokio::test]
async fn the_evidence_export_is_the_same_twice() {
    let lab = Lab::start().await;
    let project = lab.project_with_repository().await;
    lab.running_run(project, "delivery-1").await;
    let path = format!("/api/v1/staff/evidence?project_id={project}");
    let (first, second) = (
        lab.get(&path).await.expect(200),
        lab.get(&path).await.expect(200),
    );
    assert_eq!(first.body["slices"], second.body["slices"]);
    assert_eq!(
        first.body["slices"]["agent_runs"]["rows"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let one = lab.get("/api/v1/staff/evidence/slots").await.expect(200);
    assert_eq!(one.body["slices"].as_object().unwrap().len(), 1);
    lab.get("/api/v1/staff/evidence/nothing").await.expect(404);
}

//! The routes of the staff API, in one list that the contract test compares with the document.
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post, put};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::state::Services;
use super::{
    adapters, agents, approvals, cancel, deliveries, evidence, github_tokens, labels,
    launch_profile, members, namespaces, next_steps, personal_tokens, projects, repositories,
    run_events, run_logs, run_tokens, runs, sign_in, users, wait_queue,
};
use crate::http_api::{unknown_method, unknown_route};

/// Every route with its methods, relative to `/api/v1`; `docs/openapi/staff.yaml` lists the same.
pub const ROUTES: [(&str, &[Method]); 41] = [
    ("/auth/token", &[Method::POST]),
    ("/auth/me", &[Method::GET]),
    ("/auth/logout", &[Method::POST]),
    ("/auth/tokens", &[Method::GET, Method::POST]),
    ("/auth/tokens/{token_id}", &[Method::DELETE]),
    ("/staff/users", &[Method::GET, Method::POST]),
    ("/staff/users/{user_id}", &[Method::DELETE]),
    ("/staff/projects", &[Method::GET, Method::POST]),
    (
        "/staff/projects/{project_id}",
        &[Method::GET, Method::DELETE],
    ),
    (
        "/staff/projects/{project_id}/members",
        &[Method::GET, Method::POST],
    ),
    (
        "/staff/projects/{project_id}/members/{user_id}",
        &[Method::DELETE],
    ),
    ("/staff/projects/{project_id}/agents", &[Method::GET]),
    (
        "/staff/projects/{project_id}/agents/{agent_key}",
        &[Method::PUT],
    ),
    (
        "/staff/projects/{project_id}/repositories",
        &[Method::GET, Method::POST],
    ),
    (
        "/staff/projects/{project_id}/repositories/{repository_id}",
        &[Method::DELETE],
    ),
    (
        "/staff/projects/{project_id}/repositories/{repository_id}/bot-params",
        &[Method::PUT],
    ),
    (
        "/staff/projects/{project_id}/github-tokens",
        &[Method::GET, Method::PUT],
    ),
    ("/staff/runs", &[Method::GET]),
    ("/staff/runs/jobs", &[Method::GET]),
    ("/staff/runs/waits", &[Method::GET]),
    ("/staff/runs/{run_id}", &[Method::GET]),
    ("/staff/runs/{run_id}/cancel", &[Method::POST]),
    (
        "/staff/runs/{run_id}/github-waits/{wait_id}/resume",
        &[Method::POST],
    ),
    ("/staff/runs/{run_id}/namespace", &[Method::DELETE]),
    ("/staff/runs/{run_id}/mcp-token/revoke", &[Method::POST]),
    ("/staff/runs/{run_id}/events", &[Method::GET]),
    ("/staff/runs/{run_id}/logs", &[Method::GET]),
    ("/staff/runs/{run_id}/labels", &[Method::GET]),
    ("/staff/approvals", &[Method::GET]),
    ("/staff/approvals/{approval_request_id}", &[Method::GET]),
    (
        "/staff/approvals/{approval_request_id}/decision",
        &[Method::POST],
    ),
    ("/staff/adapters", &[Method::GET, Method::POST]),
    ("/staff/adapters/{adapter_id}", &[Method::DELETE]),
    ("/staff/adapters/{adapter_id}/identities", &[Method::PUT]),
    ("/staff/webhook-deliveries/{delivery_id}", &[Method::GET]),
    ("/staff/labels", &[Method::GET]),
    ("/staff/github/next-step-actions/preview", &[Method::POST]),
    ("/staff/github/next-step-actions/execute", &[Method::POST]),
    ("/staff/github/launch-profile", &[Method::POST]),
    ("/staff/evidence", &[Method::GET]),
    ("/staff/evidence/{query}", &[Method::GET]),
];

/// Under which the routes are reached, also when the gateway passes a request on.
pub const BASE_PATH: &str = "/api/v1";

/// The staff routes under their public paths.
pub fn router(services: Services) -> Router {
    let project = "/staff/projects/{project_id}";
    let repository = format!("{project}/repositories/{{repository_id}}");
    let run = "/staff/runs/{run_id}";
    let routes: Vec<(String, MethodRouter<Services>)> = vec![
        ("/auth/token".into(), post(sign_in::sign_in)),
        ("/auth/me".into(), get(sign_in::me)),
        ("/auth/logout".into(), post(sign_in::sign_out)),
        (
            "/auth/tokens".into(),
            get(personal_tokens::list).post(personal_tokens::create),
        ),
        (
            "/auth/tokens/{token_id}".into(),
            delete(personal_tokens::revoke),
        ),
        ("/staff/users".into(), get(users::list).post(users::create)),
        ("/staff/users/{user_id}".into(), delete(users::delete)),
        (
            "/staff/projects".into(),
            get(projects::list).post(projects::upsert),
        ),
        (project.into(), get(projects::show).delete(projects::delete)),
        (
            format!("{project}/members"),
            get(members::list).post(members::set),
        ),
        (
            format!("{project}/members/{{user_id}}"),
            delete(members::remove),
        ),
        (format!("{project}/agents"), get(agents::list)),
        (format!("{project}/agents/{{agent_key}}"), put(agents::set)),
        (
            format!("{project}/repositories"),
            get(repositories::list).post(repositories::bind),
        ),
        (repository.clone(), delete(repositories::unbind)),
        (
            format!("{repository}/bot-params"),
            put(repositories::set_bot),
        ),
        (
            format!("{project}/github-tokens"),
            get(github_tokens::show).put(github_tokens::set),
        ),
        ("/staff/runs".into(), get(runs::list)),
        ("/staff/runs/jobs".into(), get(runs::jobs)),
        ("/staff/runs/waits".into(), get(wait_queue::list)),
        (run.into(), get(runs::show)),
        (format!("{run}/cancel"), post(cancel::cancel)),
        (
            format!("{run}/github-waits/{{wait_id}}/resume"),
            post(wait_queue::resume_after_limit),
        ),
        (format!("{run}/namespace"), delete(namespaces::delete)),
        (format!("{run}/mcp-token/revoke"), post(run_tokens::revoke)),
        (format!("{run}/events"), get(run_events::list)),
        (format!("{run}/logs"), get(run_logs::show)),
        (format!("{run}/labels"), get(run_events::labels)),
        ("/staff/approvals".into(), get(approvals::list)),
        (
            "/staff/approvals/{approval_request_id}".into(),
            get(approvals::show),
        ),
        (
            "/staff/approvals/{approval_request_id}/decision".into(),
            post(approvals::decide),
        ),
        (
            "/staff/adapters".into(),
            get(adapters::list).post(adapters::create),
        ),
        (
            "/staff/adapters/{adapter_id}".into(),
            delete(adapters::delete),
        ),
        (
            "/staff/adapters/{adapter_id}/identities".into(),
            put(adapters::set_identity),
        ),
        (
            "/staff/webhook-deliveries/{delivery_id}".into(),
            get(deliveries::show),
        ),
        ("/staff/labels".into(), get(labels::list)),
        (
            "/staff/github/next-step-actions/preview".into(),
            post(next_steps::preview),
        ),
        (
            "/staff/github/next-step-actions/execute".into(),
            post(next_steps::execute),
        ),
        (
            "/staff/github/launch-profile".into(),
            post(launch_profile::change),
        ),
        ("/staff/evidence".into(), get(evidence::export)),
        ("/staff/evidence/{query}".into(), get(evidence::export_one)),
    ];
    let relative = routes
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(&path, methods)
        });
    Router::new()
        .nest(BASE_PATH, relative)
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn(protect))
        .with_state(services)
}

/// Headers every answer carries (DU-16); what a person may see is nobody's to cache.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];
/// How long a refused caller waits when nothing more exact is known: the window of every brake.
const RETRY_AFTER_SECONDS: u64 = 60;

async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let too_many = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if too_many {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

//! As much of GitHub as binding a repository and preparing a run need.
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

pub const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";

#[derive(Default)]
pub struct Repository {
    pub labels: Vec<Value>,
    pub hooks: Vec<Value>,
    /// Writing labels is refused, as a token without the right would be.
    pub refuses_labels: bool,
    pub services_yaml: Option<String>,
    /// What every thread bears.
    pub thread_labels: Vec<Value>,
}

type Shared = Arc<Mutex<Repository>>;

pub struct StubGithub {
    address: std::net::SocketAddr,
    pub repository: Shared,
}

impl StubGithub {
    pub async fn start() -> Self {
        let repository = Shared::default();
        let router = Router::new()
            .route(
                "/api/v3/repos/acme/shop",
                get(|| async {
                    Json(json!({"id": 4711, "full_name": "acme/shop", "default_branch": "main"}))
                }),
            )
            .route(
                "/api/v3/repos/acme/shop/hooks",
                get(hooks).post(create_hook),
            )
            .route("/api/v3/repos/acme/shop/hooks/{id}", patch(update_hook))
            .route(
                "/api/v3/repos/acme/shop/labels",
                get(labels).post(create_label),
            )
            .route("/api/v3/repos/acme/shop/labels/{name}", patch(update_label))
            .route("/api/v3/repos/acme/shop/commits/{name}", get(commit))
            .route("/api/v3/repos/acme/shop/contents/{*path}", get(contents))
            .route("/api/v3/repos/acme/shop/issues/{number}", get(issue))
            .route(
                "/api/v3/repos/acme/shop/issues/{number}/labels",
                get(thread_labels),
            )
            .fallback(|| async { not_found() })
            .with_state(repository.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            repository,
        }
    }

    pub fn api_base_url(&self) -> String {
        format!("http://{}/api/v3", self.address)
    }

    pub fn change(&self, change: impl FnOnce(&mut Repository)) {
        change(
            &mut self
                .repository
                .lock()
                .expect("no test panics while holding it"),
        );
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Repository> {
    shared.lock().expect("no test panics while holding it")
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"message": "Not Found"}))).into_response()
}

async fn hooks(State(shared): State<Shared>) -> Json<Value> {
    Json(json!(lock(&shared).hooks))
}

async fn create_hook(State(shared): State<Shared>, Json(mut hook): Json<Value>) -> Response {
    let mut repository = lock(&shared);
    hook["id"] = json!(repository.hooks.len() + 1);
    repository.hooks.push(hook.clone());
    (StatusCode::CREATED, Json(hook)).into_response()
}

async fn update_hook(
    State(shared): State<Shared>,
    Path(id): Path<usize>,
    Json(mut hook): Json<Value>,
) -> Json<Value> {
    hook["id"] = json!(id);
    lock(&shared).hooks[id - 1] = hook.clone();
    Json(hook)
}

async fn labels(State(shared): State<Shared>) -> Json<Value> {
    Json(json!(lock(&shared).labels))
}

async fn create_label(State(shared): State<Shared>, Json(label): Json<Value>) -> Response {
    let mut repository = lock(&shared);
    if repository.refuses_labels {
        return (
            StatusCode::FORBIDDEN,
            Json(json!({"message": "Resource not accessible by personal access token"})),
        )
            .into_response();
    }
    repository.labels.push(label.clone());
    (StatusCode::CREATED, Json(label)).into_response()
}

async fn update_label(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(change): Json<Value>,
) -> Response {
    let mut repository = lock(&shared);
    match repository
        .labels
        .iter_mut()
        .find(|label| label["name"] == name.as_str())
    {
        Some(label) => {
            for field in ["color", "description"] {
                label[field] = change[field].clone();
            }
            Json(label.clone()).into_response()
        }
        None => not_found(),
    }
}

/// Every Issue is there but this one.
const MISSING_ISSUE: i64 = 404;

async fn issue(Path(number): Path<i64>) -> Response {
    if number == MISSING_ISSUE {
        return not_found();
    }
    let page = format!("https://github.example/acme/shop/issues/{number}");
    Json(json!({"number": number, "title": "A basket", "body": "It holds things.", "state": "open", "html_url": page})).into_response()
}

async fn thread_labels(State(shared): State<Shared>) -> Json<Value> {
    Json(json!(lock(&shared).thread_labels))
}

async fn commit(Path(name): Path<String>) -> Response {
    if name == "main" {
        Json(json!({"sha": HEAD})).into_response()
    } else {
        not_found()
    }
}

async fn contents(State(shared): State<Shared>) -> Response {
    use base64::Engine;
    match &lock(&shared).services_yaml {
        Some(text) => {
            Json(json!({"content": base64::engine::general_purpose::STANDARD.encode(text)}))
                .into_response()
        }
        None => not_found(),
    }
}

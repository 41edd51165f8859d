//! A control plane and a GitHub small enough to see through, and a bare repository to push to.
#![allow(dead_code)] // every test binary uses a part of it

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as RoutePath, Query, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch;

pub const RUN_ID: &str = "0198aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
pub const RUN_TOKEN: &str = "run-token-value";
pub const BOT_TOKEN: &str = "bot-token-value";

/// What the doubles saw and answer with.
#[derive(Debug, Default)]
pub struct Seen {
    pub requests: usize,
    pub events: Vec<(String, Value)>,
    pub sessions: Vec<Value>,
    pub logs: Vec<Value>,
    pub usage: Vec<Value>,
    pub pulls: Vec<Value>,
    /// Comments under Issue 7.
    pub comments: Vec<Value>,
    /// Comment and content, in the order in which they were set.
    pub reactions: Vec<(i64, String)>,
    /// States of the discussed thread, one for each look at it.
    pub discussions: Vec<Value>,
    pub context: Value,
    /// So many requests are answered with 503 before the control plane is back.
    pub unavailable: usize,
    /// So many snapshots are refused as stale.
    pub conflicts: usize,
    /// So many new pull requests meet GitHub's limit.
    pub limited: usize,
    /// What was told of GitHub's limit.
    pub limits: Vec<Value>,
    /// Nobody waits a limit out.
    pub limits_are_failures: bool,
    /// How the wait ended after which the run goes on.
    pub resume_payload: Option<Value>,
}

#[derive(Clone)]
struct Doubles {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<usize>,
}

pub struct World {
    pub folder: tempfile::TempDir,
    address: std::net::SocketAddr,
    doubles: Doubles,
    pub environment: HashMap<String, String>,
}

fn unavailable(doubles: &Doubles) -> Option<StatusCode> {
    let mut seen = doubles.seen.lock().unwrap();
    seen.requests += 1;
    if seen.unavailable > 0 {
        seen.unavailable -= 1;
        return Some(StatusCode::SERVICE_UNAVAILABLE);
    }
    None
}

fn authorized(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get("authorization")
        .is_some_and(|value| value == &format!("Bearer {token}"))
}

async fn context(State(doubles): State<Doubles>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    if let Some(status) = unavailable(&doubles) {
        return (
            status,
            Json(json!({"code": "unavailable", "message": "restarting"})),
        );
    }
    if !authorized(&headers, RUN_TOKEN) {
        return (
            StatusCode::UNAUTHORIZED,
            Json(json!({"code": "unauthorized", "message": "no"})),
        );
    }
    (
        StatusCode::OK,
        Json(doubles.seen.lock().unwrap().context.clone()),
    )
}

async fn session(State(doubles): State<Doubles>) -> (StatusCode, Json<Value>) {
    let seen = doubles.seen.lock().unwrap();
    match seen.sessions.last() {
        Some(last) => {
            let mut last = last.clone();
            last["snapshot_version"] = json!(seen.sessions.len());
            (StatusCode::OK, Json(last))
        }
        None => (
            StatusCode::NOT_FOUND,
            Json(json!({"code": "not_found", "message": "none"})),
        ),
    }
}

async fn save_session(
    State(doubles): State<Doubles>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut seen = doubles.seen.lock().unwrap();
    if seen.conflicts > 0 {
        seen.conflicts -= 1;
        return (
            StatusCode::CONFLICT,
            Json(json!({"code": "conflict", "message": "stale", "expected": 1, "actual": 2})),
        );
    }
    seen.sessions.push(body);
    let answer = json!({"snapshot_version": seen.sessions.len(), "snapshot_checksum": "c"});
    (StatusCode::OK, Json(answer))
}

async fn event(State(doubles): State<Doubles>, Json(body): Json<Value>) -> StatusCode {
    let mut seen = doubles.seen.lock().unwrap();
    let name = body["event_type"].as_str().unwrap().to_owned();
    seen.events.push((name, body["payload"].clone()));
    drop(seen);
    doubles.changed.send_modify(|count| *count += 1);
    StatusCode::ACCEPTED
}

async fn log(State(doubles): State<Doubles>, Json(body): Json<Value>) -> StatusCode {
    doubles.seen.lock().unwrap().logs.push(body);
    doubles.changed.send_modify(|count| *count += 1);
    StatusCode::ACCEPTED
}

async fn token_usage(State(doubles): State<Doubles>, Json(body): Json<Value>) -> StatusCode {
    doubles.seen.lock().unwrap().usage.push(body);
    StatusCode::ACCEPTED
}

async fn list_pulls(
    State(doubles): State<Doubles>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    if !authorized(&headers, BOT_TOKEN) {
        return (
            StatusCode::UNAUTHORIZED,
            Json(json!({"message": "Bad credentials"})),
        );
    }
    let seen = doubles.seen.lock().unwrap();
    let wanted = query["head"].strip_prefix("acme:").unwrap().to_owned();
    let found: Vec<&Value> = seen
        .pulls
        .iter()
        .filter(|pull| pull["head"] == wanted.as_str())
        .collect();
    (StatusCode::OK, Json(json!(found)))
}

async fn create_pull(
    State(doubles): State<Doubles>,
    RoutePath((owner, name)): RoutePath<(String, String)>,
    Json(mut body): Json<Value>,
) -> (StatusCode, HeaderMap, Json<Value>) {
    let mut seen = doubles.seen.lock().unwrap();
    if seen.limited > 0 {
        seen.limited -= 1;
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("60"))]);
        let message = "You have exceeded a secondary rate limit.";
        return (
            StatusCode::FORBIDDEN,
            headers,
            Json(json!({"message": message})),
        );
    }
    let number = seen.pulls.len() + 10;
    body["number"] = json!(number);
    body["html_url"] = json!(format!("https://example.test/{owner}/{name}/pull/{number}"));
    seen.pulls.push(body.clone());
    (StatusCode::CREATED, HeaderMap::new(), Json(body))
}

async fn github_limit(State(doubles): State<Doubles>, Json(body): Json<Value>) -> Json<Value> {
    let mut seen = doubles.seen.lock().unwrap();
    seen.limits.push(body);
    Json(match seen.limits_are_failures {
        true => json!({"outcome": "hard_failure"}),
        false => json!({"outcome": "waiting"}),
    })
}

async fn resume_payload(State(doubles): State<Doubles>) -> (StatusCode, Json<Value>) {
    match doubles.seen.lock().unwrap().resume_payload.clone() {
        Some(payload) => (StatusCode::OK, Json(payload)),
        None => (
            StatusCode::NOT_FOUND,
            Json(json!({"code": "not_found", "message": "none"})),
        ),
    }
}

async fn discussion(State(doubles): State<Doubles>) -> Json<Value> {
    let mut seen = doubles.seen.lock().unwrap();
    let looks = seen.discussions.len();
    // The last look is what the thread stays at.
    let now = if looks > 1 {
        seen.discussions.remove(0)
    } else {
        seen.discussions.first().cloned().unwrap_or_default()
    };
    Json(now)
}

async fn list_comments(State(doubles): State<Doubles>) -> Json<Value> {
    Json(json!(doubles.seen.lock().unwrap().comments))
}

async fn create_comment(
    State(doubles): State<Doubles>,
    Json(mut body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut seen = doubles.seen.lock().unwrap();
    body["id"] = json!(seen.comments.len() + 100);
    seen.comments.push(body.clone());
    (StatusCode::CREATED, Json(body))
}

async fn react(
    State(doubles): State<Doubles>,
    RoutePath((_, _, comment)): RoutePath<(String, String, i64)>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let content = body["content"].as_str().unwrap().to_owned();
    doubles
        .seen
        .lock()
        .unwrap()
        .reactions
        .push((comment, content));
    (StatusCode::CREATED, Json(json!({"id": 1})))
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args([
            "-c",
            "user.name=Owner",
            "-c",
            "user.email=owner@example.test",
        ])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl World {
    /// A repository with this story, and doubles that know one `dev` run of Issue 7.
    pub async fn new(story: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seed = folder.path().join("seed");
        std::fs::create_dir_all(seed.join(".gonogo")).unwrap();
        std::fs::create_dir_all(folder.path().join("tmp")).unwrap();
        std::fs::write(seed.join("README.md"), "# Shop\n").unwrap();
        std::fs::write(seed.join(".gonogo/story.yaml"), story).unwrap();
        git(&seed, &["init", "--quiet", "-b", "main"]);
        git(&seed, &["add", "--all"]);
        git(&seed, &["commit", "--quiet", "-m", "Begin"]);
        std::fs::create_dir_all(folder.path().join("remotes/acme")).unwrap();
        git(
            folder.path(),
            &[
                "clone",
                "--quiet",
                "--bare",
                "seed",
                "remotes/acme/shop.git",
            ],
        );

        let doubles = Doubles {
            seen: Arc::default(),
            changed: watch::Sender::new(0),
        };
        let router = Router::new()
            .route(&format!("/internal/v1/runs/{RUN_ID}/context"), get(context))
            .route(
                &format!("/internal/v1/runs/{RUN_ID}/session"),
                get(session).put(save_session),
            )
            .route(&format!("/internal/v1/runs/{RUN_ID}/events"), post(event))
            .route(&format!("/internal/v1/runs/{RUN_ID}/logs"), post(log))
            .route(
                &format!("/internal/v1/runs/{RUN_ID}/token-usage"),
                post(token_usage),
            )
            .route(
                &format!("/internal/v1/runs/{RUN_ID}/github-limit"),
                post(github_limit),
            )
            .route(
                &format!("/internal/v1/runs/{RUN_ID}/resume-payload"),
                get(resume_payload),
            )
            .route(
                "/api/v3/repos/{owner}/{name}/pulls",
                get(list_pulls).post(create_pull),
            )
            .route(
                &format!("/internal/v1/runs/{RUN_ID}/discussion"),
                get(discussion),
            )
            .route(
                "/api/v3/repos/{owner}/{name}/issues/7/comments",
                get(list_comments).post(create_comment),
            )
            .route(
                "/api/v3/repos/{owner}/{name}/issues/comments/{comment}/reactions",
                post(react),
            )
            .with_state(doubles.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mut world = Self {
            folder,
            address,
            doubles,
            environment: HashMap::new(),
        };
        world.set_defaults();
        world
    }

    fn set_defaults(&mut self) {
        let base = format!("http://{}", self.address);
        let remotes = format!("file://{}", self.folder.path().join("remotes").display());
        let workspace = self.workspace().to_string_lossy().into_owned();
        for (name, value) in [
            ("RUN_ID", RUN_ID),
            ("CORRELATION_ID", "correlation"),
            ("REPOSITORY_FULL_NAME", "acme/shop"),
            ("AGENT_KEY", "dev"),
            ("RUNTIME_MODE", "code-only"),
            ("RUN_TRIGGER_KIND", "dev"),
            ("PROMPT_TEMPLATE_KIND", "work"),
            ("ISSUE_NUMBER", "7"),
            ("AGENT_BASE_BRANCH", "main"),
            ("AGENT_MODEL", "gpt-5.4"),
            ("CONTROL_PLANE_URL", &base),
            ("MCP_BASE_URL", &base),
            ("MCP_BEARER_TOKEN", RUN_TOKEN),
            ("GIT_BOT_USERNAME", "codex-bot"),
            ("GIT_BOT_MAIL", "bot@example.test"),
            ("GIT_BOT_TOKEN", BOT_TOKEN),
            ("GITHUB_API_BASE_URL", &format!("{base}/api/v3")),
            ("GITHUB_GIT_BASE_URL", &remotes),
            ("WORKSPACE_DIR", &workspace),
            ("AGENT_ADAPTER", "script"),
        ] {
            self.set(name, value);
        }
        self.doubles.seen.lock().unwrap().context = json!({
            "run": {"target_branch": null, "write_scope": "any", "self_improve_paths": []},
            "issue": {"number": 7, "title": "Add a cart", "body": "please"},
            "prompt": "do it",
        });
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment
            .insert(format!("CODEXK8S_{name}"), value.to_owned());
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.doubles.seen.lock().unwrap())
    }

    pub fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_orchestrator"))
            .arg("agent")
            .args(arguments)
            .env_clear()
            .env("PATH", self.search_path())
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.folder.path().join("tmp"))
            .envs(&self.environment)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Programs of the test come before those of the machine.
    fn search_path(&self) -> String {
        let programs = self.folder.path().join("bin");
        format!("{}:{}", programs.display(), std::env::var("PATH").unwrap())
    }

    /// Runs the agent to its end: exit code and its own log.
    pub async fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.start(arguments).wait_with_output().await.unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !log.contains(BOT_TOKEN) && !log.contains(RUN_TOKEN),
            "a token in the log: {log}"
        );
        (output.status.code().unwrap(), log)
    }

    /// Waits until this event was reported.
    pub async fn event_reported(&self, name: &str) {
        let mut changed = self.doubles.changed.subscribe();
        while !self.event_names().iter().any(|seen| seen == name) {
            changed.changed().await.unwrap();
        }
    }

    /// Waits until the run's log holds this.
    pub async fn logged(&self, text: &str) {
        let mut changed = self.doubles.changed.subscribe();
        while !self.with(|seen| seen.logs.iter().any(|log| log.to_string().contains(text))) {
            changed.changed().await.unwrap();
        }
    }

    pub fn event_names(&self) -> Vec<String> {
        self.with(|seen| seen.events.iter().map(|(name, _)| name.clone()).collect())
    }

    pub fn event_payload(&self, name: &str) -> Value {
        self.with(|seen| {
            seen.events
                .iter()
                .find(|(seen, _)| seen == name)
                .map(|(_, payload)| payload.clone())
        })
        .unwrap_or_else(|| panic!("no event {name} in {:?}", self.event_names()))
    }

    pub fn last_session(&self) -> Value {
        self.with(|seen| seen.sessions.last().cloned()).unwrap()
    }

    pub fn remote(&self, arguments: &[&str]) -> String {
        git(&self.folder.path().join("remotes/acme/shop.git"), arguments)
    }

    pub fn remote_branches(&self) -> Vec<String> {
        self.remote(&["for-each-ref", "--format=%(refname:short)", "refs/heads"])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// What the runner left in its temporary folder.
    pub fn leftovers(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("tmp"))
            .unwrap()
            .count()
    }
}

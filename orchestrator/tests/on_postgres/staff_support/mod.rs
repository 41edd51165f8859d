//! A control plane's routes in this process, on a Postgres of their own, with a small GitHub beside.
mod github;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use orchestrator::app::{App, SharedApp};
use orchestrator::conduct::Product;
use orchestrator::config::{Config, Environment, ProcessKind};
use orchestrator::credentials::{RunTokenIssue, RunTokenSubject, Service};
use orchestrator::staff::Services;
use orchestrator::store::tokens;
use orchestrator::{deploy, http_api, internal_api, staff};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store_support::TestDatabase;

pub use github::StubGithub;

pub const OWNER_TOKEN: &str = "local-owner-token-of-this-test-0123456789";
pub const BOT_LOGIN: &str = "codex-bot";

pub struct Lab {
    pub app: SharedApp,
    pub github: StubGithub,
    pub client: reqwest::Client,
    pub base: String,
    shutdown: CancellationToken,
}

/// An answer with its parsed body; `null` when there is none.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The answer, if it has this status; otherwise the test ends with what came instead.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }
}

impl Lab {
    pub async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let database = TestDatabase::migrated().await;
        let github = StubGithub::start().await;
        let shutdown = CancellationToken::new();
        let app = app(database.url.expose_secret(), &github, &shutdown).await;
        sqlx::query("INSERT INTO users (email, is_platform_admin, is_platform_owner) VALUES ('owner@example.org', true, true)")
            .execute(&app.pool)
            .await
            .expect("the owner is stored");
        tokio::spawn(deploy::run(app.clone()));
        let router = Router::new()
            .merge(staff::router(Services::new(app.clone())))
            .merge(internal_api::router(Services::new(app.clone())))
            .fallback(http_api::unknown_route)
            .layer(axum::middleware::from_fn(http_api::with_request_id));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        let base = format!(
            "http://{}",
            listener
                .local_addr()
                .expect("a bound listener has an address")
        );
        tokio::spawn(http_api::serve(listener, router, "test", shutdown.clone()));
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a plain client");
        Self {
            app,
            github,
            client,
            base,
            shutdown,
        }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, OWNER_TOKEN, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, OWNER_TOKEN, Some(body)).await
    }

    /// A project with the stub's repository bound.
    pub async fn project_with_repository(&self) -> Uuid {
        let project = self
            .post(
                "/api/v1/staff/projects",
                json!({"slug": "shop", "name": "Shop"}),
            )
            .await
            .expect(201);
        let id: Uuid = project.body["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("a project has an id");
        self.post(
            &format!("/api/v1/staff/projects/{id}/repositories"),
            json!({"owner": "acme", "name": "shop", "token": "ghp_management"}),
        )
        .await
        .expect(201);
        id
    }

    /// A running run, as a decision and a claim would leave it.
    pub async fn running_run(&self, project_id: Uuid, correlation_id: &str) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query(
            "INSERT INTO agent_runs (id, scope_run_id, correlation_id, project_id, status, trigger_source, trigger_kind, trigger_label,
                 repository_full_name, issue_number, agent_key, runtime_mode, job_name, started_at, run_payload)
             VALUES ($1, $1, $2, $3, 'running', 'issue_label', 'dev', 'run:dev', 'acme/shop', 7, 'dev', 'full-env', 'job', platform_now(),
                 '{\"target_branch\": \"codex/issue-7\", \"base_branch\": \"main\", \"write_scope\": \"any\"}')",
        )
        .bind(id)
        .bind(correlation_id)
        .bind(project_id)
        .execute(&self.app.pool)
        .await
        .expect("the run is stored");
        id
    }

    /// A run token as the worker's request would make one.
    pub async fn run_token(&self, run_id: Uuid, correlation_id: &str, project_id: Uuid) -> String {
        let token_id = Uuid::new_v4();
        let mut connection = self.app.pool.acquire().await.expect("a connection");
        let issued = tokens::issue_run_token(
            &mut connection,
            run_id,
            token_id,
            chrono::Duration::hours(24),
        )
        .await
        .expect("a generation is stored");
        let subject = RunTokenSubject {
            run_id,
            correlation_id: correlation_id.to_owned(),
            project_id: Some(project_id),
            namespace: "codex-issue-7".to_owned(),
            runtime_mode: "full-env".to_owned(),
        };
        let issue = RunTokenIssue {
            token_id,
            generation: issued.generation,
            issued_at: issued.issued_at,
        };
        let keys = self
            .app
            .run_tokens
            .as_ref()
            .expect("a control plane has run token keys");
        keys.mint(&subject, issue)
            .expect("it signs")
            .expose_secret()
            .to_owned()
    }

    pub fn service_token(&self, caller: Service) -> String {
        self.app
            .service_token
            .mint(caller, Service::ControlPlane)
            .expect("it signs")
            .expose_secret()
            .to_owned()
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&self.app.pool)
            .await
            .expect("a count")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub async fn read(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the listener answers");
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("a body of text");
    Answer {
        status,
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
    }
}

async fn app(database_url: &str, github: &StubGithub, shutdown: &CancellationToken) -> SharedApp {
    let pairs = [
        ("DATABASE_URL", database_url),
        ("GITHUB_API_BASE_URL", &github.api_base_url()),
        ("GITHUB_PAT", "ghp_platform"),
        ("GIT_BOT_TOKEN", "ghp_bot"),
        ("GIT_BOT_USERNAME", BOT_LOGIN),
        ("GITHUB_WEBHOOK_SECRET", "webhook-secret"),
        (
            "GITHUB_WEBHOOK_URL",
            "http://gateway.example/api/v1/webhooks/github",
        ),
        ("STAFF_LOCAL_TOKEN", OWNER_TOKEN),
        ("TOKEN_ENCRYPTION_KEY", &"1a".repeat(32)),
        ("MCP_TOKEN_SIGNING_KEY", &"2b".repeat(32)),
        ("SERVICE_TOKEN_KEY", &"3c".repeat(32)),
        ("SECRET_DERIVATION_KEY", &"4d".repeat(32)),
        ("PUBLIC_BASE_URL", "http://console.example"),
        ("WORKER_POLL_INTERVAL", "1h"),
        ("TRUSTED_PROXY_CIDRS", "127.0.0.0/8"),
    ]
    .map(|(key, value)| (format!("CODEXK8S_{key}"), value.to_owned()));
    let environment = Environment::from_pairs(pairs).expect("pairs load");
    let config =
        Config::load(ProcessKind::ControlPlane, &environment).expect("the configuration is whole");
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
        .build_recorder()
        .handle();
    let app = App::new(config, metrics, Arc::new(Product), shutdown.clone())
        .await
        .expect("the app is set up");
    Arc::clone(&app)
}

//! The worker's calls to the control plane over internal HTTP (data-and-api.md 3.1), under its service token (DU-12).

use super::context::WorkerError;
use crate::app::SharedApp;
use crate::credentials::{Service, ServiceTokenError, ServiceTokenKey};
use reqwest::{Client, Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// One attempt is four retry intervals, between these bounds.
const MIN_ATTEMPT: Duration = Duration::from_secs(5);
const MAX_ATTEMPT: Duration = Duration::from_secs(30);

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Repeat later: the control plane or something behind it is out of reach.
    #[error("failed to reach the control plane for {what}: {message}")]
    Unavailable {
        /// Which call.
        what: &'static str,
        /// What came back.
        message: String,
    },
    /// The control plane refused.
    #[error("the control plane refused {what}: {message}")]
    Refused {
        /// Which call.
        what: &'static str,
        /// Its words.
        message: String,
    },
}

/// An Issue as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Number.
    pub number: i64,
    /// `open` or `closed`.
    pub state: String,
    /// Names of its labels.
    pub labels: Vec<String>,
}

/// A pull request as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestThread {
    /// Number.
    pub number: i64,
    /// `open` or `closed`.
    pub state: String,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// Head branch.
    pub head_ref: String,
    /// Head commit.
    pub head_sha: String,
}

/// Both threads of a run, live from GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Threads {
    /// Its Issue.
    pub issue: Option<Thread>,
    /// Its pull request, or the open one of its branch.
    pub pull_request: Option<PullRequestThread>,
    /// The run's branch exists on GitHub.
    pub branch_exists: bool,
    /// Other open pull requests of the Issue; looked up for a rethink only, which supersedes them (L-81).
    #[serde(default)]
    pub other_open_pull_requests: Vec<i64>,
}

impl Threads {
    /// Whether either thread bears a label.
    pub fn bears(&self, label: &str) -> bool {
        let has = |labels: &[String]| labels.iter().any(|name| name.eq_ignore_ascii_case(label));
        self.issue
            .as_ref()
            .is_some_and(|thread| has(&thread.labels))
            || self
                .pull_request
                .as_ref()
                .is_some_and(|thread| has(&thread.labels))
    }
}

/// What a run needs prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvironmentRequest {
    /// Mode.
    pub runtime_mode: String,
    /// Environment.
    pub target_env: String,
    /// Namespace.
    pub namespace: String,
    /// Commit or ref.
    pub build_ref: String,
    /// `owner/name`.
    pub repository_full_name: String,
    /// Where services.yaml lies.
    pub services_yaml_path: String,
    /// Slot.
    pub slot_no: i32,
    /// No agent follows.
    pub deploy_only: bool,
}

/// How far the preparation is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EnvironmentState {
    /// `pending`, `running`, `succeeded`, `failed`, `canceled`.
    pub status: String,
    /// The commit that was checked out.
    #[serde(default)]
    pub build_ref_sha: Option<String>,
    /// Hash of the manifests that were applied.
    #[serde(default)]
    pub manifest_hash: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub last_error: Option<String>,
}

/// What a preparation would apply.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PlannedEnvironment {
    /// services.yaml can be used, or is rightly absent.
    pub services_config: bool,
    /// Namespace that the configuration gives.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Hash of the manifests.
    #[serde(default)]
    pub manifest_hash: Option<String>,
}

/// Where the run's credentials are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IssuedToken {
    /// Name of the Secret.
    pub secret_name: String,
}

#[derive(Serialize)]
struct TokenRequest<'a> {
    namespace: &'a str,
    runtime_mode: &'a str,
}

#[derive(Serialize)]
struct OwnerRequest<'a> {
    kind: &'static str,
    name: &'a str,
    uid: &'a str,
    namespace: &'a str,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    message: String,
}

/// Client of the internal API.
pub struct ControlPlane {
    client: Client,
    base_url: String,
    key: ServiceTokenKey,
}

impl ControlPlane {
    /// A client with connections that stay open between calls.
    pub fn new(app: &SharedApp) -> Result<Self, WorkerError> {
        let attempt =
            (app.config.worker.runtime_prepare_retry_interval * 4).clamp(MIN_ATTEMPT, MAX_ATTEMPT);
        let client = Client::builder()
            .timeout(attempt)
            .no_proxy()
            .build()
            .map_err(WorkerError::Client)?;
        let base_url = app.config.peers.control_plane_url.clone();
        Ok(Self {
            client,
            base_url,
            key: app.service_token.clone(),
        })
    }

    /// Both threads of a run (L-14, L-46, R-64).
    pub async fn threads(&self, run_id: Uuid) -> Result<Threads, CallError> {
        self.call(
            "the run's threads",
            Method::GET,
            &format!("runs/{run_id}/threads"),
            None::<&()>,
        )
        .await
    }

    /// Writes the wanted environment; answers early when preparation is quick.
    pub async fn prepare(
        &self,
        run_id: Uuid,
        request: &EnvironmentRequest,
    ) -> Result<EnvironmentState, CallError> {
        self.call(
            "the environment",
            Method::POST,
            &format!("runs/{run_id}/environment"),
            Some(request),
        )
        .await
    }

    /// How far the environment is.
    pub async fn environment(&self, run_id: Uuid) -> Result<EnvironmentState, CallError> {
        self.call(
            "the environment",
            Method::GET,
            &format!("runs/{run_id}/environment"),
            None::<&()>,
        )
        .await
    }

    /// What a preparation would apply.
    pub async fn plan(
        &self,
        run_id: Uuid,
        request: &EnvironmentRequest,
    ) -> Result<PlannedEnvironment, CallError> {
        self.call(
            "the plan of the environment",
            Method::POST,
            &format!("runs/{run_id}/environment/plan"),
            Some(request),
        )
        .await
    }

    /// Issues the run token and has it written into the namespace (G-6).
    pub async fn issue_token(
        &self,
        run_id: Uuid,
        namespace: &str,
        runtime_mode: &str,
    ) -> Result<IssuedToken, CallError> {
        let request = TokenRequest {
            namespace,
            runtime_mode,
        };
        self.call(
            "the run token",
            Method::POST,
            &format!("runs/{run_id}/mcp-token"),
            Some(&request),
        )
        .await
    }

    /// Ties the credentials Secret to its Job.
    pub async fn own_credentials(
        &self,
        run_id: Uuid,
        kind: &'static str,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), CallError> {
        let request = OwnerRequest {
            kind,
            name,
            uid,
            namespace,
        };
        let path = format!("runs/{run_id}/credentials-owner");
        self.send(
            "the owner of the credentials",
            Method::PUT,
            &path,
            Some(&request),
        )
        .await
        .map(drop)
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, CallError> {
        let response = self.send(what, method, path, body).await?;
        response
            .json()
            .await
            .map_err(|error| unavailable(what, &error))
    }

    async fn send(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<reqwest::Response, CallError> {
        let token = self
            .key
            .mint(Service::Worker, Service::ControlPlane)
            .map_err(|error: ServiceTokenError| CallError::Refused {
                what,
                message: error.to_string(),
            })?;
        let mut request = self
            .client
            .request(method, format!("{}/internal/v1/{path}", self.base_url))
            .bearer_auth(token.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .map_err(|error| unavailable(what, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let message = response
            .json::<ErrorBody>()
            .await
            .map(|body| body.message)
            .unwrap_or_default();
        let message = format!("{status} {message}");
        // 409 is kept apart: a refused token is `failed_precondition`, which no repetition heals (G-6).
        let repeat = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::REQUEST_TIMEOUT
                    | StatusCode::UNAUTHORIZED
            );
        Err(if repeat {
            CallError::Unavailable { what, message }
        } else {
            CallError::Refused { what, message }
        })
    }
}

fn unavailable(what: &'static str, error: &reqwest::Error) -> CallError {
    CallError::Unavailable {
        what,
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_on_either_thread() {
        let mut threads = Threads::default();
        assert!(!threads.bears("run:debug"));
        threads.issue = Some(Thread {
            number: 1,
            state: "open".to_owned(),
            labels: vec!["Run:Debug".to_owned()],
        });
        assert!(threads.bears("run:debug"));
        assert!(!threads.bears("run:dev"));
    }
}

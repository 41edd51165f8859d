//! Client of the agent API. Calls are repeated until the control plane is back.

use std::collections::BTreeSet;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use domain::launch_profiles::RiskSignal;
use domain::waits::LimitAnswer;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::adapter::TurnUsage;
use super::context::{DiscussionNow, RunContext, SavedSession, SessionUpdate, StoredSession};
use super::error::{AgentError, describe};

/// How long the runner waits for orchestrator pods that restart.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(600);
/// The same when the Pod is about to be killed: well within its grace of 60 s.
pub(super) const RETRY_WHILE_TERMINATING: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The control plane, seen by one run.
#[derive(Debug, Clone)]
pub(super) struct ControlPlane {
    http: reqwest::Client,
    base: String,
    token: SecretString,
    retry_for: Duration,
}

/// Why one attempt failed.
#[derive(Debug)]
struct Refusal {
    status: Option<StatusCode>,
    detail: String,
}

impl Refusal {
    // Only what a restart explains is worth another attempt.
    fn may_pass(&self) -> bool {
        self.status.is_none_or(|status| {
            status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
        })
    }
}

/// Outcome of storing a snapshot.
pub(super) enum Saved {
    Stored(SavedSession),
    Conflict { expected: i64, actual: i64 },
}

impl ControlPlane {
    pub(super) fn new(
        base_url: &str,
        run_id: &str,
        token: SecretString,
    ) -> Result<Self, AgentError> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| AgentError::ControlPlane {
                action: "make a client for requests".to_owned(),
                detail: describe(&error),
            })?;
        Ok(Self {
            http,
            base: format!("{base_url}/internal/v1/runs/{run_id}"),
            token,
            retry_for: RETRY_FOR,
        })
    }

    /// The same client with less patience.
    pub(super) fn hurried(&self) -> Self {
        Self {
            retry_for: RETRY_WHILE_TERMINATING,
            ..self.clone()
        }
    }

    pub(super) async fn context(&self) -> Result<RunContext, AgentError> {
        let (_, body) = self
            .call("read the run's context", Method::GET, "context", None, &[])
            .await?;
        parse("read the run's context", body)
    }

    /// What was said in the discussion, and whether it is over.
    pub(super) async fn discussion(&self) -> Result<DiscussionNow, AgentError> {
        let action = "read the discussion";
        let (_, body) = self
            .call(action, Method::GET, "discussion", None, &[])
            .await?;
        parse(action, body)
    }

    /// The run's own snapshot, if one was stored.
    pub(super) async fn session(&self) -> Result<Option<StoredSession>, AgentError> {
        let action = "read the session snapshot";
        let (status, body) = self
            .call(
                action,
                Method::GET,
                "session",
                None,
                &[StatusCode::NOT_FOUND],
            )
            .await?;
        if status == StatusCode::NOT_FOUND {
            Ok(None)
        } else {
            parse(action, body).map(Some)
        }
    }

    pub(super) async fn save_session(&self, update: &SessionUpdate) -> Result<Saved, AgentError> {
        let action = "store the session snapshot";
        let body = serde_json::to_value(update).map_err(|error| AgentError::ControlPlane {
            action: action.to_owned(),
            detail: error.to_string(),
        })?;
        let (status, answer) = self
            .call(
                action,
                Method::PUT,
                "session",
                Some(body),
                &[StatusCode::CONFLICT],
            )
            .await?;
        if status == StatusCode::CONFLICT {
            let version = |key: &str| answer.get(key).and_then(Value::as_i64).unwrap_or_default();
            return Ok(Saved::Conflict {
                expected: version("expected"),
                actual: version("actual"),
            });
        }
        parse(action, answer).map(Saved::Stored)
    }

    /// Reports an event; its type is one of DF-4.
    pub(super) async fn event(&self, event_type: &str, payload: Value) -> Result<(), AgentError> {
        let action = format!("report {event_type}");
        // Whoever repeats the call because its answer got lost tells of one event.
        let event_id = Uuid::now_v7();
        let body = json!({"event_type": event_type, "event_id": event_id, "payload": payload});
        self.call(&action, Method::POST, "events", Some(body), &[])
            .await
            .map(drop)
    }

    /// How the wait ended after which this run goes on; none if nothing is known of it.
    pub(super) async fn resume_payload(&self) -> Result<Option<Value>, AgentError> {
        let action = "read how the wait ended";
        let not_found = [StatusCode::NOT_FOUND];
        let (status, body) = self
            .call(action, Method::GET, "resume-payload", None, &not_found)
            .await?;
        Ok((status != StatusCode::NOT_FOUND).then_some(body))
    }

    /// Tells of GitHub's limit. `true`: the platform waits it out, and this process may end.
    pub(super) async fn github_limit(
        &self,
        signal_id: &str,
        answer: &LimitAnswer,
    ) -> Result<bool, AgentError> {
        let action = "report GitHub's limit";
        let body = json!({"signal_id": signal_id, "answer": answer});
        let (_, taken) = self
            .call(action, Method::POST, "github-limit", Some(body), &[])
            .await?;
        Ok(taken["outcome"] == "waiting")
    }

    /// Names risks of the work, which lengthen the path of its Issue (L-96).
    pub(super) async fn name_risks(
        &self,
        signals: &BTreeSet<RiskSignal>,
    ) -> Result<(), AgentError> {
        let names: Vec<&str> = signals.iter().map(|signal| signal.as_str()).collect();
        let body = json!({"signals": names});
        self.call(
            "name the risks of the work",
            Method::POST,
            "risk-signals",
            Some(body),
            &[],
        )
        .await
        .map(drop)
    }

    /// Stores a part of the output.
    pub(super) async fn log(&self, stream: &str, seq: u64, text: &str) -> Result<(), AgentError> {
        let body = json!({"stream": stream, "seq": seq, "text": text});
        self.call(
            "store a part of the log",
            Method::POST,
            "logs",
            Some(body),
            &[],
        )
        .await
        .map(drop)
    }

    /// Stores what a turn took of the model.
    pub(super) async fn token_usage(
        &self,
        session_id: &str,
        model: &str,
        usage: &TurnUsage,
    ) -> Result<(), AgentError> {
        let body = json!({
            "session_id": session_id,
            "turn_no": usage.turn_no,
            "model": model,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        });
        let action = "store the usage of the model";
        self.call(action, Method::POST, "token-usage", Some(body), &[])
            .await
            .map(drop)
    }

    async fn call(
        &self,
        action: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
        expected: &[StatusCode],
    ) -> Result<(StatusCode, Value), AgentError> {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times()
            .with_total_delay(Some(self.retry_for));
        (|| self.attempt(method.clone(), path, body.as_ref(), expected))
            .retry(backoff)
            .when(Refusal::may_pass)
            .notify(|refusal, pause| {
                tracing::warn!(
                    action,
                    detail = refusal.detail,
                    pause_ms = pause.as_millis(),
                    "will ask again"
                );
            })
            .await
            .map_err(|refusal| AgentError::ControlPlane {
                action: action.to_owned(),
                detail: refusal.detail,
            })
    }

    async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        expected: &[StatusCode],
    ) -> Result<(StatusCode, Value), Refusal> {
        let unreachable = |error: reqwest::Error| Refusal {
            status: None,
            detail: describe(&error),
        };
        let mut request = self
            .http
            .request(method, format!("{}/{path}", self.base))
            .bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() || expected.contains(&status) {
            return Ok((status, answer));
        }
        let message = answer
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or("no explanation");
        Err(Refusal {
            status: Some(status),
            detail: format!("{status}: {message}"),
        })
    }
}

fn parse<T: serde::de::DeserializeOwned>(action: &str, body: Value) -> Result<T, AgentError> {
    serde_json::from_value(body).map_err(|error| AgentError::ControlPlane {
        action: action.to_owned(),
        detail: format!("unexpected answer: {error}"),
    })
}

//! The staff API as a person or a script uses it: the only door for set-up inside the orchestrator.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::wait::{Reading, until};

/// A client of the staff API.
#[derive(Clone)]
pub struct Staff {
    http: Client,
    public_url: String,
    identity: Identity,
    /// Whether a call that nobody answers is made again; shared by all who came from one.
    is_patient: Arc<AtomicBool>,
}

/// How long a patient caller tries again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Administrators who do what scenarios begin with, so that a gate of hundreds of scenarios stays within the requests
/// that one caller may make in a minute (DA-22).
pub const HELPERS: [&str; 8] = [
    "helper-1@gate.example",
    "helper-2@gate.example",
    "helper-3@gate.example",
    "helper-4@gate.example",
    "helper-5@gate.example",
    "helper-6@gate.example",
    "helper-7@gate.example",
    "helper-8@gate.example",
];

/// The helper whose turn it is.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// By what the caller is known.
#[derive(Clone)]
enum Identity {
    Token(String),
    /// What a sign-in proxy in front of the platform says (DU-4); the gate is that proxy.
    Email(String),
    Nobody,
}

impl std::fmt::Debug for Staff {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Staff({})", self.public_url)
    }
}

impl Staff {
    #[must_use]
    pub fn new(http: Client, public_url: &str, token: &str) -> Self {
        Self {
            http,
            public_url: public_url.trim_end_matches('/').to_owned(),
            identity: Identity::Token(token.to_owned()),
            is_patient: Arc::default(),
        }
    }

    /// From now on a call that finds no process to answer it is made again, as a person would.
    pub fn be_patient(&self) {
        self.is_patient.store(true, Ordering::Relaxed);
    }

    /// The same API as this person, signed in at the console.
    #[must_use]
    pub fn as_person(&self, email: &str) -> Self {
        Self {
            identity: Identity::Email(email.to_owned()),
            ..self.clone()
        }
    }

    /// The same API as one of the helpers, each in turn.
    #[must_use]
    pub fn as_helper(&self) -> Self {
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        self.as_person(HELPERS[turn % HELPERS.len()])
    }

    /// The same API without a session.
    #[must_use]
    pub fn as_nobody(&self) -> Self {
        Self {
            identity: Identity::Nobody,
            ..self.clone()
        }
    }

    /// Calls a route and returns status and body.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        if !self.is_patient.load(Ordering::Relaxed) {
            return self.call_once(method, path, body).await;
        }
        until("an answer of the staff API", PATIENCE, async || match self
            .call_once(method.clone(), path, body.clone())
            .await
        {
            Ok((StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE, answer)) => {
                Ok(Reading::NotYet(answer.to_string()))
            }
            Ok(answered) => Ok(Reading::Reached(answered)),
            Err(error) => Ok(Reading::NotYet(format!("{error:#}"))),
        })
        .await
    }

    async fn call_once(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}/api/v1{path}", self.public_url));
        request = match &self.identity {
            Identity::Token(token) => request.bearer_auth(token),
            Identity::Email(email) => request
                .header("X-Auth-Request-Email", email)
                .header("Origin", &self.public_url),
            Identity::Nobody => request,
        };
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("failed to call the staff API: {method} {path}"))?;
        let status = response.status();
        let text = response
            .text()
            .await
            .context("failed to read the staff API's answer")?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        Ok((status, body))
    }

    /// Calls a route that must succeed; returns the body.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn expect_success(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        // What is not available at the moment (503) is asked for again, as its answer says: setting up asserts nothing,
        // and a machine at a standstill must not make a scenario red. A call that stays unavailable fails.
        until("an answer of the staff API", PATIENCE, async || {
            let (status, answer) = self.call(method.clone(), path, body.clone()).await?;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                tracing::warn!(%method, path, %answer, "the staff API was not available");
                return Ok(Reading::NotYet(answer.to_string()));
            }
            Ok(Reading::Reached((status, answer)))
        })
        .await
        .and_then(|(status, answer)| {
            if !status.is_success() {
                bail!("the staff API answered {status} to {method} {path}: {answer}");
            }
            Ok(answer)
        })
    }

    /// Creates a platform user; returns its id.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn create_user(&self, email: &str, github_login: &str) -> anyhow::Result<String> {
        let body =
            json!({"email": email, "github_login": github_login, "is_platform_admin": false});
        id_of(
            &self
                .expect_success(Method::POST, "/staff/users", Some(body))
                .await?,
        )
    }

    /// # Errors
    /// When the API refuses.
    pub async fn create_project(&self, slug: &str, name: &str) -> anyhow::Result<String> {
        let body = json!({"slug": slug, "name": name});
        id_of(
            &self
                .expect_success(Method::POST, "/staff/projects", Some(body))
                .await?,
        )
    }

    /// # Errors
    /// When the API refuses.
    pub async fn add_member(&self, project: &str, user: &str, role: &str) -> anyhow::Result<()> {
        let body = json!({"user_id": user, "role": role});
        self.expect_success(
            Method::POST,
            &format!("/staff/projects/{project}/members"),
            Some(body),
        )
        .await?;
        Ok(())
    }

    /// Switches an agent off or on for a project.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn switch_agent(
        &self,
        project: &str,
        agent: &str,
        is_active: bool,
    ) -> anyhow::Result<()> {
        self.expect_success(
            Method::PUT,
            &format!("/staff/projects/{project}/agents/{agent}"),
            Some(serde_json::json!({"is_active": is_active})),
        )
        .await?;
        Ok(())
    }

    /// Binds a repository, which ensures the webhook and syncs the labels.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn bind_repository(
        &self,
        project: &str,
        owner: &str,
        name: &str,
        token: &str,
    ) -> anyhow::Result<Value> {
        self.bind_repository_with(project, owner, name, token, "services.yaml")
            .await
    }

    /// Binds a repository whose services.yaml lies at a path.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn bind_repository_with(
        &self,
        project: &str,
        owner: &str,
        name: &str,
        token: &str,
        services_yaml_path: &str,
    ) -> anyhow::Result<Value> {
        let body = json!({
            "provider": "github", "owner": owner, "name": name, "token": token,
            "services_yaml_path": services_yaml_path,
        });
        self.expect_success(
            Method::POST,
            &format!("/staff/projects/{project}/repositories"),
            Some(body),
        )
        .await
    }

    /// Takes a repository out of its project.
    ///
    /// # Errors
    /// When the API refuses, or the project has no such repository.
    pub async fn unbind_repository(&self, project: &str, full_name: &str) -> anyhow::Result<()> {
        let path = format!("/staff/projects/{project}/repositories");
        let listed = self.expect_success(Method::GET, &path, None).await?;
        let bound = listed["items"]
            .as_array()
            .or_else(|| listed.as_array())
            .into_iter()
            .flatten()
            .find(|repository| {
                format!(
                    "{}/{}",
                    repository["owner"].as_str().unwrap_or_default(),
                    repository["name"].as_str().unwrap_or_default()
                ) == full_name
            })
            .context("the project has no such repository")?;
        let id = id_of(bound)?;
        self.expect_success(Method::DELETE, &format!("{path}/{id}"), None)
            .await?;
        Ok(())
    }

    /// # Errors
    /// When no answer came.
    pub async fn cancel(&self, run: &str, abandon: bool) -> anyhow::Result<(StatusCode, Value)> {
        let body = json!({"reason": "cancelled by the gate", "abandon": abandon});
        self.call(
            Method::POST,
            &format!("/staff/runs/{run}/cancel"),
            Some(body),
        )
        .await
    }

    /// Deletes the namespace of a run.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn delete_namespace(&self, run: &str) -> anyhow::Result<(StatusCode, Value)> {
        self.call(
            Method::DELETE,
            &format!("/staff/runs/{run}/namespace"),
            None,
        )
        .await
    }

    /// Cancels a run if it has not ended yet.
    ///
    /// # Errors
    /// When the API refuses for any other reason.
    pub async fn cancel_if_open(&self, run: &str) -> anyhow::Result<()> {
        let (status, answer) = self.cancel(run, false).await?;
        if status.is_success() || status == StatusCode::CONFLICT {
            return Ok(());
        }
        bail!("the staff API answered {status} to the cancel of run {run}: {answer}")
    }

    /// The outcome of a delivery (L-22).
    ///
    /// # Errors
    /// When no answer came.
    pub async fn delivery(&self, delivery_id: &str) -> anyhow::Result<(StatusCode, Value)> {
        self.call(
            Method::GET,
            &format!("/staff/webhook-deliveries/{delivery_id}"),
            None,
        )
        .await
    }
}

fn id_of(answer: &Value) -> anyhow::Result<String> {
    answer["id"]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("the answer has no id: {answer}"))
}

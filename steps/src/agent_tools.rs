//! The tools of the platform as an agent reaches them: MCP over HTTP with the token of its run, which lies in a Secret
//! of the run's namespace.

use anyhow::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};

use crate::{
    definitions::outcome::current_run,
    world::{GateWorld, text},
};

/// The revision that a modern client speaks.
pub const REVISION: &str = "2026-07-28";

/// An answer of the MCP server.
#[derive(Debug, Clone)]
pub struct ToolAnswer {
    pub status: u16,
    pub names_session: bool,
    pub body: Value,
}

impl ToolAnswer {
    /// The structured output of a tool, or nothing.
    #[must_use]
    pub fn output(&self) -> &Value {
        &self.body["result"]["structuredContent"]
    }

    /// In one line: `ok`, a failure as `code reason`, an error of the protocol as its number, or the status.
    #[must_use]
    pub fn summary(&self) -> String {
        let output = self.output();
        match (
            output["status"].as_str(),
            self.body["error"]["code"].as_i64(),
        ) {
            (Some("error"), _) => {
                let word = |name: &str| output[name].as_str().unwrap_or_default();
                format!("{} {}", word("code"), word("reason"))
                    .trim()
                    .to_owned()
            }
            (Some(status), _) => status.to_owned(),
            (None, Some(code)) => format!("{} {code}", self.status),
            (None, None) => self.status.to_string(),
        }
    }
}

/// An agent with the token of its run.
#[derive(Debug, Clone)]
pub struct AgentTools {
    http: reqwest::Client,
    pub url: String,
    token: String,
}

impl AgentTools {
    /// The agent of the run at hand.
    ///
    /// # Errors
    /// When the run has no token.
    pub async fn of_run(world: &mut GateWorld) -> anyhow::Result<Self> {
        let run = current_run(world).await?;
        let short: String = text(&run, "id")?
            .replace('-', "")
            .chars()
            .take(12)
            .collect();
        let secrets: Api<Secret> =
            Api::namespaced(world.gate.kube.clone(), &text(&run, "namespace")?);
        let secret = secrets
            .get(&format!("codex-run-credentials-{short}"))
            .await
            .context("failed to read the credentials of the run")?;
        let token = secret
            .data
            .unwrap_or_default()
            .remove("CODEXK8S_MCP_BEARER_TOKEN")
            .context("the run has no token")?;
        let token = String::from_utf8(token.0).context("the token is no text")?;
        Self::with_token(&world.platform().lane().mcp_url, &token)
    }

    /// An agent that holds this token.
    ///
    /// # Errors
    /// When no client can be built.
    pub fn with_token(url: &str, token: &str) -> anyhow::Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .context("failed to build the HTTP client")?,
            url: url.to_owned(),
            token: token.to_owned(),
        })
    }

    /// The token, for a call after the run and its Secret are gone.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same agent at another replica.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// Calls a tool as a modern client does.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<ToolAnswer> {
        let message = modern("tools/call", json!({"name": tool, "arguments": arguments}));
        self.send(
            &modern_headers("tools/call", Some(tool)),
            &message.to_string(),
        )
        .await
    }

    /// Asks a method as a modern client does.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(&self, method: &str) -> anyhow::Result<ToolAnswer> {
        let message = modern(method, json!({}));
        self.send(&modern_headers(method, None), &message.to_string())
            .await
    }

    /// Sends a message of its own making.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(
        &self,
        headers: &[(String, String)],
        body: &str,
    ) -> anyhow::Result<ToolAnswer> {
        let mut request = self
            .http
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request
            .body(body.to_owned())
            .send()
            .await
            .context("the MCP server did not answer")?;
        answer(response).await
    }

    /// How the wait ended, as the agent may read it of the platform (G-92): status and body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn resume_payload(
        &self,
        internal_url: &str,
        run_id: &str,
    ) -> anyhow::Result<(u16, Value)> {
        let response = self
            .http
            .get(format!(
                "{internal_url}/internal/v1/runs/{run_id}/resume-payload"
            ))
            .bearer_auth(&self.token)
            .send()
            .await
            .context("the control plane did not answer")?;
        let status = response.status().as_u16();
        Ok((status, response.json().await.unwrap_or_default()))
    }

    /// Decides a request as no agent may: over the staff API, with the token of the run.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn decide(&self, public_url: &str, request: i64) -> anyhow::Result<u16> {
        let response = self
            .http
            .post(format!(
                "{public_url}/api/v1/staff/approvals/{request}/decision"
            ))
            .bearer_auth(&self.token)
            .json(&json!({"decision": "approved"}))
            .send()
            .await
            .context("the staff API did not answer")?;
        Ok(response.status().as_u16())
    }

    /// Asks with another verb than POST.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self) -> anyhow::Result<ToolAnswer> {
        let response = self
            .http
            .get(&self.url)
            .bearer_auth(&self.token)
            .send()
            .await
            .context("the MCP server did not answer")?;
        answer(response).await
    }
}

async fn answer(response: reqwest::Response) -> anyhow::Result<ToolAnswer> {
    let status = response.status().as_u16();
    let names_session = response.headers().contains_key("mcp-session-id");
    let text = response.text().await.context("the answer broke off")?;
    // A legacy client may be answered by an event stream of one event.
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap_or(&text);
    Ok(ToolAnswer {
        status,
        names_session,
        body: serde_json::from_str(data).unwrap_or_default(),
    })
}

/// A message of a modern client.
#[must_use]
pub fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientInfo": {"name": "gonogo", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

/// The headers that go with it.
#[must_use]
pub fn modern_headers(method: &str, tool: Option<&str>) -> Vec<(String, String)> {
    let mut headers = vec![
        ("mcp-protocol-version".to_owned(), REVISION.to_owned()),
        ("mcp-method".to_owned(), method.to_owned()),
    ];
    if let Some(tool) = tool {
        headers.push(("mcp-name".to_owned(), tool.to_owned()));
    }
    headers
}

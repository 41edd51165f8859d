//! Client of the platform's MCP server, for agents that are no CLI of their own.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::error::{AgentError, describe};

/// The revision that is spoken: each request stands for itself.
const REVISION: &str = "2026-07-28";
/// Longer than a call may take (G-22).
const CALL_TIMEOUT: Duration = Duration::from_secs(90);

/// The tools of one run.
pub(super) struct McpTools<'a> {
    url: &'a str,
    token: SecretString,
}

impl<'a> McpTools<'a> {
    pub(super) fn new(url: &'a str, token: SecretString) -> Self {
        Self { url, token }
    }

    /// Calls a tool; answers its structured output, or the error of the protocol.
    pub(super) async fn call(&self, name: &str, arguments: &Value) -> Result<Value, AgentError> {
        let failed = |detail: String| AgentError::ControlPlane {
            action: format!("call the tool {name}"),
            detail,
        };
        let mut params = json!({
            "name": name,
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": REVISION,
                "io.modelcontextprotocol/clientInfo": {"name": "script", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        });
        if arguments.is_object() {
            params["arguments"] = arguments.clone();
        }
        let http = reqwest::Client::builder()
            .timeout(CALL_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| failed(describe(&error)))?;
        let answer = http
            .post(self.url)
            .bearer_auth(self.token.expose_secret())
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", REVISION)
            .header("mcp-method", "tools/call")
            .header("mcp-name", name)
            .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
            .send()
            .await
            .map_err(|error| failed(describe(&error)))?;
        let status = answer.status();
        let body: Value = answer
            .json()
            .await
            .map_err(|error| failed(format!("{status}: {}", describe(&error))))?;
        body.pointer("/result/structuredContent")
            .or_else(|| body.get("error"))
            .cloned()
            .ok_or_else(|| failed(format!("{status}: no JSON-RPC answer")))
    }
}

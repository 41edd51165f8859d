//! The protocol's view of the platform: what it is, which tools a run sees, and what a call answers (G-4, G-5, G-14).
use std::borrow::Cow;
use std::sync::Arc;

use domain::tools::{ToolName, effective};
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, DiscoverResult, ErrorData,
    Implementation, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};

use super::call::{Call, CallError};
use super::calls;
use super::schemas;
use crate::internal_api::RunCaller;
use crate::staff::Services;

/// G-4: how long a client may go on with the list it has.
const CATALOGUE_TTL_MILLISECONDS: u64 = 60_000;
/// `serverInfo.name`, and `server` of the events of a call.
pub const SERVER_NAME: &str = "codex_k8s";

/// One server for all runs; who calls comes with each request.
#[derive(Clone)]
pub struct Server {
    services: Services,
    versions: Arc<[ProtocolVersion]>,
}

impl Server {
    pub fn new(services: Services, versions: Arc<[ProtocolVersion]>) -> Self {
        Self { services, versions }
    }

    async fn call(
        &self,
        tool: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(ToolName, Call), ErrorData> {
        let tool = ToolName::called(tool).ok_or_else(|| refused(tool, "unknown_tool"))?;
        let call = Call::load(&self.services, caller(context)?, tool)
            .await
            .map_err(|error| internal(&error))?;
        Ok((tool, call))
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(SERVER_NAME, env!("CARGO_PKG_VERSION")))
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Owned(self.versions.to_vec())
    }

    async fn discover(
        &self,
        _context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        Ok(
            DiscoverResult::from_server_info(self.versions.to_vec(), self.get_info())
                .with_ttl_ms(CATALOGUE_TTL_MILLISECONDS)
                .with_cache_scope(CacheScope::Private),
        )
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let (_, call) = self.call(ToolName::StatusReport.as_str(), &context).await?;
        let tools = effective(&call.tool_run())
            .into_iter()
            .map(schemas::described)
            .collect();
        Ok(ListToolsResult::with_all_items(tools)
            .with_ttl_ms(CATALOGUE_TTL_MILLISECONDS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (tool, call) = self.call(&request.name, &context).await?;
        if !tool.is_open_to(&call.tool_run()) {
            call.tell_hidden().await.map_err(|error| internal(&error))?;
            return Err(refused(&request.name, "tool_not_available"));
        }
        let arguments: Map<String, Value> = request.arguments.unwrap_or_default();
        // A task of its own: what has begun is finished and told, whether or not the caller still listens (G-27).
        let answer = tokio::spawn(async move { calls::answer(&call, tool, &arguments).await })
            .await
            .map_err(|error| internal(&error))?;
        Ok(match answer {
            Ok(output) => CallToolResult::structured(output),
            Err(failure) => CallToolResult::structured_error(failure),
        }
        .into())
    }
}

fn caller(context: &RequestContext<RoleServer>) -> Result<RunCaller, ErrorData> {
    context
        .extensions
        .get::<http::request::Parts>()
        .and_then(|parts| parts.extensions.get::<RunCaller>())
        .cloned()
        .ok_or_else(|| ErrorData::internal_error("the caller is not known", None))
}

fn refused(tool: &str, reason: &str) -> ErrorData {
    ErrorData::invalid_params(
        format!("no such tool: {tool}"),
        Some(json!({"reason": reason})),
    )
}

fn internal(error: &(dyn std::error::Error + 'static)) -> ErrorData {
    tracing::error!(error, "failed to serve MCP");
    ErrorData::internal_error("internal error", None)
}

impl From<CallError> for ErrorData {
    fn from(error: CallError) -> Self {
        internal(&error)
    }
}

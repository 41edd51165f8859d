//! One call: who makes it, and what is written down about it (G-25).
use domain::audit::{Actor, AuditEvent, AuditRecord, McpToolPayload, SystemActor};
use domain::decide::Consequences;
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::tools::{FailureCode, ToolFailure, ToolName, ToolRun};
use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, Transaction};

use super::server::SERVER_NAME;
use crate::control_plane::{CommitError, write_consequences};
use crate::internal_api::RunCaller;
use crate::staff::Services;
use crate::store::effects::EffectOwner;
use crate::store::tool_calls::{self, CallSubject};
use crate::store::wakeups;
use crate::transition;
use crate::wakeups::Channel;

/// How often a call is decided anew because another one was faster; then it is [`CallError::Overtaken`].
pub const STALE_LIMIT: usize = 8;

/// Why a call ends without an outcome that could be told.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("failed to read or write what a call needs")]
    Store(#[from] sqlx::Error),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Databases(#[from] crate::databases::ServerError),
    #[error(transparent)]
    Value(#[from] crate::secret_sync::ValueError),
    #[error("failed to serve a call: its run is gone")]
    NoRun,
    #[error("failed to read the stored outcome of a call")]
    Stored(#[from] serde_json::Error),
    #[error("failed to decide: what it is about changes faster than decisions are taken")]
    Overtaken,
}

/// A call of a known tool by a living run.
#[derive(Clone)]
pub struct Call {
    pub services: Services,
    pub caller: RunCaller,
    pub subject: CallSubject,
    pub tool: ToolName,
    pub correlation_id: CorrelationId,
}

impl Call {
    /// Reads who calls.
    pub async fn load(
        services: &Services,
        caller: RunCaller,
        tool: ToolName,
    ) -> Result<Self, CallError> {
        let subject = tool_calls::subject(services.pool(), caller.run_id)
            .await?
            .ok_or(CallError::NoRun)?;
        Ok(Self {
            services: services.clone(),
            correlation_id: CorrelationId::new(caller.correlation_id.clone()),
            caller,
            subject,
            tool,
        })
    }

    /// The caller as the catalogue sees it.
    pub fn tool_run(&self) -> ToolRun {
        self.subject.tool_run(&self.caller.runtime_mode)
    }

    /// The agent of the run.
    pub fn agent_key(&self) -> &str {
        self.subject.agent_key.as_deref().unwrap_or_default()
    }

    /// The run.
    pub fn run_id(&self) -> RunId {
        RunId(self.caller.run_id)
    }

    /// An event of this run.
    pub fn record(&self, event: AuditEvent, actor: Actor) -> AuditRecord {
        AuditRecord::new(event, actor, self.correlation_id.clone())
            .run(self.run_id())
            .project(self.caller.project_id.map(ProjectId))
    }

    fn payload(&self) -> McpToolPayload {
        McpToolPayload {
            server: Some(SERVER_NAME.to_owned()),
            tool: Some(self.tool.to_string()),
            category: Some(self.tool.category().to_string()),
            approval_state: Some("none".to_owned()),
            namespace: Some(self.caller.namespace.clone()),
            runtime_mode: Some(self.caller.runtime_mode.clone()),
            ..McpToolPayload::default()
        }
    }

    fn told(&self, event: AuditEvent) -> AuditRecord {
        self.record(event, Actor::System(SystemActor::ControlPlaneMcp))
    }

    /// `mcp.tool.called`.
    pub fn called(&self) -> AuditRecord {
        self.told(AuditEvent::McpToolCalled(self.payload()))
    }

    /// `mcp.tool.succeeded`.
    pub fn succeeded(&self, reused: bool) -> AuditRecord {
        self.told(AuditEvent::McpToolSucceeded(McpToolPayload {
            status: Some("ok".to_owned()),
            reused: reused.then_some(true),
            ..self.payload()
        }))
    }

    /// `mcp.tool.approval_pending`.
    pub fn pending(&self, reused: bool) -> AuditRecord {
        self.told(AuditEvent::McpToolApprovalPending(McpToolPayload {
            status: Some("approval_required".to_owned()),
            approval_state: Some("requested".to_owned()),
            reused: reused.then_some(true),
            ..self.payload()
        }))
    }

    /// `mcp.tool.failed`.
    pub fn failed(&self, failure: &ToolFailure, reused: bool) -> AuditRecord {
        self.told(AuditEvent::McpToolFailed(McpToolPayload {
            status: Some("error".to_owned()),
            code: Some(failure.code.to_string()),
            reason: failure.reason.map(|reason| reason.to_string()),
            message: Some(self.services.redactor().redact(&failure.message)),
            reused: reused.then_some(true),
            ..self.payload()
        }))
    }

    /// A tool that the run does not see (G-19).
    pub async fn tell_hidden(&self) -> Result<(), CallError> {
        let failure = ToolFailure::new(FailureCode::Forbidden, "the run does not see this tool");
        self.write(vec![self.called(), self.failed(&failure, false)])
            .await
    }

    /// Writes events alone.
    pub async fn write(&self, audit: Vec<AuditRecord>) -> Result<(), CallError> {
        let consequences = Consequences {
            audit,
            ..Consequences::default()
        };
        let mut transaction = self.services.pool().begin().await?;
        self.add(&mut transaction, consequences).await?;
        transition::commit(transaction, "mcp.call").await?;
        Ok(())
    }

    /// Refuses: both events of the call, and what else is recorded of it.
    pub async fn refuse(
        &self,
        failure: ToolFailure,
        recorded: Vec<AuditRecord>,
    ) -> Result<ToolFailure, CallError> {
        let mut audit = vec![self.called()];
        audit.extend(recorded);
        audit.push(self.failed(&failure, false));
        self.write(audit).await?;
        Ok(failure)
    }

    /// Adds consequences to a transaction; answers what of them is committed.
    pub async fn add(
        &self,
        connection: &mut PgConnection,
        consequences: Consequences,
    ) -> Result<Consequences, CallError> {
        let consequences = self
            .services
            .app
            .conduct
            .asked(&self.subject.repository_full_name, consequences);
        let owner = EffectOwner {
            run_id: Some(self.caller.run_id),
            project_id: self.caller.project_id,
            correlation_id: Some(self.correlation_id.as_str()),
            ..EffectOwner::default()
        };
        let mut channels = Vec::new();
        write_consequences(connection, None, &consequences, owner, &mut channels).await?;
        for channel in channels {
            wakeups::notify(connection, channel).await?;
        }
        Ok(consequences)
    }

    /// Commits, and wakes the executor of this process for what is in it.
    pub async fn commit(
        &self,
        transaction: Transaction<'_, Postgres>,
        name: &str,
    ) -> Result<(), CallError> {
        transition::commit(transaction, name).await?;
        self.services.app.wakeups.notify(Channel::Effects);
        Ok(())
    }
}

/// A failure as the caller reads it (G-5).
pub fn failure_body(failure: &ToolFailure) -> Value {
    let mut body = json!({
        "status": "error",
        "code": failure.code,
        "reason": failure.reason,
        "message": failure.message,
        "retryable": failure.retryable,
    });
    if let Some(field) = &failure.field {
        body["field"] = json!(field);
    }
    if let Some(compensated) = failure.compensated {
        body["compensated"] = json!(compensated);
    }
    body
}

//! The session snapshot: stored with its version, restored for a run that continues.

use std::path::Path;

use serde_json::{Value, json};
use uuid::Uuid;

use super::adapter::{self, AdapterError, TurnUsage, Work};
use super::config::AgentConfig;
use super::context::{RunContext, SessionUpdate, StoredSession};
use super::control_plane::{ControlPlane, Saved};
use super::error::{AgentError, MissingReason, Precondition};
use super::output::Output;

/// The session of this run, as last stored.
#[derive(Debug, Clone)]
pub(super) struct Session {
    branch: String,
    model: Option<String>,
    reasoning_effort: Option<String>,
    version: Option<i64>,
    pub(super) id: String,
    /// What the agent continues from and what it left.
    pub(super) agent_state: Option<Value>,
    /// The runner's own log of the session.
    pub(super) log: Value,
    pub(super) pull_request: Option<(u64, String)>,
    /// Takes the secrets out of what is kept.
    output: Output,
}

impl Session {
    /// Begins a session, or continues the stored one.
    pub(super) async fn begin(
        config: &AgentConfig,
        context: &RunContext,
        branch: &str,
        home: &Path,
        control_plane: &ControlPlane,
        output: &Output,
    ) -> Result<Self, AgentError> {
        // a replacement Pod finds what its predecessor stored.
        let own = control_plane.session().await?;
        if config.is_resume() && own.is_none() && context.session.is_none() {
            return Err(AgentError::NoSnapshot);
        }
        let continued = own
            .clone()
            .filter(|session| session.agent_session_json.is_some())
            .or_else(|| {
                let continues = config.is_resume()
                    || matches!(config.template_kind.as_str(), "revise" | "discussion");
                context
                    .session
                    .clone()
                    .filter(|session| continues && session.agent_session_json.is_some())
            });
        let mut session = Self {
            branch: branch.to_owned(),
            model: config.model.clone(),
            reasoning_effort: config.reasoning_effort.clone(),
            version: own
                .as_ref()
                .map(|session| session.snapshot_version)
                .filter(|version| *version > 0),
            id: Uuid::now_v7().to_string(),
            agent_state: None,
            log: json!({}),
            pull_request: None,
            output: output.clone(),
        };
        if let Some(stored) = continued {
            session.restore(config, stored, home, control_plane).await?;
        }
        Ok(session)
    }

    /// Continues a stored session. One that another agent left begins anew, as if there were none.
    async fn restore(
        &mut self,
        config: &AgentConfig,
        stored: StoredSession,
        home: &Path,
        control_plane: &ControlPlane,
    ) -> Result<(), AgentError> {
        let state = stored.agent_session_json.clone().unwrap_or_default();
        let id = stored.session_id.clone().unwrap_or_else(|| self.id.clone());
        let restored = adapter::restore(config.adapter, home, &id, &state).map_err(|source| {
            AgentError::SessionRestore {
                path: home.to_owned(),
                source,
            }
        })?;
        let Some(path) = restored else {
            tracing::warn!("the stored session is not one of this agent; a new one begins");
            return Ok(());
        };
        self.id = id;
        self.agent_state = Some(state);
        report_restored(control_plane, &stored, &path).await
    }

    /// Keeps what a turn left of the session, and stores what it took of the model.
    pub(super) async fn take(
        &mut self,
        work: &Work,
        config: &AgentConfig,
        control_plane: &ControlPlane,
    ) {
        self.agent_state = Some(self.output.redact_json(work.state.clone()));
        if let Some(id) = &work.session_id {
            self.id.clone_from(id);
        }
        if work.usage == TurnUsage::default() {
            return;
        }
        let model = config.model.as_deref().unwrap_or_default();
        let stored = control_plane.token_usage(&self.id, model, &work.usage);
        if let Err(error) = stored.await {
            tracing::warn!(%error, "what the turn took of the model was not stored");
        }
    }

    /// Keeps what the agent has written of a turn that will not end.
    pub(super) fn keep_interrupted(&mut self, config: &AgentConfig, home: &Path) {
        let kept = adapter::interrupted(config, home, &self.id, self.agent_state.as_ref());
        if let Some((id, state)) = kept {
            self.id = id;
            self.agent_state = Some(self.output.redact_json(state));
        }
    }

    /// Keeps what there is of the session of an agent that met GitHub's limit.
    pub(super) fn keep_limited(&mut self, error: &AgentError, config: &AgentConfig, home: &Path) {
        match error {
            AgentError::Adapter(AdapterError::GitHubLimit {
                state: Some(state), ..
            }) => self.agent_state = Some(self.output.redact_json(state.clone())),
            AgentError::Adapter(_) => self.keep_interrupted(config, home),
            // The agent itself had ended, and what it left is kept.
            _ => {}
        }
    }

    /// Stores the snapshot and reports it. A conflict is answered by one reload.
    pub(super) async fn save(
        &mut self,
        control_plane: &ControlPlane,
        status: &'static str,
        failure: Option<&AgentError>,
    ) -> Result<(), AgentError> {
        let error_paths = match failure {
            Some(AgentError::Precondition(Precondition::WriteScope { paths, .. })) => paths.clone(),
            _ => Vec::new(),
        };
        let mut update = SessionUpdate {
            expected_version: self.version,
            status,
            branch: self.branch.clone(),
            pr_number: self.pull_request.as_ref().map(|(number, _)| *number),
            pr_url: self.pull_request.as_ref().map(|(_, url)| url.clone()),
            session_id: Some(self.id.clone()),
            session_json: self.log.clone(),
            agent_session_json: self.agent_state.clone(),
            model: self.model.clone(),
            reasoning_effort: self.reasoning_effort.clone(),
            error: failure.map(|error| self.output.redact(&super::error::describe(error))),
            error_paths,
        };
        let saved = match control_plane.save_session(&update).await? {
            Saved::Stored(saved) => saved,
            Saved::Conflict { .. } => {
                update.expected_version = control_plane
                    .session()
                    .await?
                    .map(|session| session.snapshot_version);
                match control_plane.save_session(&update).await? {
                    Saved::Stored(saved) => saved,
                    Saved::Conflict { expected, actual } => {
                        return Err(AgentError::SnapshotConflict { expected, actual });
                    }
                }
            }
        };
        self.version = Some(saved.snapshot_version);
        let payload = json!({
            "status": status,
            "snapshot_version": saved.snapshot_version,
            "snapshot_checksum": saved.snapshot_checksum,
        });
        control_plane
            .event("run.agent.session.saved", payload)
            .await
    }
}

async fn report_restored(
    control_plane: &ControlPlane,
    stored: &StoredSession,
    path: &Path,
) -> Result<(), AgentError> {
    let payload = json!({
        "status": "restored",
        "snapshot_version": stored.snapshot_version,
        "snapshot_checksum": stored.snapshot_checksum,
        "restored_session_path": path.to_string_lossy(),
    });
    control_plane
        .event("run.agent.session.restored", payload.clone())
        .await?;
    control_plane.event("run.agent.resume.used", payload).await
}

/// Stores the end of a run whose precondition failed, and names what is missing (R-75, L-47).
pub(super) async fn report_precondition(
    control_plane: &ControlPlane,
    session: &mut Session,
    failure: &AgentError,
) -> Result<(), AgentError> {
    if let AgentError::Precondition(Precondition::PullRequestNotFound { branch, reason }) = failure
    {
        let reason: MissingReason = *reason;
        let payload = json!({"branch": branch, "reason": reason.as_str()});
        control_plane
            .event("run.revise.pr_not_found", payload)
            .await?;
    }
    session
        .save(control_plane, "failed_precondition", Some(failure))
        .await
}

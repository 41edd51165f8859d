//! An event with who caused it and what it belongs to: one row of `flow_events`.

use serde_json::{Value, json};

use super::{AuditEvent, PullRequestWrittenPayload};
use crate::ids::{CorrelationId, ProjectId, RunId, UserId};
use crate::stages::spelled;

/// Largest payload of one event, in bytes: 64 KiB (DF-3).
pub const PAYLOAD_LIMIT_BYTES: usize = 64 * 1024;

spelled!(
    /// `actor_id` of system actors (DF-2).
    SystemActor {
        /// Decisions about deliveries.
        GithubWebhook = "github-webhook",
        /// The worker.
        Worker = "worker",
        /// Executor, deploys, timers.
        ControlPlane = "control-plane",
        /// Tool calls.
        ControlPlaneMcp = "control-plane-mcp",
        /// The runner before its agent is known.
        AgentRunner = "agent-runner",
    }
);

/// Who caused an event (DF-2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person.
    Human(UserId),
    /// A person on GitHub who is no platform user: the login.
    GithubLogin(String),
    /// An agent, by key.
    Agent(String),
    /// A part of the platform.
    System(SystemActor),
}

impl Actor {
    /// `flow_events.actor_type`.
    pub fn actor_type(&self) -> &'static str {
        match self {
            Actor::Human(_) | Actor::GithubLogin(_) => "human",
            Actor::Agent(_) => "agent",
            Actor::System(_) => "system",
        }
    }

    /// `flow_events.actor_id`, never empty (DF-2).
    pub fn actor_id(&self) -> String {
        let id = match self {
            Actor::Human(user) => user.to_string(),
            Actor::GithubLogin(login) => login.clone(),
            Actor::Agent(key) => key.clone(),
            Actor::System(system) => system.as_str().to_owned(),
        };
        if id.is_empty() {
            "unknown".to_owned()
        } else {
            id
        }
    }
}

/// One row of `flow_events`, without the time, which the database gives (DF-6).
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// What happened.
    pub event: AuditEvent,
    /// Who caused it.
    pub actor: Actor,
    /// What it belongs to.
    pub correlation_id: CorrelationId,
    /// Run, whenever one exists (DF-3).
    pub run_id: Option<RunId>,
    /// Project, when known.
    pub project_id: Option<ProjectId>,
    /// What the teller calls this one event: told again, it is the same.
    pub told_as: Option<String>,
}

impl AuditRecord {
    /// An event without run and project.
    pub fn new(event: AuditEvent, actor: Actor, correlation_id: CorrelationId) -> Self {
        Self {
            event,
            actor,
            correlation_id,
            run_id: None,
            project_id: None,
            told_as: None,
        }
    }

    /// An event of the webhook decision.
    pub fn webhook(event: AuditEvent, correlation_id: CorrelationId) -> Self {
        Self::new(
            event,
            Actor::System(SystemActor::GithubWebhook),
            correlation_id,
        )
    }

    /// With the run.
    pub fn run(mut self, run_id: RunId) -> Self {
        self.run_id = Some(run_id);
        self
    }

    /// With the project.
    pub fn project(mut self, project_id: Option<ProjectId>) -> Self {
        self.project_id = project_id.or(self.project_id);
        self
    }

    /// With the teller's own name for it.
    pub fn told_as(mut self, name: Option<String>) -> Self {
        self.told_as = name;
        self
    }

    /// `flow_events.event_type`.
    pub fn event_type(&self) -> &'static str {
        self.event.event_type()
    }

    /// `flow_events.actor_type`.
    pub fn actor_type(&self) -> &'static str {
        self.actor.actor_type()
    }

    /// `flow_events.actor_id`.
    pub fn actor_id(&self) -> String {
        self.actor.actor_id()
    }

    /// `flow_events.dedup_key`: pull request number and head commit for `run.pr.*` (DF-9), else the teller's name for it.
    pub fn dedup_key(&self) -> Option<String> {
        match &self.event {
            AuditEvent::RunPrCreated(PullRequestWrittenPayload {
                pr_number,
                head_sha,
                ..
            })
            | AuditEvent::RunPrUpdated(PullRequestWrittenPayload {
                pr_number,
                head_sha,
                ..
            }) => Some(format!(
                "{}:{}",
                pr_number.unwrap_or_default(),
                head_sha.clone().unwrap_or_default()
            )),
            _ => self.told_as.clone(),
        }
    }

    /// `flow_events.payload`, with `run_id` and `project_id`, at most 64 KiB; one that cannot be encoded
    /// is replaced and still commits (DF-3).
    pub fn payload(&self) -> Value {
        let failed = || json!({"error": "payload_marshal_failed"});
        let Ok(mut payload) = self.event.payload() else {
            return failed();
        };
        if let Some(run_id) = self.run_id {
            payload["run_id"] = json!(run_id);
        }
        if let Some(project_id) = self.project_id {
            payload["project_id"] = json!(project_id);
        }
        if payload.to_string().len() > PAYLOAD_LIMIT_BYTES {
            failed()
        } else {
            payload
        }
    }
}

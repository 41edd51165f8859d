//! What is asked for, and what is told of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::approvals::ApplyFailure;
use crate::audit::{AuditEvent, DatabaseLifecyclePayload};
use crate::stages::spelled;

spelled!(
    /// `action` of a call.
    DatabaseAction {
        /// Make one.
        Create = "create",
        /// Remove one.
        Delete = "delete",
        /// Only look.
        Describe = "describe",
    }
);

/// The step of a change that met what it was to bring about: the database was there before, or was gone.
const NOTHING_TO_DO: &str = "nothing_to_do";

/// A change of one database, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseChange {
    /// One of `governance.allowed_envs`.
    pub environment: String,
    /// `create` or `delete`.
    pub action: DatabaseAction,
    /// Name of the database.
    pub database_name: String,
}

impl DatabaseChange {
    /// What the approver sees, and what makes two calls the same (G-30).
    pub fn target_ref(&self) -> Value {
        json!({"environment": self.environment, "database_name": self.database_name})
    }

    /// The events' payload.
    pub fn payload(&self) -> DatabaseLifecyclePayload {
        DatabaseLifecyclePayload {
            environment: Some(self.environment.clone()),
            database_name: Some(self.database_name.clone()),
            ..DatabaseLifecyclePayload::default()
        }
    }

    /// The step that the ledger of a request holds: what was done, or that it was so already.
    pub fn step(&self, did_something: bool) -> &'static str {
        match (did_something, self.action) {
            (false, _) => NOTHING_TO_DO,
            (true, DatabaseAction::Create) => "create",
            (true, DatabaseAction::Delete) => "delete",
            (true, DatabaseAction::Describe) => "describe",
        }
    }

    /// The request has ended: `database.created`, `.deleted` or `.failed` (G-50, G-54, G-56).
    pub(crate) fn ended(
        &self,
        request_id: i64,
        failure: Option<ApplyFailure>,
        steps: &[String],
    ) -> AuditEvent {
        let did_nothing = steps.iter().any(|step| step == NOTHING_TO_DO);
        let payload = DatabaseLifecyclePayload {
            request_id: Some(request_id),
            reason: failure.map(|failure| failure.to_string()),
            existed_before: failure
                .is_none()
                .then_some(did_nothing == (self.action == DatabaseAction::Create)),
            ..self.payload()
        };
        match (failure, self.action) {
            (Some(_), _) => AuditEvent::DatabaseFailed(payload),
            (None, DatabaseAction::Delete) => AuditEvent::DatabaseDeleted(payload),
            (None, _) => AuditEvent::DatabaseCreated(payload),
        }
    }
}

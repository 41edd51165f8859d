//! Every staff mutation leaves one record, done or refused (DF-8); values of secrets never appear.
use domain::audit::{Actor, AuditEvent, AuditRecord, StaffChangePayload};
use domain::ids::{CorrelationId, ProjectId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::principal::Principal;
use super::state::Services;
use crate::http_api::{ApiError, ErrorCode, current_request_id};
use crate::store::events;

/// What was done, or tried.
#[derive(Debug, Clone)]
pub struct Change {
    /// `repository`, `user`, …
    pub entity: &'static str,
    pub entity_id: String,
    /// `create`, `delete`, …
    pub action: &'static str,
    pub project_id: Option<Uuid>,
    pub changed_keys: Vec<String>,
}

impl Change {
    /// A change of one thing.
    pub fn new(entity: &'static str, entity_id: impl ToString, action: &'static str) -> Self {
        Self {
            entity,
            entity_id: entity_id.to_string(),
            action,
            project_id: None,
            changed_keys: Vec::new(),
        }
    }

    /// Within a project.
    pub fn project(mut self, project_id: Uuid) -> Self {
        self.project_id = Some(project_id);
        self
    }

    /// Names of the changed members, never their values.
    pub fn keys<const N: usize>(mut self, keys: [&str; N]) -> Self {
        self.changed_keys = keys.into_iter().map(str::to_owned).collect();
        self
    }

    /// `staff.change.recorded`, for a transaction that is not the route's own.
    pub fn recorded(&self, principal: &Principal) -> AuditRecord {
        self.record(principal.user.id, AuditEvent::StaffChangeRecorded)
    }

    /// What the events of one request have in common.
    pub fn correlation_id() -> CorrelationId {
        CorrelationId::new(format!("staff-{}", current_request_id()))
    }

    fn record(
        &self,
        user_id: Uuid,
        event: impl FnOnce(StaffChangePayload) -> AuditEvent,
    ) -> AuditRecord {
        let payload = StaffChangePayload {
            entity: Some(self.entity.to_owned()),
            entity_id: Some(self.entity_id.clone()),
            action: Some(self.action.to_owned()),
            changed_keys: (!self.changed_keys.is_empty()).then(|| self.changed_keys.clone()),
            request_id: Some(current_request_id()),
        };
        AuditRecord::new(
            event(payload),
            Actor::Human(UserId(user_id)),
            Self::correlation_id(),
        )
        .project(self.project_id.map(ProjectId))
    }
}

/// `staff.change.recorded`, in the transaction of the change (D-21).
pub async fn record_change(
    connection: &mut PgConnection,
    principal: &Principal,
    change: &Change,
) -> Result<(), ApiError> {
    let record = change.record(principal.user.id, AuditEvent::StaffChangeRecorded);
    events::insert(connection, &record).await?;
    Ok(())
}

/// Passes a check on; a refusal is recorded as `access.denied` first (DF-8, G-107).
pub async fn guard<T>(
    services: &Services,
    principal: &Principal,
    change: &Change,
    outcome: Result<T, ApiError>,
) -> Result<T, ApiError> {
    if let Err(error) = &outcome
        && error.code == ErrorCode::Forbidden
    {
        let record = change.record(principal.user.id, AuditEvent::AccessDenied);
        let mut connection = services.pool().acquire().await?;
        events::insert(&mut connection, &record).await?;
    }
    outcome
}

//! The audit trail: a closed set of events with closed payloads, as the catalogue in
//! data-and-api.md section 2 has them. A test compares both.

mod event;
mod governance_payload;
mod payload;
mod record;

pub use event::{AuditError, AuditEvent, RUN_CALLER_TYPES};
pub use governance_payload::*;
pub use payload::*;
pub use record::{Actor, AuditRecord, PAYLOAD_LIMIT_BYTES, SystemActor};

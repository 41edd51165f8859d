//! How long what grows is kept (R-181, data 1.5).
use super::{ConfigError, Environment};

/// Days after which something is emptied or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Logs of finished runs and of their deploy tasks.
    pub run_logs_days: u32,
    /// Sessions of finished runs, and what GitHub sent.
    pub heavy_fields_days: u32,
    /// Deliveries that are decided and effects that are done.
    pub deliveries_days: u32,
    /// Errors that are told to staff.
    pub runtime_errors_days: u32,
}

impl RetentionConfig {
    pub(super) fn load(environment: &Environment) -> Result<Self, ConfigError> {
        Ok(Self {
            run_logs_days: environment.parsed("RUN_AGENT_LOGS_RETENTION_DAYS", 7)?,
            heavy_fields_days: environment.parsed("RUN_HEAVY_FIELDS_RETENTION_DAYS", 7)?,
            deliveries_days: environment.parsed("WEBHOOK_DELIVERY_RETENTION_DAYS", 90)?,
            runtime_errors_days: environment.parsed("RUNTIME_ERRORS_RETENTION_DAYS", 90)?,
        })
    }
}

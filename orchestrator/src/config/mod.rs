//! Typed configuration from `CODEXK8S_*` variables (runtime 6.2), one struct per concern.
//!
//! Separate from the code that uses it, so that a wrong value is refused at start by name, and so that a process is
//! never given what its role must not hold: the gateway's configuration has no database address and no GitHub token.
mod documented;
mod environment;
mod error;
mod github;
mod governance;
mod keys;
mod mcp;
mod platform;
mod process;
mod retention;
mod staff;
mod worker;

pub(crate) use environment::parse_duration;
pub use environment::{Environment, PREFIX};
pub use error::ConfigError;
pub use github::GithubConfig;
pub use governance::{GovernanceConfig, ProjectDatabaseConfig};
pub use keys::KeyConfig;
pub use mcp::McpConfig;
pub use platform::{AgentConfig, DatabaseConfig, ListenConfig, PeerConfig};
pub use process::{Config, ProcessKind};
pub use retention::RetentionConfig;
pub use staff::StaffConfig;
pub use worker::WorkerConfig;

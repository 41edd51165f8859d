//! The server of the projects' databases, reached by an account of its own; never the platform's own database.
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::config::ProjectDatabaseConfig;

/// Longest time until a connection stands; a call waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// SQLSTATE of a database that somebody else has just made.
const DUPLICATE_DATABASE: &str = "42P04";

/// Why the server did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("failed to reach the server of the projects' databases: none is configured")]
    NotConfigured,
    #[error("failed to read the address of the projects' databases")]
    Address(#[source] sqlx::Error),
    #[error("failed to reach the server of the projects' databases")]
    Unreachable(#[source] sqlx::Error),
    #[error("failed to reach the server of the projects' databases in time")]
    TimedOut,
    #[error("failed to {action}")]
    Refused {
        action: &'static str,
        #[source]
        source: sqlx::Error,
    },
}

impl ServerError {
    /// Whether no repetition helps: the server understood and will not.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NotConfigured | Self::Address(_) => true,
            Self::Unreachable(_) | Self::TimedOut => false,
            // Insufficient privilege, invalid name.
            Self::Refused { source, .. } => source
                .as_database_error()
                .and_then(|error| error.code())
                .is_some_and(|code| matches!(code.as_ref(), "42501" | "42602")),
        }
    }
}

/// How the server is reached.
#[derive(Debug, Clone)]
pub struct ProjectServer {
    options: PgConnectOptions,
    /// Database that is connected to; it belongs to no project.
    pub maintenance_database: String,
}

impl ProjectServer {
    /// Reads the address; nothing is connected.
    pub fn new(config: Option<&ProjectDatabaseConfig>) -> Result<Self, ServerError> {
        let config = config.ok_or(ServerError::NotConfigured)?;
        let ssl_mode: PgSslMode = config.ssl_mode.parse().map_err(ServerError::Address)?;
        let options = PgConnectOptions::new_without_pgpass()
            .port(config.port)
            .username(&config.user)
            .database(&config.database)
            .ssl_mode(ssl_mode)
            .application_name("codex-k8s-project-databases");
        let options = match config.host.starts_with('/') {
            true => options.socket(&config.host),
            false => options.host(&config.host),
        };
        let options = match &config.password {
            Some(password) => options.password(password.expose_secret()),
            None => options,
        };
        Ok(Self {
            options,
            maintenance_database: config.database.clone(),
        })
    }

    async fn connect(&self) -> Result<PgConnection, ServerError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.options.connect())
            .await
            .map_err(|_| ServerError::TimedOut)?
            .map_err(ServerError::Unreachable)
    }

    /// Whether there is such a database.
    pub async fn has(&self, name: &str) -> Result<bool, ServerError> {
        let mut connection = self.connect().await?;
        let found =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
                .bind(name)
                .fetch_one(&mut connection)
                .await
                .map_err(|source| ServerError::Refused {
                    action: "look for a project's database",
                    source,
                })?;
        // The answer is there; how the connection ends does not matter.
        let _ = connection.close().await;
        Ok(found)
    }

    /// Makes a database; `false` when it was there already.
    pub async fn create(&self, name: &str) -> Result<bool, ServerError> {
        let action = "make a project's database";
        match self
            .execute(format!("CREATE DATABASE {}", quoted(name)), action)
            .await
        {
            Ok(()) => Ok(true),
            Err(ServerError::Refused { source, .. }) if is_duplicate(&source) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a database, whoever is connected to it; `false` when it was gone already.
    pub async fn delete(&self, name: &str) -> Result<bool, ServerError> {
        let existed = self.has(name).await?;
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
        self.execute(statement, "remove a project's database")
            .await?;
        Ok(existed)
    }

    async fn execute(&self, statement: String, action: &'static str) -> Result<(), ServerError> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .map_err(|source| ServerError::Refused { action, source })?;
        let _ = connection.close().await;
        Ok(())
    }
}

fn is_duplicate(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == DUPLICATE_DATABASE)
}

/// An identifier as SQL takes it.
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_cannot_end_its_quotes() {
        assert_eq!(quoted("Shop-1"), "\"Shop-1\"");
        assert_eq!(quoted("a\"; DROP"), "\"a\"\"; DROP\"");
    }
}

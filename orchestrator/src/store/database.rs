//! The connection pool and what every transaction needs of it.
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};

/// Longer and a webhook would run into GitHub's ten seconds without its 503 (L-23).
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection idle for longer is asked whether it lives before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Makes a pool that connects on first use, so that a database that is down does not end the process.
pub fn pool(
    url: &SecretString,
    max_connections: u32,
    application: &str,
) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(url.expose_secret())?
        .application_name(application)
        .disable_statement_logging();
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection that was in use a moment ago is not asked whether it lives: that would double the round trips.
        .test_before_acquire(false)
        .before_acquire(|connection, usage| {
            Box::pin(async move {
                if usage.idle_for >= TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options))
}

/// Whether an error means that the database is out of reach, as opposed to having refused a statement.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Class 08 is a connection fault, class 57 an operator's intervention, 53 a lack of resources.
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            ["08", "57", "53"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

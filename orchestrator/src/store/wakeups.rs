//! NOTIFY channels: a wake-up, never the data (D-30).
use sqlx::{PgConnection, PgExecutor};

/// What a listener may be woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    Deliveries,
    /// A delivery was decided: somebody may wait for its outcome in another process.
    Outcomes,
    Effects,
    RunQueue,
    DeployTasks,
    Clock,
}

impl Channel {
    /// Every channel a process listens on.
    pub const ALL: [Self; 6] = [
        Self::Deliveries,
        Self::Outcomes,
        Self::Effects,
        Self::RunQueue,
        Self::DeployTasks,
        Self::Clock,
    ];

    /// The name in PostgreSQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deliveries => "codex_deliveries",
            Self::Outcomes => "codex_outcomes",
            Self::Effects => "codex_effects",
            Self::RunQueue => "codex_run_queue",
            Self::DeployTasks => "codex_deploy_tasks",
            Self::Clock => "codex_clock",
        }
    }
}

/// Wakes the listeners of other processes when the surrounding transaction commits.
pub async fn notify(connection: &mut PgConnection, channel: Channel) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, '')")
        .bind(channel.name())
        .execute(connection)
        .await?;
    Ok(())
}

/// Wakes the listeners of other processes now, about something that is committed. Nothing is lost with such a
/// transaction, so it does not wait for the disk.
pub async fn tell(executor: impl PgExecutor<'_>, channels: &[Channel]) -> Result<(), sqlx::Error> {
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    sqlx::query(
        "SELECT set_config('synchronous_commit', 'off', true), pg_notify(name, '') FROM unnest($1::text[]) AS name",
    )
    .bind(names)
    .execute(executor)
    .await?;
    Ok(())
}

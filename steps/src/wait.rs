//! Waiting on a level with a deadline (E-4): the condition is read again until it holds, and a miss reports the
//! last state seen. Nothing here waits for a fixed time.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often a level is read again. Short, so that the gate does not add latency of its own to what it measures.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(25);

/// Longest wait for a decision, an effect or a comment: decisions take milliseconds, so only a broken system
/// (or a machine at a standstill) comes near it.
pub const DECISION_DEADLINE: Duration = Duration::from_secs(30);

/// Longest wait for a run to end with every lane busy on two cores.
pub const RUN_DEADLINE: Duration = Duration::from_secs(90);

/// One reading of a level.
#[derive(Debug)]
pub enum Reading<T> {
    /// The level is reached.
    Reached(T),
    /// Not yet; the text is what a report shows if it stays so.
    NotYet(String),
}

/// Reads `level` until it is reached or `deadline` has passed.
///
/// # Errors
/// The last state seen, when the deadline passed; or the error of a reading that failed for good.
pub async fn until<T, F>(what: &str, deadline: Duration, mut level: F) -> anyhow::Result<T>
where
    F: AsyncFnMut() -> anyhow::Result<Reading<T>>,
{
    let end = Instant::now() + deadline;
    let mut ticks = interval(READ_AGAIN_AFTER);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seen = match level().await {
            Ok(Reading::Reached(value)) => return Ok(value),
            Ok(Reading::NotYet(seen)) => seen,
            Err(error) => format!("could not be read: {error:#}"),
        };
        if Instant::now() >= end {
            anyhow::bail!("{what}: not reached within {} s; last seen: {seen}", deadline.as_secs());
        }
    }
}

//! Waiting on a level with a deadline (E-4): the condition is read again until it holds, and a miss reports the
//! last state seen. Nothing here waits for a fixed time.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A level is read again after this long at first, so that what comes at once is seen at once.
const FIRST_READ_AGAIN_AFTER: Duration = Duration::from_millis(15);

/// And after this long at last: many scenarios wait side by side, and their reading must not slow what they wait for.
const LAST_READ_AGAIN_AFTER: Duration = Duration::from_millis(150);

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
    let mut pause = FIRST_READ_AGAIN_AFTER;
    loop {
        let seen = match level().await {
            Ok(Reading::Reached(value)) => return Ok(value),
            Ok(Reading::NotYet(seen)) => seen,
            Err(error) => format!("could not be read: {error:#}"),
        };
        if Instant::now() >= end {
            anyhow::bail!(
                "{what}: not reached within {} s; last seen: {seen}",
                deadline.as_secs()
            );
        }
        sleep_until(Instant::now() + pause).await;
        pause = (pause * 5 / 4).min(LAST_READ_AGAIN_AFTER);
    }
}

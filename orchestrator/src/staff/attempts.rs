//! Brakes per caller: failed sign-ins (DU-10) and request rates (DA-22).
//!
//! Kept in memory per process: they protect against guessing and floods, not against a patient
//! caller who finds another replica, and must work while the database does not.
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Callers remembered at once; beyond it the idle ones are forgotten first.
const MAX_CALLERS: usize = 10_000;

/// Counts events per caller within a sliding window.
#[derive(Debug)]
pub struct Brake<K> {
    limit: usize,
    window: Duration,
    events: Mutex<HashMap<K, Vec<Instant>>>,
}

impl<K: Eq + Hash> Brake<K> {
    /// At most `limit` events in any `window`.
    pub fn new(limit: usize, window: Duration) -> Self {
        Self {
            limit,
            window,
            events: Mutex::new(HashMap::new()),
        }
    }

    /// How long this caller must wait, if they are over the limit at `now`.
    pub fn wait(&self, caller: &K, now: Instant) -> Option<Duration> {
        let mut events = self.lock();
        let recent = events.get_mut(caller)?;
        recent.retain(|at| now.duration_since(*at) < self.window);
        // Over until the newest of the counted ones is a window old: the block is a whole window.
        let newest = recent.last().copied()?;
        (recent.len() >= self.limit).then(|| self.window.saturating_sub(now.duration_since(newest)))
    }

    /// Counts one event.
    pub fn count(&self, caller: K, now: Instant) {
        let mut events = self.lock();
        if events.len() >= MAX_CALLERS {
            let window = self.window;
            events.retain(|_, recent| {
                recent
                    .last()
                    .is_some_and(|at| now.duration_since(*at) < window)
            });
        }
        let recent = events.entry(caller).or_default();
        if recent.len() < self.limit {
            recent.push(now);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Vec<Instant>>> {
        self.events
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_at_the_limit_for_one_window_and_only_that_caller() {
        let brake = Brake::new(5, Duration::from_secs(60));
        let start = Instant::now();
        for _ in 0..4 {
            brake.count("a", start);
        }
        assert_eq!(brake.wait(&"a", start), None);
        brake.count("a", start);
        assert_eq!(brake.wait(&"a", start), Some(Duration::from_secs(60)));
        assert_eq!(brake.wait(&"b", start), None);
        let later = start + Duration::from_secs(60);
        assert_eq!(brake.wait(&"a", later), None);
    }
}

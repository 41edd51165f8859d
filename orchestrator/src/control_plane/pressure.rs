//! Whether deliveries arrive faster than it pays to decide them at once.
//!
//! Storing comes first then (L-22): requests are answered without their outcome, as if their time were up, and the
//! deciders leave processor and disk to intake. Neither stops deciding: what is stored is decided, only later.
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Deliveries under way, from their arrival to their answer, from which on there is pressure: clearly more than are
/// decided at once.
const PRESSED: usize = 16;
/// How long pressure is remembered: the next commit follows within milliseconds while it lasts.
const MEMORY: Duration = Duration::from_millis(100);

/// Told by the committer, asked by the deciders.
#[derive(Debug, Default)]
pub struct Pressure {
    last_seen: Mutex<Option<Instant>>,
}

impl Pressure {
    /// Takes note of how many deliveries are under way and says whether that is pressure.
    pub fn note(&self, under_way: usize) -> bool {
        let is_pressed = under_way >= PRESSED;
        if is_pressed {
            *self.lock() = Some(Instant::now());
        }
        is_pressed
    }

    /// Whether there was pressure a moment ago.
    pub fn is_high(&self) -> bool {
        self.lock().is_some_and(|at| at.elapsed() < MEMORY)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.last_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_deliveries_are_no_pressure() {
        let pressure = Pressure::default();
        assert!(!pressure.note(PRESSED - 1) && !pressure.is_high());
        assert!(pressure.note(PRESSED) && pressure.is_high());
    }
}

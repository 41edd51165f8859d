//! Which runs a task of this worker is busy with, and which wait for their next attempt.
//!
//! Only about not doing the same work twice in one process: between processes the lease decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

#[derive(Debug, Clone, Copy)]
enum State {
    Busy,
    RetryAt(Instant),
}

/// The set.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashMap<Uuid, State>>>);

/// Holds a run until dropped.
#[derive(Debug)]
pub struct Busy {
    set: InFlight,
    run_id: Uuid,
}

impl InFlight {
    /// Takes a run, unless a task has it or its next attempt is not due.
    pub fn take(&self, run_id: Uuid) -> Option<Busy> {
        let mut states = self.lock();
        match states.get(&run_id) {
            Some(State::Busy) => None,
            Some(State::RetryAt(due)) if *due > Instant::now() => None,
            _ => {
                states.insert(run_id, State::Busy);
                Some(Busy {
                    set: self.clone(),
                    run_id,
                })
            }
        }
    }

    /// Makes every waiting run due: after a clock move or a fallback poll there is nothing to wait for.
    pub fn forget_pauses(&self) {
        self.lock().retain(|_, state| matches!(state, State::Busy));
    }

    /// When the next attempt is due.
    pub fn next_due(&self) -> Option<Instant> {
        let due = |state: &State| match state {
            State::Busy => None,
            State::RetryAt(due) => Some(*due),
        };
        self.lock().values().filter_map(due).min()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Busy {
    /// Gives the run back for another attempt after a pause.
    pub fn retry_after(self, pause: Duration) {
        let due = Instant::now() + pause;
        self.set.lock().insert(self.run_id, State::RetryAt(due));
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut states = self.set.lock();
        if matches!(states.get(&self.run_id), Some(State::Busy)) {
            states.remove(&self.run_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_one_task_at_a_time() {
        let set = InFlight::default();
        let run = Uuid::from_u128(1);
        let busy = set.take(run).expect("free");
        assert!(set.take(run).is_none());
        drop(busy);
        assert!(set.take(run).is_some());
    }

    #[test]
    fn a_pause_ends_by_itself_or_by_a_clock_move() {
        let set = InFlight::default();
        let run = Uuid::from_u128(1);
        set.take(run)
            .expect("free")
            .retry_after(Duration::from_secs(3600));
        assert!(set.take(run).is_none());
        assert!(set.next_due().is_some());
        set.forget_pauses();
        assert!(set.next_due().is_none());
        set.take(run)
            .expect("due again")
            .retry_after(Duration::ZERO);
        assert!(set.take(run).is_some());
    }
}

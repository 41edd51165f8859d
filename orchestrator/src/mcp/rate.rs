//! How many calls of one run are let in (G-23).
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Callers remembered at once; beyond it those with a full bucket are forgotten.
const MAX_CALLERS: usize = 10_000;

/// A bucket of tokens per caller: each call takes one, and they come back at a steady rate.
///
/// Kept in memory per process, like the brakes of the staff API: it protects against a loop in an agent.
#[derive(Debug)]
pub struct TokenBuckets<K> {
    burst: f64,
    per_second: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Eq + Hash> TokenBuckets<K> {
    /// `burst` calls at once, then `per_second` of them.
    pub fn new(burst: u32, per_second: u32) -> Self {
        Self {
            burst: burst.into(),
            per_second: per_second.into(),
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Lets a call in, or says after which time it may come again.
    pub fn take(&self, caller: K, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_CALLERS {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
        }
        let bucket = buckets.entry(caller).or_insert(Bucket {
            tokens: self.burst,
            at: now,
        });
        let tokens = self.filled(bucket, now);
        *bucket = Bucket {
            tokens: if tokens < 1.0 { tokens } else { tokens - 1.0 },
            at: now,
        };
        if tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - tokens) / self.per_second));
        }
        Ok(())
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + elapsed * self.per_second).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_in_and_then_the_rate() {
        let buckets = TokenBuckets::new(3, 10);
        let start = Instant::now();
        for call in 0..3 {
            assert!(buckets.take("run", start).is_ok(), "call {call}");
        }
        let wait = buckets
            .take("run", start)
            .expect_err("the burst is used up");
        assert!(wait <= Duration::from_millis(100));
        assert!(buckets.take("other", start).is_ok());
        assert!(buckets.take("run", start + wait).is_ok());
        assert!(buckets.take("run", start + wait).is_err());
        let later = start + Duration::from_secs(60);
        for call in 0..3 {
            assert!(buckets.take("run", later).is_ok(), "call {call}");
        }
        assert!(buckets.take("run", later).is_err());
    }
}

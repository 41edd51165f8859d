//! Pauses between attempts (D-2, D-31).

/// The first pauses in seconds; later ones double.
const FIRST_PAUSES: [f64; 3] = [1.0, 5.0, 30.0];
/// D-2: five minutes.
pub const DECISION_LIMIT: f64 = 300.0;
/// D-31: a quarter of an hour.
pub const EFFECT_LIMIT: f64 = 900.0;
/// D-2, D-31: after a day nobody waits for it any more.
pub const GIVE_UP_AFTER: chrono::TimeDelta = chrono::TimeDelta::hours(24);

/// Seconds to wait after the given attempt (the first is 1).
pub fn pause_seconds(attempt: i32, limit: f64) -> f64 {
    let index = usize::try_from(attempt.max(1) - 1).unwrap_or(0);
    match FIRST_PAUSES.get(index) {
        Some(pause) => *pause,
        None => {
            let doublings = i32::try_from(index + 1 - FIRST_PAUSES.len())
                .unwrap_or(i32::MAX)
                .min(32);
            (FIRST_PAUSES[2] * 2f64.powi(doublings)).min(limit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let decisions: Vec<f64> = (1..=8)
            .map(|attempt| pause_seconds(attempt, DECISION_LIMIT))
            .collect();
        assert_eq!(
            decisions,
            [1.0, 5.0, 30.0, 60.0, 120.0, 240.0, 300.0, 300.0]
        );
        assert!((pause_seconds(10_000, EFFECT_LIMIT) - EFFECT_LIMIT).abs() < f64::EPSILON);
    }
}

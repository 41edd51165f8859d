//! Medians and percentiles of a few samples.

/// Samples in ascending order; never empty.
pub struct Samples(Vec<f64>);

impl Samples {
    /// Takes the samples.
    pub fn of(mut samples: Vec<f64>) -> Self {
        assert!(!samples.is_empty(), "a part has at least one sample");
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }

    /// How many there are.
    #[allow(dead_code)] // each bench uses a part of it
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The middle.
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The smallest sample that so many percent of all do not exceed.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }
}

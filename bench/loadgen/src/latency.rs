//! Latencies, kept whole: a run is bounded in time, so its samples are bounded in number.

/// Microseconds of every answer of the counted time.
#[derive(Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds one answer.
    pub fn add(&mut self, micros: u128) {
        self.0.push(u32::try_from(micros).unwrap_or(u32::MAX));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The values at these quantiles (0 to 1), in microseconds; zeros when there is none.
    pub fn quantiles<const N: usize>(&mut self, at: [f64; N]) -> [u32; N] {
        self.0.sort_unstable();
        at.map(|q| {
            let last = self.0.len().saturating_sub(1);
            self.0.get((q * last as f64).round() as usize).copied().unwrap_or(0)
        })
    }
}

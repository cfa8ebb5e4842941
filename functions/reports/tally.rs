//! Counts and latencies of a time span, which can be merged.

use super::sketch::Sketch;

/// Latencies are those of successful checks only: the duration of a failed check has no meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub checks: i64,
    pub up: i64,
    /// Degraded checks, which count as up, too.
    pub degraded: i64,
    pub sum_ms: i64,
    pub min_ms: i64,
    pub max_ms: i64,
    /// How much of `sum_ms` each phase took; `None` if no check had it.
    pub phases_ms: Phases<i64>,
    pub latency: Sketch,
    /// Checks during a maintenance, which are not part of the other counts.
    pub maintenance_checks: i64,
    pub maintenance_up: i64,
}

/// DNS, connect, TLS, first byte, transfer.
pub type Phases<T> = [Option<T>; 5];

impl Tally {
    pub fn add(&mut self, up: bool, total_ms: i32, phases_ms: Phases<i32>) {
        self.checks += 1;
        if up {
            self.add_phases(phases_ms.map(|ms| ms.map(i64::from)));
            let ms = i64::from(total_ms);
            self.span(ms, ms);
            self.up += 1;
            self.sum_ms += ms;
            self.latency.add(total_ms.unsigned_abs());
        }
    }

    pub fn add_maintenance(&mut self, up: bool) {
        self.maintenance_checks += 1;
        self.maintenance_up += i64::from(up);
    }

    pub fn merge(&mut self, other: &Self) {
        if other.up > 0 {
            self.span(other.min_ms, other.max_ms);
        }
        self.checks += other.checks;
        self.up += other.up;
        self.degraded += other.degraded;
        self.sum_ms += other.sum_ms;
        self.latency.merge(&other.latency);
        self.add_phases(other.phases_ms);
        self.maintenance_checks += other.maintenance_checks;
        self.maintenance_up += other.maintenance_up;
    }

    fn add_phases(&mut self, phases_ms: Phases<i64>) {
        for (sum, ms) in self.phases_ms.iter_mut().zip(phases_ms) {
            if let Some(ms) = ms {
                *sum = Some(sum.unwrap_or_default() + ms);
            }
        }
    }

    fn span(&mut self, min_ms: i64, max_ms: i64) {
        self.min_ms = if self.up == 0 { min_ms } else { self.min_ms.min(min_ms) };
        self.max_ms = self.max_ms.max(max_ms);
    }

    /// Rounded to a tenth of a millisecond.
    pub fn avg_ms(&self) -> Option<f64> {
        average(self.sum_ms, self.up)
    }

    /// Averages over all successful checks, including those without the phase, so that they add up to the average of
    /// the whole.
    pub fn phases_avg_ms(&self) -> Phases<f64> {
        self.phases_ms.map(|sum| average(sum?, self.up))
    }

    pub fn min_ms(&self) -> Option<i64> {
        (self.up > 0).then_some(self.min_ms)
    }

    pub fn max_ms(&self) -> Option<i64> {
        (self.up > 0).then_some(self.max_ms)
    }

    pub fn quantile(&self, part: f64) -> Option<i64> {
        // The extremes are known exactly: an estimate beyond them would look like an error.
        let estimate = i64::try_from(self.latency.quantile(part)?).ok()?;
        Some(estimate.max(self.min_ms).min(self.max_ms))
    }

    pub fn uptime_percent(&self) -> Option<f64> {
        uptime_percent(self.checks, self.up)
    }

    /// Satisfied up to `limit_ms`, tolerated (counts half) up to four times that; a failed check counts 0.
    pub fn apdex(&self, limit_ms: u32) -> Option<f64> {
        let limit = u64::from(limit_ms);
        let satisfied = self.latency.at_most(limit) as f64;
        let tolerating = self.latency.at_most(4 * limit) as f64 - satisfied;
        let score = (satisfied + tolerating / 2.0) / self.checks as f64;
        (self.checks > 0).then(|| (score * 1000.0).round() / 1000.0)
    }
}

/// Rounded to a tenth.
pub fn average(sum: i64, count: i64) -> Option<f64> {
    (count > 0).then(|| (sum as f64 / count as f64 * 10.0).round() / 10.0)
}

/// Truncated, not rounded: 100 means that no check failed.
pub fn uptime_percent(checks: i64, up: i64) -> Option<f64> {
    (checks > 0).then(|| (up * 100_000 / checks) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(checks: &[(bool, i32)]) -> Tally {
        let mut tally = Tally::default();
        for (up, ms) in checks {
            tally.add(*up, *ms, [Some(*ms / 2), None, None, None, (*ms < 100).then_some(1)]);
            tally.add_maintenance(*up);
        }
        tally
    }

    #[test]
    fn uptime_is_cut_and_not_rounded() {
        let uptimes = [(40, 23, 57.5), (50, 29, 58.0), (3, 2, 66.666), (1_000_000, 999_999, 99.999)];
        for (checks, up, percent) in uptimes {
            assert_eq!(uptime_percent(checks, up), Some(percent));
        }
    }

    #[test]
    fn the_parts_add_up_to_the_whole() {
        let checks = [(true, 0), (false, 9000), (true, 120), (true, 80), (false, 1)];
        for cut in 0..=checks.len() {
            let (a, b) = checks.split_at(cut);
            let mut merged = of(a);
            merged.merge(&of(b));
            assert_eq!(merged, of(&checks), "cut at {cut}");
        }
    }

    #[test]
    fn failures_count_against_uptime_and_apdex_but_not_latency() {
        let tally = of(&[(true, 100), (true, 1000), (true, 5000), (false, 30_000)]);
        assert_eq!((tally.min_ms(), tally.max_ms()), (Some(100), Some(5000)));
        assert_eq!(tally.uptime_percent(), Some(75.0));
        assert_eq!(tally.apdex(500), Some((1.0 + 0.5) / 4.0));
        let nothing = of(&[(false, 1)]);
        assert_eq!((nothing.avg_ms(), nothing.quantile(0.5), nothing.apdex(500)), (None, None, Some(0.0)));
        assert_eq!(Tally::default().apdex(500), None);
    }

    #[test]
    fn phases_are_spread_over_all_successful_checks() {
        let tally = of(&[(true, 50), (true, 150), (false, 10)]);
        assert_eq!(tally.phases_avg_ms(), [Some(50.0), None, None, None, Some(0.5)]);
        assert_eq!((tally.checks, tally.maintenance_checks, tally.maintenance_up), (3, 3, 2));
    }

    #[test]
    fn one_failure_in_a_million_is_not_a_hundred_percent() {
        let tally = Tally { checks: 1_000_000, up: 999_999, ..Tally::default() };
        assert_eq!(tally.uptime_percent(), Some(99.999));
    }
}

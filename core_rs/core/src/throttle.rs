//! Rate limits in integers (the generic cell rate algorithm): no timer, no bucket to refill, `now` is given.

use crate::limits::Owner;
use crate::terms::Nanos;
use foldhash::fast::FixedState;
use std::collections::HashMap;

const SECOND: i128 = 1_000_000_000;

/// Admits `burst` at once and `rate` a second on average.
///
/// Time is counted in nanoseconds × rate, so that a rate which does not divide a second is still exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    rate: u32,
    burst: u32,
    /// When the next request would be exactly on schedule, in nanoseconds × rate.
    due: i128,
}

impl Throttle {
    /// `rate_per_second` 0 means no limit; a burst of 0 counts as 1.
    #[must_use]
    pub const fn new(rate_per_second: u32, burst: u32) -> Self {
        Self {
            rate: rate_per_second,
            burst: if burst == 0 { 1 } else { burst },
            due: i128::MIN,
        }
    }

    /// Places of the burst that are taken now: one is free exactly while these are fewer than the burst.
    #[must_use]
    pub fn used(&self, now: Nanos) -> u32 {
        let now = i128::from(now) * i128::from(self.rate);
        let ahead = self.due.saturating_sub(now).max(0);
        // 64 bits divide faster, and they are enough for a wait of 18 seconds at a rate of a billion.
        match u64::try_from(ahead) {
            Ok(ahead) => u32::try_from(ahead.div_ceil(SECOND as u64)).unwrap_or(u32::MAX),
            Err(_) => u32::try_from((ahead + SECOND - 1) / SECOND).unwrap_or(u32::MAX),
        }
    }

    /// Takes one place, or says after how many nanoseconds there will be one (and takes none).
    ///
    /// # Errors
    /// The wait in nanoseconds, at least 1.
    pub fn admit(&mut self, now: Nanos) -> Result<(), Nanos> {
        if self.rate == 0 {
            return Ok(());
        }
        let now = i128::from(now) * i128::from(self.rate);
        let due = self.due.max(now) + SECOND;
        let excess = due - now - SECOND * i128::from(self.burst);
        if excess <= 0 {
            self.due = due;
            return Ok(());
        }
        let rate = i128::from(self.rate);
        // Rounded up: a client that waits exactly this long is admitted.
        Err(Nanos::try_from((excess + rate - 1) / rate).unwrap_or(Nanos::MAX))
    }
}

/// Rates that limits set, by their owner: none is narrowed to a symbol. There are no more of them than owners with such
/// a limit, and those are found by index.
#[derive(Debug, Clone, Default)]
pub struct ScopedRates {
    firm: Option<Throttle>,
    accounts: Vec<Option<Throttle>>,
    strategies: HashMap<String, Option<Throttle>, FixedState>,
    keys: Vec<Option<Throttle>>,
}

impl ScopedRates {
    /// Places of the owner's rate that are taken now: one more must not be more than the rate.
    #[must_use]
    pub fn used(&self, owner: &Owner, now: Nanos) -> u32 {
        let throttle = match owner {
            Owner::Firm => self.firm.as_ref(),
            Owner::Account(id) => self.accounts.get(*id as usize).and_then(Option::as_ref),
            Owner::Strategy(name) => self.strategies.get(name).and_then(Option::as_ref),
            Owner::Key(id) => self.keys.get(*id as usize).and_then(Option::as_ref),
        };
        throttle.map_or(0, |throttle| throttle.used(now))
    }

    /// Takes a place in an owner's rate, whether there is one or not: whoever takes has checked. A rate that was changed
    /// starts anew.
    pub fn take(&mut self, owner: &Owner, rate_per_second: u32, now: Nanos) {
        let throttle = match owner {
            Owner::Firm => &mut self.firm,
            Owner::Account(id) => nth(&mut self.accounts, *id),
            Owner::Key(id) => nth(&mut self.keys, *id),
            Owner::Strategy(name) => {
                if !self.strategies.contains_key(name) {
                    self.strategies.insert(name.clone(), None);
                }
                match self.strategies.get_mut(name) {
                    Some(throttle) => throttle,
                    None => return,
                }
            }
        };
        match throttle {
            Some(throttle) if throttle.rate == rate_per_second => _ = throttle.admit(now),
            throttle => {
                let mut new = Throttle::new(rate_per_second, rate_per_second);
                _ = new.admit(now);
                *throttle = Some(new);
            }
        }
    }
}

fn nth(throttles: &mut Vec<Option<Throttle>>, id: u32) -> &mut Option<Throttle> {
    let place = id as usize;
    if throttles.len() <= place {
        throttles.resize(place + 1, None);
    }
    &mut throttles[place]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    const START: Nanos = 1_795_503_600 * SECOND;

    fn admitted(throttle: &mut Throttle, now: Nanos, tries: usize) -> usize {
        (0..tries).filter(|_| throttle.admit(now).is_ok()).count()
    }

    #[test]
    fn zero_is_no_limit() {
        let mut throttle = Throttle::new(0, 0);
        assert_eq!(admitted(&mut throttle, START, 10_000), 10_000);
    }

    #[test]
    fn the_burst_passes_at_once_and_then_the_rate() {
        let mut throttle = Throttle::new(10, 5);
        assert_eq!(admitted(&mut throttle, START, 20), 5);
        assert_eq!(throttle.admit(START), Err(SECOND / 10));
        assert_eq!(throttle.admit(START + SECOND / 10 - 1), Err(1));
        assert_eq!(admitted(&mut throttle, START + SECOND / 10, 20), 1);
        assert_eq!(admitted(&mut throttle, START + SECOND / 2, 20), 4);
        assert_eq!(
            admitted(&mut throttle, START + 100 * SECOND, 20),
            5,
            "an idle key saves up no more than the burst"
        );
    }

    #[test]
    fn a_place_is_free_exactly_while_fewer_than_the_burst_are_taken() {
        for (rate, burst) in [(1, 1), (7, 7), (10, 3)] {
            let mut throttle = Throttle::new(rate, burst);
            for step in 0..5_000 {
                let now = START + step * (SECOND / 97);
                let used = throttle.used(now);
                assert_eq!(throttle.admit(now).is_ok(), used < burst, "{used} at {step}");
            }
        }
    }

    #[test]
    fn a_rate_that_was_changed_starts_anew() {
        let firm = Owner::Firm;
        let mut rates = ScopedRates::default();
        assert_eq!(rates.used(&firm, START), 0);
        rates.take(&firm, 2, START);
        rates.take(&firm, 2, START);
        assert_eq!(rates.used(&firm, START), 2);
        assert_eq!(rates.used(&firm, START + SECOND / 2), 1);
        rates.take(&firm, 5, START);
        assert_eq!(rates.used(&firm, START), 1);
        for other in [Owner::Account(3), Owner::Key(3), Owner::Strategy("s".into())] {
            assert_eq!(rates.used(&other, START), 0);
            rates.take(&other, 2, START);
            rates.take(&other, 2, START);
            rates.take(&Owner::Account(1), 9, START);
            assert_eq!(rates.used(&other, START), 2, "{other:?}");
        }
    }

    #[test]
    fn waiting_as_told_is_enough_and_refusals_cost_nothing() {
        let mut throttle = Throttle::new(3, 1);
        let mut now = START;
        for _ in 0..3_000 {
            assert_eq!(throttle.admit(now), Ok(()));
            for _ in 0..3 {
                assert!(throttle.admit(now).is_err());
            }
            let wait = throttle.admit(now).unwrap_err();
            assert!(throttle.admit(now + wait - 1).is_err());
            now += wait;
        }
        // A third of a second is not whole nanoseconds; each wait is rounded up, by less than one.
        assert!(
            (1_000 * SECOND..1_000 * SECOND + 3_000).contains(&(now - START)),
            "{}",
            now - START
        );
    }

    #[test]
    fn never_more_than_burst_plus_rate_in_any_second() {
        for (rate, burst) in [(1, 1), (7, 7), (7, 20), (1_000, 10)] {
            let mut throttle = Throttle::new(rate, burst);
            let step = SECOND / 2_017;
            let times: Vec<Nanos> = (0..8_000)
                .map(|n| START + n * step)
                .filter(|now| throttle.admit(*now).is_ok())
                .collect();
            for (first, at) in times.iter().enumerate() {
                let within = times[first..].iter().take_while(|other| **other < at + SECOND).count();
                assert!(within <= (rate + burst) as usize, "{within} at {rate}, {burst}");
            }
            let steady = times
                .iter()
                .filter(|at| **at >= START + 2 * SECOND && **at < START + 3 * SECOND)
                .count();
            assert!(steady + 1 >= rate as usize, "{steady} of {rate} a second");
        }
    }

    #[test]
    fn a_clock_that_steps_back_admits_no_more() {
        let mut throttle = Throttle::new(10, 2);
        assert_eq!(admitted(&mut throttle, START, 5), 2);
        assert_eq!(admitted(&mut throttle, START - SECOND, 5), 0);
        assert_eq!(throttle.admit(START - SECOND), Err(SECOND + SECOND / 10));
        let mut extreme = Throttle::new(u32::MAX, u32::MAX);
        assert_eq!(extreme.admit(i64::MAX), Ok(()));
        assert!(Throttle::new(1, 1).admit(i64::MIN).is_ok());
    }
}

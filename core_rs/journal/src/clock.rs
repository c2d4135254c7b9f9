//! Journal time: never steps, goes on through suspend, and never runs behind what is already journaled.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_BOOTTIME: since boot, suspend included; the same in every process of the machine.
#[must_use]
pub fn boottime_ns() -> i64 {
    read(ClockId::Boottime)
}

/// Nanoseconds of the wall clock since 1970 (UTC). It may step: use it for the UTC day and at start only.
#[must_use]
pub fn wall_ns() -> i64 {
    read(ClockId::Realtime)
}

fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    // 64-bit nanoseconds last until the year 2262.
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// Journal time in nanoseconds: `max(last journaled, wall clock)` at start, plus CLOCK_BOOTTIME since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalClock {
    start_ns: i64,
    boot_ns: i64,
}

impl JournalClock {
    /// Starts at the later of `last_ts` (the newest journaled time, 0 for none) and the wall clock.
    #[must_use]
    pub fn start(last_ts: i64) -> JournalClock {
        JournalClock::start_at(last_ts, wall_ns(), boottime_ns())
    }

    /// As [`JournalClock::start`], with the clocks given.
    #[must_use]
    pub const fn start_at(last_ts: i64, wall_ns: i64, boot_ns: i64) -> JournalClock {
        JournalClock {
            start_ns: if last_ts > wall_ns { last_ts } else { wall_ns },
            boot_ns,
        }
    }

    /// The clock of another process: `journal_ns` and `boottime_ns` were read together there (EPOCH carries both).
    #[must_use]
    pub const fn of_epoch(journal_ns: i64, boottime_ns: i64) -> JournalClock {
        JournalClock {
            start_ns: journal_ns,
            boot_ns: boottime_ns,
        }
    }

    /// Journal time now.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.at(boottime_ns())
    }

    /// Journal time at a reading of CLOCK_BOOTTIME.
    #[must_use]
    pub const fn at(&self, boot_ns: i64) -> i64 {
        self.start_ns.saturating_add(boot_ns.saturating_sub(self.boot_ns))
    }

    /// Wall clock − journal time, now: a change of more than drift means that the wall clock stepped.
    #[must_use]
    pub fn wall_offset(&self) -> i64 {
        wall_ns().saturating_sub(self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_at_the_later_of_journal_and_wall() {
        assert_eq!(JournalClock::start_at(500, 700, 10).at(10), 700);
        assert_eq!(JournalClock::start_at(900, 700, 10).at(10), 900);
    }

    #[test]
    fn advances_with_boottime_only() {
        let clock = JournalClock::start_at(0, 1_000, 40);
        assert_eq!(clock.at(40), 1_000);
        assert_eq!(clock.at(45), 1_005);
        assert_eq!(JournalClock::of_epoch(1_000, 40), clock);
    }

    #[test]
    fn a_clock_ahead_of_the_wall_has_a_negative_offset() {
        let clock = JournalClock::start(wall_ns() + 5_000_000_000);
        let offset = clock.wall_offset();
        assert!((-5_100_000_000..=-4_900_000_000).contains(&offset), "{offset}");
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}

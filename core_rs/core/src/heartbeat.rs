//! The dead man's switch: a scope whose owner falls silent is killed at level 2.
//!
//! Which scopes are watched is journaled; the beats are not. Deadlines begin again at every start, and are put off by
//! as long as the gateway itself was late: its own silence is no evidence of anybody else's.

use crate::administration::invalid;
use crate::engine::{Caller, Decided, Engine};
use crate::record::{HeartbeatSet, KillOn, Record};
use crate::refusal::{self, Refusal};
use crate::state::{Broken, State};
use crate::terms::{KeyId, KillScope, Nanos, Seq};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Shortest and longest time without a beat, in milliseconds; 0 ends the watch.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 1_000..=600_000;
/// Most scopes that may be watched at a time.
pub const MAX_HEARTBEATS: usize = 1_000;
/// Level of the kill that follows a missed beat: new orders are stopped and working ones canceled.
pub const MISSED_LEVEL: u8 = 2;
/// Reason of that kill.
pub const MISSED: &str = "heartbeat_missed";
/// Ticks come every 50 ms: a longer pause between two is the gateway's own.
const LATE_NS: Nanos = 500_000_000;

/// A scope that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Milliseconds without a beat after which it is killed.
    pub timeout_ms: u32,
    /// Key that asked for it.
    pub key: KeyId,
    /// Sequence of HEARTBEAT_SET.
    pub seq: Seq,
}

/// The newest beat of each watched scope.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    last: BTreeMap<(KillScope, String), Nanos>,
    ticked_at: Option<Nanos>,
}

impl Beats {
    pub(crate) const fn new() -> Self {
        Self {
            last: BTreeMap::new(),
            ticked_at: None,
        }
    }
}

impl State {
    pub(crate) fn set_heartbeat(&mut self, body: &HeartbeatSet) -> Result<(), Broken> {
        if self.key(body.key).is_none() {
            return Broken::at(self.last_seq, format_args!("unknown key {}", body.key));
        }
        let of = (body.scope, body.target.clone());
        if body.timeout_ms == 0 {
            self.heartbeats.remove(&of);
        } else {
            let (timeout_ms, key, seq) = (body.timeout_ms, body.key, self.last_seq);
            self.heartbeats.insert(of, Heartbeat { timeout_ms, key, seq });
        }
        Ok(())
    }

    /// Every scope that is watched.
    pub fn heartbeats(&self) -> impl Iterator<Item = (KillScope, &str, &Heartbeat)> {
        let all = self.heartbeats.iter();
        all.map(|((scope, target), heartbeat)| (*scope, target.as_str(), heartbeat))
    }
}

impl Engine {
    /// A sign of life for the caller's account or one of its strategies; the first one, and one with another time-out,
    /// begins the watch. The target.
    ///
    /// # Errors
    /// As [`Engine::own_target`]; refused for a time-out out of range, and when too many scopes are watched.
    pub fn heartbeat(
        &mut self,
        caller: Caller,
        scope: KillScope,
        target: Option<&str>,
        timeout_ms: u32,
        now: Nanos,
    ) -> Decided<String> {
        self.check_poison()?;
        let now = now.max(self.state.last_ts());
        if timeout_ms != 0 && !TIMEOUT_MS.contains(&timeout_ms) {
            let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
            return Ok(Err(invalid("timeoutMs", format!("must be 0, or {least} to {most}"))));
        }
        let target = match self.own_target(caller, scope, target) {
            Ok(target) => target,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let of = (scope, target.clone());
        let known = self.state.heartbeats.get(&of).map(|heartbeat| heartbeat.timeout_ms);
        if timeout_ms != 0 && known.is_none() && self.state.heartbeats.len() >= MAX_HEARTBEATS {
            let detail = format!("{MAX_HEARTBEATS} heartbeats are watched already.");
            return Ok(Err(Refusal::new(refusal::OVERLOADED, detail).retry_after_ms(1_000)));
        }
        if known.unwrap_or(0) != timeout_ms {
            let (target, key) = (target.clone(), caller.key);
            let body = HeartbeatSet {
                scope,
                target,
                timeout_ms,
                key,
            };
            self.commit(Record::HeartbeatSet(body), now)?;
        }
        if timeout_ms == 0 {
            self.beats.last.remove(&of);
        } else {
            self.beats.last.insert(of, now);
        }
        Ok(Ok(target))
    }

    /// Kills the scopes that were silent for too long. One that is stopped at that level already is only counted anew:
    /// clearing it without a beat gives it one more time-out.
    pub(crate) fn watch_heartbeats(&mut self, now: Nanos) -> Result<(), Broken> {
        let pause = self.beats.ticked_at.map_or(0, |before| now.saturating_sub(before));
        self.beats.ticked_at = Some(now);
        if self.state.heartbeats.is_empty() {
            return Ok(());
        }
        if pause > LATE_NS {
            for beat in self.beats.last.values_mut() {
                *beat = beat.saturating_add(pause);
            }
        }
        let mut missed = Vec::new();
        for (of, heartbeat) in &self.state.heartbeats {
            let beat = self.beats.last.entry(of.clone()).or_insert(now);
            if now.saturating_sub(*beat) > Nanos::from(heartbeat.timeout_ms) * 1_000_000 {
                *beat = now;
                missed.push(of.clone());
            }
        }
        for (scope, target) in missed {
            let stopped = self.state.kill(scope, &target).map_or(0, |kill| kill.level);
            if stopped < MISSED_LEVEL {
                let (reason, by, source) = (MISSED.to_owned(), "gateway".to_owned(), "heartbeat".to_owned());
                let kill = KillOn {
                    scope,
                    target,
                    level: MISSED_LEVEL,
                    reason,
                    by,
                    source,
                };
                // A target that was watched matches its scope.
                self.kill_on(kill, now)?.ok();
            }
        }
        Ok(())
    }
}

//! The dead man's switch: a scope whose owner falls silent is killed at level 2.
//!
//! Which scopes are watched is journaled; the beats are not. Deadlines begin again at every start, and are put off by
//! as long as the gateway itself was late: its own silence is no evidence of anybody else's.

use crate::administration::{check_text, invalid};
use crate::engine::{Caller, Decided, Engine};
use crate::record::{HeartbeatSet, KillOn, Record};
use crate::refusal::{self, Refusal};
use crate::state::{Broken, State};
use crate::terms::{AccountId, GATEWAY_KEY, KeyId, KillCause, KillScope, Nanos, Seq};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Shortest and longest time without a beat, in milliseconds; 0 ends the watch.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 1_000..=600_000;
/// Most scopes of one account that may be watched at a time.
pub const MAX_HEARTBEATS: usize = 100;
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
        if !self.placed_by_known_key(body.key) {
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

    /// Scopes of an account that are watched: its own and its strategies'.
    fn watched_of(&self, account: AccountId) -> usize {
        let watched = self.heartbeats.keys().filter(|(scope, target)| {
            let of = match scope {
                KillScope::Strategy => self.strategy(target).map(|strategy| strategy.account),
                _ => self.account_named(target).map(|account| account.id),
            };
            of == Some(account)
        });
        watched.count()
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
    /// As [`Engine::own_target`]; refused for a time-out out of range, and when too many scopes of the account are
    /// watched; `rate_limited` when a key changes watches too often. Beats have no rate.
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
        if timeout_ms != 0 && known.is_none() && self.state.watched_of(caller.account) >= MAX_HEARTBEATS {
            let detail = format!("{MAX_HEARTBEATS} heartbeats of the account are watched already.");
            return Ok(Err(Refusal::new(refusal::OVERLOADED, detail).retry_after_ms(1_000)));
        }
        if known.unwrap_or(0) != timeout_ms {
            if let Err(refusal) = self.take_change(caller.key, now) {
                return Ok(Err(refusal));
            }
            let (target, key, by) = (target.clone(), caller.key, String::new());
            let body = HeartbeatSet {
                scope,
                target,
                timeout_ms,
                key,
                by,
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

    /// An operator ends a watch, since nobody beats any more: its key was revoked, its program is gone. A kill that
    /// followed stays until it is cleared. `None` when the scope is not watched.
    ///
    /// # Errors
    /// Refused for bad texts.
    pub fn end_heartbeat(&mut self, scope: KillScope, target: &str, by: &str, now: Nanos) -> Decided<Option<Seq>> {
        self.check_poison()?;
        if let Err(refusal) = check_text("by", by) {
            return Ok(Err(refusal));
        }
        let of = (scope, target.to_owned());
        if !self.state.heartbeats.contains_key(&of) {
            return Ok(Ok(None));
        }
        let body = HeartbeatSet {
            scope,
            target: target.to_owned(),
            timeout_ms: 0,
            key: GATEWAY_KEY,
            by: by.to_owned(),
        };
        let seq = self.commit(Record::HeartbeatSet(body), now)?;
        self.beats.last.remove(&of);
        Ok(Ok(Some(seq)))
    }

    /// How long ago the last beat of a watched scope came, in nanoseconds; `None` before the first since the start.
    #[must_use]
    pub fn beat_age(&self, scope: KillScope, target: &str, now: Nanos) -> Option<Nanos> {
        let beat = self.beats.last.get(&(scope, target.to_owned()))?;
        Some(now.saturating_sub(*beat))
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
                    cause: Some(KillCause::Asked),
                };
                // A target that was watched matches its scope.
                self.kill_on(kill, now)?.ok();
            }
        }
        Ok(())
    }
}

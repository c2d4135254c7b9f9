//! The kill switch: one state per scope, whoever stopped it, and what a kill does to the orders of its scope.

use crate::administration::{LONGEST_TEXT, invalid};
use crate::engine::{Caller, Decided, Engine};
use crate::order::Order;
use crate::record::{KillOff, KillOn, Record, RedisBound};
use crate::refusal::{self, Refusal};
use crate::state::{Broken, Kill, State};
use crate::terms::{GATEWAY_KEY, KeyId, KillCause, KillScope, Nanos, Scope, Seq};

impl Kill {
    /// Orders that flatten pass an operator's or a limit's kill; never one of a Redis that was lost or cannot be read,
    /// since what it asked for is not known.
    #[must_use]
    pub fn lets_flatten(&self) -> bool {
        match self.cause {
            Some(cause) => cause == KillCause::Asked,
            // Journaled before the cause was told.
            None => !self.reason.starts_with("redis_") && self.reason != "unreadable",
        }
    }

    /// Who may end it: a client only what clients or their silence began.
    #[must_use]
    pub fn is_clients_own(&self) -> bool {
        is_clients(&self.source)
    }

    /// Whether another one tells anything beyond this: a client's only by its level, others' by their words, too.
    fn is_changed_by(&self, kill: &KillOn) -> bool {
        let same = self.by == kill.by && self.reason == kill.reason && self.source == kill.source;
        kill.level > self.level || !(is_clients(&kill.source) || same && self.cause == kill.cause)
    }
}

/// A kill that clients or their silence began.
fn is_clients(source: &str) -> bool {
    source == "api" || source == "heartbeat"
}

impl Order {
    /// Placed by the gateway itself, to flatten.
    #[must_use]
    pub const fn flattens(&self) -> bool {
        self.terms.key == GATEWAY_KEY && !self.is_external()
    }
}

impl State {
    pub(crate) fn kill_on(&mut self, body: &KillOn) {
        let (seq, at) = (self.last_seq, self.last_ts);
        let targets = self.kills.entry(body.scope).or_default();
        let known = targets.get_mut(&body.target);
        // A later, lower kill (a lost Redis) must not take back what an operator asked for.
        let level = known.as_ref().map_or(body.level, |kill| kill.level.max(body.level));
        match known {
            // What somebody else stopped stays theirs to clear, whatever a client adds to it.
            Some(kill) if is_clients(&body.source) && !kill.is_clients_own() => kill.level = level,
            _ => {
                let kill = Kill {
                    level,
                    reason: body.reason.clone(),
                    by: body.by.clone(),
                    source: body.source.clone(),
                    seq,
                    at,
                    cause: body.cause,
                };
                targets.insert(body.target.clone(), kill);
            }
        }
    }

    pub(crate) fn kill_off(&mut self, body: &KillOff) {
        if let Some(targets) = self.kills.get_mut(&body.scope) {
            targets.remove(&body.target);
            if targets.is_empty() {
                self.kills.remove(&body.scope);
            }
        }
    }

    /// A client's key, or none: the gateway's own order.
    pub(crate) fn placed_by_known_key(&self, key: KeyId) -> bool {
        (key as usize) < self.keys.len() || key == GATEWAY_KEY
    }
}

impl Engine {
    /// Stops trading in a scope: in force at once. Unsent orders of the scope end as KILLED; from level 2 on, working
    /// ones are canceled by the following ticks; at level 3 what is held is sold.
    ///
    /// # Errors
    /// Refused for a bad level, or a target that does not match the scope. Texts are clipped, never refused: a kill
    /// must not fail for its words. One that says nothing new is not journaled: the record in force is told.
    pub fn kill_on(&mut self, kill: KillOn, now: Nanos) -> Decided<Seq> {
        let clipped = |text: &str| crate::venue_reports::clip(text, LONGEST_TEXT);
        let kill = KillOn {
            target: clipped(&kill.target),
            reason: clipped(&kill.reason),
            by: clipped(&kill.by),
            source: clipped(&kill.source),
            ..kill
        };
        let record = check_target(kill.scope, &kill.target).and_then(|()| {
            let known = (1..=3).contains(&kill.level);
            known
                .then(|| Record::KillOn(kill.clone()))
                .ok_or_else(|| invalid("level", "must be 1, 2 or 3"))
        });
        let known = self.state.kill(kill.scope, &kill.target);
        if let Some(known) = known.filter(|known| record.is_ok() && !known.is_changed_by(&kill)) {
            return Ok(Ok(known.seq));
        }
        let seq = match self.decide_and_commit(record, now)? {
            Ok(seq) => seq,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.enforce_kill(kill.scope, &kill.target, now)?;
        Ok(Ok(seq))
    }

    /// Allows trading in a scope again; strategies stay as they are.
    ///
    /// # Errors
    /// Refused for a target that does not match the scope.
    pub fn kill_off(&mut self, off: KillOff, now: Nanos) -> Decided<Seq> {
        let record = check_target(off.scope, &off.target).map(|()| Record::KillOff(off));
        self.decide_and_commit(record, now)
    }

    /// How often a kill began, changed or ended since the start.
    #[must_use]
    pub const fn kill_changes(&self) -> u64 {
        self.kill_changes
    }

    /// From now on a Redis without our sentinel has lost its state.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn bind_redis(&mut self, now: Nanos) -> Result<Seq, Broken> {
        let install = self.state.install().to_owned();
        self.commit(Record::RedisBound(RedisBound { install }), now)
    }

    /// Who asks for something that must not wait for a place in a rate: a kill, a sign of life.
    ///
    /// # Errors
    /// `unauthorized` for a key that is unknown, revoked or expired, `ip_not_allowed`, `forbidden` without any of the
    /// scopes.
    pub fn identify(
        &self,
        token_sha256: &[u8; 32],
        any_of: &[Scope],
        peer: Option<&str>,
        now: Nanos,
    ) -> Result<Caller, Refusal> {
        let found = self.state.key_of(token_sha256).filter(|(_, key)| key.is_valid(now));
        let Some((id, key)) = found else {
            return Err(Refusal::new(refusal::UNAUTHORIZED, "The key is missing or not valid."));
        };
        if !key.may_come_from(peer) {
            let detail = "The key may not be used from this address.";
            return Err(Refusal::new(refusal::IP_NOT_ALLOWED, detail));
        }
        if !any_of.iter().any(|scope| key.allows(*scope)) {
            let words: Vec<&str> = any_of.iter().map(|scope| scope.as_str()).collect();
            let detail = format!("The key lacks the scope {}.", words.join(" or "));
            return Err(Refusal::new(refusal::FORBIDDEN, detail));
        }
        let account = key.created.account;
        Ok(Caller { key: id, account })
    }

    /// The target of a client's kill or heartbeat: its own account (also when none is named), or a strategy of its own.
    ///
    /// # Errors
    /// `forbidden` for what others trade, too (global, symbol); `not_found` for somebody else's and for what is not.
    pub fn own_target(&self, caller: Caller, scope: KillScope, target: Option<&str>) -> Result<String, Refusal> {
        let missing = |what: &str| Refusal::field(refusal::NOT_FOUND, "target", format!("{what} is not yours"));
        let own = self.state.account(caller.account).map_or("", |account| &account.name);
        match (scope, target) {
            (KillScope::Account, None) => Ok(own.to_owned()),
            (KillScope::Account, Some(name)) if name == own => Ok(own.to_owned()),
            (KillScope::Strategy, Some(name))
                if self
                    .state
                    .strategy(name)
                    .is_some_and(|strategy| strategy.account == caller.account) =>
            {
                Ok(name.to_owned())
            }
            (KillScope::Strategy, None) => Err(invalid("target", "names a strategy")),
            (KillScope::Account | KillScope::Strategy, Some(other)) => {
                Err(missing(&crate::venue_reports::clip(other, LONGEST_TEXT)))
            }
            (KillScope::Global | KillScope::Symbol, _) => {
                let detail = "A key stops its own account and strategies; the rest is for operators.";
                Err(Refusal::new(refusal::FORBIDDEN, detail))
            }
        }
    }

    /// Whether a client may clear this kill.
    ///
    /// # Errors
    /// `not_found` when there is none, `forbidden` when an operator, a limit or the gateway itself stopped the scope.
    pub fn may_clear(&self, scope: KillScope, target: &str) -> Result<(), Refusal> {
        match self.state.kill(scope, target) {
            None => Err(Refusal::new(refusal::NOT_FOUND, "Nothing is stopped there.")),
            Some(kill) if kill.is_clients_own() => Ok(()),
            Some(kill) => {
                let detail = format!("Stopped through {}: an operator clears it.", kill.source);
                Err(Refusal::new(refusal::FORBIDDEN, detail))
            }
        }
    }
}

pub(crate) fn check_target(scope: KillScope, target: &str) -> Result<(), Refusal> {
    let matches = (scope == KillScope::Global) == target.is_empty();
    matches
        .then_some(())
        .ok_or_else(|| invalid("target", "global takes none, every other scope needs one"))
}

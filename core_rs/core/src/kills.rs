//! The kill switch: one state per scope, whoever stopped it, and what a kill does to the orders of its scope.

use crate::administration::{LONGEST_TEXT, invalid};
use crate::engine::{Caller, Decided, Engine};
use crate::order::{Order, Pending};
use crate::record::{KillOff, KillOn, Record, RedisBound};
use crate::refusal::{self, Refusal};
use crate::state::{Broken, Kill, State};
use crate::terms::{AccountId, GATEWAY_KEY, InstrumentId, KeyId, KillScope, Mode, Nanos, OrderId, Scope, Seq};

/// How often working orders of a killed scope are looked for again: evidence may re-open one, or a cancel be refused.
const SWEEP_NS: Nanos = 1_000_000_000;

impl Kill {
    /// Orders that flatten pass an operator's or a limit's kill; never one of a Redis that was lost or cannot be read,
    /// since what it asked for is not known.
    #[must_use]
    pub fn lets_flatten(&self) -> bool {
        !self.reason.starts_with("redis_") && self.reason != "unreadable"
    }

    /// Who may end it: a client only what clients or their silence began.
    #[must_use]
    pub fn is_clients_own(&self) -> bool {
        self.source == "api" || self.source == "heartbeat"
    }
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
        let before = self.kill(body.scope, &body.target).map_or(0, |kill| kill.level);
        let kill = Kill {
            // A later, lower kill (a lost Redis) must not take back what an operator asked for.
            level: body.level.max(before),
            reason: body.reason.clone(),
            by: body.by.clone(),
            source: body.source.clone(),
            seq: self.last_seq,
            at: self.last_ts,
        };
        self.kills
            .entry(body.scope)
            .or_default()
            .insert(body.target.clone(), kill);
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

    pub(crate) fn scope_of(&self, scope: KillScope, target: &str) -> Scoped {
        match scope {
            KillScope::Global => Scoped::All,
            KillScope::Account => Scoped::Account(self.account_named(target).map(|account| account.id)),
            KillScope::Strategy => Scoped::Strategy(target.to_owned()),
            KillScope::Symbol => Scoped::Instrument(
                self.instrument_by_symbol(target)
                    .map(|instrument| instrument.instrument),
            ),
        }
    }
}

impl Engine {
    /// Stops trading in a scope: in force at once. Unsent orders of the scope end as KILLED; from level 2 on, working
    /// ones are canceled by the following ticks; at level 3 what is held is sold.
    ///
    /// # Errors
    /// Refused for a bad level, or a target that does not match the scope. Texts are clipped, never refused: a kill
    /// must not fail for its words.
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
        let seq = match self.decide_and_commit(record, now)? {
            Ok(seq) => seq,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.enforce_kill(kill.scope, &kill.target, now)?;
        Ok(Ok(seq))
    }

    /// Ends what a kill in force does not leave alone: unsent orders at once, working ones (level 2) by the next ticks;
    /// what is held (level 3) is sold now and by the next ticks.
    fn enforce_kill(&mut self, scope: KillScope, target: &str, now: Nanos) -> Result<(), Broken> {
        let Some(kill) = self.state.kill(scope, target) else {
            return Ok(());
        };
        let (level, spares, seq) = (kill.level, kill.lets_flatten(), kill.seq);
        self.stop_killed_strategies(scope, target, now)?;
        let scoped = self.state.scope_of(scope, target);
        self.kill_unsent(now, |order| scoped.holds(order) && !(spares && order.flattens()))?;
        if level >= 2 {
            self.sweep_scope(&scoped, |_| true);
        }
        if level >= 3 {
            let pursued = Pursued {
                scope,
                target: target.to_owned(),
                only: None,
                level,
                seq,
            };
            self.flatten(&pursued, now)?;
        }
        Ok(())
    }

    /// What a breach whose action is FLATTEN does to orders: unsent ones end at once, working ones by the next ticks.
    /// What is held is sold by the ticks.
    pub(crate) fn end_orders_of(
        &mut self,
        scope: KillScope,
        target: &str,
        only: Option<Mode>,
        now: Nanos,
    ) -> Result<(), Broken> {
        let scoped = self.state.scope_of(scope, target);
        let in_mode = |order: &Order| only.is_none_or(|mode| order.terms.mode == mode);
        self.kill_unsent(now, |order| scoped.holds(order) && in_mode(order) && !order.flattens())?;
        self.sweep_scope(&scoped, in_mode);
        Ok(())
    }

    /// Kills from level 2 on, and scopes that a breach flattens: what is to be canceled and, at level 3, sold.
    fn pursued(&self) -> Vec<Pursued> {
        let killed = self.state.kills().filter(|(_, _, kill)| kill.level >= 2);
        let killed = killed.map(|(scope, target, kill)| Pursued {
            scope,
            target: target.to_owned(),
            only: None,
            level: kill.level,
            seq: kill.seq,
        });
        let breached = self.state.trading_states().filter(|(.., standing)| standing.flatten);
        let breached = breached.map(|(scope, target, mode, standing)| Pursued {
            scope,
            target: target.to_owned(),
            only: Some(mode),
            level: 3,
            seq: standing.seq,
        });
        killed.chain(breached).collect()
    }

    /// The next ticks cancel the open orders of a scope that this holds for; those that flatten end by themselves, and
    /// those that others placed are theirs to cancel.
    fn sweep_scope(&mut self, scoped: &Scoped, which: impl Fn(&Order) -> bool) {
        let open = Mode::ALL.iter().flat_map(|mode| self.state.open_orders(*mode));
        let working: Vec<OrderId> = open
            .filter(|order| scoped.holds(order) && !order.flattens() && !order.is_external() && which(order))
            .map(|order| order.id)
            .collect();
        self.sweep.extend(working);
    }

    /// Once a second: working orders of killed scopes for which no cancel is under way are canceled again; what is
    /// still held is sold, when something keeps a first order from doing it. Scopes that a breach flattens alike.
    pub(crate) fn pursue_kills(&mut self, now: Nanos) -> Result<(), Broken> {
        let due = self.pursued();
        self.flattening.keep(&due);
        if due.is_empty() {
            return Ok(());
        }
        if now >= self.swept_at.saturating_add(SWEEP_NS) {
            self.swept_at = now;
            for Pursued {
                scope, target, only, ..
            } in &due
            {
                let scoped = self.state.scope_of(*scope, target);
                self.sweep_scope(&scoped, |order| {
                    let here = only.is_none_or(|mode| order.terms.mode == mode);
                    here && order.pending() != Pending::Cancel && !order.cancel_wanted
                });
            }
        }
        if self.flattening.is_due(now) {
            for pursued in due.iter().filter(|pursued| pursued.level >= 3) {
                self.flatten(pursued, now)?;
            }
        }
        Ok(())
    }

    /// What a kill had not finished when the process ended: a start takes it up again.
    pub(crate) fn resume_kills(&mut self, now: Nanos) -> Result<(), Broken> {
        let kills: Vec<(KillScope, String)> = self
            .state
            .kills()
            .map(|(scope, target, _)| (scope, target.to_owned()))
            .collect();
        for (scope, target) in kills {
            self.enforce_kill(scope, &target, now)?;
        }
        for Pursued {
            scope, target, only, ..
        } in self.pursued()
        {
            if only.is_some() {
                self.end_orders_of(scope, &target, only, now)?;
            }
        }
        Ok(())
    }

    /// Allows trading in a scope again; strategies stay as they are.
    ///
    /// # Errors
    /// Refused for a target that does not match the scope.
    pub fn kill_off(&mut self, off: KillOff, now: Nanos) -> Decided<Seq> {
        let record = check_target(off.scope, &off.target).map(|()| Record::KillOff(off));
        self.decide_and_commit(record, now)
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

/// A scope whose orders are canceled and, from level 3 on, whose positions are sold.
#[derive(Debug, Clone)]
pub(crate) struct Pursued {
    pub scope: KillScope,
    pub target: String,
    /// In which mode; `None` is both.
    pub only: Option<Mode>,
    pub level: u8,
    /// Record that asked for it.
    pub seq: Seq,
}

/// The orders of a kill's scope.
pub(crate) enum Scoped {
    All,
    Account(Option<AccountId>),
    Strategy(String),
    Instrument(Option<u32>),
}

impl Scoped {
    pub(crate) fn holds(&self, order: &Order) -> bool {
        let terms = &order.terms;
        match self {
            Self::All => true,
            Self::Account(id) => *id == Some(terms.account),
            Self::Strategy(name) => terms.strategy_id.as_deref() == Some(name),
            Self::Instrument(id) => *id == Some(terms.instrument),
        }
    }

    /// Whether what an account has of an instrument is in the scope; of a strategy's it cannot be told from others'.
    pub(crate) fn covers(&self, account: AccountId, instrument: InstrumentId) -> bool {
        match self {
            Self::All => true,
            Self::Account(id) => *id == Some(account),
            // Its holdings are its own to begin with.
            Self::Strategy(_) => true,
            Self::Instrument(id) => *id == Some(instrument),
        }
    }
}

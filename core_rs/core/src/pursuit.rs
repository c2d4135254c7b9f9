//! What a kill or a breach does to the orders of its scope, and goes on doing while it is in force.
//!
//! A scope's open orders are found by what is open of its accounts, never among everybody's. Which of them still have
//! to be canceled is kept: an order comes back to it when a record leaves it to work in a scope that is pursued.

use crate::account::index;
use crate::engine::Engine;
use crate::facts::KILLED;
use crate::order::{Order, Pending};
use crate::state::{Broken, Kill, State};
use crate::sums::Holder;
use crate::terms::{AccountId, InstrumentId, KillScope, Mode, Nanos, OrderId, Seq};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How soon a working order of a killed scope is canceled again: evidence may re-open one, or a cancel be refused.
const AGAIN_NS: Nanos = 1_000_000_000;

/// Working orders that still have to be canceled.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// By the next ticks.
    next: BTreeSet<OrderId>,
    /// A second after the first record that left them to work, if their scope is pursued still.
    later: BTreeMap<OrderId, Nanos>,
    /// The same, the soonest first; also what is no longer in `later`.
    queue: VecDeque<(Nanos, OrderId)>,
}

impl Sweep {
    fn put_off(&mut self, order: OrderId, until: Nanos) {
        self.later.entry(order).or_insert_with(|| {
            self.queue.push_back((until, order));
            until
        });
    }

    fn due(&mut self, now: Nanos) -> Option<OrderId> {
        while let Some((until, order)) = self.queue.front().copied().filter(|(until, _)| *until <= now) {
            self.queue.pop_front();
            if self.later.get(&order) == Some(&until) {
                self.later.remove(&order);
                return Some(order);
            }
        }
        None
    }
}

/// A scope whose positions are sold.
#[derive(Debug, Clone)]
pub(crate) struct Pursued {
    pub scope: KillScope,
    pub target: String,
    /// In which mode; `None` is both.
    pub only: Option<Mode>,
    /// Record that asked for it.
    pub seq: Seq,
}

/// The orders of a kill's scope.
pub(crate) enum Scoped {
    All,
    Account(Option<AccountId>),
    Strategy(String),
    Instrument(Option<InstrumentId>),
}

impl Scoped {
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

impl State {
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

    /// Every kill that stops such an order, the widest scope first.
    pub(crate) fn kills_for<'a>(
        &'a self,
        account: &'a str,
        strategy: Option<&'a str>,
        symbol: &'a str,
    ) -> impl Iterator<Item = &'a Kill> {
        scopes_of(account, strategy, symbol).filter_map(|(scope, target)| self.kill(scope, target))
    }

    /// Open orders of a scope; what it costs grows with what is open there, not with what others have open.
    pub(crate) fn open_in(&self, scoped: &Scoped, mode: Mode) -> Vec<OrderId> {
        let accounts = 0..self.accounts.len() as AccountId;
        match scoped {
            Scoped::All => self.books[index(mode)].open.iter().copied().collect(),
            Scoped::Account(None) | Scoped::Instrument(None) => Vec::new(),
            Scoped::Account(Some(account)) => {
                let instruments = 0..self.listed.len() as InstrumentId;
                instruments
                    .flat_map(|id| self.sums.open_orders(*account, mode, id))
                    .collect()
            }
            Scoped::Instrument(Some(id)) => accounts
                .flat_map(|account| self.sums.open_orders(account, mode, *id))
                .collect(),
            Scoped::Strategy(name) => {
                let Some(strategy) = self.sums.strategy_named(name) else {
                    return Vec::new();
                };
                let mut found = Vec::new();
                for (id, tally) in self.sums.of(Holder::Strategy(strategy), mode) {
                    let own =
                        |order: &OrderId| self.order(*order).is_some_and(|order| order.strategy == Some(strategy));
                    let open = accounts
                        .clone()
                        .flat_map(|account| self.sums.open_orders(account, mode, id));
                    found.extend(open.filter(own).take(tally.open_orders as usize));
                }
                found
            }
        }
    }

    /// Whether a kill of level 3 or a breach still sells what this order of the gateway's own is for.
    pub(crate) fn is_being_flattened(&self, order: &Order) -> bool {
        order.flattens() && self.is_under(order, 3)
    }

    /// Nothing is killed, and everything may trade freely.
    fn is_free(&self) -> bool {
        self.kills.is_empty() && self.trading_states().next().is_none()
    }

    /// Whether a kill from level 2 on, or a breach that flattens, wants the order canceled. Those that flatten end by
    /// themselves, and those that others placed are theirs to cancel.
    pub(crate) fn is_pursued(&self, order: &Order) -> bool {
        order.is_open() && !order.flattens() && !order.is_external() && self.is_under(order, 2)
    }

    /// Whether a kill of at least this level, or a breach that flattens, covers the order.
    fn is_under(&self, order: &Order, level: u8) -> bool {
        let terms = &order.terms;
        let (Some(account), Some(instrument)) = (self.account(terms.account), self.instrument(terms.instrument)) else {
            return false;
        };
        let scopes = || scopes_of(&account.name, terms.strategy_id.as_deref(), &instrument.symbol);
        let breached = |(scope, target)| self.standing(scope, target, terms.mode).is_some_and(|one| one.flatten);
        scopes().any(|(scope, target)| self.kill(scope, target).is_some_and(|kill| kill.level >= level))
            || scopes().any(breached)
    }
}

/// The scopes that such an order is in.
fn scopes_of<'a>(
    account: &'a str,
    strategy: Option<&'a str>,
    symbol: &'a str,
) -> impl Iterator<Item = (KillScope, &'a str)> {
    let strategy = strategy.map(|strategy| (KillScope::Strategy, strategy));
    [Some((KillScope::Global, "")), Some((KillScope::Account, account))]
        .into_iter()
        .chain([strategy, Some((KillScope::Symbol, symbol))])
        .flatten()
}

impl Engine {
    /// Ends what a kill in force does not leave alone: unsent orders at once, working ones (level 2) by the next ticks;
    /// what is held (level 3) is sold now and by the next ticks.
    pub(crate) fn enforce_kill(&mut self, scope: KillScope, target: &str, now: Nanos) -> Result<(), Broken> {
        let Some(kill) = self.state.kill(scope, target) else {
            return Ok(());
        };
        let (level, spares, seq) = (kill.level, kill.lets_flatten(), kill.seq);
        self.stop_killed_strategies(scope, target, now)?;
        let scoped = self.state.scope_of(scope, target);
        self.end_unsent(&scoped, None, spares, now)?;
        if level >= 2 {
            self.sweep_scope(&scoped, None);
        }
        if level >= 3 {
            let pursued = Pursued {
                scope,
                target: target.to_owned(),
                only: None,
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
        self.end_unsent(&scoped, only, true, now)?;
        self.sweep_scope(&scoped, only);
        Ok(())
    }

    /// Ends the unsent orders of a scope as killed, in both modes or one; those that flatten may be spared.
    fn end_unsent(&mut self, scoped: &Scoped, only: Option<Mode>, spares: bool, now: Nanos) -> Result<(), Broken> {
        for mode in modes(only) {
            let unsent = &self.state.books[index(mode)].unsent;
            if unsent.is_empty() {
                continue;
            }
            let open = match scoped {
                Scoped::All => unsent.iter().copied().collect(),
                _ => self.state.open_in(scoped, mode),
            };
            for order in open {
                let hit = |order: &Order| order.is_unsent() && !(spares && order.flattens());
                if self.state.order(order).is_some_and(hit) {
                    self.request_cancel(order, KILLED, now)?;
                }
            }
        }
        Ok(())
    }

    /// The next ticks cancel the open orders of a scope; those that flatten end by themselves, others' are theirs.
    fn sweep_scope(&mut self, scoped: &Scoped, only: Option<Mode>) {
        for mode in modes(only) {
            let open = self.state.open_in(scoped, mode).into_iter();
            let ours = |order: &Order| !order.flattens() && !order.is_external();
            let working = open.filter(|id| self.state.order(*id).is_some_and(ours));
            self.sweep.next.extend(working);
        }
    }

    /// An order changed: one that works on in a pursued scope, with no cancel under way, is canceled again.
    pub(crate) fn pursue_order(&mut self, order: OrderId, now: Nanos) {
        if self.state.is_free() {
            return;
        }
        let works = |order: &&Order| order.pending() != Pending::Cancel && !order.cancel_wanted;
        let found = self.state.order(order).filter(works);
        if found.is_some_and(|order| self.state.is_pursued(order)) {
            self.sweep.put_off(order, now.saturating_add(AGAIN_NS));
        } else {
            self.sweep.later.remove(&order);
        }
    }

    /// Asks for the cancels that kills and breaches want, at most so many.
    pub(crate) fn cancel_pursued(&mut self, most: usize, now: Nanos) -> Result<(), Broken> {
        for _ in 0..most {
            let order = match self.sweep.next.pop_first() {
                Some(order) => order,
                None => match self.sweep.due(now) {
                    Some(order)
                        if self
                            .state
                            .order(order)
                            .is_some_and(|order| self.state.is_pursued(order)) =>
                    {
                        order
                    }
                    Some(_) => continue,
                    None => return Ok(()),
                },
            };
            if self.request_cancel(order, KILLED, now)?.is_none() {
                self.pursue_order(order, now);
            }
        }
        Ok(())
    }

    /// Kills of level 3, and scopes that a breach flattens: what is to be sold.
    fn pursued(&self) -> Vec<Pursued> {
        let killed = self.state.kills().filter(|(_, _, kill)| kill.level >= 3);
        let killed = killed.map(|(scope, target, kill)| Pursued {
            scope,
            target: target.to_owned(),
            only: None,
            seq: kill.seq,
        });
        let breached = self.state.trading_states().filter(|(.., standing)| standing.flatten);
        let breached = breached.map(|(scope, target, mode, standing)| Pursued {
            scope,
            target: target.to_owned(),
            only: Some(mode),
            seq: standing.seq,
        });
        killed.chain(breached).collect()
    }

    /// What is still held where that is to be sold, is sold, when something keeps a first order from doing it.
    pub(crate) fn pursue_kills(&mut self, now: Nanos) -> Result<(), Broken> {
        let due = self.pursued();
        self.flattening.keep(&due);
        if !due.is_empty() && self.flattening.is_due(now) {
            for pursued in &due {
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
}

fn modes(only: Option<Mode>) -> impl Iterator<Item = Mode> {
    Mode::ALL
        .iter()
        .copied()
        .filter(move |mode| only.is_none_or(|only| only == *mode))
}

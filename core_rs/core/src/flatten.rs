//! Kills of level 3 and breaches whose action is FLATTEN: what was bought is sold, by MARKET orders of the gateway's own
//! that can only reduce.
//!
//! On spot a position is what was bought and not sold since; opening balances and what was sold out of them stay. An
//! order never asks for more than the position less what open orders sell already, nor for more than is free.

use crate::engine::Engine;
use crate::exposure::Tally;
use crate::instrument::Instrument;
use crate::kills::{Pursued, Scoped};
use crate::limits::Owner;
use crate::lookup::blank_view;
use crate::number::{Amount, Qty};
use crate::record::{Decision, OrderAccepted, Record, RequestKey, Terms};
use crate::render::{self, OrderView};
use crate::risk::REFERENCE_MAX_AGE_NS;
use crate::rules::Strategy;
use crate::state::Broken;
use crate::terms::{
    AccountId, GATEWAY_KEY, InstrumentId, KillScope, Mode, Nanos, OrdType, OrderId, Seq, Side, TimeInForce,
};
use std::collections::BTreeMap;

/// How often positions are looked at while a scope is flattened.
const LOOK_NS: Nanos = 100_000_000;
/// How long to wait before the rest of a position is tried again.
const AGAIN_NS: Nanos = 1_000_000_000;
/// Most orders for one position and kill (or breach): what is still there then is for a person.
const TRIES: u32 = 30;

/// Whose position, where.
type Holding = (AccountId, Mode, InstrumentId);

/// What has been tried for one position.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    tries: u32,
    again_at: Nanos,
    /// What is left, and why, as of the last look.
    left: Amount,
    why: &'static str,
}

/// How far flattening has come; what is under way is told by the orders themselves, also after a restart.
#[derive(Debug, Default)]
pub(crate) struct Flattening {
    /// By position and the record that asked for its sale.
    attempts: BTreeMap<(Holding, Seq), Attempt>,
    looked_at: Nanos,
}

impl Flattening {
    pub(crate) const fn new() -> Self {
        Self {
            attempts: BTreeMap::new(),
            looked_at: 0,
        }
    }

    /// Whether it is time for the next look.
    pub(crate) const fn is_due(&mut self, now: Nanos) -> bool {
        let due = now >= self.looked_at.saturating_add(LOOK_NS);
        if due {
            self.looked_at = now;
        }
        due
    }

    /// Forgets what nobody asks for any more.
    pub(crate) fn keep(&mut self, due: &[Pursued]) {
        self.attempts
            .retain(|(_, asked), _| due.iter().any(|pursued| pursued.seq == *asked));
    }
}

/// A position that a kill of level 3 or a breach has not sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFlat {
    /// Whose.
    pub account: AccountId,
    /// Which book of the account.
    pub mode: Mode,
    /// Of what.
    pub instrument: InstrumentId,
    /// How much of base.
    pub quantity: Amount,
    /// Why: `under_way`, `below_minimum`, `not_free`, `no_price`, `venue_unavailable`, `kill_switch_stale`, `redis`,
    /// `symbol_not_trading`, `given_up`.
    pub why: &'static str,
}

impl Engine {
    /// Sells what is held in a killed scope, as far as that can be done now; the number of orders placed.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) fn flatten(&mut self, pursued: &Pursued, now: Nanos) -> Result<usize, Broken> {
        let (asked, scoped) = (pursued.seq, self.state.scope_of(pursued.scope, &pursued.target));
        let mut placed = 0;
        let strategy = (pursued.scope == KillScope::Strategy).then_some(pursued.target.as_str());
        for (holding, quantity) in self.holdings(&scoped, pursued.only) {
            let known = self.flattening.attempts.get(&(holding, asked));
            let mut attempt = known.copied().unwrap_or(Attempt {
                tries: 0,
                again_at: Nanos::MIN,
                left: quantity,
                why: "under_way",
            });
            attempt.left = quantity;
            match self.sellable(holding, strategy, quantity, &attempt, now) {
                Err(why) => attempt.why = why,
                Ok(qty) => {
                    self.sell(holding, strategy, (asked, qty), &mut attempt, now)?;
                    attempt.why = "under_way";
                    attempt.again_at = now.saturating_add(AGAIN_NS);
                    placed += 1;
                }
            }
            self.flattening.attempts.insert((holding, asked), attempt);
        }
        Ok(placed)
    }

    /// What kills of level 3 and breaches have left so far: each position once, whoever asked for its sale.
    pub fn not_flat(&self) -> impl Iterator<Item = NotFlat> {
        let mut left: BTreeMap<Holding, Attempt> = BTreeMap::new();
        for ((holding, _), attempt) in &self.flattening.attempts {
            let known = left.entry(*holding).or_insert(*attempt);
            if attempt.left > known.left {
                *known = *attempt;
            }
        }
        left.into_iter().filter_map(|((account, mode, instrument), attempt)| {
            let tally = self.state.tally(&Owner::Account(account), mode, instrument)?;
            let quantity = tally.position()?.min(attempt.left);
            (quantity > Amount::ZERO).then_some(NotFlat {
                account,
                mode,
                instrument,
                quantity,
                why: attempt.why,
            })
        })
    }

    /// Positions of the scope, each less what open orders sell already. A strategy's are what its own orders bought, as
    /// far as its account still has it.
    fn holdings(&self, scoped: &Scoped, only: Option<Mode>) -> Vec<(Holding, Amount)> {
        let owners: Vec<(Owner, AccountId)> = match scoped {
            Scoped::Strategy(name) => {
                let strategy = self.state.strategy(name);
                let owner = |strategy: &Strategy| (Owner::Strategy(name.clone()), strategy.account);
                strategy.map(owner).into_iter().collect()
            }
            _ => {
                let accounts = self.state.accounts().iter();
                accounts
                    .map(|account| (Owner::Account(account.id), account.id))
                    .collect()
            }
        };
        let mut held = Vec::new();
        for (owner, account) in &owners {
            for mode in Mode::ALL.iter().filter(|mode| only.is_none_or(|only| only == **mode)) {
                for (instrument, tally) in self.state.tallies(owner, *mode) {
                    let whole = self.state.tally(&Owner::Account(*account), *mode, instrument);
                    let rest = tally.worst_short().min(whole.and_then(Tally::worst_short));
                    let rest = rest.filter(|rest| *rest > Amount::ZERO);
                    if let Some(rest) = rest.filter(|_| scoped.covers(*account, instrument)) {
                        held.push(((*account, *mode, instrument), rest));
                    }
                }
            }
        }
        held
    }

    /// How much can be sold at once, or why nothing can.
    fn sellable(
        &self,
        (account, mode, instrument): Holding,
        strategy: Option<&str>,
        quantity: Amount,
        attempt: &Attempt,
        now: Nanos,
    ) -> Result<Qty, &'static str> {
        let (Some(account), Some(terms)) = (self.state.account(account), self.state.instrument(instrument)) else {
            return Err("given_up");
        };
        if attempt.again_at > now {
            return Err(attempt.why);
        }
        if attempt.tries >= TRIES {
            return Err("given_up");
        }
        let scopes = [
            (KillScope::Global, ""),
            (KillScope::Account, &account.name),
            (KillScope::Strategy, strategy.unwrap_or_default()),
            (KillScope::Symbol, &terms.symbol),
        ];
        let kills = scopes
            .iter()
            .filter_map(|(scope, target)| self.state.kill(*scope, target));
        if kills.into_iter().any(|kill| !kill.lets_flatten()) {
            return Err("redis");
        }
        if !self.kill_reading_is_fresh(now) {
            return Err("kill_switch_stale");
        }
        if self.attached(mode).is_none() || !self.can_send(mode, account.id) {
            return Err("venue_unavailable");
        }
        if !terms.is_trading() {
            return Err("symbol_not_trading");
        }
        let fresh = self
            .mark(mode, instrument)
            .filter(|mark| now.saturating_sub(mark.at) <= REFERENCE_MAX_AGE_NS);
        let price = fresh.ok_or("no_price")?.bid;
        let free = self.state.free(account, mode, instrument, Side::Sell);
        if free <= Amount::ZERO {
            return Err("not_free");
        }
        let qty = lots(terms, quantity.min(free)).ok_or("below_minimum")?;
        let enough = price.times(qty).to_amount_floor() >= terms.min_notional;
        enough.then_some(qty).ok_or("below_minimum")
    }

    fn sell(
        &mut self,
        (account, mode, instrument): Holding,
        strategy: Option<&str>,
        (asked, qty): (Seq, Qty),
        attempt: &mut Attempt,
        now: Nanos,
    ) -> Result<OrderId, Broken> {
        let name = self.state.account(account).map_or("", |account| &account.name);
        let symbol = self.state.instrument(instrument).map_or("", |terms| &terms.symbol);
        // A client may have used the name, or an earlier start of ours: the next number is free some time.
        let key = loop {
            attempt.tries += 1;
            let key = format!("flatten:{asked}:{name}:{symbol}:{}", attempt.tries);
            if self.state.request(account, &key, now).is_none() {
                break key;
            }
        };
        let terms = Terms {
            account,
            key: GATEWAY_KEY,
            mode,
            instrument,
            side: Side::Sell,
            ord_type: OrdType::Market,
            time_in_force: TimeInForce::Ioc,
            qty,
            price: None,
            client_order_id: None,
            strategy_id: strategy.map(str::to_owned),
            valid_for_ms: None,
            conditions: None,
        };
        let mark = self.mark(mode, instrument);
        let decision = Decision {
            limits_version: self.state.limits_version(),
            reference_price: mark.map(|mark| mark.bid),
            reference_age_ns: mark.map(|mark| now.saturating_sub(mark.at)),
            ..Decision::default()
        };
        let (id, mut answer) = (self.state.last_seq() + 1, String::with_capacity(512));
        let view = OrderView {
            id,
            received_at: now,
            updated_at: now,
            ..blank_view(&terms, symbol)
        };
        render::order_json(&mut answer, &view);
        let record = Record::OrderAccepted(OrderAccepted {
            hold: qty.into(),
            terms,
            request: RequestKey {
                key,
                fingerprint: 0,
                fingerprint2: 0,
            },
            decision,
            answer_status: 201,
            answer,
        });
        let order = self.commit(record, now)?;
        self.start_waiting(mode, now)?;
        Ok(order)
    }
}

/// The quantity in whole steps, as large as one MARKET order may be; `None` when that is below the smallest.
fn lots(terms: &Instrument, quantity: Amount) -> Option<Qty> {
    let largest = [terms.max_qty, terms.market_max_qty]
        .into_iter()
        .filter(|most| !most.is_zero())
        .fold(Amount::from(Qty(i64::MAX)), |least, most| least.min(most.into()));
    let most = quantity.min(largest);
    let step = Amount::from(terms.step).0.max(1);
    let qty = Qty::try_from(Amount(most.0 - most.0 % step)).ok()?;
    (!qty.is_zero() && qty >= terms.min_qty).then_some(qty)
}

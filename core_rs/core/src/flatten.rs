//! Kills of level 3 and breaches whose action is FLATTEN: what was bought is sold, by MARKET orders of the gateway's own
//! that can only reduce.
//!
//! On spot a position is what was bought and not sold since; opening balances and what was sold out of them stay. An
//! order never asks for more than the position less what open orders sell already, nor for more than is free. What a
//! strategy bought is sold in its name, so that no sum keeps what is gone.

use crate::engine::Engine;
use crate::exposure::Tally;
use crate::instrument::Instrument;
use crate::limits::Owner;
use crate::lookup::blank_view;
use crate::number::{Amount, Qty};
use crate::pursuit::{Pursued, Scoped};
use crate::record::{Decision, OrderAccepted, Record, RequestKey, Terms};
use crate::render::{self, OrderView};
use crate::risk::REFERENCE_MAX_AGE_NS;
use crate::state::Broken;
use crate::terms::{AccountId, GATEWAY_KEY, InstrumentId, Mode, Nanos, OrdType, OrderId, Seq, Side, TimeInForce};
use std::collections::BTreeMap;

/// How often positions are looked at while a scope is flattened.
const LOOK_NS: Nanos = 100_000_000;
/// How long to wait before the rest of a position is tried again.
const AGAIN_NS: Nanos = 1_000_000_000;
/// Most orders for one position and kill (or breach): what is still there then is for a person.
const TRIES: u32 = 30;

/// Whose position, where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Holding {
    account: AccountId,
    mode: Mode,
    instrument: InstrumentId,
    /// The strategy whose orders bought it.
    strategy: Option<String>,
}

/// What has been tried for one position.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    tries: u32,
    /// Of the first look.
    since: Nanos,
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
    /// `symbol_not_trading`, `own_orders`, `given_up`.
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
        for (holding, quantity) in self.holdings(&scoped, pursued.only) {
            let known = self.flattening.attempts.get(&(holding.clone(), asked));
            let mut attempt = known.copied().unwrap_or(Attempt {
                tries: 0,
                since: now,
                again_at: Nanos::MIN,
                left: quantity,
                why: "under_way",
            });
            attempt.left = quantity;
            match self.sellable(&holding, quantity, &attempt, now) {
                Err(why) => attempt.why = why,
                Ok(qty) => {
                    self.sell(&holding, (asked, qty), &mut attempt, now)?;
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
        let mut left: BTreeMap<&Holding, Attempt> = BTreeMap::new();
        for ((holding, _), attempt) in &self.flattening.attempts {
            let known = left.entry(holding).or_insert(*attempt);
            if attempt.left > known.left {
                *known = *attempt;
            }
        }
        let mut places: BTreeMap<(AccountId, Mode, InstrumentId), NotFlat> = BTreeMap::new();
        for (holding, attempt) in left {
            let (account, mode, instrument) = (holding.account, holding.mode, holding.instrument);
            let owner = match &holding.strategy {
                Some(name) => Owner::Strategy(name.clone()),
                None => Owner::Account(account),
            };
            let position = |owner: &Owner| self.state.tally(owner, mode, instrument)?.position();
            let part = position(&owner).unwrap_or_default().min(attempt.left).max(Amount::ZERO);
            let whole = position(&Owner::Account(account)).unwrap_or_default();
            let why = attempt.why;
            let place = places.entry((account, mode, instrument)).or_insert(NotFlat {
                account,
                mode,
                instrument,
                quantity: Amount::ZERO,
                why,
            });
            if part > Amount::ZERO {
                place.why = why;
            }
            // The parts of one account are parts of what it has.
            place.quantity = place.quantity.checked_add(part).unwrap_or(whole).min(whole);
        }
        places.into_values().filter(|place| place.quantity > Amount::ZERO)
    }

    /// Positions of the scope, each less what open orders sell already: first what each strategy's own orders bought, as
    /// far as its account still has it, then the rest of the account.
    fn holdings(&self, scoped: &Scoped, only: Option<Mode>) -> Vec<(Holding, Amount)> {
        let whole = !matches!(scoped, Scoped::Strategy(_));
        let strategies = self.state.strategies().filter(|(name, _)| match scoped {
            Scoped::Strategy(only) => only == *name,
            _ => true,
        });
        let mut of_account: BTreeMap<AccountId, Vec<&str>> = BTreeMap::new();
        for (name, strategy) in strategies {
            of_account.entry(strategy.account).or_default().push(name);
        }
        let accounts: Vec<AccountId> = if whole {
            self.state.accounts().iter().map(|account| account.id).collect()
        } else {
            of_account.keys().copied().collect()
        };
        let mut held = Vec::new();
        for account in accounts {
            let names = of_account.get(&account).map_or(&[][..], Vec::as_slice);
            for mode in Mode::ALL.iter().filter(|mode| only.is_none_or(|only| only == **mode)) {
                for (instrument, tally) in self.state.tallies(&Owner::Account(account), *mode) {
                    let has = tally.worst_short().filter(|has| *has > Amount::ZERO);
                    let Some(mut left) = has.filter(|_| scoped.covers(account, instrument)) else {
                        continue;
                    };
                    let holding = |strategy: Option<&str>| Holding {
                        account,
                        mode: *mode,
                        instrument,
                        strategy: strategy.map(str::to_owned),
                    };
                    for name in names {
                        let bought = self.state.strategy_tally(name, *mode, instrument);
                        let part = bought.and_then(Tally::worst_short).unwrap_or_default().min(left);
                        if part > Amount::ZERO {
                            left = left.checked_sub(part).unwrap_or_default();
                            held.push((holding(Some(name)), part));
                        }
                    }
                    if whole && left > Amount::ZERO {
                        held.push((holding(None), left));
                    }
                }
            }
        }
        held
    }

    /// How much can be sold at once, or why nothing can.
    fn sellable(
        &self,
        holding: &Holding,
        quantity: Amount,
        attempt: &Attempt,
        now: Nanos,
    ) -> Result<Qty, &'static str> {
        let (mode, instrument) = (holding.mode, holding.instrument);
        let (Some(account), Some(terms)) = (self.state.account(holding.account), self.state.instrument(instrument))
        else {
            return Err("given_up");
        };
        if attempt.again_at > now {
            return Err(attempt.why);
        }
        if attempt.tries >= TRIES {
            return Err("given_up");
        }
        let strategy = holding.strategy.as_deref();
        let mut kills = self.state.kills_for(&account.name, strategy, &terms.symbol);
        if kills.any(|kill| !kill.lets_flatten()) {
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
        // Cancels first: the sale would meet a bid of our own. One that nobody cancels holds it up for a second only.
        let bid = self
            .state
            .best_own_opposite(account.id, mode, instrument, Side::Sell, false);
        if bid.is_some() && now < attempt.since.saturating_add(AGAIN_NS) {
            return Err("own_orders");
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
        holding: &Holding,
        (asked, qty): (Seq, Qty),
        attempt: &mut Attempt,
        now: Nanos,
    ) -> Result<OrderId, Broken> {
        let (account, mode, instrument) = (holding.account, holding.mode, holding.instrument);
        let name = self.state.account(account).map_or("", |account| &account.name);
        let symbol = self.state.instrument(instrument).map_or("", |terms| &terms.symbol);
        let of = holding.strategy.as_deref().unwrap_or_default();
        // A client may have used the name, or an earlier start of ours: the next number is free some time.
        let key = loop {
            attempt.tries += 1;
            let key = format!("flatten:{asked}:{name}:{symbol}:{of}:{}", attempt.tries);
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
            strategy_id: holding.strategy.as_deref().map(Into::into),
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
                key: key.into(),
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

//! The reference model of the engine: plain maps, sums added up anew each time they are asked for.

use crate::limiting::{Limits, Rate, Whose};
use crate::orders::{End, Event, Order, UNIT, product_up};
use ordergate_core::terms::{DriftClass, KillScope, Mode, Nanos, OrderId, SessionId};
use std::collections::{BTreeMap, BTreeSet};

pub const MS: Nanos = 1_000_000;
pub const SYMBOLS: [(&str, &str); 2] = [("BTCUSDT", "BTC"), ("ETHUSDT", "ETH")];
pub const ACCOUNTS: [&str; 2] = ["desk", "lab"];

/// Filters of every instrument, scaled by 10⁸.
pub const TICK: i128 = UNIT / 100;
pub const STEP: i128 = UNIT / 1_000;
pub const MAX_PRICE: i128 = 100 * UNIT;
pub const MAX_QTY: i128 = 60 * UNIT;
pub const MARKET_MAX_QTY: i128 = 30 * UNIT;
pub const MIN_NOTIONAL: i128 = 5 * UNIT;
pub const MAX_NOTIONAL: i128 = 3_000 * UNIT;

const DAY: Nanos = 24 * 3_600_000 * MS;
const READING_AGE: Nanos = 300 * MS;
const REFERENCE_AGE: Nanos = 2_000 * MS;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub mode: Mode,
    /// Place in [`SYMBOLS`]; one beyond is not known.
    pub instrument: usize,
    pub buy: bool,
    pub qty: i128,
    /// `None` is a MARKET order.
    pub price: Option<i128>,
    pub client_id: Option<String>,
    pub strategy: Option<String>,
    pub valid_for_ms: Option<u32>,
}

/// What a request to place an order is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Refused(&'static str),
    /// The stored answer of this order's record.
    Repeat(OrderId),
    Accepted,
    /// Every failed check.
    Denied(Vec<&'static str>),
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    pub now: Nanos,
    pub orders: BTreeMap<OrderId, Order>,
    /// Orders that have left memory: trades of theirs wait, other reports are parked.
    pub left: BTreeSet<OrderId>,
    /// Money put in or taken out, by account, mode, asset.
    pub deposits: BTreeMap<(u32, Mode, String), i128>,
    /// What was asked under a key, when, and the order that answers it.
    pub requests: BTreeMap<(u32, String), (Request, Nanos, OrderId)>,
    pub limits: Limits,
    /// The UTC day that is counted.
    pub day: Option<i64>,
    pub halted: [bool; 2],
    /// The one strategy, of the first account, may place orders.
    pub running: bool,
    pub kills: BTreeMap<(KillScope, String), u8>,
    /// Differences from the venue that are not explained.
    pub drifts: BTreeSet<(u32, Option<usize>, DriftClass)>,
    // What a restart forgets:
    pub sessions: BTreeMap<Mode, SessionId>,
    /// Accounts whose orders the LIVE venue takes.
    pub ready: BTreeSet<u32>,
    pub read_at: Option<Nanos>,
    pub journal_is_full: bool,
    /// Rates of new orders.
    pub rates: BTreeMap<Whose, Rate>,
    /// Bid, ask, and when they came.
    pub prices: BTreeMap<(Mode, usize), (i128, i128, Nanos)>,
    pub sweep: BTreeSet<OrderId>,
    /// When orders that work on in killed scopes are canceled again.
    pub again: BTreeMap<OrderId, Nanos>,
}

impl Model {
    /// All that an account has of an asset: what was put in, and what its trades moved.
    pub fn total(&self, account: u32, mode: Mode, asset: &str) -> i128 {
        let mut total = self
            .deposits
            .get(&(account, mode, asset.to_owned()))
            .copied()
            .unwrap_or(0);
        for order in self.book(account, mode) {
            let sign = if order.buy { 1 } else { -1 };
            for trade in order.trades.values() {
                if SYMBOLS[order.instrument].1 == asset {
                    total += sign * trade.qty;
                }
                if asset == "USDT" {
                    total -= sign * trade.quote;
                }
                if trade.fee_asset == asset {
                    total -= trade.fee;
                }
            }
        }
        total
    }

    /// What the open orders hold of it.
    pub fn held(&self, account: u32, mode: Mode, asset: &str) -> i128 {
        let of = |order: &&Order| asset == if order.buy { "USDT" } else { SYMBOLS[order.instrument].1 };
        self.book(account, mode).filter(of).map(Order::hold).sum()
    }

    pub fn open_count(&self, account: u32, mode: Mode) -> u32 {
        self.book(account, mode).filter(|order| order.is_open()).count() as u32
    }

    pub fn book(&self, account: u32, mode: Mode) -> impl Iterator<Item = &Order> {
        self.orders
            .values()
            .filter(move |order| (order.account, order.mode) == (account, mode))
    }

    /// A request to place an order; it gets `id` if it is decided now.
    pub fn submit(&mut self, account: u32, key: Option<&str>, request: &Request, durable: u64, id: OrderId) -> Answer {
        match self.consider(account, key, request, durable) {
            Err(answer) => answer,
            Ok(()) => {
                let hold = self.worst_cost(request);
                let failed = self.failed_checks(account, request, hold);
                let key = (account, key.unwrap_or_default().to_owned());
                self.requests.insert(key, (request.clone(), self.now, id));
                if failed.is_empty() {
                    self.take_rates(account, request);
                }
                self.enter(account, request, id, hold.unwrap_or(0), failed.first().copied());
                self.send(request.mode);
                if failed.is_empty() {
                    Answer::Accepted
                } else {
                    Answer::Denied(failed)
                }
            }
        }
    }

    /// Everything that can be said before the risk checks.
    fn consider(&self, account: u32, key: Option<&str>, request: &Request, durable: u64) -> Result<(), Answer> {
        let refused = |code| Err(Answer::Refused(code));
        if request.qty <= 0 {
            return refused("invalid_field");
        }
        let Some(key) = key else {
            return refused("idempotency_key_missing");
        };
        if let Some((first, at, id)) = self.requests.get(&(account, key.to_owned()))
            && self.now < at + DAY
        {
            return Err(match () {
                () if first != request => Answer::Refused("idempotency_key_reused"),
                () if *id > durable => Answer::Refused("request_in_progress"),
                () => Answer::Repeat(*id),
            });
        }
        if request.instrument >= SYMBOLS.len() {
            return refused("unknown_symbol");
        }
        if self.halted[request.instrument] {
            return refused("symbol_not_trading");
        }
        if let Some(code) = self.violated_filter(request) {
            return refused(code);
        }
        let mine = self
            .orders
            .values()
            .filter(|order| order.account == account && order.is_open());
        if request.client_id.is_some() && mine.into_iter().any(|order| order.client_id == request.client_id) {
            return refused("client_order_id_in_use");
        }
        if self.kills.keys().any(|(scope, target)| {
            let (scope, target) = (*scope, Some(target.as_str()));
            scope == KillScope::Global
                || (scope == KillScope::Account && target == Some(ACCOUNTS[account as usize]))
                || (scope == KillScope::Strategy && target == request.strategy.as_deref())
                || (scope == KillScope::Symbol && target == Some(SYMBOLS[request.instrument].0))
        }) {
            return refused("killed");
        }
        if !self.reading_is_fresh() {
            return refused("kill_switch_stale");
        }
        if self.journal_is_full {
            return refused("journal_full");
        }
        if request.mode == Mode::Live && !self.ready.contains(&account) {
            return refused("venue_unavailable");
        }
        if request.strategy.is_some() && !(account == 0 && self.running) {
            return refused("strategy_not_running");
        }
        Ok(())
    }

    fn violated_filter(&self, request: &Request) -> Option<&'static str> {
        if request
            .price
            .is_some_and(|price| !(TICK..=MAX_PRICE).contains(&price) || price % TICK != 0)
        {
            return Some("invalid_price");
        }
        let most = if request.price.is_none() {
            MARKET_MAX_QTY
        } else {
            MAX_QTY
        };
        if request.qty < STEP || request.qty > most || request.qty % STEP != 0 {
            return Some("invalid_quantity");
        }
        let price = request
            .price
            .or_else(|| self.reference(request).map(|(price, _)| price))?;
        let money = price * request.qty;
        (!(MIN_NOTIONAL * UNIT..=MAX_NOTIONAL * UNIT).contains(&money)).then_some("invalid_notional")
    }

    /// The price that a MARKET order would meet, and its age.
    fn reference(&self, request: &Request) -> Option<(i128, Nanos)> {
        let (bid, ask, at) = self.prices.get(&(request.mode, request.instrument))?;
        Some((if request.buy { *ask } else { *bid }, self.now - at))
    }

    /// Quote at worst; `None` when a MARKET order meets no fresh price.
    pub fn worst_notional(&self, request: &Request) -> Option<i128> {
        match request.price {
            Some(price) => Some(product_up(price, request.qty)),
            None => {
                let (price, age) = self.reference(request)?;
                let percent = if request.buy { 105 } else { 100 };
                let hundredth = price * request.qty * percent;
                (age <= REFERENCE_AGE).then_some((hundredth + 100 * UNIT - 1) / (100 * UNIT))
            }
        }
    }

    fn worst_cost(&self, request: &Request) -> Option<i128> {
        if request.buy {
            self.worst_notional(request)
        } else {
            Some(request.qty)
        }
    }

    pub fn enter(&mut self, account: u32, request: &Request, id: OrderId, hold: i128, failed: Option<&str>) {
        let order = Order {
            id,
            account,
            mode: request.mode,
            instrument: request.instrument,
            buy: request.buy,
            market: request.price.is_none(),
            qty: request.qty,
            price: request.price,
            client_id: request.client_id.clone(),
            strategy: request.strategy.clone(),
            deadline: self.now + Nanos::from(request.valid_for_ms.unwrap_or(2_000)) * MS,
            entry_hold: hold,
            trades: BTreeMap::new(),
            end: failed.map(|_| End::RejectedByGateway),
            reason: failed.unwrap_or_default().to_owned(),
            venue_id: None,
            submit: None,
            acked: false,
            answered: false,
            in_doubt: false,
            cancel_pending: false,
            cancel_wanted: false,
            late_fill: false,
            flattens: false,
            external: None,
            met: self.reference(request).map(|(price, _)| price),
            asked: (request.qty, request.price),
            received: self.now,
            day: self.day,
            denied: failed.is_some(),
        };
        self.orders.insert(id, order);
    }

    /// A request to cancel; the HTTP status or the refusal.
    pub fn cancel(&mut self, account: u32, id: OrderId) -> Result<u16, &'static str> {
        let order = self
            .orders
            .get_mut(&id)
            .filter(|order| order.account == account)
            .ok_or("not_found")?;
        match order.status() {
            "FILLED" => Err("already_filled"),
            "REJECTED" => Err("already_ended"),
            "CANCELED" | "EXPIRED" => Ok(200),
            _ => {
                order.ask_cancel("CLIENT_CANCEL");
                Ok(202)
            }
        }
    }

    /// A report of a connected session; anybody else's changes nothing.
    pub fn report(&mut self, session: SessionId, id: OrderId, event: &Event) {
        let Some(mode) = self.mode_of(session) else { return };
        let here = !self.left.contains(&id);
        if let Some(order) = self.orders.get_mut(&id).filter(|order| here && order.mode == mode) {
            order.hear(event);
            if order.cancel_wanted && !order.in_doubt && order.is_open() {
                let why = order.reason.clone();
                order.ask_cancel(&why);
            }
        }
        self.send(mode);
    }

    pub fn mode_of(&self, session: SessionId) -> Option<Mode> {
        self.sessions
            .iter()
            .find(|(_, connected)| **connected == session)
            .map(|(mode, _)| *mode)
    }

    /// A venue connected: what the old session was told to send to a real exchange is in doubt.
    pub fn connect(&mut self, mode: Mode, session: SessionId) {
        self.sessions.insert(mode, session);
        if mode == Mode::Live {
            self.ready.clear();
            let sent = |order: &&mut Order| order.mode == mode && order.is_open() && order.submit.is_some();
            for order in self.orders.values_mut().filter(sent) {
                if !order.answered || (!order.acked && !order.in_doubt) {
                    order.hear(&Event::Unknown);
                }
            }
        }
        self.send(mode);
    }

    pub fn tick(&mut self) {
        self.day = self.day.max(Some(self.now.div_euclid(DAY)));
        for mode in [Mode::Paper, Mode::Live] {
            let now = self.now;
            let late = |order: &&mut Order| order.mode == mode && order.is_unsent() && order.deadline <= now;
            for order in self.orders.values_mut().filter(late) {
                order.hear(&Event::NotSent("too late"));
            }
            self.send(mode);
        }
        self.pursue();
        let due = self.again.iter().filter(|(_, at)| **at <= self.now);
        self.sweep.extend(due.map(|(id, _)| *id));
        for id in std::mem::take(&mut self.sweep) {
            if let Some(order) = self.orders.get_mut(&id) {
                order.ask_cancel("KILLED");
            }
        }
    }

    /// Tells the connected session to send what waits, oldest first, as far as its window goes.
    pub fn send(&mut self, mode: Mode) {
        let Some(session) = self.sessions.get(&mode).copied().filter(|_| self.reading_is_fresh()) else {
            return;
        };
        let window = if mode == Mode::Live { 8 } else { 256 };
        let ids: Vec<OrderId> = self.orders.keys().copied().collect();
        for id in ids {
            let unanswered = self
                .orders
                .values()
                .filter(|order| order.mode == mode && order.is_unanswered())
                .count();
            let Some(order) = self
                .orders
                .get_mut(&id)
                .filter(|order| order.mode == mode && order.is_unsent())
                .filter(|order| mode == Mode::Paper || self.ready.contains(&order.account))
            else {
                continue;
            };
            if unanswered >= window {
                return;
            }
            if order.deadline <= self.now {
                order.hear(&Event::NotSent("too late"));
            } else {
                order.submit = Some(session);
            }
        }
    }

    fn reading_is_fresh(&self) -> bool {
        self.read_at.is_some_and(|at| self.now - at <= READING_AGE)
    }

    pub fn kill(&mut self, scope: KillScope, target: &str, level: u8) {
        let known = self.kills.entry((scope, target.to_owned())).or_default();
        // The same people with the same words: nothing new.
        if level > *known {
            *known = level;
            self.enforce(scope, target, level);
        }
    }

    /// Unsent orders of the scope end at once; from level 2 on, the others are canceled by the next tick.
    fn enforce(&mut self, scope: KillScope, target: &str, level: u8) {
        if self.covers_strategy(scope, target) {
            self.running = false;
        }
        for order in self.orders.values_mut() {
            let hit = holds(scope, target, order);
            if hit && order.is_unsent() && !order.flattens {
                order.ask_cancel("KILLED");
            }
            if hit && level >= 2 && order.is_open() && !order.flattens && order.external.is_none() {
                self.sweep.insert(order.id);
            }
        }
    }

    /// From level 2 on, what works on in a killed scope and is not being canceled, is canceled a second later.
    pub fn pursue(&mut self) {
        let killed = |order: &Order| {
            let mut kills = self.kills.iter().filter(|(_, level)| **level >= 2);
            kills.any(|((scope, target), _)| holds(*scope, target, order))
        };
        let works = |order: &&Order| {
            let asked = order.cancel_pending || order.cancel_wanted;
            order.is_open() && !order.flattens && order.external.is_none() && !asked && killed(order)
        };
        let working: BTreeSet<OrderId> = self.orders.values().filter(works).map(|order| order.id).collect();
        self.again.retain(|id, _| working.contains(id));
        for id in working {
            self.again.entry(id).or_insert(self.now + 1_000 * MS);
        }
    }

    /// An order that the gateway placed by itself: at level 3, never more than was bought and is not yet being sold.
    pub fn adopt(&mut self, id: OrderId, account: u32, request: &Request) {
        let killed = self.kills.iter().any(|((scope, target), level)| {
            let in_scope = match scope {
                KillScope::Global => true,
                KillScope::Account => ACCOUNTS[account as usize] == target,
                KillScope::Strategy => request.strategy.as_deref() == Some(target),
                KillScope::Symbol => SYMBOLS[request.instrument].0 == target,
            };
            in_scope && *level >= 3
        });
        assert!(killed && !request.buy && request.price.is_none(), "{id}: {request:?}");
        let own = self
            .book(account, request.mode)
            .filter(|order| order.instrument == request.instrument);
        let rest: i128 = own
            .filter(|order| request.strategy.is_none() || order.strategy == request.strategy)
            .map(|order| {
                let fees = order
                    .trades
                    .values()
                    .filter(|trade| trade.fee_asset == SYMBOLS[order.instrument].1);
                let traded: i128 = order.trades.values().map(|trade| trade.qty).sum();
                let open = if order.is_open() && !order.buy { order.hold() } else { 0 };
                (if order.buy { traded } else { -traded }) - fees.map(|trade| trade.fee).sum::<i128>() - open
            })
            .sum();
        assert!(request.qty <= rest, "{id} sells {} of {rest}", request.qty);
        self.enter(account, request, id, request.qty, None);
        self.orders.get_mut(&id).expect("entered").flattens = true;
        self.send(request.mode);
    }

    fn covers_strategy(&self, scope: KillScope, target: &str) -> bool {
        match scope {
            KillScope::Global => true,
            KillScope::Account => target == ACCOUNTS[0],
            KillScope::Strategy => target == "grid",
            KillScope::Symbol => false,
        }
    }

    /// Whether a start of the strategy is refused.
    pub fn strategy_is_killed(&self) -> bool {
        let mut kills = self.kills.keys();
        kills.any(|(scope, target)| self.covers_strategy(*scope, target))
    }

    /// What was not journaled is gone.
    pub fn forget(&mut self) {
        self.sessions.clear();
        self.ready.clear();
        self.prices.clear();
        self.sweep.clear();
        self.rates.clear();
        for order in self.orders.values_mut() {
            order.asked = (order.qty, order.price);
        }
        self.again.clear();
        (self.read_at, self.journal_is_full) = (None, false);
    }

    /// A start enforces the kills in force again.
    pub fn resume_kills(&mut self) {
        for ((scope, target), level) in self.kills.clone() {
            self.enforce(scope, &target, level);
        }
    }
}

fn holds(scope: KillScope, target: &str, order: &Order) -> bool {
    match scope {
        KillScope::Global => true,
        KillScope::Account => ACCOUNTS[order.account as usize] == target,
        KillScope::Strategy => order.strategy.as_deref() == Some(target),
        KillScope::Symbol => SYMBOLS[order.instrument].0 == target,
    }
}

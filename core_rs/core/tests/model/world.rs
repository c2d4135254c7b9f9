//! Two engines and the model, told the same things. The engines must agree byte for byte: after a crash one goes on
//! from a snapshot and the other from the journal.

use crate::orders::{Event, UNIT};
use crate::picture::{Picture, Seen};
use crate::reference::*;
use crate::steps::{Speaker, Spelling, Step, scope_of};
use crate::words::{self, Figures, text};
use ordergate_core::engine::{Caller, Emitted, Engine, NewKey, Submitted};
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::record::{InstrumentSet, KillOff, KillOn, MarketFilters, Record};
use ordergate_core::report::Report;
use ordergate_core::retention::KEEP_ENDED_NS;
use ordergate_core::snapshot;
use ordergate_core::state::State;
use ordergate_core::terms::{GATEWAY_KEY, Mode, OrderId, Scope, Seq, SessionId, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

const START: i64 = 1_700_000_000_000_000_000;
const NOBODYS: OrderId = 1_000_000;

pub struct World {
    pub model: Model,
    engines: [Engine; 2],
    /// The journal, folded record by record.
    pub replayed: State,
    pub journal: Vec<Emitted>,
    pub records: BTreeMap<Seq, Record>,
    /// The answer that each request got when it was decided.
    pub answers: BTreeMap<OrderId, (u16, String)>,
    /// Orders that have left memory, as they were.
    past: BTreeMap<OrderId, Seen>,
    /// The model as it was at the last flush, and the last record flushed.
    durable: (Model, Seq),
    epoch: u32,
    newest: Option<(SessionId, OrderId, Event)>,
    stale: SessionId,
    /// Codes of every answer given.
    pub said: BTreeSet<String>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Accepted(OrderId),
    /// Nothing may have changed.
    Refused,
}

fn instrument(symbol: &str, base: &str, halted: bool) -> InstrumentSet {
    let (price, qty) = (|scaled: i128| Price(scaled as i64), |scaled: i128| Qty(scaled as i64));
    InstrumentSet {
        instrument: 0,
        symbol: symbol.into(),
        base: base.into(),
        quote: "USDT".into(),
        status: if halted { "BREAK" } else { "TRADING" }.into(),
        min_price: price(TICK),
        max_price: price(MAX_PRICE),
        tick: price(TICK),
        min_qty: qty(STEP),
        max_qty: qty(MAX_QTY),
        step: qty(STEP),
        market_max_qty: qty(MARKET_MAX_QTY),
        min_notional: Amount(MIN_NOTIONAL),
        max_notional: Amount(MAX_NOTIONAL),
        market: MarketFilters::default(),
    }
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            model: Model {
                now: START,
                ..Model::default()
            },
            engines: [State::default(), State::default()].map(Engine::new),
            replayed: State::default(),
            journal: Vec::new(),
            records: BTreeMap::new(),
            answers: BTreeMap::new(),
            past: BTreeMap::new(),
            durable: (Model::default(), 0),
            epoch: 0,
            newest: None,
            stale: 0,
            said: BTreeSet::new(),
        };
        world.start();
        for (symbol, base) in SYMBOLS {
            world.both(|engine| {
                engine
                    .set_instrument(instrument(symbol, base, false), START)
                    .unwrap()
                    .unwrap()
            });
        }
        for (id, account) in (0..).zip(ACCOUNTS) {
            world.both(|engine| engine.create_account(account, START).unwrap().unwrap());
            let (owner, name, rate_per_second, expires_at) = ("ann", "test", 0, None);
            let (token_sha256, scopes) = ([id as u8; 32], &[Scope::Trade][..]);
            let key = NewKey {
                account,
                owner,
                name,
                token_sha256,
                scopes,
                rate_per_second,
                expires_at,
                symbols: &[],
                ip_allow: &[],
            };
            world.both(|engine| engine.create_key(&key, START).unwrap().unwrap());
            for mode in Mode::ALL {
                for (asset, units) in [("USDT", 6_000), ("BTC", 90), ("ETH", 40)] {
                    world.deposit(id, *mode, asset, units * UNIT);
                }
            }
        }
        world.both(|engine| {
            let (by, source, why) = ("ann", "cli", "test");
            engine
                .create_strategy("grid", ACCOUNTS[0], by, source, why, START)
                .unwrap()
                .unwrap();
            engine.start_strategy("grid", by, source, why, START).unwrap().unwrap()
        });
        world.model.running = true;
        world.read();
        for mode in [Mode::Paper, Mode::Live] {
            world.connect(mode);
        }
        world.collect();
        world.flush();
        world.stale = world.model.sessions[&Mode::Paper];
        world
    }

    fn say(&mut self, codes: &[&str]) {
        self.said.extend(codes.iter().map(|code| (*code).to_owned()));
    }

    /// Both engines do it and say the same.
    pub fn both<T: PartialEq + Debug>(&mut self, act: impl Fn(&mut Engine) -> T) -> T {
        let [one, other] = &mut self.engines;
        let (said, also) = (act(one), act(other));
        assert_eq!(
            said, also,
            "same future: an engine on a snapshot, and one on the replayed journal"
        );
        said
    }

    pub fn state(&self) -> &State {
        self.engines[0].state()
    }

    /// Takes the new records into the journal and folds them once more.
    pub fn collect(&mut self) {
        for emitted in self.both(Engine::take_emitted) {
            let record = Record::decode(emitted.kind, Record::VERSION, &emitted.body).unwrap();
            self.replayed.apply(emitted.seq, emitted.ts, &record).unwrap();
            self.part();
            self.adopt(emitted.seq, &record);
            self.records.insert(emitted.seq, record);
            self.journal.push(emitted);
        }
    }

    fn adopt(&mut self, id: OrderId, record: &Record) {
        let Record::OrderAccepted(accepted) = record else {
            return;
        };
        let terms = &accepted.terms;
        if terms.key == GATEWAY_KEY {
            let request = Request {
                mode: terms.mode,
                instrument: terms.instrument as usize,
                buy: terms.side == Side::Buy,
                qty: terms.qty.0.into(),
                price: terms.price.map(|price| price.0.into()),
                client_id: None,
                strategy: terms.strategy_id.as_deref().map(str::to_owned),
                valid_for_ms: None,
            };
            self.model.adopt(id, terms.account, &request);
        }
    }

    /// Takes note of the orders that left with the last record: long ended, each.
    fn part(&mut self) {
        for order in self.replayed.just_left() {
            let idle = self.replayed.last_ts() - order.updated_at;
            assert!(
                !order.is_open() && idle >= KEEP_ENDED_NS,
                "{order:?} left after {idle} ns"
            );
            self.past.insert(order.id, Seen::of(&self.replayed, order));
        }
        self.model.left = self.past.keys().copied().collect();
    }

    /// What a state shows, with the orders that have left memory as they were: nothing that is told of them changes it.
    pub fn picture(&self, state: &State) -> Picture {
        let mut picture = Picture::of(state);
        for (id, order) in &self.past {
            picture.orders.entry(*id).or_insert_with(|| order.clone());
        }
        picture
    }

    fn start(&mut self) {
        self.epoch += 1;
        let (epoch, now) = (self.epoch, self.model.now);
        self.both(|engine| engine.start(epoch, "abcdefgh", 55, 0, now).unwrap());
    }

    fn read(&mut self) {
        let now = self.model.now;
        self.both(|engine| engine.kill_reading(now));
        self.model.read_at = Some(now);
    }

    fn flush(&mut self) {
        self.durable = (self.model.clone(), self.state().last_seq());
    }

    /// The process dies: what was not flushed may be lost, what was not journaled is.
    pub fn die(&mut self, lose: bool) {
        if lose {
            let now = self.model.now;
            let (model, seq) = self.durable.clone();
            self.model = Model { now, ..model };
            self.journal.retain(|emitted| emitted.seq <= seq);
            self.records.retain(|record, _| *record <= seq);
            self.answers.retain(|order, _| *order <= seq);
            self.replayed = State::default();
            self.past.clear();
            for emitted in std::mem::take(&mut self.journal) {
                let record = Record::decode(emitted.kind, Record::VERSION, &emitted.body).unwrap();
                self.replayed.apply(emitted.seq, emitted.ts, &record).unwrap();
                self.part();
                self.journal.push(emitted);
            }
        }
        let restored = snapshot::decode(&snapshot::encode(&self.replayed).unwrap()).unwrap();
        self.engines = [restored, replay(&self.journal)].map(Engine::new);
        self.model.forget();
    }

    fn rise(&mut self) {
        self.start();
        self.model.resume_kills();
        self.collect();
        self.flush();
    }

    fn connect(&mut self, mode: Mode) {
        let (venue, now) = (if mode == Mode::Live { "binance" } else { "paper" }, self.model.now);
        let session = self.both(|engine| engine.open_session(venue, mode, 7, now).unwrap().unwrap());
        self.model.connect(mode, session);
        if mode == Mode::Live {
            for account in 0..ACCOUNTS.len() as u32 {
                self.ready(account, true);
            }
        }
    }

    fn deposit(&mut self, account: u32, mode: Mode, asset: &str, delta: i128) -> Outcome {
        let (name, now) = (ACCOUNTS[account as usize], self.model.now);
        let done = self.both(|engine| {
            engine
                .adjust_balance(name, mode, asset, Amount(delta), "test", now)
                .unwrap()
        });
        let after = self.model.total(account, mode, asset) + delta;
        // A LIVE balance follows the exchange; PAPER money must be free to be taken.
        let refused = mode == Mode::Paper && delta < 0 && after < self.model.held(account, mode, asset);
        assert_eq!(done.is_err(), refused);
        if refused {
            return Outcome::Refused;
        }
        *self
            .model
            .deposits
            .entry((account, mode, asset.to_owned()))
            .or_default() += delta;
        Outcome::Done
    }

    /// Mostly one of the newest orders, so that several things happen to it.
    fn pick(&self, order: u8) -> OrderId {
        let here = |id: &OrderId| !self.past.contains_key(id);
        let ids: Vec<OrderId> = self.model.orders.keys().rev().copied().filter(here).collect();
        let among = if order < 180 { ids.len().min(4) } else { ids.len() };
        if among == 0 || order >= 250 {
            NOBODYS
        } else {
            ids[order as usize % among]
        }
    }

    fn submit(&mut self, account: u32, key: Option<&str>, request: &Request, spelling: Spelling) -> Outcome {
        let now = self.model.now;
        let (caller, written) = (Caller { key: account, account }, words::body(request, spelling));
        let (durable, id) = (self.durable.1, self.state().last_seq() + 1);
        let got = self.both(|engine| {
            engine
                .submit(caller, key, "req-1", written.as_bytes(), now, durable)
                .unwrap()
        });
        let expected = self.model.submit(account, key, request, durable, id);
        let (answer, outcome) = match &got {
            Err(refusal) => (Answer::Refused(refusal.code), Outcome::Refused),
            Ok(Submitted::Repeat { seq }) => (Answer::Repeat(*seq), Outcome::Refused),
            Ok(Submitted::Stored { seq, status, body }) => {
                assert_eq!(*seq, id, "an order's id is its record's sequence");
                self.answers.insert(id, (*status, body.clone()));
                match *status {
                    201 => (Answer::Accepted, Outcome::Accepted(id)),
                    _ => (Answer::Denied(failed_in(body)), Outcome::Done),
                }
            }
        };
        assert_eq!(answer, expected, "{written}");
        match answer {
            Answer::Refused(code) => self.say(&[code]),
            Answer::Denied(failed) => self.say(&failed),
            Answer::Repeat(_) => self.say(&["repeat"]),
            Answer::Accepted => self.say(&["accepted"]),
        }
        outcome
    }

    fn cancel(&mut self, account: u32, order: OrderId) -> Outcome {
        let (caller, now) = (Caller { key: account, account }, self.model.now);
        let got = self.both(|engine| engine.cancel(caller, order, now).unwrap());
        let expected = self.model.cancel(account, order);
        assert_eq!(
            got.as_ref().map(|answer| answer.status).map_err(|refusal| refusal.code),
            expected
        );
        match expected {
            Ok(_) => Outcome::Done,
            Err(code) => {
                self.say(&[code]);
                Outcome::Refused
            }
        }
    }

    pub fn report(&mut self, session: SessionId, order: OrderId, event: &Event) -> Outcome {
        let now = self.model.now;
        let figures = Figures::of(event);
        let said = Report::Order(order, words::report(event, &figures));
        self.both(|engine| engine.report(session, &said, now).unwrap());
        let heard = self.model.mode_of(session).is_some();
        self.model.report(session, order, event);
        self.newest = Some((session, order, event.clone()));
        if heard { Outcome::Done } else { Outcome::Refused }
    }

    fn price(&mut self, mode: Mode, instrument: usize, bid: i128) -> Outcome {
        let Some(session) = self.model.sessions.get(&mode).copied() else {
            return Outcome::Refused;
        };
        let (ask, now) = (bid + UNIT / 2, self.model.now);
        let (below, above) = (text(bid), text(ask));
        let report = Report::Price {
            symbol: SYMBOLS[instrument].0,
            bid: &below,
            ask: &above,
            last: &below,
            venue_ns: 0,
        };
        self.both(|engine| engine.report(session, &report, now).unwrap());
        self.model.prices.insert((mode, instrument), (bid, ask, now));
        Outcome::Done
    }

    fn kill(&mut self, scope: u8, level: u8) -> Outcome {
        let ((scope, target), now) = (scope_of(scope), self.model.now);
        let word = |word: &str| word.to_owned();
        let (reason, by, source) = (word("stop"), word("ann"), word("cli"));
        let kill = KillOn {
            scope,
            target: word(target),
            level,
            reason,
            by,
            source,
            cause: None,
        };
        if self.both(|engine| engine.kill_on(kill.clone(), now).unwrap()).is_err() {
            assert_eq!(level, 0);
            return Outcome::Refused;
        }
        self.model.kill(scope, target, level);
        Outcome::Done
    }

    pub fn go(&mut self, step: &Step) -> Outcome {
        let outcome = self.take(step);
        self.model.pursue();
        outcome
    }

    fn take(&mut self, step: &Step) -> Outcome {
        let now = self.model.now;
        match step {
            Step::Submit {
                account,
                key,
                request,
                spelling,
            } => {
                let key = key.map(|key| format!("k{key}"));
                return self.submit(*account, key.as_deref(), request, *spelling);
            }
            Step::Resubmit { request, spelling } => {
                let known = self.model.requests.iter().cycle().nth(*request as usize);
                let Some(((account, key), (request, ..))) = known.map(|(key, stored)| (key.clone(), stored.clone()))
                else {
                    return Outcome::Refused;
                };
                return self.submit(account, Some(&key), &request, *spelling);
            }
            Step::Cancel { account, order } => return self.cancel(*account, self.pick(*order)),
            Step::Report { speaker, order, event } => {
                let order = self.pick(*order);
                let own = self.model.orders.get(&order).map_or(Mode::Paper, |order| order.mode);
                let of = |mode| self.model.sessions.get(&mode).copied().unwrap_or(self.stale);
                let session = match speaker {
                    Speaker::Own => of(own),
                    Speaker::Other => of(if own == Mode::Live { Mode::Paper } else { Mode::Live }),
                    Speaker::Stale => self.stale,
                };
                return self.report(session, order, event);
            }
            Step::Again => {
                let Some((session, order, event)) = self.newest.clone() else {
                    return Outcome::Refused;
                };
                return self.report(session, order, &event);
            }
            Step::Price { mode, instrument, bid } => return self.price(*mode, *instrument, *bid),
            Step::Connect { mode } => self.connect(*mode),
            Step::ConnectWrong { mode } => {
                let venue = if *mode == Mode::Live { "paper" } else { "binance" };
                assert!(
                    self.both(|engine| engine.open_session(venue, *mode, 7, now).unwrap())
                        .is_err()
                );
                return Outcome::Refused;
            }
            Step::Disconnect { mode } => {
                if let Some(session) = self.model.sessions.remove(mode) {
                    if *mode == Mode::Live {
                        self.model.ready.clear();
                    }
                    self.both(|engine| engine.close_session(session));
                }
            }
            Step::Ready { account, ready } => return self.ready(*account, *ready),
            Step::Show(outside) => return self.show(outside),
            Step::Differ {
                account,
                instrument,
                class,
                found,
            } => return self.differ(*account, *instrument, *class, *found),
            Step::Doubt { order, act } => return self.doubt(self.pick(*order), act),
            Step::Wait { ms, read } => {
                self.model.now += ms * MS;
                if *read {
                    self.read();
                }
                let now = self.model.now;
                self.both(|engine| engine.tick(now, now).unwrap());
                self.model.tick();
            }
            Step::Kill { scope, level } => return self.kill(*scope, *level),
            Step::Unkill { scope } => {
                let (scope, target) = scope_of(*scope);
                let (by, source) = ("ann".to_owned(), "cli".to_owned());
                let off = KillOff {
                    scope,
                    target: target.to_owned(),
                    by,
                    source,
                };
                self.both(|engine| engine.kill_off(off.clone(), now).unwrap().unwrap());
                self.model.kills.remove(&(scope, target.to_owned()));
            }
            Step::Limit { whose, kind, value } => self.limit(*whose, *kind, *value),
            Step::Strategy { run } => {
                let (by, source, why) = ("ann", "cli", "test");
                let turned = self.both(|engine| {
                    let turned = if *run {
                        engine.start_strategy("grid", by, source, why, now)
                    } else {
                        engine.stop_strategy("grid", by, source, why, now)
                    };
                    turned.unwrap().map(|seq| seq.is_some()).map_err(|refusal| refusal.code)
                });
                let killed = *run && self.model.strategy_is_killed();
                let expected = if killed {
                    Err("killed")
                } else {
                    Ok(*run != self.model.running)
                };
                assert_eq!(turned, expected);
                if expected != Ok(true) {
                    return Outcome::Refused;
                }
                self.model.running = *run;
            }
            Step::Halt {
                instrument: place,
                halted,
            } => {
                let (symbol, base) = SYMBOLS[*place];
                self.both(|engine| {
                    engine
                        .set_instrument(instrument(symbol, base, *halted), now)
                        .unwrap()
                        .unwrap()
                });
                self.model.halted[*place] = *halted;
            }
            Step::Deposit {
                account,
                mode,
                asset,
                units,
            } => return self.deposit(*account, *mode, asset, *units),
            Step::Space { full } => {
                self.both(|engine| engine.journal_is_full(*full));
                self.model.journal_is_full = *full;
            }
            Step::Flush => self.flush(),
            Step::Crash { .. } => self.rise(),
        }
        Outcome::Done
    }
}

/// The codes of the failed checks in a stored refusal.
fn failed_in(body: &str) -> Vec<&'static str> {
    let codes = [
        "NO_REFERENCE_PRICE",
        "UNEXPLAINED_DRIFT",
        "ORDER_IN_DOUBT",
        "MAX_ORDER_QTY",
        "MAX_ORDER_NOTIONAL",
        "MAX_OPEN_ORDERS",
        "INSUFFICIENT_BALANCE",
        "SELF_TRADE",
        "MAX_OPEN_NOTIONAL",
        "MAX_LONG_POSITION",
        "MAX_SHORT_POSITION",
        "MAX_DAILY_ORDERS",
        "MAX_DUPLICATES_1S",
        "NEW_ORDER_RATE",
    ];
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let failed = body["checks"].as_array().unwrap().iter();
    let known = |check: &serde_json::Value| *codes.iter().find(|code| check["code"] == **code).unwrap();
    failed.map(known).collect()
}

pub fn replay(journal: &[Emitted]) -> State {
    let mut state = State::default();
    for emitted in journal {
        let record = Record::decode(emitted.kind, Record::VERSION, &emitted.body).unwrap();
        state.apply(emitted.seq, emitted.ts, &record).unwrap();
    }
    state
}

//! What a LIVE venue tells of accounts, and what people do about doubts: the steps, and what the model makes of them.

use crate::orders::{End, Order, product_up};
use crate::reference::{ACCOUNTS, Model, Request, SYMBOLS};
use crate::steps::{Act, Outside};
use crate::words::text;
use crate::world::{Outcome, World};
use ordergate_core::account_reports::{AccountReport, RawExternal};
use ordergate_core::engine::{Changed, Engine};
use ordergate_core::report::Report;
use ordergate_core::terms::{DriftClass, Mode, OrderId, Side};

impl Model {
    /// Whether the venue takes an account's orders.
    pub fn ready(&mut self, account: u32, ready: bool) {
        if ready {
            self.ready.insert(account);
        } else {
            self.ready.remove(&account);
        }
        self.send(Mode::Live);
    }

    /// An order in memory that the LIVE venue knows by this id.
    fn by_venue_id(&self, account: u32, instrument: usize, id: &str) -> Option<OrderId> {
        let mut found = self.book(account, Mode::Live).filter(|order| {
            order.instrument == instrument && order.venue_id.as_deref() == Some(id) && !self.left.contains(&order.id)
        });
        found.next().map(|order| order.id)
    }

    /// An order that somebody else has placed; false when it is known.
    fn show(&mut self, outside: &Outside, id: OrderId) -> bool {
        if self
            .by_venue_id(outside.account, outside.instrument, outside.venue_id)
            .is_some()
        {
            return false;
        }
        let mark = self.prices.get(&(Mode::Live, outside.instrument)).copied();
        let rest = (outside.qty - outside.before).max(0);
        let hold = match (outside.buy, outside.price, mark) {
            (false, ..) => outside.qty,
            (true, Some(price), _) => product_up(price, outside.qty),
            (true, None, Some((_, ask, _))) => {
                (ask * rest * 105 + 100 * crate::orders::UNIT - 1) / (100 * crate::orders::UNIT)
            }
            (true, None, None) => 0,
        };
        let request = Request {
            mode: Mode::Live,
            instrument: outside.instrument,
            buy: outside.buy,
            qty: outside.qty,
            price: outside.price,
            client_id: Some("web".to_owned()),
            strategy: None,
            valid_for_ms: None,
        };
        self.enter(outside.account, &request, id, hold, None);
        let order = self.orders.get_mut(&id).expect("entered");
        order.external = Some(outside.before);
        order.venue_id = Some(outside.venue_id.to_owned());
        order.met = mark.map(|(bid, ..)| bid);
        order.acked = true;
        true
    }

    /// The checks that let only reducing orders pass, each with how often it fails: for the account and the strategy.
    pub fn reduce_only_checks(&self, account: u32, request: &Request) -> Vec<&'static str> {
        let (mode, instrument) = (request.mode, request.instrument);
        if mode == Mode::Paper {
            return Vec::new();
        }
        let differs = self
            .drifts
            .iter()
            .any(|(of, at, _)| *of == account && at.is_none_or(|at| at == instrument));
        let here = |order: &&Order| order.instrument == instrument && !self.left.contains(&order.id);
        let doubtful = self
            .book(account, mode)
            .filter(here)
            .any(|order| order.status() == "IN_DOUBT");
        let mut fails = 0;
        for whose in Self::bound(account, request.strategy.is_some()).into_iter().skip(1) {
            let sums = self.sums(whose, mode, instrument);
            let (size, open) = if request.buy {
                (-sums.position, sums.open_buy)
            } else {
                (sums.position, sums.open_sell)
            };
            fails += usize::from(open + request.qty > size.max(0));
        }
        let mut failed = Vec::new();
        for (binds, code) in [(differs, "UNEXPLAINED_DRIFT"), (doubtful, "ORDER_IN_DOUBT")] {
            failed.extend(std::iter::repeat_n(code, if binds { fails } else { 0 }));
        }
        failed
    }
}

impl World {
    /// The LIVE venue reports about an account; false when none is connected.
    fn tell(&mut self, account: u32, what: AccountReport<'_>) -> bool {
        let Some(session) = self.model.sessions.get(&Mode::Live).copied() else {
            return false;
        };
        let (report, now) = (Report::Account(ACCOUNTS[account as usize], what), self.model.now);
        self.both(|engine| engine.report(session, &report, now).unwrap());
        true
    }

    pub fn ready(&mut self, account: u32, ready: bool) -> Outcome {
        let (reason, retry_after_ms) = ("RATE_LIMITED", 500);
        let told = AccountReport::Ready {
            ready,
            reason,
            retry_after_ms,
        };
        if !self.tell(account, told) {
            return Outcome::Refused;
        }
        self.model.ready(account, ready);
        Outcome::Done
    }

    pub fn show(&mut self, outside: &Outside) -> Outcome {
        let id = self.state().last_seq() + 1;
        let (qty, before) = (text(outside.qty), text(outside.before));
        let price = outside.price.map(text);
        let raw = RawExternal {
            symbol: SYMBOLS[outside.instrument].0,
            venue_order_id: outside.venue_id,
            client_id: "web",
            side: if outside.buy { Side::Buy } else { Side::Sell },
            ord_type: if outside.price.is_some() { "LIMIT" } else { "MARKET" },
            time_in_force: "GTC",
            qty: &qty,
            cum_qty: &before,
            price: price.as_deref(),
            stop_price: None,
        };
        if !self.tell(outside.account, AccountReport::External(raw)) || !self.model.show(outside, id) {
            return Outcome::Refused;
        }
        self.said.insert("external".to_owned());
        Outcome::Done
    }

    pub fn differ(&mut self, account: u32, instrument: Option<usize>, class: DriftClass, found: bool) -> Outcome {
        let symbol = instrument.map_or("", |instrument| SYMBOLS[instrument].0);
        let told = if found {
            let detail = "more there";
            AccountReport::Drift { symbol, class, detail }
        } else {
            AccountReport::DriftExplained { symbol, class }
        };
        if !self.tell(account, told) {
            return Outcome::Refused;
        }
        let place = (account, instrument, class);
        let news = if found {
            self.model.drifts.insert(place)
        } else {
            self.model.drifts.remove(&place)
        };
        if news { Outcome::Done } else { Outcome::Refused }
    }

    /// Somebody does something about an order that may be in doubt.
    pub fn doubt(&mut self, id: OrderId, act: &Act) -> Outcome {
        let now = self.model.now;
        let here = self
            .model
            .orders
            .get(&id)
            .filter(|order| !self.model.left.contains(&order.id))
            .cloned();
        let doubtful = here.as_ref().is_some_and(|order| order.status() == "IN_DOUBT");
        let done = match act {
            Act::Requery => self.both(|engine| engine.requery_doubt(id, "ann", now).unwrap().is_ok()),
            Act::Attach(venue_id) => {
                let attach = |engine: &mut Engine| {
                    engine
                        .attach_venue_id(id, venue_id, "ann", "seen", now)
                        .unwrap()
                        .is_ok()
                };
                self.both(attach)
            }
            Act::DeclareAbsent => self.both(|engine| {
                let Ok(asked) = engine.request_absent(id, "ann", "gone", now).unwrap() else {
                    return false;
                };
                let Changed::Waits(request) = asked else {
                    panic!("{asked:?}")
                };
                engine.approve(request, "bob", now).unwrap().unwrap();
                true
            }),
        };
        let taken = |model: &Model, venue_id: &str| {
            let order = &model.orders[&id];
            let known = model.by_venue_id(order.account, order.instrument, venue_id);
            order.mode == Mode::Live && known.is_some_and(|known| known != id)
        };
        let may = match act {
            Act::Requery => doubtful,
            Act::Attach(venue_id) => doubtful && !taken(&self.model, venue_id),
            Act::DeclareAbsent => doubtful && here.is_some_and(|order| !order.acked),
        };
        assert_eq!(done, may, "{act:?} of {id}");
        if !done {
            return Outcome::Refused;
        }
        self.said
            .insert(format!("{act:?}").split('(').next().unwrap().to_owned());
        let order = self.model.orders.get_mut(&id).expect("known");
        match act {
            Act::Requery => {}
            Act::Attach(venue_id) => order.venue_id = Some((*venue_id).to_owned()),
            Act::DeclareAbsent => order.finish(End::RejectedByVenue, "NOT_AT_VENUE"),
        }
        Outcome::Done
    }
}

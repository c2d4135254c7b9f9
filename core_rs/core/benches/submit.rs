//! `Engine::submit` with every limit set for firm, account, strategy and key, while more and more orders are open:
//! decoding, request key, filters, trading state, the whole ladder, the records, the stored answer. Run it with
//! `cargo bench -p ordergate-core`; the figure must stay flat from a thousand open orders to a million.
//!
//! Not included: what the binding adds, the journal, and what venues report. Between measured batches the new orders are
//! acknowledged and canceled, so that as many are open as before.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ordergate_core::engine::{Caller, Engine, NewKey, Submitted};
use ordergate_core::limits::{LimitKind, LimitScope, Owner, Unit};
use ordergate_core::number::{Amount, Price, Qty, UNIT};
use ordergate_core::record::{InstrumentSet, MarketFilters};
use ordergate_core::report::{Cause, OrderReport, Report};
use ordergate_core::request::decode_new_order;
use ordergate_core::state::State;
use ordergate_core::terms::{Mode, OrderId, Scope, SessionId};
use std::hint::black_box;
use std::time::{Duration, Instant};

const START: i64 = 1_700_000_000_000_000_000;
const ACCOUNTS: u32 = 10;
/// Orders that are measured at once; fewer than a venue may have without a report.
const BATCH: u64 = 64;

struct Desk {
    engine: Engine,
    now: i64,
    session: SessionId,
    placed: u64,
}

fn loose(unit: Unit) -> i128 {
    match unit {
        Unit::Base | Unit::Money => 1_000_000_000 * UNIT,
        Unit::Ratio => UNIT / 2,
        Unit::Count => 1_000_000_000,
        Unit::Millis => 60_000,
    }
}

fn instrument() -> InstrumentSet {
    InstrumentSet {
        instrument: 0,
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        status: "TRADING".into(),
        min_price: Price(1_000_000),
        max_price: Price(100_000_000_000_000),
        tick: Price(1_000_000),
        min_qty: Qty(1_000),
        max_qty: Qty(900_000_000_000),
        step: Qty(1_000),
        market_max_qty: Qty(10_000_000_000),
        min_notional: Amount(5 * UNIT),
        max_notional: Amount(9_000_000 * UNIT),
        market: MarketFilters::default(),
    }
}

impl Desk {
    fn open(open_orders: u64) -> Self {
        let (mut engine, now) = (Engine::new(State::default()), START);
        engine.start(1, "abcdefgh", 55, 0, now).unwrap();
        engine.set_instrument(instrument(), now).unwrap().unwrap();
        for account in 0..ACCOUNTS {
            let name = format!("desk-{account}");
            engine.create_account(&name, now).unwrap().unwrap();
            let money = Amount(1_000_000_000 * UNIT);
            engine
                .adjust_balance(&name, Mode::Paper, "USDT", money, "opening", now)
                .unwrap()
                .unwrap();
            let mut token_sha256 = [0; 32];
            token_sha256[..4].copy_from_slice(&account.to_le_bytes());
            let key = NewKey {
                account: &name,
                owner: "ann",
                name: "bench",
                token_sha256,
                scopes: &[Scope::Trade],
                rate_per_second: 0,
                expires_at: None,
                symbols: &[],
                ip_allow: &[],
            };
            engine.create_key(&key, now).unwrap().unwrap();
            engine
                .create_strategy(&name, &name, "ann", "bench", "new", now)
                .unwrap()
                .unwrap();
            engine
                .start_strategy(&name, "ann", "bench", "go", now)
                .unwrap()
                .unwrap();
        }
        let session = engine.open_session("paper", Mode::Paper, 1, now).unwrap().unwrap();
        let mut desk = Self {
            engine,
            now,
            session,
            placed: 0,
        };
        desk.set_every_limit();
        while desk.placed < open_orders {
            let orders = desk.batch(BATCH.min(open_orders - desk.placed));
            let placed = orders.into_iter().map(|order| desk.submit(&order)).collect();
            desk.acknowledge(placed, true);
        }
        desk
    }

    fn set_every_limit(&mut self) {
        let each = (0..ACCOUNTS).flat_map(|id| {
            [
                Owner::Account(id),
                Owner::Strategy(format!("desk-{id}")),
                Owner::Key(id),
            ]
        });
        for owner in std::iter::once(Owner::Firm).chain(each) {
            for kind in LimitKind::ALL.iter().filter(|kind| kind.owners() & owner.bit() != 0) {
                let scope = LimitScope {
                    owner: owner.clone(),
                    instrument: None,
                };
                let value = Some(loose(kind.unit()));
                self.engine
                    .set_limit(scope, *kind, value, "ann", "bench", self.now)
                    .unwrap()
                    .unwrap();
            }
        }
    }

    /// New prices, and a reading of the kill switch.
    fn refresh(&mut self) {
        self.now += 1_000_000;
        self.engine.kill_reading(self.now);
        let prices = Report::Price {
            symbol: "BTCUSDT",
            bid: "39990",
            ask: "40010",
            last: "40000",
            venue_ns: 0,
        };
        let depth = Report::Depth {
            symbol: "BTCUSDT",
            bid_qty: "1000",
            ask_qty: "1000",
            volume: "100000",
        };
        for report in [prices, depth] {
            self.engine.report(self.session, &report, self.now).unwrap();
        }
    }

    fn batch(&mut self, orders: u64) -> Vec<(Caller, String, String)> {
        self.refresh();
        let first = self.placed;
        self.placed += orders;
        let order = |number: u64| {
            let account = (number % u64::from(ACCOUNTS)) as u32;
            let price = 30_000 + number % 9_000;
            let body = format!(
                r#"{{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.001,"price":{price},"mode":"PAPER","clientOrderId":"c{number}","strategyId":"desk-{account}"}}"#
            );
            (Caller { key: account, account }, format!("key-{number:012}"), body)
        };
        (first..self.placed).map(order).collect()
    }

    fn submit(&mut self, (caller, key, body): &(Caller, String, String)) -> OrderId {
        let durable = self.engine.state().last_seq();
        let submitted = self
            .engine
            .submit(*caller, Some(key), "req-1", body.as_bytes(), self.now, durable);
        match submitted.unwrap().unwrap() {
            Submitted::Stored { seq, status: 201, .. } => seq,
            other => panic!("{other:?}"),
        }
    }

    /// The venue acknowledges the orders, and unless they stay, they end again.
    fn acknowledge(&mut self, orders: Vec<OrderId>, stay: bool) {
        for id in orders {
            let cause = Cause {
                reason: "CLIENT",
                text: "",
            };
            let ack = OrderReport::Ack { venue_order_id: "v" };
            let told = if stay {
                vec![ack]
            } else {
                vec![ack, OrderReport::Canceled(cause)]
            };
            for what in told {
                self.engine
                    .report(self.session, &Report::Order(id, what), self.now)
                    .unwrap();
            }
        }
        _ = self.engine.take_emitted();
        _ = self.engine.take_changed();
    }

    fn measure(&mut self, orders: u64) -> Duration {
        let mut spent = Duration::ZERO;
        let mut left = orders;
        while left > 0 {
            let batch = self.batch(BATCH.min(left));
            left -= batch.len() as u64;
            let mut placed = Vec::with_capacity(batch.len());
            let began = Instant::now();
            for order in &batch {
                placed.push(black_box(self.submit(order)));
            }
            spent += began.elapsed();
            self.acknowledge(placed, false);
        }
        spent
    }
}

/// The part of a submission that decides: filters, trading state, rules, and every limit of four scopes.
fn checks(criterion: &mut Criterion) {
    let mut desk = Desk::open(1_000);
    let (caller, _, body) = desk.batch(1).remove(0);
    let order = decode_new_order(body.as_bytes()).unwrap();
    criterion.bench_function("every check on one order", |bencher| {
        bencher.iter(|| desk.engine.check(caller, black_box(&order), desk.now).unwrap().unwrap());
    });
}

fn submit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("submit with every limit, open orders");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for open_orders in [1_000, 10_000, 100_000, 1_000_000] {
        let mut desk = Desk::open(open_orders);
        group.bench_function(BenchmarkId::from_parameter(open_orders), |bencher| {
            bencher.iter_custom(|orders| desk.measure(orders));
        });
    }
    group.finish();
}

criterion_group!(benches, checks, submit);
criterion_main!(benches);

//! Random histories: whatever clients and venues do, replay ends in the same state and the money adds up.

use crate::steps::{Step, report, scope_of, step};
use crate::support::*;
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::record::KillOff;
use ordergate_core::report::{OrderReport, RawFill, Report};
use ordergate_core::state::State;
use ordergate_core::terms::{Mode, OrderId, Side};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What the books should say, kept by hand.
#[derive(Default)]
struct Ledger {
    totals: BTreeMap<(u32, Mode, String), i128>,
    traded: BTreeMap<OrderId, i128>,
    trades: BTreeMap<(OrderId, String), RawDigits>,
}

type RawDigits = (String, String, String, String, &'static str);

struct History {
    world: World,
    ledger: Ledger,
    sessions: [Option<u64>; 2],
}

const fn place(mode: Mode) -> usize {
    match mode {
        Mode::Paper => 0,
        Mode::Live => 1,
    }
}

impl History {
    fn new() -> Self {
        let mut ledger = Ledger::default();
        for account in 0..2 {
            for mode in [Mode::Paper, Mode::Live] {
                for (asset, amount) in [("USDT", 1_000_000), ("BTC", 100), ("ETH", 100)] {
                    ledger
                        .totals
                        .insert((account, mode, asset.into()), amount * 100_000_000);
                }
            }
        }
        Self {
            world: World::new(),
            ledger,
            sessions: [None, None],
        }
    }

    fn pick(&self, order: u8) -> OrderId {
        let ids: Vec<OrderId> = self.world.engine.state().orders().map(|order| order.id).collect();
        // One in a few is nobody's.
        if ids.is_empty() || order >= 240 {
            1_000_000
        } else {
            ids[order as usize % ids.len()]
        }
    }

    fn session(&self, live: bool) -> u64 {
        self.sessions[usize::from(live)].unwrap_or(1)
    }

    fn go(&mut self, step: &Step) {
        let digest = self.world.engine.state().digest();
        self.act(step);
        let emitted = self.world.collect();
        if emitted.is_empty() {
            assert_eq!(
                self.world.engine.state().digest(),
                digest,
                "{step:?} changed the state without a record"
            );
        } else {
            assert_ne!(self.world.engine.state().digest(), digest);
        }
    }

    fn act(&mut self, step: &Step) {
        let now = self.world.now;
        let world = &mut self.world;
        match step {
            Step::Submit {
                account,
                key,
                mode,
                buy,
                market,
                qty,
                price,
                client_id,
            } => {
                let (side, kind) = (
                    if *buy { "BUY" } else { "SELL" },
                    if *market { "MARKET" } else { "LIMIT" },
                );
                let price = if *market {
                    String::new()
                } else {
                    format!(r#","price":{price}"#)
                };
                let id = client_id
                    .map(|id| format!(r#","clientOrderId":"c{id}""#))
                    .unwrap_or_default();
                let what = format!(r#""mode":"{mode}","symbol":"BTCUSDT","side":"{side}","type":"{kind}""#);
                let body = format!(r#"{{{what},"quantity":{qty}{price}{id}}}"#);
                let caller = world.caller(*account);
                let _ = world.submit_as(caller, &format!("k{key}"), &body);
            }
            Step::Cancel { account, order } => {
                let order = self.pick(*order);
                let caller = self.world.caller(*account);
                let _ = self.world.engine.cancel(caller, order, now).unwrap();
            }
            Step::Report { live, order, kind } => {
                let (session, order) = (self.session(*live), self.pick(*order));
                self.world.report(session, order, report(*kind));
            }
            Step::Fill { .. } => self.fill(step),
            Step::Price { live, bid } => {
                let (bid, ask) = (bid.to_string(), (bid + 1).to_string());
                let price = Report::Price {
                    symbol: "BTCUSDT",
                    bid: &bid,
                    ask: &ask,
                    last: &bid,
                    venue_ns: 0,
                };
                let session = self.session(*live);
                self.world.engine.report(session, &price, now).unwrap();
            }
            Step::Connect { live } => {
                let (venue, mode) = if *live {
                    ("binance", Mode::Live)
                } else {
                    ("paper", Mode::Paper)
                };
                self.sessions[place(mode)] = Some(world.connect(venue, mode));
            }
            Step::Disconnect { live } => {
                if let Some(session) = self.sessions[usize::from(*live)].take() {
                    world.engine.close_session(session);
                }
            }
            Step::Wait { ms, read } => {
                world.now += i64::from(*ms) * MS;
                if *read {
                    world.engine.kill_reading(world.now);
                }
                world.engine.tick(world.now, world.now).unwrap();
            }
            Step::Kill { scope, level } => {
                let (scope, target) = scope_of(*scope);
                let (target, reason, by, source) = (target.into(), "r".into(), "b".into(), "cli".into());
                let kill = ordergate_core::record::KillOn {
                    scope,
                    target,
                    level: *level,
                    reason,
                    by,
                    source,
                    cause: None,
                };
                assert_eq!(world.engine.kill_on(kill, now).unwrap().is_err(), *level == 0);
            }
            Step::Unkill { scope } => {
                let (scope, target) = scope_of(*scope);
                let off = KillOff {
                    scope,
                    target: target.into(),
                    by: "b".into(),
                    source: "cli".into(),
                };
                world.engine.kill_off(off, now).unwrap().unwrap();
            }
            Step::Deposit { asset, units } => {
                let asset = ["USDT", "BTC"][*asset as usize];
                let delta = Amount(i128::from(*units) * 100_000_000);
                if world
                    .engine
                    .adjust_balance("desk", Mode::Live, asset, delta, "test", now)
                    .unwrap()
                    .is_ok()
                {
                    *self.ledger.totals.entry((0, Mode::Live, asset.into())).or_default() += delta.0;
                }
            }
        }
    }

    /// A fill counts when its session is connected, the order is that venue's, and the trade is new.
    fn fill(&mut self, step: &Step) {
        let Step::Fill {
            live,
            order,
            trade,
            qty,
            price,
            fee,
            again,
        } = step
        else {
            return;
        };
        let (session, id) = (self.session(*live), self.pick(*order));
        let mode = if *live { Mode::Live } else { Mode::Paper };
        let trade_id = format!("t{trade}");
        let (fee, fee_asset) = [("0", "USDT"), ("0.01", "USDT"), ("0.001", "BTC"), ("-0.02", "BNB")][*fee as usize];
        let digits: RawDigits = (
            qty.to_string(),
            price.to_string(),
            (qty * price).to_string(),
            fee.to_owned(),
            fee_asset,
        );
        // A repeat comes with the digits of the first sighting; otherwise they may conflict.
        let known = self.ledger.trades.get(&(id, trade_id.clone())).cloned();
        let digits = known.clone().filter(|_| *again).unwrap_or(digits);
        let raw = RawFill {
            qty: &digits.0,
            price: &digits.1,
            quote_qty: &digits.2,
            fee: &digits.3,
            fee_asset: digits.4,
            ..fill(&trade_id)
        };
        self.world.report(session, id, OrderReport::Fill(raw));
        let connected = self.sessions[usize::from(*live)] == Some(session);
        let Some(order) = self.world.engine.state().order(id) else {
            return;
        };
        if !connected || order.terms.mode != mode || known.is_some() {
            return;
        }
        let scaled = |text: &str| Amount::parse(text).unwrap().0;
        let (base, quote) = (scaled(&digits.0), scaled(&digits.2));
        let sign = if order.terms.side == Side::Buy { 1 } else { -1 };
        let account = order.terms.account;
        for (asset, delta) in [
            ("BTC", sign * base),
            ("USDT", -sign * quote),
            (digits.4, -scaled(&digits.3)),
        ] {
            *self.ledger.totals.entry((account, mode, asset.into())).or_default() += delta;
        }
        *self.ledger.traded.entry(id).or_default() += base;
        self.ledger.trades.insert((id, trade_id), digits);
    }

    fn settle(mut self) {
        self.world.check();
        let state = self.world.engine.state();
        for account in state.accounts() {
            for balance in state.balances(account.id) {
                let key = (account.id, balance.mode, balance.asset.to_owned());
                let expected = self.ledger.totals.remove(&key).unwrap_or_default();
                assert_eq!(balance.total.0, expected, "{key:?}");
            }
        }
        assert!(self.ledger.totals.values().all(|total| *total == 0));
        for order in state.orders() {
            let traded = self.ledger.traded.get(&order.id).copied().unwrap_or_default();
            assert_eq!(order.cum_qty.0, traded, "order {}", order.id);
        }
        check_sends(&self.world.journal);
    }
}

/// P2: no order is ever told to be sent twice.
fn check_sends(journal: &[ordergate_core::engine::Emitted]) {
    let mut sent = std::collections::BTreeSet::new();
    for emitted in journal {
        if let Ok(ordergate_core::record::Record::SubmitStarted(start)) =
            ordergate_core::record::Record::decode(emitted.kind, 1, &emitted.body)
        {
            assert!(sent.insert(start.order), "order {} was sent twice", start.order);
        }
    }
}

/// Reports of one LIVE order, in this order.
fn after_reports(order_of_reports: &[usize]) -> (i128, String, Vec<(Mode, String, i128)>) {
    let (mut world, _, live) = World::connected();
    let order = world.buy(Mode::Live, "4", "50");
    for report in order_of_reports {
        match report {
            0 => world.report(live, order, OrderReport::Ack { venue_order_id: "v" }),
            1 => world.report(live, order, OrderReport::Canceled(cause("", ""))),
            2 => world.report(live, order, OrderReport::Unknown(cause("TIMEOUT", ""))),
            trade => {
                let (id, price) = (trade.to_string(), (47 + trade % 3).to_string());
                world.fill(live, order, &id, "0.75", &price);
            }
        }
    }
    world.check();
    let state: &State = world.engine.state();
    let balances = state
        .balances(0)
        .map(|balance| (balance.mode, balance.asset.to_owned(), balance.total.0));
    let found = state.order(order).unwrap();
    (
        found.cum_qty.0,
        found.average_price().unwrap().to_string(),
        balances.collect(),
    )
}

/// A few by default; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_replays_to_the_same_state_and_the_money_adds_up(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut history = History::new();
        for step in [Step::Connect { live: false }, Step::Connect { live: true }].iter().chain(&steps) {
            history.go(step);
        }
        history.settle();
    }

    #[test]
    fn fills_in_any_order_and_any_number_of_times_end_in_the_same_sums(
        shuffled in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        repeats in proptest::collection::vec(3..8_usize, 0..6),
    ) {
        let expected = after_reports(&[0, 2, 3, 4, 5, 6, 7, 1]);
        let mut reports = shuffled;
        reports.extend(repeats);
        prop_assert_eq!(after_reports(&reports), expected);
    }

    #[test]
    fn holds_cover_exactly_what_may_still_be_paid(
        qty in 1..5_000_i64, price in 1..10_000_000_i64, trades in proptest::collection::vec(1..1_000_i64, 1..6)
    ) {
        let (mut world, paper, _) = World::connected();
        let (qty, price) = (Qty(qty * 100_000), Price(price * 1_000_000));
        let Ok(ordergate_core::engine::Submitted::Stored { seq: order, status: 201, .. }) =
            world.submit(&limit(Mode::Paper, "BUY", &qty.to_string(), &price.to_string())) else { return Ok(()) };
        let mut left = qty.0;
        for (id, trade) in trades.into_iter().enumerate() {
            let trade = (trade * 100_000).min(left);
            if trade == 0 {
                break;
            }
            left -= trade;
            world.fill(paper, order, &id.to_string(), &Qty(trade).to_string(), &price.to_string());
            let expected = price.times(Qty(left)).to_amount_ceil();
            prop_assert_eq!(world.order(order).held, expected);
        }
    }
}

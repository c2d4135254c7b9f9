//! A desk with a few orders: where reports arrive, and where real records come from.

use ordergate_core::account_reports::{AccountReport, RawExternal, RawRun};
use ordergate_core::engine::{Caller, Engine, NewKey, Submitted};
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::record::{InstrumentSet, MarketFilters};
use ordergate_core::report::{Cause, OrderReport, RawFill, Report};
use ordergate_core::state::State;
use ordergate_core::terms::{DriftClass, Mode, Nanos, OrderId, Scope, SessionId, Side};

/// An engine with a connected LIVE venue and four orders that it was told to send.
#[derive(Debug)]
pub struct Desk {
    /// The engine.
    pub engine: Engine,
    /// Journal time.
    pub now: Nanos,
    /// The venue's session.
    pub session: SessionId,
    /// Orders, oldest first.
    pub orders: Vec<OrderId>,
}

impl Desk {
    /// Opens it.
    ///
    /// # Panics
    /// When the core refuses what it always took.
    #[must_use]
    pub fn open() -> Self {
        let now = 1_700_000_000_000_000_000;
        let mut engine = Engine::new(State::default());
        engine.start(1, "abcdefgh", 55, 0, now).unwrap();
        engine.set_instrument(instrument(), now).unwrap().unwrap();
        engine.create_account("desk", now).unwrap().unwrap();
        for (asset, units) in [("USDT", 1_000_000), ("BTC", 100)] {
            let amount = Amount(units * 100_000_000);
            engine
                .adjust_balance("desk", Mode::Live, asset, amount, "opening", now)
                .unwrap()
                .unwrap();
        }
        let (account, owner, name, token_sha256) = ("desk", "ann", "fuzz", [7; 32]);
        let (scopes, rate_per_second, expires_at) = (&[Scope::Trade][..], 0, None);
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
        let (key, _) = engine.create_key(&key, now).unwrap().unwrap();
        let (by, source, why) = ("ann", "cli", "test");
        engine
            .create_strategy("grid", "desk", by, source, why, now)
            .unwrap()
            .unwrap();
        engine.start_strategy("grid", by, source, why, now).unwrap().unwrap();
        engine.kill_reading(now);
        let session = engine.open_session("binance", Mode::Live, 7, now).unwrap().unwrap();
        let ready = AccountReport::Ready {
            ready: true,
            reason: "",
            retry_after_ms: 0,
        };
        engine.report(session, &Report::Account("desk", ready), now).unwrap();
        let mut desk = Self {
            engine,
            now,
            session,
            orders: Vec::new(),
        };
        for (number, body) in BODIES.iter().enumerate() {
            let (caller, key) = (Caller { key, account: 0 }, format!("key-{number}"));
            let done = desk
                .engine
                .submit(caller, Some(&key), "req", body.as_bytes(), now, 0)
                .unwrap();
            let Ok(Submitted::Stored { seq, status: 201, .. }) = done else {
                panic!("{done:?}")
            };
            desk.orders.push(seq);
        }
        desk
    }
}

/// Bodies of orders that the desk takes.
pub const BODIES: [&str; 4] = [
    r#"{"mode":"LIVE","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"2","price":50,"clientOrderId":"a-1"}"#,
    r#"{"mode":"LIVE","symbol":"BTCUSDT","side":"SELL","type":"LIMIT","timeInForce":"FOK","quantity":1.5,"price":"60.25"}"#,
    r#"{"mode":"LIVE","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":3e0,"price":5.5e1,"strategyId":"grid","validForMs":1500}"#,
    r#" { "mode" : "LIVE" , "symbol" : "BTC\u0055SDT" , "side":"SELL","type":"LIMIT","quantity":"1","price":"61","clientOrderId":"b:2/x_y." } "#,
];

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
        min_qty: Qty(100_000),
        max_qty: Qty(900_000_000_000),
        step: Qty(100_000),
        market_max_qty: Qty(0),
        min_notional: Amount(500_000_000),
        max_notional: Amount(0),
        market: MarketFilters::default(),
    }
}

/// Reports of every kind, about the desk's orders.
#[must_use]
pub fn reports(orders: &[OrderId]) -> Vec<Report<'static>> {
    let cause = Cause {
        reason: "-2010",
        text: "wörds",
    };
    let fill = |trade_id, fee_asset| {
        OrderReport::Fill(RawFill {
            trade_id,
            price: "50",
            qty: "0.75",
            quote_qty: "37.5",
            fee: "0.00075",
            fee_asset,
            maker: true,
            venue_ns: 1,
        })
    };
    let about = [
        OrderReport::Ack { venue_order_id: "v-1" },
        fill("1001", "BTC"),
        fill("1002", "BNB"),
        OrderReport::Unknown(cause),
        OrderReport::Canceled(Cause { reason: "", text: "" }),
        OrderReport::Reject(cause),
        OrderReport::NotSent(cause),
        OrderReport::CancelReject(cause),
        OrderReport::CancelUnknown(cause),
        OrderReport::Expired(cause),
        OrderReport::Replaced {
            qty: "3",
            price: Some("51"),
        },
        OrderReport::ReplaceReject(cause),
        OrderReport::Found {
            venue_order_id: Some("v-2"),
            working: true,
            cum_qty: "0.5",
        },
        OrderReport::Absent { text: "looked" },
        OrderReport::Done,
    ];
    let about = about
        .into_iter()
        .enumerate()
        .map(|(place, what)| Report::Order(orders[place % orders.len()], what));
    let price = Report::Price {
        symbol: "BTCUSDT",
        bid: "49.99",
        ask: "50.01",
        last: "50",
        venue_ns: 2,
    };
    let told = about_the_account()
        .into_iter()
        .map(|what| Report::Account("desk", what));
    let instrument = [
        ("symbol", "SOLUSDT"),
        ("base", "SOL"),
        ("quote", "USDT"),
        ("status", "TRADING"),
        ("minPrice", "0.01"),
        ("maxPrice", "1000"),
        ("tickSize", "0.01"),
        ("minQty", "0.001"),
        ("maxQty", "9000"),
        ("stepSize", "0.001"),
        ("marketMaxQty", "0"),
        ("minNotional", "5"),
        ("maxNotional", "0"),
    ];
    let last = [
        price,
        Report::Heartbeat,
        Report::Instrument(instrument.into()),
        Report::DoubtSeen(orders[0], "HTTP 500"),
    ];
    about.chain(last).chain(told).collect()
}

/// One report of each kind about an account.
fn about_the_account() -> [AccountReport<'static>; 10] {
    let external = |venue_order_id, side, price| {
        AccountReport::External(RawExternal {
            symbol: "BTCUSDT",
            venue_order_id,
            client_id: "web_1",
            side,
            ord_type: "LIMIT_MAKER",
            time_in_force: "GTC",
            qty: "2",
            cum_qty: "0.5",
            price,
            stop_price: None,
        })
    };
    let run = RawRun {
        trigger: "start",
        started_ns: 5,
        duration_ms: 7,
        complete: false,
        error: Some("HTTP 500"),
        counts: [("orders", 3), ("trades", 9)].into(),
    };
    let (symbol, class) = ("BTCUSDT", DriftClass::MissingFill);
    [
        external("77", Side::Buy, Some("49")),
        external("78", Side::Sell, None),
        AccountReport::Balance {
            asset: "USDT",
            total: "12.5",
        },
        AccountReport::Drift {
            symbol,
            class,
            detail: "0.5 more",
        },
        AccountReport::DriftExplained { symbol, class },
        AccountReport::Confirmed {
            symbol,
            trade_id: 1_002,
        },
        AccountReport::Reconciled(run),
        AccountReport::Budget {
            orders_left: 3,
            retry_after_ms: 9_000,
        },
        AccountReport::Ready {
            ready: false,
            reason: "RATE_LIMITED",
            retry_after_ms: 500,
        },
        AccountReport::Drift {
            symbol: "",
            class: DriftClass::Balance,
            detail: "transfers",
        },
    ]
}

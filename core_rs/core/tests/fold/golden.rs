//! Golden bytes: what earlier builds wrote must be read for ever, and what this one writes must not change unnoticed.

use crate::support::{START, World, cause, limit};
use ordergate_core::limits::{LimitKind, LimitScope, Owner};
use ordergate_core::number::{Amount, Money, Price, Qty, Rate};
use ordergate_core::order::Order;
use ordergate_core::record::*;
use ordergate_core::report::OrderReport;
use ordergate_core::retention;
use ordergate_core::risk::{Kinds, Totals, VenueFacts};
use ordergate_core::snapshot;
use ordergate_core::terms::{
    BreachAction, ChangeOutcome, InstrumentId, KillCause, KillScope, Mode, OrdType, Side, StrategyStatus, TimeInForce,
    TradingState,
};
use std::fmt::Write as _;

const RECORDS: &str = include_str!("../golden/records.txt");
const SNAPSHOT: &str = include_str!("../golden/snapshot.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

const fn scope(owner: Owner, instrument: Option<InstrumentId>) -> LimitScope {
    LimitScope { owner, instrument }
}

fn event() -> OrderEvent {
    OrderEvent {
        order: 300,
        reason: "WHY".into(),
        text: "wörds".into(),
        venue_order_id: Some("v1".into()),
    }
}

fn terms() -> Terms {
    Terms {
        account: 1,
        key: 2,
        mode: Mode::Live,
        instrument: 3,
        side: Side::Sell,
        ord_type: OrdType::Limit,
        time_in_force: TimeInForce::Fok,
        qty: Qty(123_456_789),
        price: Some(Price(4_000_000_000_000)),
        client_order_id: Some("mine-1".into()),
        strategy_id: None,
        valid_for_ms: Some(500),
        conditions: None,
    }
}

fn check() -> CheckResult {
    CheckResult {
        code: "MAX_ORDER_QTY".into(),
        value: "2".into(),
        limit: "1".into(),
        headroom: "-1".into(),
        scope: "account".into(),
        target: "desk".into(),
        symbol: String::new(),
    }
}

fn decision(failed: Vec<CheckResult>) -> Decision {
    let tightest = failed.is_empty().then(check);
    Decision {
        limits_version: 4,
        reference_price: Some(Price(5)),
        reference_age_ns: Some(-1),
        failed,
        tightest,
        override_id: Some(70_000),
        inputs: Some(Box::new(looked_at())),
        overridden: Kinds(2),
        warned: Kinds(5),
    }
}

fn looked_at() -> DecisionInputs {
    let others = Totals {
        gross: Amount(-1),
        day_result: Some(Amount(i128::MIN)),
        ..Totals::default()
    };
    DecisionInputs {
        mark: Some((Price(1), Price(2), Price(3))),
        reference_twice: Some(Amount(3)),
        free: Amount(i128::MAX),
        fx: Some(Price(9)),
        reduce_only: true,
        opposite: Some(Price(i64::MAX)),
        equity: Some(Amount(-7)),
        drawdown: Some(Rate(8)),
        doubt_age_ns: Some(70_000),
        depth: Some(Amount(4)),
        volume: Some(Amount(5)),
        base_total: Some(Amount(6)),
        rates: vec![0, 300],
        duplicates: (1, 2),
        journal: (3, 4),
        tallies: vec![TallyInputs {
            owner: 2,
            position: Amount(-1),
            others: Some(Box::new(others)),
            day: (1, 2, 3),
            ..TallyInputs::default()
        }],
        venue: Some(VenueFacts {
            drift: true,
            in_doubt: false,
            orders_left: Some(300),
        }),
    }
}

fn request() -> RequestKey {
    RequestKey {
        key: "k-1".into(),
        fingerprint: u64::MAX,
        fingerprint2: 1,
    }
}

fn trade() -> Fill {
    Fill {
        order: 300,
        trade_id: "t-1".into(),
        price: Price(1),
        qty: Qty(i64::MAX),
        quote_qty: Amount(3),
        fee: Amount(-4),
        fee_asset: "BNB".into(),
        maker: true,
        venue_ns: START,
        fee_value: None,
    }
}

/// An order with a trade that was canceled.
fn ended() -> Order {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "2", "50");
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v1" });
    world.fill(paper, order, "1", "0.5", "49");
    world.report(paper, order, OrderReport::Canceled(cause("USER", "")));
    retention::order_of_facts(&retention::facts_of(world.order(order))).unwrap()
}

/// One of each kind, with a wide number where there can be one.
fn samples() -> Vec<Record> {
    let replace = ReplaceTerms {
        order: 300,
        qty: Qty(7),
        price: None,
        hold: Amount(8),
        anew: None,
    };
    let kill_off = KillOff {
        scope: KillScope::Symbol,
        target: "BTCUSDT".into(),
        by: "ann".into(),
        source: "cli".into(),
    };
    let mut samples = vec![
        Record::Epoch(Epoch {
            epoch: 3,
            fold_version: 1,
            install: "abcdefgh".into(),
            journal_ns: START,
            boottime_ns: 9,
            wall_offset_ns: -5,
        }),
        Record::Clock(Clock {
            wall_offset_ns: i64::MIN,
        }),
        Record::StateHash(StateHash {
            seq: 70_000,
            hash: (u64::MAX, 0),
        }),
        Record::AccountCreated(AccountCreated {
            account: 1,
            name: "desk".into(),
        }),
        Record::BalanceAdjusted(BalanceAdjusted {
            account: 1,
            mode: Mode::Paper,
            asset: "USDT".into(),
            delta: Amount(-(1 << 90)),
            reason: "opening".into(),
        }),
        Record::KeyCreated(KeyCreated {
            key: 2,
            account: 1,
            owner: "ann".into(),
            name: "test".into(),
            token_sha256: [7; 32],
            scopes: 6,
            rate_per_second: 100,
            expires_at: None,
            symbols: vec!["BTCUSDT".into()],
            ip_allow: vec!["10.0.0.0/8".into()],
        }),
        Record::KeyRevoked(KeyRevoked { key: 2 }),
        Record::InstrumentSet(crate::support::instrument("BTCUSDT", "BTC")),
        Record::LimitsSet(LimitsSet {
            account: None,
            version: 4,
            max_order_qty: Some(Amount(i128::MAX)),
            max_order_notional: None,
            max_open_orders: Some(50),
            by: "ann".into(),
            reason: "start".into(),
        }),
        Record::LimitChanged(LimitChanged {
            scope: scope(Owner::Strategy("grid".into()), Some(3)),
            kind: LimitKind::MaxLongPosition,
            old: Some(7),
            value: Some(1 << 90),
            version: 5,
            by: "ann".into(),
            approved_by: Some("bob".into()),
            reason: "more".into(),
        }),
        Record::ChangeRequested(ChangeRequested {
            change: Change::Limit(LimitChange {
                scope: scope(Owner::Key(2), None),
                kind: LimitKind::MaxOrderNotional,
                value: None,
            }),
            by: "ann".into(),
            reason: "no more".into(),
            expires_at: START,
            old: Some(1 << 80),
        }),
        Record::ChangeClosed(ChangeClosed {
            request: 70_000,
            outcome: ChangeOutcome::Expired,
            by: "gateway".into(),
        }),
        Record::OverrideGranted(OverrideGranted {
            request: 70_001,
            account: 1,
            instrument: Some(3),
            kinds: vec![LimitKind::MaxOrderQty, LimitKind::CollarUp],
            expires_at: START,
            by: "ann".into(),
            approved_by: "bob".into(),
            reason: "once".into(),
        }),
        Record::KillOn(KillOn {
            scope: KillScope::Global,
            target: String::new(),
            level: 2,
            reason: "stop".into(),
            by: "ann".into(),
            source: "redis".into(),
            cause: Some(KillCause::Asked),
        }),
        Record::KillOff(kill_off),
        Record::RedisBound(RedisBound {
            install: "abcdefgh".into(),
        }),
        Record::TradingStateSet(TradingStateSet {
            scope: KillScope::Strategy,
            target: "grid".into(),
            mode: Some(Mode::Live),
            state: TradingState::Halted,
            reason: "MAX_DAILY_LOSS".into(),
            by: "ordergate".into(),
            source: "limit".into(),
            flatten: true,
        }),
        Record::StrategySet(StrategySet {
            name: "grid".into(),
            account: 1,
            status: StrategyStatus::Stopped,
            by: "ann".into(),
            source: "kill".into(),
            reason: "stop".into(),
        }),
        Record::HeartbeatSet(HeartbeatSet {
            scope: KillScope::Strategy,
            target: "grid".into(),
            timeout_ms: 5_000,
            key: 2,
            by: String::new(),
        }),
        Record::LimitBreached(LimitBreached {
            scope: LimitScope {
                owner: Owner::Account(1),
                instrument: None,
            },
            mode: Mode::Live,
            kind: LimitKind::MaxDrawdown,
            value: "0.11".into(),
            limit: "0.1".into(),
            action: BreachAction::Flatten,
            peak: Some(Amount(1 << 90)),
        }),
        Record::DayStarted(DayStarted {
            day: 19_675,
            marks: vec![(Mode::Paper, 0, Price(5)), (Mode::Live, 1, Price(i64::MAX))],
            currency: "USDT".into(),
            peaks: vec![(1, Mode::Live, Amount(7))],
        }),
        Record::RestrictionSet(RestrictionSet {
            account: None,
            instrument: 3,
            restricted: true,
            by: "ann".into(),
            reason: "delisting".into(),
        }),
        Record::ScheduleSet(ScheduleSet {
            account: Some(1),
            weekdays: 31,
            from_minute: 480,
            to_minute: 1_440,
            by: "ann".into(),
            reason: "hours".into(),
        }),
        Record::SessionOpened(SessionOpened {
            venue: "paper".into(),
            mode: Mode::Paper,
            pid: 4_321,
        }),
        Record::OrderAccepted(OrderAccepted {
            terms: terms(),
            hold: Amount(99),
            request: request(),
            decision: decision(vec![]),
            answer_status: 201,
            answer: "{}".into(),
        }),
        Record::OrderDenied(OrderDenied {
            terms: terms(),
            request: request(),
            decision: decision(vec![check()]),
            answer_status: 422,
            answer: "{}".into(),
        }),
        Record::SubmitStarted(SubmitStarted {
            order: 300,
            session: 299,
        }),
        Record::Acked(event()),
        Record::VenueRejected(event()),
        Record::InDoubt(event()),
        Record::NotSent(event()),
        Record::Fill(Fill {
            fee_value: Some(Money(-5)),
            ..trade()
        }),
        Record::CancelRequested(event()),
        Record::Canceled(event()),
        Record::CancelRejected(event()),
        Record::CancelInDoubt(event()),
        Record::ReplaceRequested(replace.clone()),
        Record::Replaced(replace.clone()),
        Record::ReplaceRejected(event()),
        Record::Expired(event()),
        Record::FoundAtVenue(VenueSnapshot {
            order: 300,
            venue_order_id: None,
            working: true,
            cum_qty: Qty(1),
        }),
        Record::AbsentAtVenue(event()),
        Record::Illegal(IllegalEvent {
            order: 0,
            event: "FILL".into(),
            text: "?".into(),
        }),
        Record::Parked(Parked {
            code: "NUMERIC_RANGE".into(),
            report: "…".into(),
        }),
        Record::LateFill(LateFill {
            mode: Mode::Live,
            fill: trade(),
        }),
        Record::LateFillClosed(LateFillClosed {
            order: 300,
            trade_id: "t-1".into(),
            code: "FILL_CONFLICT".into(),
        }),
        Record::OrderReloaded(Box::new(ended())),
        Record::OrderLeft(OrderLeft { order: 300 }),
        Record::LimitWarned(LimitWarned {
            scope: LimitScope {
                owner: Owner::Strategy("grid".into()),
                instrument: Some(3),
            },
            mode: Mode::Paper,
            kind: LimitKind::MaxDailyLoss,
            value: None,
            limit: "1000".into(),
            peak: None,
        }),
        Record::ReplaceAsked(ReplaceAsked {
            terms: ReplaceTerms {
                anew: Some(Anew {
                    stop_price: Some(Price(9)),
                    key: 2,
                }),
                ..replace
            },
            request: request(),
            answer_status: 202,
            answer: "{}".into(),
        }),
        Record::ReplaceDropped(event()),
        Record::Done(event()),
    ];
    samples.extend(crate::venue_samples::samples());
    samples.sort_by_key(Record::kind);
    samples
}

#[test]
fn every_record_is_written_and_read_as_ever() {
    let samples = samples();
    let kinds: Vec<u8> = samples.iter().map(Record::kind).collect();
    assert_eq!(
        kinds,
        Record::KINDS.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        "one sample of each kind"
    );
    let mut written = String::new();
    for record in &samples {
        let mut body = Vec::new();
        record.encode(&mut body).unwrap();
        let _ = writeln!(
            written,
            "{} {} {} {}",
            record.kind(),
            Record::VERSION,
            record.name(),
            hex(&body)
        );
    }
    assert_eq!(
        written, RECORDS,
        "a record's bytes changed: give it a new version and keep the old decoder"
    );
    for (line, record) in RECORDS.lines().zip(&samples) {
        let [kind, version, _, body] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let read = Record::decode(kind.parse().unwrap(), version.parse().unwrap(), &unhex(body)).unwrap();
        assert_eq!(&read, record);
    }
}

#[test]
fn an_order_of_before_trades_had_times_is_read() {
    let old = unhex(include_str!("../golden/order_without_trade_times.txt").trim());
    let Record::OrderReloaded(order) = Record::decode(62, 1, &old).unwrap() else {
        panic!("an order");
    };
    assert_eq!(
        (order.id, order.fill_count(), order.status()),
        (ended().id, 1, ended().status())
    );
}

#[test]
fn an_unknown_kind_or_version_is_refused() {
    assert!(matches!(
        Record::decode(200, 1, &[]),
        Err(RecordError::Unknown { kind: 200, version: 1 })
    ));
    assert!(matches!(
        Record::decode(1, 2, &[]),
        Err(RecordError::Unknown { kind: 1, version: 2 })
    ));
    assert!(matches!(Record::decode(1, 1, &[0xc1]), Err(RecordError::Body { .. })));
}

fn world() -> World {
    let (mut world, paper, live) = World::connected();
    world.run_strategy("grid");
    let body = limit(Mode::Paper, "BUY", "2", "50").replace('{', r#"{"clientOrderId":"mine","strategyId":"grid","#);
    let order = world.place(&body);
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v1" });
    world.fill(paper, order, "1", "0.5", "49");
    let doubt = world.buy(Mode::Live, "1", "50");
    world.report(live, doubt, OrderReport::Unknown(cause("TIMEOUT", "no answer")));
    world.submit(&limit(Mode::Paper, "SELL", "2000", "50")).unwrap();
    world.report(paper, 77_777, OrderReport::Ack { venue_order_id: "v1" });
    world.cancel(doubt).unwrap();
    world.kill(KillScope::Symbol, "ETHUSDT", 1);
    world.check();
    world
}

#[test]
fn a_snapshot_is_written_and_read_as_ever() {
    let world = world();
    let bytes = snapshot::encode(world.engine.state()).unwrap();
    let written = format!("{:032x}\n{}\n", world.engine.state().digest(), hex(&bytes));
    assert_eq!(
        written, SNAPSHOT,
        "the snapshot's bytes or the state hash changed: raise FOLD_VERSION"
    );
    let [hash, body] = SNAPSHOT.lines().collect::<Vec<_>>()[..] else {
        panic!("{SNAPSHOT}")
    };
    let read = snapshot::decode(&unhex(body)).unwrap();
    assert_eq!(format!("{:032x}", read.digest()), hash);
    assert_eq!(read.open_count(), 2);
}

#[test]
fn a_damaged_snapshot_is_refused_or_hashes_the_same() {
    let world = world();
    let bytes = snapshot::encode(world.engine.state()).unwrap();
    let mut refused = 0;
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        match snapshot::decode(&damaged) {
            Err(_) => refused += 1,
            Ok(state) => assert_eq!(state.digest(), world.engine.state().digest(), "byte {place}"),
        }
    }
    assert!(refused * 100 > bytes.len() * 95, "{refused} of {}", bytes.len());
    for length in 0..bytes.len() {
        assert!(snapshot::decode(&bytes[..length]).is_err());
    }
}

#[test]
fn for_people_a_body_is_json_with_decimals_words_and_hex() {
    let json = |record: Record| {
        let mut out = Vec::new();
        record.write_json(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let accepted = json(Record::OrderAccepted(OrderAccepted {
        terms: terms(),
        hold: Amount(i128::from(i64::MAX) * 100),
        request: RequestKey {
            key: "k".into(),
            fingerprint: 1,
            fingerprint2: 2,
        },
        decision: Decision {
            limits_version: 1,
            reference_price: None,
            reference_age_ns: None,
            failed: vec![check()],
            tightest: None,
            ..Decision::default()
        },
        answer_status: 201,
        answer: "{}".into(),
    }));
    for part in [
        r#""mode":"LIVE""#,
        r#""side":"SELL""#,
        r#""time_in_force":"FOK""#,
        r#""qty":"1.23456789""#,
        r#""price":"40000""#,
        r#""hold":"9223372036854.775807""#,
        r#""failed":[{"code":"MAX_ORDER_QTY""#,
    ] {
        assert!(accepted.contains(part), "{part} in {accepted}");
    }
    let key = json(Record::KeyCreated(KeyCreated {
        key: 0,
        account: 0,
        owner: "ana".into(),
        name: "bot".into(),
        token_sha256: [0xa7; 32],
        scopes: 3,
        rate_per_second: 1,
        expires_at: None,
        symbols: vec![],
        ip_allow: vec![],
    }));
    assert!(
        key.contains(&format!(r#""token_sha256":"{}""#, "a7".repeat(32))),
        "{key}"
    );
}

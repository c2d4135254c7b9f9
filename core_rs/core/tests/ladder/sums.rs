//! Positions, exposure, what is open, what is free: each scope against its own sums, the order counted in full.

use crate::desk::{ACCOUNT, Desk, amount, buy, desk, order, price, row, sell};
use ordergate_core::account::Position;
use ordergate_core::exposure::Tally;
use ordergate_core::limits::{LimitKind, Owner};
use ordergate_core::number::{Amount, Money};
use ordergate_core::risk::Totals;
use ordergate_core::terms::Side;

fn tally(position: &str, open_buy: &str, open_sell: &str) -> Tally {
    let position = amount(position);
    let traded = Position {
        bought_qty: Amount(position.0.max(0)),
        sold_qty: Amount((-position.0).max(0)),
        ..Position::default()
    };
    Tally {
        traded,
        open_buy: amount(open_buy),
        open_sell: amount(open_sell),
        ..Tally::default()
    }
}

#[test]
fn positions_count_every_open_order_on_its_own_side() {
    let mut desk =
        desk()
            .limit(ACCOUNT, LimitKind::MaxLongPosition, "10")
            .limit(ACCOUNT, LimitKind::MaxShortPosition, "5");
    desk.bound(ACCOUNT).tally = tally("4", "3", "6");
    assert!(desk.check(&buy("3", "10")).is_ok());
    assert_eq!(
        desk.failed(&buy("3.00000001", "10")),
        [row("MAX_LONG_POSITION", "10.00000001", "10", "3")]
    );
    // −4 + 6 open = 2 short at worst.
    assert!(desk.check(&sell("3", "10")).is_ok());
    assert_eq!(
        desk.failed(&sell("3.00000001", "10")),
        [row("MAX_SHORT_POSITION", "5.00000001", "5", "3")]
    );
}

#[test]
fn each_scope_is_compared_with_its_own_sums() {
    let strategy = Owner::Strategy("grid".to_owned());
    let mut desk = desk()
        .limit(Owner::Firm, LimitKind::MaxLongPosition, "100")
        .limit(ACCOUNT, LimitKind::MaxLongPosition, "10")
        .limit(strategy.clone(), LimitKind::MaxLongPosition, "2");
    desk.bound(Owner::Firm).tally = tally("99", "0", "0");
    desk.bound(strategy).tally = tally("2", "0", "0");
    let failed = desk.check(&buy("2", "10")).unwrap_err();
    let scopes: Vec<_> = failed
        .iter()
        .map(|check| (check.scope.as_str(), check.target.as_str()))
        .collect();
    assert_eq!(scopes, [("firm", ""), ("strategy", "grid")]);
}

#[test]
fn exposure_sums_the_worst_case_of_every_symbol_at_the_mark() {
    let mut desk = desk().limit(ACCOUNT, LimitKind::MaxGrossExposure, "200000").limit(
        ACCOUNT,
        LimitKind::MaxNetExposure,
        "100000",
    );
    desk.bound(ACCOUNT).tally = tally("1", "0", "0");
    desk.bound(ACCOUNT).others = Totals {
        gross: amount("40000"),
        long: amount("-20000"),
        short: amount("-40000"),
        ..Totals::default()
    };
    // Gross 40000 + 40000, net 40000 − 20000: room for 3 and for 2.
    assert!(desk.check(&buy("2", "10")).is_ok());
    assert_eq!(
        desk.failed(&buy("2.00000001", "10")),
        [row("MAX_NET_EXPOSURE", "100000.0004", "100000", "80000")]
    );
    assert_eq!(
        desk.codes(&buy("3.00000001", "10")),
        ["MAX_GROSS_EXPOSURE", "MAX_NET_EXPOSURE"]
    );
    desk.bound(ACCOUNT).others.unvalued = true;
    assert_eq!(
        desk.codes(&buy("1", "10")),
        ["MAX_GROSS_EXPOSURE", "MAX_NET_EXPOSURE"],
        "what has no price fails"
    );
}

#[test]
fn whoever_is_over_a_limit_may_reduce() {
    let mut desk = desk().limit(ACCOUNT, LimitKind::MaxGrossExposure, "1000");
    desk.bound(ACCOUNT).tally = tally("5", "0", "0");
    assert!(desk.check(&sell("5", "10")).is_ok());
    assert_eq!(desk.codes(&buy("1", "10")), ["MAX_GROSS_EXPOSURE"]);
}

#[test]
fn one_symbol_is_a_share_of_equity() {
    let mut desk = desk().limit(ACCOUNT, LimitKind::MaxConcentration, "0.5");
    desk.equity = Some(amount("80000"));
    assert!(desk.check(&buy("1", "10")).is_ok());
    assert_eq!(desk.codes(&buy("1.00000001", "10")), ["MAX_CONCENTRATION"]);
    desk.equity = None;
    assert_eq!(desk.codes(&buy("0.001", "10")), ["MAX_CONCENTRATION"]);
}

#[test]
fn open_orders_and_their_value() {
    let mut desk =
        desk()
            .limit(ACCOUNT, LimitKind::MaxOpenOrders, "3")
            .limit(ACCOUNT, LimitKind::MaxOpenNotional, "1000");
    desk.bound(ACCOUNT).tally.open_orders = 1;
    desk.bound(ACCOUNT).tally.open_notional = amount("400");
    desk.bound(ACCOUNT).others.open_orders = 1;
    desk.bound(ACCOUNT).others.open_notional = amount("500");
    assert!(desk.check(&buy("1", "100")).is_ok());
    assert_eq!(
        desk.failed(&buy("1", "100.01")),
        [row("MAX_OPEN_NOTIONAL", "1000.01", "1000", "100")]
    );
    desk.bound(ACCOUNT).others.open_orders = 2;
    assert_eq!(desk.failed(&buy("1", "100")), [row("MAX_OPEN_ORDERS", "4", "3", "0")]);
    // A limit of one symbol looks at that symbol alone.
    let mut narrow = crate::desk::desk();
    narrow
        .bound_in(ACCOUNT, Some(0))
        .limits
        .set(LimitKind::MaxOpenOrders, Some(3));
    narrow.bound_in(ACCOUNT, Some(0)).others.open_orders = 9;
    let tightest = narrow.check(&buy("1", "100")).unwrap().tightest;
    assert_eq!(
        (tightest.code.as_str(), tightest.symbol.as_str()),
        ("MAX_OPEN_ORDERS", "BTCUSDT")
    );
}

#[test]
fn reduce_only_cannot_open_or_turn_a_position() {
    let mut desk = Desk {
        reduce_only: true,
        own: tally("3", "0", "1"),
        ..desk()
    };
    assert!(desk.check(&sell("2", "10")).is_ok());
    assert_eq!(
        desk.failed(&sell("2.00000001", "10")),
        [row("REDUCE_ONLY", "3.00000001", "3", "2")]
    );
    assert_eq!(desk.codes(&buy("0.1", "10")), ["REDUCE_ONLY"]);
    desk.strategy = Some(tally("1", "0", "0"));
    assert_eq!(
        desk.codes(&sell("2", "10")),
        ["REDUCE_ONLY"],
        "the strategy has only one of them"
    );
    desk.own = Tally::default();
    desk.strategy = None;
    assert_eq!(desk.codes(&sell("0.1", "10")), ["REDUCE_ONLY"], "flat: nothing reduces");
    desk.own = tally("-3", "1", "0");
    assert!(desk.check(&buy("2", "10")).is_ok());
    assert_eq!(desk.codes(&buy("3", "10")), ["REDUCE_ONLY"]);
}

#[test]
fn an_old_doubt_leaves_only_reducing_orders() {
    let mut desk = desk().limit(Owner::Firm, LimitKind::MaxDoubtAge, "20000");
    desk.own = tally("1", "0", "0");
    desk.doubt_age_ns = Some(20_000_999_999);
    assert!(desk.check(&buy("1", "10")).is_ok());
    desk.doubt_age_ns = Some(20_001_000_000);
    assert_eq!(
        desk.failed(&buy("1", "10")),
        [row("MAX_DOUBT_AGE", "20001", "20000", "20000")]
    );
    assert!(desk.check(&sell("1", "10")).is_ok());
}

#[test]
fn the_exchanges_own_maxima() {
    let mut desk = desk();
    desk.instrument.market.max_orders = 5;
    desk.instrument.market.max_position = amount("10");
    desk.instrument.market.max_base = amount("4");
    desk.instrument.market.max_quote = amount("5000");
    desk.own = Tally {
        open_orders: 4,
        ..tally("0", "2", "0")
    };
    desk.base_total = amount("5");
    assert!(desk.check(&buy("3", "1000")).is_ok());
    assert_eq!(
        desk.failed(&buy("3.1", "1000")),
        [row("MAX_POSITION", "10.1", "10", "3")]
    );
    assert_eq!(desk.codes(&sell("4.1", "1")), ["MAX_ASSET"]);
    assert_eq!(desk.codes(&buy("3", "2000")), ["MAX_ASSET"]);
    desk.own.open_orders = 5;
    assert_eq!(desk.codes(&buy("3", "1000")), ["MAX_NUM_ORDERS"]);
}

#[test]
fn money_is_counted_in_the_reporting_currency_or_refused() {
    let mut desk = desk().limit(ACCOUNT, LimitKind::MaxOrderNotional, "300");
    desk.fx = Some(price("3"));
    assert!(desk.check(&buy("1", "100")).is_ok());
    assert_eq!(
        desk.failed(&buy("1", "100.00000001")),
        [row("MAX_ORDER_NOTIONAL", "300.00000003", "300", "300")]
    );
    desk.fx = None;
    assert_eq!(desk.codes(&buy("1", "1")), ["NO_CONVERSION_RATE"]);
}

#[test]
fn sums_out_of_range_fail_and_never_panic() {
    let huge = Amount(i128::MAX - 5);
    for kind in LimitKind::ALL {
        let mut desk = desk().limit(ACCOUNT, *kind, "1");
        let bound = desk.bound(ACCOUNT);
        bound.limits.set(*kind, Some(i128::MAX));
        bound.tally = Tally {
            open_buy: huge,
            open_sell: huge,
            open_notional: Amount(i128::MAX),
            open_orders: u32::MAX,
            ..tally("-9", "0", "0")
        };
        bound.tally.day.turnover = Money(i128::MAX);
        bound.others = Totals {
            gross: huge,
            long: huge,
            short: Amount(-huge.0),
            open_notional: huge,
            turnover: huge,
            day_result: Some(Amount(i128::MIN)),
            ..Totals::default()
        };
        desk.equity = Some(Amount(i128::MIN));
        desk.drawdown = Some(i128::MAX);
        desk.own = desk.bound(ACCOUNT).tally;
        for side in [Side::Buy, Side::Sell] {
            let mut largest = order(side, "1", Some("1"));
            largest.qty.0 = i64::MAX;
            largest.price = Some(ordergate_core::number::Price(i64::MAX));
            let _ = desk.check(&largest);
            desk.market.last_good_twice = Some(1);
            desk.market.mark = None;
            let _ = desk.check(&largest);
        }
    }
}

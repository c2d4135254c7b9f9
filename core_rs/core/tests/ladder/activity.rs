//! Rates, equal orders, own orders on the other side, the day's result and counts, overrides, the journal.

use crate::desk::{ACCOUNT, amount, buy, desk, order, price, quoted, row, sell};
use ordergate_core::account::Position;
use ordergate_core::exposure::Tally;
use ordergate_core::limits::{LimitKind, Owner};
use ordergate_core::number::Money;
use ordergate_core::risk::{JournalHealth, Totals};
use ordergate_core::terms::Side;

#[test]
fn rates_of_every_scope() {
    let mut desk =
        desk()
            .limit(ACCOUNT, LimitKind::NewOrderRate, "10")
            .limit(Owner::Key(1), LimitKind::NewOrderRate, "2");
    desk.bound(ACCOUNT).rate_used = 9;
    desk.bound(Owner::Key(1)).rate_used = 1;
    assert!(desk.check(&buy("1", "10")).is_ok());
    desk.bound(Owner::Key(1)).rate_used = 2;
    assert_eq!(desk.failed(&buy("1", "10")), [row("NEW_ORDER_RATE", "3", "2", "0")]);
    desk.bound(ACCOUNT).rate_used = 10;
    assert_eq!(desk.codes(&buy("1", "10")).len(), 2);
}

#[test]
fn equal_orders_within_a_window() {
    let mut desk = desk().limit(ACCOUNT, LimitKind::DuplicatesInSecond, "1").limit(
        ACCOUNT,
        LimitKind::DuplicatesInTenSeconds,
        "3",
    );
    assert!(desk.check(&buy("1", "10")).is_ok());
    desk.duplicates = (1, 1);
    assert_eq!(desk.failed(&buy("1", "10")), [row("MAX_DUPLICATES_1S", "2", "1", "0")]);
    desk.duplicates = (0, 3);
    assert_eq!(desk.failed(&buy("1", "10")), [row("MAX_DUPLICATES_10S", "4", "3", "0")]);
}

#[test]
fn an_order_never_meets_its_own() {
    let mut desk = desk();
    desk.opposite = Some(price("40000"));
    assert!(desk.check(&buy("1", "39999.99")).is_ok() && desk.check(&sell("1", "40000.01")).is_ok());
    assert_eq!(desk.codes(&buy("1", "40000")), ["SELF_TRADE"]);
    assert_eq!(desk.codes(&sell("1", "40000")), ["SELF_TRADE"]);
    assert_eq!(
        desk.codes(&order(Side::Sell, "1", None)),
        ["SELF_TRADE"],
        "a MARKET order meets what is there"
    );
    // A working MARKET order counts as an offer at nothing: every BUY meets it.
    desk.opposite = Some(ordergate_core::number::Price(0));
    assert_eq!(desk.codes(&buy("1", "0.01")), ["SELF_TRADE"]);
}

#[test]
fn a_loss_beyond_the_limit_leaves_only_reducing_orders() {
    let mut desk = desk().limit(ACCOUNT, LimitKind::MaxDailyLoss, "100");
    desk.own.traded = Position {
        bought_qty: amount("1"),
        ..Position::default()
    };
    desk.bound(ACCOUNT).others.day_result = Some(amount("-100"));
    assert!(desk.check(&buy("1", "10")).is_ok());
    desk.bound(ACCOUNT).others.day_result = Some(amount("-100.01"));
    assert_eq!(
        desk.failed(&buy("1", "10")),
        [row("MAX_DAILY_LOSS", "100.01", "100", "-0.01")]
    );
    assert!(desk.check(&sell("1", "10")).is_ok());
    desk.bound(ACCOUNT).others.day_result = None;
    assert_eq!(
        desk.failed(&buy("1", "10")),
        [row("MAX_DAILY_LOSS", "none", "100", "0")]
    );
    assert!(desk.check(&sell("1", "10")).is_ok());
}

#[test]
fn a_fall_of_equity_beyond_the_limit_leaves_only_reducing_orders() {
    let mut desk = desk().limit(ACCOUNT, LimitKind::MaxDrawdown, "0.2");
    desk.drawdown = Some(20_000_000);
    assert!(desk.check(&buy("1", "10")).is_ok());
    desk.drawdown = Some(20_001_000);
    assert_eq!(
        desk.failed(&buy("1", "10")),
        [row("MAX_DRAWDOWN", "0.20001", "0.2", "-0.00001")]
    );
    desk.drawdown = None;
    assert_eq!(desk.failed(&buy("1", "10")), [row("MAX_DRAWDOWN", "none", "0.2", "0")]);
}

#[test]
fn counts_and_turnover_of_the_day() {
    let mut desk = desk()
        .limit(ACCOUNT, LimitKind::MaxDailyTurnover, "1000")
        .limit(ACCOUNT, LimitKind::MaxDailyOrders, "10")
        .limit(ACCOUNT, LimitKind::MaxDailyCancels, "200")
        .limit(ACCOUNT, LimitKind::MaxDailyFills, "20")
        .limit(ACCOUNT, LimitKind::MaxCancelFillRatio, "10");
    let mut tally = Tally::default();
    tally.day.turnover = Money(500 * 10_i128.pow(16));
    (tally.day.orders, tally.day.cancels, tally.day.fills) = (4, 50, 10);
    desk.bound(ACCOUNT).tally = tally;
    desk.bound(ACCOUNT).others = Totals {
        turnover: amount("300"),
        open_notional: amount("100"),
        orders: 5,
        cancels: 50,
        ..Totals::default()
    };
    assert!(desk.check(&buy("1", "100")).is_ok());
    assert_eq!(
        desk.failed(&buy("1", "100.01")),
        [row("MAX_DAILY_TURNOVER", "1000.01", "1000", "100")]
    );
    desk.bound(ACCOUNT).others.orders = 6;
    assert_eq!(desk.codes(&buy("1", "100")), ["MAX_DAILY_ORDERS"]);
    desk.bound(ACCOUNT).others.orders = 0;
    desk.bound(ACCOUNT).others.fills = 11;
    assert_eq!(desk.codes(&buy("1", "100")), ["MAX_DAILY_FILLS"]);
    desk.bound(ACCOUNT).others.fills = 0;
    desk.bound(ACCOUNT).others.cancels = 51;
    assert_eq!(
        desk.failed(&buy("1", "100")),
        [row("MAX_CANCEL_FILL_RATIO", "10.1", "10", "-0.1")]
    );
    desk.bound(ACCOUNT).others.fills = 10;
    desk.bound(ACCOUNT).others.cancels = 151;
    assert_eq!(
        desk.codes(&buy("1", "100")),
        ["MAX_DAILY_CANCELS", "MAX_CANCEL_FILL_RATIO"]
    );
}

#[test]
fn a_share_of_what_is_offered() {
    let mut desk =
        desk()
            .limit(ACCOUNT, LimitKind::MaxDepthShare, "0.5")
            .limit(ACCOUNT, LimitKind::MaxVolumeShare, "0.01");
    assert_eq!(
        desk.codes(&buy("1", "10")),
        ["MAX_DEPTH_SHARE", "MAX_VOLUME_SHARE"],
        "not told: refused"
    );
    desk.market.depth = Some(amount("4"));
    desk.market.volume = Some(amount("300"));
    assert!(desk.check(&buy("2", "10")).is_ok());
    assert_eq!(
        desk.failed(&buy("2.00000001", "10")),
        [row("MAX_DEPTH_SHARE", "0.50000001", "0.5", "0.5")]
    );
    assert_eq!(desk.codes(&buy("3.1", "10")), ["MAX_DEPTH_SHARE", "MAX_VOLUME_SHARE"]);
}

#[test]
fn a_journal_that_does_not_keep_up_takes_no_orders() {
    let mut desk = desk().limit(Owner::Firm, LimitKind::MaxJournalLatency, "500").limit(
        Owner::Firm,
        LimitKind::MaxJournalBacklog,
        "1000",
    );
    desk.journal = JournalHealth {
        wait_ms: 500,
        backlog: 1_000,
    };
    assert!(desk.check(&buy("1", "10")).is_ok());
    desk.journal = JournalHealth {
        wait_ms: 501,
        backlog: 1_001,
    };
    assert_eq!(
        desk.codes(&buy("1", "10")),
        ["MAX_JOURNAL_LATENCY", "MAX_JOURNAL_BACKLOG"]
    );
}

#[test]
fn an_override_excuses_only_what_it_names() {
    let mut desk = desk()
        .limit(ACCOUNT, LimitKind::MaxOrderQty, "1")
        .limit(ACCOUNT, LimitKind::MaxOrderNotional, "10");
    desk.excused = vec![LimitKind::MaxOrderQty];
    let approved = desk.check(&buy("2", "5")).unwrap();
    assert_eq!(approved.overridden.iter().collect::<Vec<_>>(), [LimitKind::MaxOrderQty]);
    assert_eq!(desk.codes(&buy("2", "6")), ["MAX_ORDER_NOTIONAL"]);
    assert!(desk.check(&buy("1", "5")).unwrap().overridden.is_empty());
}

#[test]
fn four_fifths_of_a_limit_warn() {
    let desk = desk().limit(ACCOUNT, LimitKind::MaxOrderQty, "10");
    assert!(desk.check(&buy("7.99999999", "5")).unwrap().warned.is_empty());
    let warned = desk.check(&buy("8", "5")).unwrap().warned;
    assert_eq!(warned.iter().collect::<Vec<_>>(), [LimitKind::MaxOrderQty]);
}

#[test]
fn what_is_used_is_listed_without_an_order() {
    let mut desk = desk().limit(ACCOUNT, LimitKind::MaxOpenOrders, "10");
    desk.market = quoted("39990", "40010", "40000");
    desk.bound(ACCOUNT).tally.open_orders = 4;
    let used = desk.usage(&buy("0.001", "10"));
    let open = used.iter().find(|check| check.code == "MAX_OPEN_ORDERS").unwrap();
    assert_eq!((open.limit.as_str(), open.headroom.as_str()), ("10", "6"));
}

//! Fees in an asset that is neither base nor quote: what they are worth when the trade is booked.

use crate::support::*;
use ordergate_core::exposure::Day;
use ordergate_core::limits::Owner;
use ordergate_core::number::{Amount, Money};
use ordergate_core::record::{InstrumentSet, Record};
use ordergate_core::report::{OrderReport, RawFill, Report};
use ordergate_core::terms::{Mode, OrderId, SessionId};

const SECOND: i64 = 1_000 * MS;
const ETHBTC: u32 = 3;

/// With BNBUSDT (2) and ETHBTC (3) listed, too.
fn world() -> (World, SessionId) {
    let (mut world, paper, _) = World::connected();
    let of_btc = InstrumentSet {
        quote: "BTC".into(),
        min_notional: Amount(1),
        ..instrument("ETHBTC", "ETH")
    };
    for listed in [instrument("BNBUSDT", "BNB"), of_btc] {
        world.engine.set_instrument(listed, world.now).unwrap().unwrap();
    }
    world.wait(0);
    (world, paper)
}

fn price(world: &mut World, session: SessionId, symbol: &str, bid: &str, ask: &str) {
    let last = bid;
    let price = Report::Price {
        symbol,
        bid,
        ask,
        last,
        venue_ns: 1,
    };
    world.engine.report(session, &price, world.now).unwrap();
}

/// A trade of an order in this symbol with that fee; what it was worth, as recorded.
fn fee(world: &mut World, session: SessionId, symbol: &str, (fee, fee_asset): (&str, &str)) -> Option<Money> {
    world.engine.kill_reading(world.now);
    let order = world.place(&limit(Mode::Paper, "BUY", "2", "0.05").replace("BTCUSDT", symbol));
    trade(world, session, order, (fee, fee_asset))
}

fn trade(world: &mut World, session: SessionId, order: OrderId, (fee, fee_asset): (&str, &str)) -> Option<Money> {
    world.collect();
    let fill = RawFill {
        price: "0.05",
        qty: "1",
        quote_qty: "0.05",
        fee,
        fee_asset,
        ..fill("t")
    };
    world.report(session, order, OrderReport::Fill(fill));
    world.collect().into_iter().find_map(|record| match record {
        Record::Fill(fill) => fill.fee_value,
        _ => None,
    })
}

fn day(world: &World, instrument: u32) -> Day {
    let tally = world.engine.state().tally(&Owner::Account(0), Mode::Paper, instrument);
    tally.unwrap().day
}

/// A decimal in units of 10⁻¹⁶.
fn money(text: &str) -> Money {
    Money(Amount::parse(text).unwrap().0 * 100_000_000)
}

#[test]
fn a_fee_in_a_third_asset_is_worth_its_mark_when_the_trade_is_booked() {
    let (mut world, paper) = world();
    price(&mut world, paper, "BNBUSDT", "600", "602");
    world.now += 60 * SECOND;
    price(&mut world, paper, "ETHBTC", "0.05", "0.05");
    price(&mut world, paper, "BTCUSDT", "49", "51");
    let value = fee(&mut world, paper, "ETHBTC", ("0.001", "BNB"));
    assert_eq!(value, Some(money("0.01202")), "0.601 USDT at 50 a BTC, a minute old");
    assert_eq!(fee(&mut world, paper, "ETHBTC", ("0.5", "USDT")), Some(money("0.01")));
    assert_eq!(fee(&mut world, paper, "ETHBTC", ("0.001", "ETH")), None, "base");
    assert_eq!(fee(&mut world, paper, "ETHBTC", ("0.001", "BTC")), None, "quote");
    let sums = day(&world, ETHBTC);
    assert_eq!((sums.other_fees, sums.unvalued_fees), (money("0.02202"), 0));
    let rebate = fee(&mut world, paper, "ETHBTC", ("-0.001", "BNB"));
    assert_eq!(rebate, Some(money("-0.01202")));
    let figures = world
        .engine
        .day_figures(&Owner::Account(0), Mode::Paper, world.now)
        .unwrap();
    assert!(figures.fresh, "the result is known");
    // 5 ETH (less the fee in ETH) at the price they had: fees of 0.01 + 0.001 BTC at 50, and of 0.001 ETH at 0.05.
    assert_eq!(figures.result.unwrap().to_string(), "-0.5525");
    world.check();
}

#[test]
fn without_a_young_mark_a_fee_is_not_valued_and_the_result_not_known() {
    let (mut world, paper) = world();
    price(&mut world, paper, "BNBUSDT", "600", "602");
    world.now += 60 * SECOND + 1;
    price(&mut world, paper, "ETHBTC", "0.05", "0.05");
    price(&mut world, paper, "BTCUSDT", "49", "51");
    assert_eq!(fee(&mut world, paper, "ETHBTC", ("0.001", "BNB")), None);
    assert_eq!(fee(&mut world, paper, "ETHBTC", ("0.001", "XYZ")), None, "no pair");
    assert_eq!(day(&world, ETHBTC).unvalued_fees, 2);
    let figures = world
        .engine
        .day_figures(&Owner::Account(0), Mode::Paper, world.now)
        .unwrap();
    assert!(!figures.fresh);
    world.check();
}

#[test]
fn a_trade_that_comes_again_keeps_its_first_value() {
    let (mut world, paper) = world();
    price(&mut world, paper, "BNBUSDT", "600", "602");
    price(&mut world, paper, "ETHBTC", "0.05", "0.05");
    price(&mut world, paper, "BTCUSDT", "49", "51");
    let order = world.place(&limit(Mode::Paper, "BUY", "2", "0.05").replace("BTCUSDT", "ETHBTC"));
    assert_eq!(
        trade(&mut world, paper, order, ("0.001", "BNB")),
        Some(money("0.01202"))
    );
    price(&mut world, paper, "BNBUSDT", "700", "702");
    let seq = world.engine.state().last_seq();
    assert_eq!(trade(&mut world, paper, order, ("0.001", "BNB")), None);
    assert_eq!(world.engine.state().last_seq(), seq, "the same trade");
    // What it is worth is rounded up, against the client.
    price(&mut world, paper, "BTCUSDT", "3", "3");
    let value = fee(&mut world, paper, "ETHBTC", ("0.00000001", "USDT"));
    assert_eq!(value, Some(Money(33_333_334)));
    world.check();
}

#[test]
fn a_fee_of_any_size_keeps_no_trade_from_being_counted() {
    let (mut world, paper) = world();
    price(&mut world, paper, "BNBUSDT", "900000", "900000");
    price(&mut world, paper, "ETHBTC", "0.05", "0.05");
    price(&mut world, paper, "BTCUSDT", "0.01", "0.01");
    let huge = "90000000000";
    assert_eq!(fee(&mut world, paper, "ETHBTC", (huge, "BNB")), None);
    let sums = day(&world, ETHBTC);
    assert_eq!((sums.fills, sums.unvalued_fees), (1, 1));
    world.check();
}

//! The steps that random histories are made of.

use crate::support::cause;
use ordergate_core::report::OrderReport;
use ordergate_core::terms::{KillScope, Mode};
use proptest::prelude::*;

#[derive(Debug, Clone)]
pub enum Step {
    Submit {
        account: u8,
        key: u8,
        mode: Mode,
        buy: bool,
        market: bool,
        qty: u32,
        price: u32,
        client_id: Option<u8>,
    },
    Cancel {
        account: u8,
        order: u8,
    },
    Report {
        live: bool,
        order: u8,
        kind: u8,
    },
    Fill {
        live: bool,
        order: u8,
        trade: u8,
        qty: u32,
        price: u32,
        fee: u8,
        again: bool,
    },
    Price {
        live: bool,
        bid: u32,
    },
    Connect {
        live: bool,
    },
    Disconnect {
        live: bool,
    },
    Wait {
        ms: u32,
        read: bool,
    },
    Kill {
        scope: u8,
        level: u8,
    },
    Unkill {
        scope: u8,
    },
    Deposit {
        asset: u8,
        units: i32,
    },
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Paper), Just(Mode::Live)]
}

pub fn step() -> impl Strategy<Value = Step> {
    let client_id = proptest::option::weighted(0.3, 0..3_u8);
    prop_oneof![
        8 => (0..2_u8, 0..12_u8, mode(), any::<bool>(), proptest::bool::weighted(0.2), 1..40_u32, 1..90_u32, client_id)
            .prop_map(|(account, key, mode, buy, market, qty, price, client_id)| Step::Submit {
                account, key, mode, buy, market, qty, price, client_id
            }),
        3 => (0..2_u8, any::<u8>()).prop_map(|(account, order)| Step::Cancel { account, order }),
        8 => (any::<bool>(), any::<u8>(), 0..13_u8).prop_map(|(live, order, kind)| Step::Report { live, order, kind }),
        8 => (any::<bool>(), any::<u8>(), 0..6_u8, 1..30_u32, 1..90_u32, 0..4_u8, any::<bool>()).prop_map(
            |(live, order, trade, qty, price, fee, again)| Step::Fill { live, order, trade, qty, price, fee, again }
        ),
        2 => (any::<bool>(), 1..80_u32).prop_map(|(live, bid)| Step::Price { live, bid }),
        2 => any::<bool>().prop_map(|live| Step::Connect { live }),
        1 => any::<bool>().prop_map(|live| Step::Disconnect { live }),
        2 => (0..3_000_u32, proptest::bool::weighted(0.8)).prop_map(|(ms, read)| Step::Wait { ms, read }),
        1 => (0..4_u8, 0..4_u8).prop_map(|(scope, level)| Step::Kill { scope, level }),
        2 => (0..4_u8).prop_map(|scope| Step::Unkill { scope }),
        1 => (0..2_u8, -50..50_i32).prop_map(|(asset, units)| Step::Deposit { asset, units }),
    ]
}

pub fn scope_of(scope: u8) -> (KillScope, &'static str) {
    match scope {
        0 => (KillScope::Global, ""),
        1 => (KillScope::Account, "desk"),
        2 => (KillScope::Strategy, "grid"),
        _ => (KillScope::Symbol, "BTCUSDT"),
    }
}

pub fn report(kind: u8) -> OrderReport<'static> {
    match kind {
        0 => OrderReport::Ack { venue_order_id: "v" },
        1 => OrderReport::Reject(cause("-1", "no")),
        2 => OrderReport::NotSent(cause("TOO_OLD", "")),
        3 => OrderReport::NotSent(cause("KILLED", "")),
        4 => OrderReport::Unknown(cause("TIMEOUT", "")),
        5 => OrderReport::Canceled(cause("", "")),
        6 => OrderReport::CancelReject(cause("-2011", "")),
        7 => OrderReport::CancelUnknown(cause("TIMEOUT", "")),
        8 => OrderReport::Expired(cause("IOC", "")),
        9 => OrderReport::Replaced {
            qty: "3",
            price: Some("7"),
        },
        10 => OrderReport::ReplaceReject(cause("no", "")),
        11 => OrderReport::Found {
            venue_order_id: Some("v"),
            working: true,
            cum_qty: "0",
        },
        _ => OrderReport::Absent { text: "" },
    }
}

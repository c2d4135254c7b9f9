//! The steps that histories are made of: clients, venues, operators, time, and crashes.

use crate::limiting::{EVERYBODY, Whose};
use crate::orders::{Event, Trade, UNIT, VENUE_ID};
use crate::reference::Request;
use ordergate_core::limits::LimitKind;
use ordergate_core::terms::{DriftClass, KillScope, Mode};
use proptest::prelude::*;
use proptest::sample::select;

/// How a request is written down: the same order whatever the spelling.
#[derive(Debug, Clone, Copy)]
pub enum Spelling {
    Numbers,
    Strings,
    TrailingZeros,
}

/// Who speaks for a venue.
#[derive(Debug, Clone, Copy)]
pub enum Speaker {
    /// The connected session of the order's mode.
    Own,
    /// The connected session of the other mode.
    Other,
    /// The first session of all, which is gone soon.
    Stale,
}

/// An order from outside.
#[derive(Debug, Clone)]
pub struct Outside {
    pub account: u32,
    pub instrument: usize,
    pub buy: bool,
    pub qty: i128,
    /// What had traded before.
    pub before: i128,
    pub price: Option<i128>,
    pub venue_id: &'static str,
}

/// What a person does about an order in doubt.
#[derive(Debug, Clone)]
pub enum Act {
    Requery,
    Attach(&'static str),
    /// With a second person who agrees.
    DeclareAbsent,
}

#[derive(Debug, Clone)]
pub enum Step {
    Submit {
        account: u32,
        key: Option<u8>,
        request: Request,
        spelling: Spelling,
    },
    Cancel {
        account: u32,
        order: u8,
    },
    Report {
        speaker: Speaker,
        order: u8,
        event: Event,
    },
    /// A request that was decided comes again.
    Resubmit {
        request: u8,
        spelling: Spelling,
    },
    /// The newest report comes again.
    Again,
    Price {
        mode: Mode,
        instrument: usize,
        bid: i128,
    },
    Connect {
        mode: Mode,
    },
    /// A venue that trades the other mode.
    ConnectWrong {
        mode: Mode,
    },
    Disconnect {
        mode: Mode,
    },
    /// The LIVE venue takes an account's orders, or does not.
    Ready {
        account: u32,
        ready: bool,
    },
    /// The LIVE venue shows an order that somebody else has placed.
    Show(Outside),
    /// It shows something else than was booked, or that is explained.
    Differ {
        account: u32,
        instrument: Option<usize>,
        class: DriftClass,
        found: bool,
    },
    /// A person does something about an order in doubt.
    Doubt {
        order: u8,
        act: Act,
    },
    Wait {
        ms: i64,
        read: bool,
    },
    Kill {
        scope: u8,
        level: u8,
    },
    Unkill {
        scope: u8,
    },
    Limit {
        whose: Whose,
        kind: LimitKind,
        value: Option<i128>,
    },
    /// The strategy is started or stopped.
    Strategy {
        run: bool,
    },
    Halt {
        instrument: usize,
        halted: bool,
    },
    Deposit {
        account: u32,
        mode: Mode,
        asset: &'static str,
        units: i128,
    },
    /// The disk is nearly full, or has room again.
    Space {
        full: bool,
    },
    /// Everything so far is on the disk.
    Flush,
    /// The process dies; what was not flushed may be lost.
    Crash {
        lose: bool,
    },
}

pub fn scope_of(scope: u8) -> (KillScope, &'static str) {
    [
        (KillScope::Global, ""),
        (KillScope::Account, "desk"),
        (KillScope::Strategy, "grid"),
        (KillScope::Symbol, "BTCUSDT"),
    ][scope as usize]
}

fn mode() -> impl Strategy<Value = Mode> + Clone {
    select(&[Mode::Paper, Mode::Live][..])
}

/// Mostly whole units, sometimes thousandths, seldom something that no filter lets pass.
fn qty() -> impl Strategy<Value = i128> {
    prop_oneof![
        12 => (1..45_i128).prop_map(|units| units * UNIT),
        6 => (1..9_000_i128).prop_map(|steps| steps * UNIT / 1_000),
        1 => select(&[0, 1, 61 * UNIT, UNIT / 2_000 * 3][..]),
    ]
}

fn price() -> impl Strategy<Value = i128> {
    prop_oneof![
        12 => (1..90_i128).prop_map(|units| units * UNIT),
        6 => (1..9_000_i128).prop_map(|ticks| ticks * UNIT / 100),
        1 => select(&[1, 101 * UNIT, UNIT / 200 * 3][..]),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let instrument = prop_oneof![10 => Just(0_usize), 4 => Just(1), 1 => Just(2)];
    let price = proptest::option::weighted(0.8, price());
    let client_id = proptest::option::weighted(0.3, (0..3_u8).prop_map(|id| format!("c{id}")));
    let strategy = proptest::option::weighted(0.3, Just("grid".to_owned()));
    let valid_for_ms = proptest::option::weighted(0.3, 1..4_000_u32);
    (
        mode(),
        instrument,
        any::<bool>(),
        qty(),
        price,
        client_id,
        strategy,
        valid_for_ms,
    )
        .prop_map(
            |(mode, instrument, buy, qty, price, client_id, strategy, valid_for_ms)| Request {
                mode,
                instrument,
                buy,
                qty,
                price,
                client_id,
                strategy,
                valid_for_ms,
            },
        )
}

/// Few ids, so that they repeat: with the same digits and with others.
fn trade() -> impl Strategy<Value = Event> {
    let fee = select(
        &[
            (0, "USDT"),
            (UNIT / 100, "USDT"),
            (UNIT / 1_000, "BTC"),
            (-UNIT / 50, "BNB"),
        ][..],
    );
    let qty = (1..12_i128).prop_map(|halves| halves * UNIT / 2);
    (0..4_u8, qty, 40..44_i128, fee, 0..8_i128).prop_map(|(id, qty, price, (fee, fee_asset), odd)| {
        // The venue's own rounding of the quote need not be ours.
        let quote = qty * price + i128::from(odd == 0);
        Event::Trade(
            format!("t{id}"),
            Trade {
                price: price * UNIT,
                qty,
                quote,
                fee,
                fee_asset,
            },
        )
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        10 => trade(),
        4 => Just(Event::Ack(VENUE_ID)),
        2 => Just(Event::Reject("-1013")),
        1 => Just(Event::NotSent("TOO_OLD")),
        1 => Just(Event::NotSent("KILLED")),
        2 => Just(Event::Unknown),
        2 => select(&["", "STP"][..]).prop_map(Event::Canceled),
        1 => Just(Event::CancelReject),
        1 => Just(Event::CancelUnknown),
        1 => Just(Event::Expired("IOC")),
        1 => (1..9_i128, 40..60_i128).prop_map(|(qty, price)| Event::Replaced { qty: qty * UNIT, price: price * UNIT }),
        1 => Just(Event::ReplaceReject),
        3 => any::<bool>().prop_map(|working| Event::Found { working }),
        2 => Just(Event::Absent),
        1 => Just(Event::Unreadable),
    ]
}

/// Limits that now and then refuse, and are taken away as often as set.
pub fn limit() -> impl Strategy<Value = Step> {
    let (units, counts) = (|range: std::ops::Range<i128>| (range, UNIT), |range| (range, 1));
    let kinds = [
        (LimitKind::MaxOrderQty, units(1..60)),
        (LimitKind::MaxOrderNotional, units(1..3_000)),
        (LimitKind::MaxOpenOrders, counts(0..8)),
        (LimitKind::MaxOpenNotional, units(200..6_000)),
        (LimitKind::MaxLongPosition, units(5..120)),
        (LimitKind::MaxShortPosition, units(5..60)),
        (LimitKind::MaxDailyOrders, counts(1..12)),
        (LimitKind::DuplicatesInSecond, counts(0..3)),
        (LimitKind::NewOrderRate, counts(1..5)),
    ];
    let value = select(kinds.to_vec()).prop_flat_map(|(kind, (range, unit))| {
        let value = proptest::option::of(range.prop_map(move |value| value * unit));
        value.prop_map(move |value| (kind, value))
    });
    (select(&EVERYBODY[..]), value).prop_map(|(whose, (kind, value))| Step::Limit { whose, kind, value })
}

fn outside() -> impl Strategy<Value = Step> {
    let qty = (1..20_i128, 0..5_i128).prop_map(|(qty, before)| (qty * UNIT, before.min(qty) * UNIT));
    let price = proptest::option::weighted(0.8, (20..60_i128).prop_map(|units| units * UNIT));
    let venue_id = select(&["x0", "x1", "x2", "x3", "x4", "x5", VENUE_ID][..]);
    (0..2_u32, 0..2_usize, any::<bool>(), qty, price, venue_id).prop_map(
        |(account, instrument, buy, (qty, before), price, venue_id)| {
            Step::Show(Outside {
                account,
                instrument,
                buy,
                qty,
                before,
                price,
                venue_id,
            })
        },
    )
}

fn difference() -> impl Strategy<Value = Step> {
    let class = select(&[DriftClass::MissingFill, DriftClass::Balance][..]);
    let instrument = proptest::option::weighted(0.8, 0..2_usize);
    (0..2_u32, instrument, class, proptest::bool::weighted(0.3)).prop_map(|(account, instrument, class, found)| {
        Step::Differ {
            account,
            instrument,
            class,
            found,
        }
    })
}

fn doubt() -> impl Strategy<Value = Step> {
    let attach = select(&["a0", "a1", "x0", VENUE_ID][..]).prop_map(Act::Attach);
    let act = prop_oneof![1 => Just(Act::Requery), 2 => attach, 2 => Just(Act::DeclareAbsent)];
    (any::<u8>(), act).prop_map(|(order, act)| Step::Doubt { order, act })
}

pub fn step() -> impl Strategy<Value = Step> {
    let key = proptest::option::weighted(0.98, 0..30_u8);
    let spelling = select(&[Spelling::Numbers, Spelling::Strings, Spelling::TrailingZeros][..]);
    let speaker = prop_oneof![12 => Just(Speaker::Own), 1 => Just(Speaker::Other), 1 => Just(Speaker::Stale)];
    let account = 0..2_u32;
    prop_oneof![
        24 => (account.clone(), key, request(), spelling.clone())
            .prop_map(|(account, key, request, spelling)| Step::Submit { account, key, request, spelling }),
        3 => (any::<u8>(), spelling).prop_map(|(request, spelling)| Step::Resubmit { request, spelling }),
        4 => (account.clone(), any::<u8>()).prop_map(|(account, order)| Step::Cancel { account, order }),
        30 => (speaker, any::<u8>(), event())
            .prop_map(|(speaker, order, event)| Step::Report { speaker, order, event }),
        3 => Just(Step::Again),
        3 => (mode(), 0..2_usize, 1..80_i128)
            .prop_map(|(mode, instrument, bid)| Step::Price { mode, instrument, bid: bid * UNIT }),
        3 => mode().prop_map(|mode| Step::Connect { mode }),
        1 => mode().prop_map(|mode| Step::ConnectWrong { mode }),
        1 => mode().prop_map(|mode| Step::Disconnect { mode }),
        2 => (account.clone(), proptest::bool::weighted(0.6)).prop_map(|(account, ready)| Step::Ready { account, ready }),
        2 => outside(),
        2 => difference(),
        3 => doubt(),
        3 => (prop_oneof![8 => 0..400_i64, 2 => 400..3_000_i64, 1 => Just(86_400_000)], proptest::bool::weighted(0.8))
            .prop_map(|(ms, read)| Step::Wait { ms, read }),
        1 => (0..4_u8, 0..4_u8).prop_map(|(scope, level)| Step::Kill { scope, level }),
        3 => (0..4_u8).prop_map(|scope| Step::Unkill { scope }),
        6 => limit(),
        3 => proptest::bool::weighted(0.8).prop_map(|run| Step::Strategy { run }),
        1 => (0..2_usize, proptest::bool::weighted(0.3))
            .prop_map(|(instrument, halted)| Step::Halt { instrument, halted }),
        2 => (account, mode(), select(&["USDT", "BTC", "ETH"][..]), -40..60_i128)
            .prop_map(|(account, mode, asset, units)| Step::Deposit { account, mode, asset, units: units * UNIT }),
        2 => proptest::bool::weighted(0.2).prop_map(|full| Step::Space { full }),
        6 => Just(Step::Flush),
        1 => any::<bool>().prop_map(|lose| Step::Crash { lose }),
    ]
}

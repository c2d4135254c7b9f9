//! With venues that keep to their word (they fill what is left, say nothing of what has ended, replace nothing), no order
//! of events ever exceeds a limit: what was accepted keeps it, and what comes later only takes from the worst case.

use crate::limiting::Sums;
use crate::orders::{Event, Trade, VENUE_ID};
use crate::reference::STEP;
use crate::steps::{Step, limit, step};
use crate::world::{Outcome, World};
use crate::{cases, drain, watched};
use ordergate_core::terms::OrderId;
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Debug, Clone)]
enum Move {
    /// Clients, operators, time and crashes.
    Any(Step),
    /// A venue about one of the open orders.
    Venue { order: u8, says: Says },
}

#[derive(Debug, Clone, Copy)]
enum Says {
    Ack,
    /// So many percent of what is left are traded.
    Fill(i128),
    Reject,
    Unknown,
    Canceled,
    CancelReject,
    CancelUnknown,
    Expired,
    Found,
    Absent,
}

fn one() -> impl Strategy<Value = Move> {
    // Reports are the venues' own here; what was not flushed is kept, since nothing that happened un-happens.
    let others = step().prop_filter("not a report", |step| {
        !matches!(step, Step::Report { .. } | Step::Again | Step::Crash { lose: true })
    });
    // The gateway's own sales count, too, but no limit binds them.
    let others = others.prop_map(|step| match step {
        Step::Kill { scope, level } => Step::Kill {
            scope,
            level: level.min(2),
        },
        other => other,
    });
    let words = [
        Says::Ack,
        Says::Reject,
        Says::Unknown,
        Says::Canceled,
        Says::CancelReject,
        Says::CancelUnknown,
        Says::Expired,
        Says::Found,
        Says::Absent,
    ];
    let says =
        prop_oneof![2 => (1..=100_i128).prop_map(Says::Fill), 1 => Just(Says::Fill(100)), 3 => select(words.to_vec())];
    prop_oneof![
        8 => others.prop_map(Move::Any),
        2 => limit().prop_map(Move::Any),
        6 => (any::<u8>(), says).prop_map(|(order, says)| Move::Venue { order, says }),
    ]
}

/// The venue of an open order that was told to send it says something of it.
fn hear(world: &mut World, order: u8, says: Says, trade: usize) -> Outcome {
    let sent = |id: &OrderId| {
        let order = &world.model.orders[id];
        let told = order.submit.is_some() && order.is_open();
        told && world.model.sessions.contains_key(&order.mode)
    };
    let ids: Vec<OrderId> = world.model.orders.keys().copied().filter(sent).collect();
    let Some(id) = ids.get(order as usize % ids.len().max(1)).copied() else {
        return Outcome::Refused;
    };
    let order = &world.model.orders[&id];
    let session = world.model.sessions[&order.mode];
    let event = match says {
        Says::Ack => Event::Ack(VENUE_ID),
        Says::Fill(percent) => {
            let steps = (order.leaves() * percent / 100 / STEP).max(1);
            let (qty, price) = (steps * STEP, order.price.or(order.met).unwrap());
            let whole = Trade {
                price,
                qty,
                quote: price * qty / crate::orders::UNIT,
                fee: 0,
                fee_asset: "USDT",
            };
            Event::Trade(format!("own-{trade}"), whole)
        }
        Says::Reject => Event::Reject("-1013"),
        Says::Unknown => Event::Unknown,
        Says::Canceled => Event::Canceled("STP"),
        Says::CancelReject => Event::CancelReject,
        Says::CancelUnknown => Event::CancelUnknown,
        Says::Expired => Event::Expired("IOC"),
        Says::Found => Event::Found { working: true },
        Says::Absent => Event::Absent,
    };
    world.report(session, id, &event)
}

fn sums(world: &World) -> Vec<Sums> {
    let places = crate::sums::places();
    places
        .map(|(whose, mode, instrument)| crate::sums::seen(world.state(), whose, mode, instrument))
        .collect()
}

/// In no sum is anything worse than before.
fn is_no_worse(before: &Sums, after: &Sums) -> bool {
    let long = |sums: &Sums| sums.position + sums.open_buy;
    let short = |sums: &Sums| sums.open_sell - sums.position;
    long(after) <= long(before)
        && short(after) <= short(before)
        && after.open_orders <= before.open_orders
        && after.open_notional <= before.open_notional
        && after.orders_today <= before.orders_today
}

fn play(moves: &[Move]) {
    let mut world = World::new();
    for (number, one) in moves.iter().enumerate() {
        if let Move::Any(Step::Crash { lose }) = one {
            world.die(*lose);
        }
        let before = sums(&world);
        let (outcome, _) = watched(&mut world, &(number, one), |world| match one {
            Move::Any(step) => world.go(step),
            Move::Venue { order, says } => hear(world, *order, *says, number),
        });
        match outcome {
            Outcome::Accepted(_) => {}
            // What others place is theirs: it counts, and no limit of ours keeps it out.
            _ if matches!(one, Move::Any(Step::Show(_))) => {}
            _ => {
                for (before, after) in before.iter().zip(sums(&world)) {
                    assert!(
                        is_no_worse(before, &after),
                        "{number} {one:?}: {before:?}, then {after:?}"
                    );
                }
            }
        }
    }
    drain(&mut world);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_exceeds_a_limit(moves in proptest::collection::vec(one(), 1..120)) {
        play(&moves);
    }
}

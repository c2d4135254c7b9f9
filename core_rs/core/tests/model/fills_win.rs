//! Fills always win: whatever the order in which a venue's events arrive, and whatever comes twice, the trades are
//! booked all the same.

use crate::orders::{Event, Trade, UNIT, VENUE_ID};
use crate::picture::Place;
use crate::reference::Request;
use crate::steps::{Speaker, Spelling, Step};
use crate::world::{Outcome, World, replay};
use ordergate_core::terms::Mode;

/// Both trades together are less than the order: nothing but the order of events decides how it ends.
const ORDERED: i128 = 3 * UNIT;

fn trade(id: &str, price: i128, fee_asset: &'static str) -> Event {
    let (qty, fee) = (UNIT, UNIT / 1_000);
    let trade = Trade {
        price: price * UNIT,
        qty,
        quote: price * qty,
        fee,
        fee_asset,
    };
    Event::Trade(id.to_owned(), trade)
}

fn events() -> Vec<Event> {
    vec![
        trade("a", 40, "BTC"),
        trade("b", 41, "USDT"),
        Event::Ack(VENUE_ID),
        Event::Canceled("STP"),
        Event::Reject("-1013"),
        Event::Expired("IOC"),
        Event::Unknown,
    ]
}

/// What must not depend on the order of events: traded, quote, average price, totals, positions.
type Booked = (i128, i128, Option<i128>, Vec<(Place, i128)>, Vec<(Place, [i128; 5])>);

/// The events happen to a fresh order that its venue was told to send.
fn booked(mode: Mode, buy: bool, events: &[Event], order_of_events: &[usize]) -> Booked {
    let mut world = World::new();
    let request = Request {
        mode,
        instrument: 0,
        buy,
        qty: ORDERED,
        price: Some(50 * UNIT),
        client_id: Some("c0".to_owned()),
        strategy: None,
        valid_for_ms: None,
    };
    let (account, key, spelling) = (0, Some(0), Spelling::Numbers);
    let Outcome::Accepted(id) = world.go(&Step::Submit {
        account,
        key,
        request,
        spelling,
    }) else {
        panic!("not accepted");
    };
    for event in order_of_events {
        let (speaker, order, event) = (Speaker::Own, 0, events[*event].clone());
        world.go(&Step::Report { speaker, order, event });
    }
    world.collect();
    assert_eq!(
        replay(&world.journal).digest(),
        world.state().digest(),
        "{order_of_events:?}"
    );
    let picture = crate::picture::Picture::of(world.state());
    let order = &picture.orders[&id];
    let totals = picture
        .balances
        .into_iter()
        .map(|(place, (total, _))| (place, total))
        .collect();
    (
        order.traded,
        order.quote,
        order.average,
        totals,
        picture.positions.into_iter().collect(),
    )
}

/// Every order of `0..count`, by Heap's method.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    fn go(left: usize, places: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
        if left <= 1 {
            found.push(places.clone());
            return;
        }
        for place in 0..left {
            go(left - 1, places, found);
            places.swap(if left.is_multiple_of(2) { place } else { 0 }, left - 1);
        }
    }
    let mut found = Vec::new();
    go(count, &mut (0..count).collect(), &mut found);
    found
}

#[test]
fn every_order_of_events_books_the_same_trades() {
    let events = events();
    let orders = permutations(events.len());
    assert_eq!(orders.iter().collect::<std::collections::BTreeSet<_>>().len(), 5_040);
    for (mode, buy) in [(Mode::Live, true), (Mode::Paper, false)] {
        let expected = booked(mode, buy, &events, &[2, 0, 1]);
        assert_eq!((expected.0, expected.1), (2 * UNIT, 81 * UNIT));
        for order in &orders {
            assert_eq!(booked(mode, buy, &events, order), expected, "{mode} {order:?}");
        }
    }
}

#[test]
fn an_event_that_comes_twice_books_nothing_twice() {
    // Five of the events in every order, with each of them repeated at every later place.
    let events: Vec<Event> = events().into_iter().take(5).collect();
    let expected = booked(Mode::Live, true, &events, &[0, 1]);
    for order in permutations(events.len()) {
        for first in 0..order.len() {
            for again in first + 1..=order.len() {
                let mut twice = order.clone();
                twice.insert(again, order[first]);
                assert_eq!(booked(Mode::Live, true, &events, &twice), expected, "{twice:?}");
            }
        }
    }
}

//! Every sum, computed anew from the orders and accounts.

use ordergate_core::account::Position;
use ordergate_core::exposure::{Open, Tally};
use ordergate_core::limits::Owner;
use ordergate_core::number::{Amount, Price};
use ordergate_core::state::State;
use ordergate_core::terms::{InstrumentId, Mode, OrderId, Side};
use std::collections::{BTreeMap, BTreeSet};

type Place = (Owner, Mode, InstrumentId);

/// Tallies are what their open orders and trades make them, the firm's are the accounts' together, and the boldest
/// price of each side is found.
pub fn check(state: &State) {
    let mut expected: BTreeMap<Place, Tally> = BTreeMap::new();
    let mut owners = BTreeSet::from([Owner::Firm]);
    owners.extend(state.accounts().iter().map(|account| Owner::Account(account.id)));
    let mut boldest: BTreeMap<(u32, Mode, InstrumentId, Side), Price> = BTreeMap::new();
    for order in state.orders() {
        let terms = &order.terms;
        let strategy = terms
            .strategy_id
            .as_deref()
            .map(|name| Owner::Strategy(name.to_owned()));
        owners.extend(strategy.clone());
        let Some(open) = Open::of(order) else { continue };
        if terms.side == Side::Buy {
            assert_eq!(open.notional, order.held, "a BUY holds what it may cost");
        }
        assert!(open.qty >= order.leaves());
        for owner in [Owner::Firm, Owner::Account(terms.account)].into_iter().chain(strategy) {
            let tally = expected.entry((owner, terms.mode, terms.instrument)).or_default();
            let leaves = if terms.side == Side::Buy {
                &mut tally.open_buy
            } else {
                &mut tally.open_sell
            };
            *leaves = leaves.checked_add(open.qty).unwrap();
            tally.open_notional = tally.open_notional.checked_add(open.notional).unwrap();
            tally.open_orders += 1;
        }
        let place = (terms.account, terms.mode, terms.instrument, terms.side);
        let Some(reach) = open.reach else { continue };
        let known = boldest.entry(place).or_insert(reach);
        *known = if terms.side == Side::Buy {
            reach.max(*known)
        } else {
            reach.min(*known)
        };
    }
    let mut traded: BTreeMap<(Mode, InstrumentId), [Position; 2]> = BTreeMap::new();
    for owner in owners {
        for mode in Mode::ALL.iter().copied() {
            for (instrument, tally) in state.tallies(&owner, mode) {
                let place = (owner.clone(), mode, instrument);
                let anew = expected.remove(&place).unwrap_or_default();
                let part = |tally: &Tally| (tally.open_buy, tally.open_sell, tally.open_notional, tally.open_orders);
                assert_eq!(part(tally), part(&anew), "{place:?}");
                assert_eq!(state.tally(&owner, mode, instrument), Some(tally));
                let both = traded.entry((mode, instrument)).or_default();
                match owner {
                    Owner::Firm => both[0] = tally.traded,
                    Owner::Account(_) => both[1] = together(&both[1], &tally.traded),
                    _ => {}
                }
            }
        }
    }
    assert!(expected.is_empty(), "not summed: {expected:?}");
    for (place, [firm, accounts]) in traded {
        assert_eq!(firm, accounts, "{place:?}");
    }
    for account in state.accounts().iter().filter(|account| account.stp_group.is_empty()) {
        for (mode, instrument) in Mode::ALL
            .iter()
            .flat_map(|mode| (0..2).map(|instrument| (*mode, instrument)))
        {
            for (side, opposite) in [(Side::Buy, Side::Sell), (Side::Sell, Side::Buy)] {
                let found: Option<(Price, OrderId)> = state.best_own_opposite(account.id, mode, instrument, side, true);
                let place = (account.id, mode, instrument, opposite);
                assert_eq!(found.map(|(price, _)| price), boldest.get(&place).copied(), "{place:?}");
            }
        }
    }
}

fn together(one: &Position, other: &Position) -> Position {
    let sum = |one: Amount, other: Amount| one.checked_add(other).unwrap();
    Position {
        bought_qty: sum(one.bought_qty, other.bought_qty),
        bought_quote: sum(one.bought_quote, other.bought_quote),
        sold_qty: sum(one.sold_qty, other.sold_qty),
        sold_quote: sum(one.sold_quote, other.sold_quote),
        base_fees: sum(one.base_fees, other.base_fees),
    }
}

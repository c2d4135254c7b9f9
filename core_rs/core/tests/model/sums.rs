//! What must hold of sums, holds and limits after every step.

use crate::invariants::{Moment, ensure, equal};
use crate::limiting::{EVERYBODY, Sums, Whose};
use crate::reference::{ACCOUNTS, Model, SYMBOLS};
use crate::world::{Outcome, World};
use ordergate_core::limits::LimitKind;
use ordergate_core::state::State;
use ordergate_core::terms::{Mode, OrderId};

/// The engine's sums.
pub fn seen(state: &State, whose: Whose, mode: Mode, instrument: usize) -> Sums {
    let tally = state.tally(&whose.owner(), mode, instrument as u32);
    let tally = tally.copied().unwrap_or_default();
    Sums {
        position: tally.position().unwrap().0,
        open_buy: tally.open_buy.0,
        open_sell: tally.open_sell.0,
        open_notional: tally.open_notional.0,
        open_orders: tally.open_orders,
        orders_today: tally.day.orders,
    }
}

/// Everybody, everywhere.
pub fn places() -> impl Iterator<Item = (Whose, Mode, usize)> {
    EVERYBODY.into_iter().flat_map(|whose| {
        let modes = Mode::ALL.iter();
        modes.flat_map(move |mode| (0..SYMBOLS.len()).map(move |instrument| (whose, *mode, instrument)))
    })
}

pub fn are_naive(moment: &Moment<'_>) -> Result<(), String> {
    for (whose, mode, instrument) in places() {
        let engine = seen(moment.world.state(), whose, mode, instrument);
        equal(
            (whose, mode, instrument),
            &engine,
            &moment.model().sums(whose, mode, instrument),
        )?;
    }
    Ok(())
}

/// What a BUY may cost and a SELL may give, summed over what is open: quote and base, each in its balance.
pub fn holds_are_open_worst_cases(moment: &Moment<'_>) -> Result<(), String> {
    let held = |account, mode, asset: &str| {
        let place = (account, mode, asset.to_owned());
        moment.after.balances.get(&place).map_or(0, |balance| balance.1)
    };
    for account in 0..ACCOUNTS.len() as u32 {
        for mode in Mode::ALL {
            let mut quote = 0;
            for (instrument, (_, base)) in SYMBOLS.into_iter().enumerate() {
                let sums = seen(moment.world.state(), Whose::Account(account), *mode, instrument);
                equal(base, &held(account, *mode, base), &sums.open_sell)?;
                let sells = moment.model().book(account, *mode);
                let sells = sells.filter(|order| !order.buy && order.instrument == instrument);
                quote += sums.open_notional - sells.map(|order| order.open_notional()).sum::<i128>();
            }
            equal((account, mode), &held(account, *mode, "USDT"), &quote)?;
        }
    }
    Ok(())
}

/// Nothing is known of it, so everything may still happen.
pub fn doubts_keep_their_holds(moment: &Moment<'_>) -> Result<(), String> {
    for (id, after) in moment.after.orders.iter().filter(|(_, order)| order.in_doubt) {
        let before = moment.before.orders.get(id).filter(|before| before.is_open());
        let kept = before.is_none_or(|before| before.ordered != after.ordered || before.held == after.held);
        ensure(
            after.held > 0 && kept,
            (id, before.map(|before| before.held), after.held),
        )?;
    }
    Ok(())
}

pub fn accepted_orders_keep_limits(moment: &Moment<'_>) -> Result<(), String> {
    match moment.outcome {
        Outcome::Accepted(id) => keeps_limits(moment.world, id),
        _ => Ok(()),
    }
}

/// Every limit that bound the order is kept in the worst case that may still come.
pub fn keeps_limits(world: &World, id: OrderId) -> Result<(), String> {
    let order = &world.model.orders[&id];
    for whose in Model::bound(order.account, order.strategy.is_some()) {
        let sums: Vec<Sums> = (0..SYMBOLS.len())
            .map(|instrument| seen(world.state(), whose, order.mode, instrument))
            .collect();
        let here = &sums[order.instrument];
        let all = |figure: fn(&Sums) -> i128| sums.iter().map(figure).sum::<i128>();
        let worst = [
            (LimitKind::MaxOrderQty, order.qty),
            (LimitKind::MaxOrderNotional, order.open_notional()),
            (LimitKind::MaxOpenOrders, all(|sums| sums.open_orders.into())),
            (LimitKind::MaxOpenNotional, all(|sums| sums.open_notional)),
            (LimitKind::MaxDailyOrders, all(|sums| sums.orders_today.into())),
            if order.buy {
                (LimitKind::MaxLongPosition, here.position + here.open_buy)
            } else {
                (LimitKind::MaxShortPosition, here.open_sell - here.position)
            },
        ];
        for (kind, figure) in worst {
            let most = world.model.limit(whose, kind);
            ensure(most.is_none_or(|most| figure <= most), (id, whose, kind, figure, most))?;
        }
    }
    Ok(())
}

/// Once nothing is open, nothing is held and nothing counts as open.
pub fn are_empty(world: &World) -> Result<(), String> {
    for (whose, mode, instrument) in places() {
        let sums = seen(world.state(), whose, mode, instrument);
        let open = (sums.open_buy, sums.open_sell, sums.open_notional, sums.open_orders);
        equal((whose, mode, instrument), &open, &(0, 0, 0, 0))?;
    }
    let accounts = 0..ACCOUNTS.len() as u32;
    for balance in accounts.flat_map(|account| world.state().balances(account)) {
        equal(balance.asset, &balance.held.0, &0)?;
    }
    Ok(())
}

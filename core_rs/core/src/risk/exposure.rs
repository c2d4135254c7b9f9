//! Sums that the order would enlarge: positions and exposure with every open order counted, and what is open.

use crate::exposure::Tally;
use crate::limits::LimitKind;
use crate::number::{Amount, Money, Price};
use crate::request::NewOrder;
use crate::risk::figures::Figures;
use crate::risk::inputs::{Binding, Inputs, Totals, converted, valued};
use crate::risk::market::{Prices, ratio_up};
use crate::risk::outcome::Outcome;
use crate::risk::table::Check;
use crate::terms::Side;

/// True when the order makes each position smaller and turns none over: a long one is reduced by SELL, a short one by
/// BUY, and open orders on that side count as filled.
pub(super) fn reduces(order: &NewOrder, inputs: &Inputs<'_>) -> bool {
    let figures = |tally: Option<&Tally>| room_to_reduce(order.side, tally);
    let fits = |room: Option<(i128, i128)>| room.is_some_and(|(left, _)| i128::from(order.qty.0) <= left);
    fits(figures(inputs.own)) && inputs.strategy.is_none_or(|tally| fits(figures(tally)))
}

/// How much the side may still reduce, and the position's size as far as the side reduces it.
fn room_to_reduce(side: Side, tally: Option<&Tally>) -> Option<(i128, i128)> {
    let tally = tally.unwrap_or(&Tally::NOTHING);
    let position = tally.position()?.0;
    let (size, open) = match side {
        Side::Sell => (position.max(0), tally.open_sell.0),
        Side::Buy => (position.checked_neg()?.max(0), tally.open_buy.0),
    };
    Some((size.checked_sub(open)?, size))
}

/// Row 19 for an account that may only reduce or differs from the exchange, and row 34: the same for one with an order
/// in doubt, or in doubt for too long.
pub(super) fn check_reducing<'a>(order: &NewOrder, inputs: &Inputs<'a>, outcome: &mut Outcome<'a>) {
    let reasons = [
        (inputs.reduce_only, Check::ReduceOnly),
        (inputs.venue.drift, Check::Drift),
        (inputs.venue.in_doubt, Check::InDoubt),
    ];
    for (_, check) in reasons.into_iter().filter(|(binds, _)| *binds) {
        let tallies = [Some(inputs.own), inputs.strategy];
        for tally in tallies.into_iter().flatten() {
            let figures = room_to_reduce(order.side, tally).and_then(|(left, size)| {
                let open = size.checked_sub(left)?;
                let after = open.checked_add(order.qty.0.into())?;
                Figures::sum(check, None, open, after, size)
            });
            outcome.take_or_range(figures, 0);
        }
    }
    if let Some((limit, scope)) = inputs.strictest(LimitKind::MaxDoubtAge) {
        let age = i128::from(inputs.doubt_age_ns.unwrap_or(0)) / 1_000_000;
        if age <= limit || !reduces(order, inputs) {
            let check = Check::Limit(LimitKind::MaxDoubtAge);
            outcome.take(Figures::whole(check, Some(scope), Some(age), limit));
        }
    }
}

/// Rows 20 to 22 and 11.
pub(super) fn check<'a>(
    order: &NewOrder,
    worth: Option<Amount>,
    prices: &Prices,
    inputs: &Inputs<'a>,
    outcome: &mut Outcome<'a>,
) {
    let most = inputs.instrument.market.max_orders;
    if most > 0 {
        let open = i128::from(inputs.own.map_or(0, |tally| tally.open_orders));
        let figures = Figures::sum(Check::MaxNumOrders, None, open, open + 1, most.into());
        outcome.take_or_range(figures, most.into());
    }
    positions(order, inputs, outcome);
    for (limit, binding) in inputs.each(LimitKind::MaxOpenOrders) {
        let open = i128::from(own(binding).open_orders) + i128::from(others(binding).open_orders);
        let check = Check::Limit(LimitKind::MaxOpenOrders);
        outcome.take_or_range(Figures::sum(check, Some(binding.scope), open, open + 1, limit), limit);
    }
    let (Some(worth), Some(fx)) = (worth, inputs.fx) else {
        // Without a value the order has failed already.
        return;
    };
    for (limit, binding) in inputs.each(LimitKind::MaxOpenNotional) {
        let before = open_notional(binding, fx);
        take_sum(
            LimitKind::MaxOpenNotional,
            binding,
            before,
            before.and_then(|sum| sum.checked_add(worth.0)),
            limit,
            outcome,
        );
    }
    for (limit, binding) in inputs.each(LimitKind::MaxGrossExposure) {
        let (before, after) = gross(order, binding, prices.mark, fx);
        // A sum that the order does not enlarge is not its fault: whoever is over a limit must be able to get below.
        if before.is_none() || after > before {
            take_sum(LimitKind::MaxGrossExposure, binding, before, after, limit, outcome);
        }
    }
    for (limit, binding) in inputs.each(LimitKind::MaxNetExposure) {
        let (before, after) = net(order, binding, prices.mark, fx);
        take_sum(LimitKind::MaxNetExposure, binding, before, after, limit, outcome);
    }
    for (limit, binding) in inputs.each(LimitKind::MaxConcentration) {
        let (before, after) = single_name(order, binding, prices.mark, fx);
        if before.is_none() || after > before {
            let share = |worth: Option<i128>| ratio_up(worth?, inputs.equity?.0);
            let figures = Figures {
                headroom: share(before).map_or(0, |before| limit.saturating_sub(before)),
                ..Figures::whole(
                    Check::Limit(LimitKind::MaxConcentration),
                    Some(binding.scope),
                    share(after),
                    limit,
                )
            };
            outcome.take(figures);
        }
    }
}

/// Takes a sum; one that cannot be told fails.
fn take_sum<'a>(
    kind: LimitKind,
    binding: &Binding<'a>,
    before: Option<i128>,
    after: Option<i128>,
    limit: i128,
    outcome: &mut Outcome<'a>,
) {
    let check = Check::Limit(kind);
    match (before, after) {
        (Some(before), Some(after)) => {
            outcome.take_or_range(Figures::sum(check, Some(binding.scope), before, after, limit), limit);
        }
        _ => outcome.take(Figures::whole(check, Some(binding.scope), None, limit)),
    }
}

pub(super) fn own<'a>(binding: &Binding<'a>) -> &'a Tally {
    binding.tally.unwrap_or(&Tally::NOTHING)
}

/// Sums of the other symbols, where the scope reaches them.
pub(super) fn others<'a>(binding: &Binding<'a>) -> &'a Totals {
    match (binding.scope.instrument, binding.others) {
        (None, Some(others)) => others,
        _ => &Totals::NOTHING,
    }
}

fn positions<'a>(order: &NewOrder, inputs: &Inputs<'a>, outcome: &mut Outcome<'a>) {
    let kind = match order.side {
        Side::Buy => LimitKind::MaxLongPosition,
        Side::Sell => LimitKind::MaxShortPosition,
    };
    for (limit, binding) in inputs.each(kind) {
        let tally = own(binding);
        let before = match order.side {
            Side::Buy => tally.worst_long().map(|long| long.0),
            Side::Sell => tally.worst_short().and_then(|short| short.0.checked_neg()),
        };
        let figures = before.and_then(|before| {
            let after = before.checked_add(order.qty.0.into())?;
            Figures::sum(Check::Limit(kind), Some(binding.scope), before, after, limit)
        });
        outcome.take_or_range(figures, limit);
    }
}

fn open_notional(binding: &Binding<'_>, fx: Price) -> Option<i128> {
    let others = others(binding);
    if others.unvalued {
        return None;
    }
    let own = converted(own(binding).open_notional, fx)?;
    own.0.checked_add(others.open_notional.0)
}

/// A position if every open BUY fills, and if every open SELL does.
#[derive(Clone, Copy)]
struct Worst {
    long: Amount,
    short: Amount,
    last_price: Option<Price>,
}

impl Worst {
    fn of(tally: &Tally) -> Option<Self> {
        Some(Self {
            long: tally.worst_long()?,
            short: tally.worst_short()?,
            last_price: tally.last_price,
        })
    }

    /// As it would be with the order open.
    fn with(order: &NewOrder, tally: &Tally) -> Option<Self> {
        let position = tally.position()?;
        let (mut buy, mut sell) = (tally.open_buy, tally.open_sell);
        let open = match order.side {
            Side::Buy => &mut buy,
            Side::Sell => &mut sell,
        };
        *open = open.checked_add(order.qty.into())?;
        Some(Self {
            long: position.checked_add(buy)?,
            short: position.checked_sub(sell)?,
            last_price: tally.last_price,
        })
    }

    /// The larger of the two, valued.
    fn valued(&self, mark: Option<Price>, fx: Price) -> Option<i128> {
        let size = self.long.0.checked_abs()?.max(self.short.0.checked_abs()?);
        if size == 0 {
            return Some(0);
        }
        Some(valued(Amount(size), mark.or(self.last_price)?, fx)?.0)
    }
}

fn gross(order: &NewOrder, binding: &Binding<'_>, mark: Option<Price>, fx: Price) -> (Option<i128>, Option<i128>) {
    let others = others(binding);
    let sum = |worst: Option<Worst>| {
        let others = (!others.unvalued).then_some(others.gross.0)?;
        worst?.valued(mark, fx)?.checked_add(others)
    };
    (sum(Worst::of(own(binding))), sum(Worst::with(order, own(binding))))
}

fn single_name(
    order: &NewOrder,
    binding: &Binding<'_>,
    mark: Option<Price>,
    fx: Price,
) -> (Option<i128>, Option<i128>) {
    let sum = |worst: Option<Worst>| worst?.valued(mark, fx);
    (sum(Worst::of(own(binding))), sum(Worst::with(order, own(binding))))
}

/// The signed sum on the order's side: BUY can only lengthen it, SELL only shorten it.
fn net(order: &NewOrder, binding: &Binding<'_>, mark: Option<Price>, fx: Price) -> (Option<i128>, Option<i128>) {
    let others = others(binding);
    let sum = |worst: Option<Worst>| {
        let worst = worst?;
        let (position, others) = match order.side {
            Side::Buy => (worst.long, others.long.0),
            Side::Sell => (worst.short, others.short.0),
        };
        let own = if position.is_zero() {
            Amount::ZERO
        } else {
            valued(position, mark.or(worst.last_price)?, fx)?
        };
        let sum = own.0.checked_add(others)?;
        match order.side {
            Side::Buy => Some(sum),
            Side::Sell => sum.checked_neg(),
        }
    };
    if others.unvalued {
        return (None, None);
    }
    (sum(Worst::of(own(binding))), sum(Worst::with(order, own(binding))))
}

/// What is traded and open today, in the reporting currency.
pub(super) fn turnover(binding: &Binding<'_>, fx: Price) -> Option<i128> {
    let (own, others) = (own(binding), others(binding));
    let money = Money(own.day.turnover.0.checked_add(own.open_notional.0)?);
    let sum = converted(money.to_amount_ceil(), fx)?
        .0
        .checked_add(others.turnover.0)?;
    (!others.unvalued).then_some(sum)?.checked_add(others.open_notional.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_what_sums_begin_with() {
        assert_eq!(Tally::NOTHING, Tally::default());
        assert_eq!(Totals::NOTHING, Totals::default());
    }
}

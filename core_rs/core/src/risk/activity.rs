//! How much goes on: rates, equal orders, own orders on the other side, the day's result and counts, the journal.

use crate::limits::LimitKind;
use crate::number::{Amount, UNIT};
use crate::request::NewOrder;
use crate::risk::exposure::{others, own, reduces, turnover};
use crate::risk::figures::Figures;
use crate::risk::inputs::Inputs;
use crate::risk::market::Prices;
use crate::risk::outcome::Outcome;
use crate::risk::table::Check;
use crate::terms::{OrdType, Side};

/// The ratio of cancels to fills is judged from so many cancels on.
const RATIO_FROM_CANCELS: u32 = 100;

/// Rows 24 to 26, 28 to 31 and 35.
pub(super) fn check<'a>(
    order: &NewOrder,
    worth: Option<Amount>,
    prices: &Prices,
    inputs: &Inputs<'a>,
    outcome: &mut Outcome<'a>,
) {
    for (limit, binding) in inputs.each(LimitKind::NewOrderRate) {
        let used = i128::from(binding.rate_used);
        let check = Check::Limit(LimitKind::NewOrderRate);
        outcome.take_or_range(Figures::sum(check, Some(binding.scope), used, used + 1, limit), limit);
    }
    let windows = [
        (LimitKind::DuplicatesInSecond, inputs.duplicates.0),
        (LimitKind::DuplicatesInTenSeconds, inputs.duplicates.1),
    ];
    for (kind, seen) in windows {
        if let Some((limit, scope)) = inputs.strictest(kind) {
            let seen = i128::from(seen);
            outcome.take_or_range(
                Figures::sum(Check::Limit(kind), Some(scope), seen, seen + 1, limit),
                limit,
            );
        }
    }
    if let Some(left) = inputs.venue.orders_left {
        outcome.take(Figures::whole(Check::VenueBudget, None, Some(1), left.into()));
    }
    self_trade(order, prices, inputs, outcome);
    result_of_the_day(order, inputs, outcome);
    counts(worth, inputs, outcome);
    let journal = [
        (LimitKind::MaxJournalLatency, inputs.journal.wait_ms),
        (LimitKind::MaxJournalBacklog, inputs.journal.backlog),
    ];
    for (kind, value) in journal {
        if let Some((limit, scope)) = inputs.strictest(kind) {
            outcome.take(Figures::whole(
                Check::Limit(kind),
                Some(scope),
                Some(value.into()),
                limit,
            ));
        }
    }
}

/// An order must not meet the group's own: below its best offer, above its best bid. A MARKET order meets whatever is
/// there. What one that waits for its stop price meets cannot be told yet: the venue prevents it then.
fn self_trade<'a>(order: &NewOrder, prices: &Prices, inputs: &Inputs<'a>, outcome: &mut Outcome<'a>) {
    let (Some(opposite), Some(price)) = (inputs.opposite, prices.meets) else {
        return;
    };
    if order.ord_type.has_stop() {
        return;
    }
    let (opposite, price) = (i128::from(opposite.0), i128::from(price.0));
    let figures = match (order.ord_type, order.side) {
        (OrdType::Market, _) => Figures::whole(Check::SelfTrade, None, None, opposite),
        (_, Side::Buy) => Figures::whole(Check::SelfTrade, None, Some(price), opposite - 1),
        (_, Side::Sell) => Figures::at_least(Check::SelfTrade, price, opposite + 1),
    };
    outcome.take(figures);
}

/// Losses stop what could make them larger; what only reduces a position passes.
fn result_of_the_day<'a>(order: &NewOrder, inputs: &Inputs<'a>, outcome: &mut Outcome<'a>) {
    let mut take = |figures: Figures<'a>| {
        if figures.passes() || !reduces(order, inputs) {
            outcome.take(figures);
        }
    };
    for (limit, binding) in inputs.each(LimitKind::MaxDailyLoss) {
        // A result that cannot be told is none that can be relied on.
        let result = binding.others.and_then(|others| others.day_result);
        let loss = result.map(|result| result.0.checked_neg().map_or(i128::MAX, |loss| loss.max(0)));
        let figures = Figures::whole(Check::Limit(LimitKind::MaxDailyLoss), Some(binding.scope), loss, limit);
        take(Figures {
            headroom: loss.map_or(0, |loss| limit.saturating_sub(loss)),
            ..figures
        });
    }
    if let Some((limit, scope)) = inputs.strictest(LimitKind::MaxDrawdown) {
        let share = inputs.drawdown;
        let figures = Figures::whole(Check::Limit(LimitKind::MaxDrawdown), Some(scope), share, limit);
        take(Figures {
            headroom: share.map_or(0, |share| limit.saturating_sub(share)),
            ..figures
        });
    }
}

fn counts<'a>(worth: Option<Amount>, inputs: &Inputs<'a>, outcome: &mut Outcome<'a>) {
    if let (Some(worth), Some(fx)) = (worth, inputs.fx) {
        for (limit, binding) in inputs.each(LimitKind::MaxDailyTurnover) {
            let check = Check::Limit(LimitKind::MaxDailyTurnover);
            let before = turnover(binding, fx);
            let figures = before.and_then(|before| {
                Figures::sum(check, Some(binding.scope), before, before.checked_add(worth.0)?, limit)
            });
            outcome.take(figures.unwrap_or(Figures::whole(check, Some(binding.scope), None, limit)));
        }
    }
    for (limit, binding) in inputs.each(LimitKind::MaxDailyOrders) {
        let orders = i128::from(own(binding).day.orders) + i128::from(others(binding).orders);
        let check = Check::Limit(LimitKind::MaxDailyOrders);
        outcome.take_or_range(
            Figures::sum(check, Some(binding.scope), orders, orders + 1, limit),
            limit,
        );
    }
    for (limit, binding) in inputs.each(LimitKind::MaxDailyCancels) {
        let cancels = i128::from(own(binding).day.cancels) + i128::from(others(binding).cancels);
        let check = Check::Limit(LimitKind::MaxDailyCancels);
        outcome.take_or_range(Figures::sum(check, Some(binding.scope), cancels, cancels, limit), limit);
    }
    for (limit, binding) in inputs.each(LimitKind::MaxDailyFills) {
        let fills = i128::from(own(binding).day.fills) + i128::from(others(binding).fills);
        let check = Check::Limit(LimitKind::MaxDailyFills);
        outcome.take_or_range(Figures::sum(check, Some(binding.scope), fills, fills, limit), limit);
    }
    for (limit, binding) in inputs.each(LimitKind::MaxCancelFillRatio) {
        let cancels = own(binding).day.cancels.saturating_add(others(binding).cancels);
        let fills = own(binding).day.fills.saturating_add(others(binding).fills);
        if cancels >= RATIO_FROM_CANCELS {
            let ratio = if fills == 0 {
                None
            } else {
                Some((i128::from(cancels) * UNIT + i128::from(fills) - 1) / i128::from(fills))
            };
            let check = Check::Limit(LimitKind::MaxCancelFillRatio);
            outcome.take(Figures {
                headroom: ratio.map_or(0, |ratio| limit.saturating_sub(ratio)),
                ..Figures::whole(check, Some(binding.scope), ratio, limit)
            });
        }
    }
}

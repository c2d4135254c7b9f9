//! One order's own size: quantity, value, share of the market, and what the account has to pay for it.

use crate::limits::LimitKind;
use crate::number::{Amount, UNIT};
use crate::record::CheckResult;
use crate::request::NewOrder;
use crate::risk::figures::Figures;
use crate::risk::inputs::{Inputs, converted};
use crate::risk::market::ratio_up;
use crate::risk::outcome::Outcome;
use crate::risk::table::Check;
use crate::terms::Side;

/// Rows 13 and 15 to 17. The order's worst value in the reporting currency, if it can be told.
pub(super) fn check<'a>(
    order: &NewOrder,
    notional: Option<Amount>,
    inputs: &Inputs<'a>,
    outcome: &mut Outcome<'a>,
) -> Option<Amount> {
    let (qty, filters) = (i128::from(order.qty.0), &inputs.instrument.market);
    if !filters.max_base.is_zero() {
        let limit = filters.max_base.0;
        outcome.take(Figures::whole(Check::MaxAssetBase, None, Some(qty), limit));
    }
    if let (false, Some(notional)) = (filters.max_quote.is_zero(), notional) {
        let limit = filters.max_quote.0;
        outcome.take(Figures::whole(Check::MaxAssetQuote, None, Some(notional.0), limit));
    }
    if let Some((limit, scope)) = inputs.strictest(LimitKind::MaxOrderQty) {
        let check = Check::Limit(LimitKind::MaxOrderQty);
        outcome.take(Figures::whole(check, Some(scope), Some(qty), limit));
    }
    if inputs.fx.is_none() && inputs.limits_money() {
        outcome.fail(no_conversion(&inputs.instrument.quote));
    }
    let worth = match (notional, inputs.fx) {
        (Some(notional), Some(fx)) => {
            let worth = converted(notional, fx);
            if worth.is_none() {
                outcome.out_of_range(i128::MAX);
            }
            worth
        }
        _ => None,
    };
    if let (Some((limit, scope)), Some(worth)) = (inputs.strictest(LimitKind::MaxOrderNotional), worth) {
        let check = Check::Limit(LimitKind::MaxOrderNotional);
        outcome.take(Figures::whole(check, Some(scope), Some(worth.0), limit));
    }
    let shares = [
        (LimitKind::MaxDepthShare, inputs.market.depth),
        (LimitKind::MaxVolumeShare, inputs.market.volume),
    ];
    for (kind, of) in shares {
        if let Some((limit, scope)) = inputs.strictest(kind) {
            // Unknown or nothing: no share of it is small enough.
            let share = of.and_then(|of| ratio_up(qty, of.0));
            outcome.take(Figures::whole(Check::Limit(kind), Some(scope), share, limit));
        }
    }
    worth
}

/// Rows 12 and 23: what the account may hold, and what it has.
pub(super) fn check_balance<'a>(
    order: &NewOrder,
    hold: Option<Amount>,
    inputs: &Inputs<'a>,
    outcome: &mut Outcome<'a>,
) {
    let most = inputs.instrument.market.max_position;
    if order.side == Side::Buy && !most.is_zero() {
        let open = inputs.own.map_or(Amount::ZERO, |tally| tally.open_buy);
        let before = inputs.base_total.checked_add(open);
        let after = before.and_then(|before| before.checked_add(order.qty.into()));
        let figures = match (before, after) {
            (Some(before), Some(after)) => Figures::sum(Check::MaxPosition, None, before.0, after.0, most.0),
            _ => None,
        };
        outcome.take_or_range(figures, most.0);
    }
    if let Some(hold) = hold {
        let check = if inputs.free.checked_sub(hold).is_some() {
            Check::Balance
        } else {
            Check::NumericRange
        };
        let figures = Figures::whole(check, None, Some(hold.0), inputs.free.0);
        match check {
            Check::Balance => outcome.take(figures),
            _ => outcome.fail_with(&figures),
        }
    }
}

fn no_conversion(quote: &str) -> CheckResult {
    CheckResult {
        code: Check::Conversion.code().to_owned(),
        value: "none".to_owned(),
        limit: "none".to_owned(),
        headroom: "none".to_owned(),
        scope: "venue".to_owned(),
        target: quote.to_owned(),
        ..CheckResult::default()
    }
}

/// A price that converts nothing: one of the reporting currency is one of it.
pub const PAR: crate::number::Price = crate::number::Price(UNIT as i64);

//! The ladder: every check on one order, in a fixed sequence.

use crate::number::{Amount, Money, Price, Qty, UNIT};
use crate::record::CheckResult;
use crate::request::NewOrder;
use crate::risk::figures::Kinds;
use crate::risk::inputs::Inputs;
use crate::risk::market::{self, Prices};
use crate::risk::outcome::{Near, Outcome};
use crate::risk::{activity, exposure, size};
use crate::terms::Side;

/// A BUY without a limit holds this share of the price it would meet, in percent.
pub const MARKET_BUY_PERCENT: i128 = 105;
/// An amount of quote counts as the base that it comes to at this share of the price it would meet, in percent.
pub const QUOTE_ORDER_PERCENT: i128 = 95;

/// What an order may cost at worst, reserved at entry: an order cannot be built without one.
///
/// Only [`check`] makes one for a new order. PAPER takes its fee from the asset received, so a hold needs nothing on
/// top for fees: a BUY gives at most price × quantity of quote, a SELL exactly its quantity of base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Hold(Amount);

impl Hold {
    /// The reserved amount: quote for BUY, base for SELL.
    #[must_use]
    pub const fn amount(&self) -> Amount {
        self.0
    }

    /// A hold from a record: for the fold only, since replay never runs a check again.
    pub const fn replayed(amount: Amount) -> Self {
        Self(amount)
    }
}

/// Every check passed, or what did not is excused.
#[derive(Debug, Clone, PartialEq)]
pub struct Approved {
    /// To be reserved.
    pub hold: Hold,
    /// The check that came closest to failing.
    pub tightest: CheckResult,
    /// Limits that the order exceeds and that an override excuses.
    pub overridden: Kinds,
    /// Limits of which the order uses [`Inputs::warn_percent`] of the limit or more.
    pub warned: Kinds,
    /// The same with their scopes and figures.
    pub near: Vec<Near>,
}

/// All checks on one order. It allocates nothing but the texts that it returns.
///
/// An order without a limit counts at the price it would meet, or at its stop price when that is higher; a BUY's hold
/// and value with [`MARKET_BUY_PERCENT`] of it, since the price may run away before the order arrives. An amount of quote
/// counts as itself. Without a fresh reference the checks that need a price are replaced by
/// `NO_REFERENCE_PRICE`; the others still run.
///
/// # Errors
/// Every failed check; never empty.
pub fn check(order: &NewOrder, inputs: &Inputs<'_>) -> Result<Approved, Vec<CheckResult>> {
    let mut outcome = Outcome::new(inputs);
    let hold = climb(order, inputs, &mut outcome);
    match (hold, outcome.closest()) {
        (Some(hold), Some(tightest)) if outcome.failed.is_empty() => Ok(Approved {
            hold: Hold(hold),
            tightest,
            overridden: outcome.overridden,
            warned: outcome.warned,
            near: outcome.near,
        }),
        _ => Err(outcome.failed),
    }
}

/// Every comparison that an order of this side would meet, passed or not; the value is what is used without it.
#[must_use]
pub fn usage(order: &NewOrder, inputs: &Inputs<'_>) -> Vec<CheckResult> {
    let mut outcome = Outcome::new(inputs);
    outcome.seen = Some(Vec::new());
    climb(order, inputs, &mut outcome);
    outcome.seen.unwrap_or_default()
}

fn climb<'a>(order: &NewOrder, inputs: &Inputs<'a>, outcome: &mut Outcome<'a>) -> Option<Amount> {
    let prices = market::check(order, inputs, outcome);
    let notional = worst_notional(order, &prices);
    exposure::check_reducing(order, inputs, outcome);
    let worth = size::check(order, notional, inputs, outcome);
    exposure::check(order, worth, &prices, inputs, outcome);
    let hold = match order.side {
        Side::Buy => notional,
        Side::Sell => Some(order.qty.into()),
    };
    size::check_balance(order, hold, inputs, outcome);
    activity::check(order, worth, &prices, inputs, outcome);
    hold
}

/// What the order moves in quote at worst, rounded up to 8 decimals; `None` at the market without a fresh reference.
fn worst_notional(order: &NewOrder, prices: &Prices) -> Option<Amount> {
    let money = prices.meets?.times(order.qty);
    Some(match (order.quote_qty, order.ord_type.has_price(), order.side) {
        (Some(quote), ..) => quote,
        (None, false, Side::Buy) => with_slippage(money),
        _ => money.to_amount_ceil(),
    })
}

/// The base that an amount of quote may come to at this price, rounded up; `None` when it is out of range.
#[must_use]
pub fn base_for_quote(quote: Amount, price: Price) -> Option<Qty> {
    let divisor = i128::from(price.0).checked_mul(QUOTE_ORDER_PERCENT)?;
    let scaled = quote.0.checked_mul(UNIT)?.checked_mul(100)?.checked_add(divisor - 1)?;
    Qty::try_from(Amount(scaled.checked_div(divisor)?)).ok()
}

/// [`MARKET_BUY_PERCENT`] of the money, rounded up once. Whole and rest apart: the product itself may not fit.
pub(crate) const fn with_slippage(money: Money) -> Amount {
    const DIVISOR: i128 = UNIT * 100;
    let (whole, rest) = (
        money.0.div_euclid(DIVISOR),
        money.0.rem_euclid(DIVISOR) * MARKET_BUY_PERCENT,
    );
    let up = if rest % DIVISOR == 0 { 0 } else { 1 };
    Amount(whole * MARKET_BUY_PERCENT + rest / DIVISOR + up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_more_rounded_up_once() {
        for (money, amount) in [
            (0, 0),
            (1, 1),
            (100_000_000, 2),
            (10_000_000_000, 105),
            (-10_000_000_000, -105),
        ] {
            assert_eq!(with_slippage(Money(money)), Amount(amount), "{money}");
        }
        let whole = i128::MAX / (UNIT * 100);
        assert!(with_slippage(Money(i128::MAX)).0 >= whole * 105);
    }
}

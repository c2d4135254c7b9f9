//! Pre-trade risk checks: pure, all of them, every failure reported.

use crate::decimal::DecimalText;
use crate::instrument::Instrument;
use crate::limits::{LimitKind, LimitScope, LimitSet, owners};
use crate::number::{Amount, Money, PLACES, Price, UNIT};
use crate::record::CheckResult;
use crate::request::NewOrder;
use crate::terms::{OrdType, Side};

/// The quantity of base is above the limit.
pub const MAX_ORDER_QTY: &str = "MAX_ORDER_QTY";
/// Price × quantity is above the limit.
pub const MAX_ORDER_NOTIONAL: &str = "MAX_ORDER_NOTIONAL";
/// With this one, more orders would be open than the limit.
pub const MAX_OPEN_ORDERS: &str = "MAX_OPEN_ORDERS";
/// The hold is larger than what is free.
pub const INSUFFICIENT_BALANCE: &str = "INSUFFICIENT_BALANCE";
/// A MARKET order meets no price, or only one that is too old.
pub const NO_REFERENCE_PRICE: &str = "NO_REFERENCE_PRICE";
/// The balance that would be left cannot be represented.
pub const NUMERIC_RANGE: &str = "NUMERIC_RANGE";

/// A reference price older than this is none.
pub const REFERENCE_MAX_AGE_NS: i64 = 2_000_000_000;
/// A MARKET BUY holds this share of the reference price.
pub const MARKET_BUY_PERCENT: i128 = 105;

/// Limits in force; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Largest quantity of base in one order.
    pub max_order_qty: Option<Amount>,
    /// Largest price × quantity of one order, in quote.
    pub max_order_notional: Option<Amount>,
    /// Most orders that may be open at once.
    pub max_open_orders: Option<u32>,
}

impl Limits {
    /// Those of every scope that binds an order, but the excused kinds: the strictest wins, kind by kind. Open orders
    /// are counted per account, so only the firm's and the account's limit everywhere can bind them.
    #[must_use]
    pub fn effective<'a>(sets: impl Iterator<Item = (&'a LimitScope, &'a LimitSet)>, excused: &[LimitKind]) -> Self {
        let mut limits = Self::default();
        for (scope, set) in sets {
            let of = |kind| set.get(kind).filter(|_| !excused.contains(&kind));
            limits.max_order_qty = strictest(limits.max_order_qty, of(LimitKind::MaxOrderQty).map(Amount));
            limits.max_order_notional =
                strictest(limits.max_order_notional, of(LimitKind::MaxOrderNotional).map(Amount));
            if scope.instrument.is_none() && scope.owner.bit() & (owners::FIRM | owners::ACCOUNT) != 0 {
                let most = of(LimitKind::MaxOpenOrders).map(|most| u32::try_from(most).unwrap_or(u32::MAX));
                limits.max_open_orders = strictest(limits.max_open_orders, most);
            }
        }
        limits
    }
}

fn strictest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The price a MARKET order would meet: the ask for BUY, the bid for SELL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The price.
    pub price: Price,
    /// How old it is, in nanoseconds of journal time.
    pub age_ns: i64,
}

/// What the checks look at, besides the order.
#[derive(Debug, Clone, Copy)]
pub struct RiskInputs<'a> {
    /// The order's instrument.
    pub instrument: &'a Instrument,
    /// Effective limits of the account.
    pub limits: Limits,
    /// Free balance: of quote for BUY, of base for SELL.
    pub free: Amount,
    /// The account's open orders in the order's mode, without this one.
    pub open_orders: u32,
    /// Reference price, if any.
    pub reference: Option<Reference>,
}

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

/// Every check passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Approved {
    /// To be reserved.
    pub hold: Hold,
    /// The check that came closest to failing.
    pub tightest: CheckResult,
}

/// Figures of one check, as numbers: text is made only of those that are stored.
#[derive(Debug, Clone, Copy)]
struct Figures {
    code: &'static str,
    value: i128,
    limit: i128,
    headroom: i128,
    /// Decimal places of the three.
    places: u32,
}

impl Figures {
    /// A check whose figure without this order is zero, so that everything up to the limit is free.
    const fn amounts(code: &'static str, value: Amount, limit: Amount) -> Self {
        Self {
            code,
            value: value.0,
            limit: limit.0,
            headroom: limit.0,
            places: PLACES,
        }
    }

    const fn passes(&self) -> bool {
        self.value <= self.limit
    }

    fn result(&self) -> CheckResult {
        let text = |figure| DecimalText::new(figure, self.places).as_str().to_owned();
        CheckResult {
            code: self.code.to_owned(),
            value: text(self.value),
            limit: text(self.limit),
            headroom: text(self.headroom),
        }
    }

    /// True when this passed check uses a larger share of its limit than the other: a/b > c/d as a×d > c×b.
    const fn is_tighter_than(&self, other: &Self) -> bool {
        // Passed: all four are positive.
        let (high, low) = product(self.value.unsigned_abs(), other.limit.unsigned_abs());
        let (other_high, other_low) = product(other.value.unsigned_abs(), self.limit.unsigned_abs());
        high > other_high || (high == other_high && low > other_low)
    }
}

/// The full product as its high and low half.
const fn product(one: u128, other: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let low = (one & LOW) * (other & LOW);
    let middle = (one >> 64) * (other & LOW) + (low >> 64);
    let crossed = (one & LOW) * (other >> 64) + (middle & LOW);
    (
        (one >> 64) * (other >> 64) + (middle >> 64) + (crossed >> 64),
        (crossed << 64) | (low & LOW),
    )
}

/// Checks done so far.
#[derive(Default)]
struct Outcome {
    failed: Vec<CheckResult>,
    tightest: Option<Figures>,
}

impl Outcome {
    fn take(&mut self, figures: Figures) {
        if !figures.passes() {
            self.failed.push(figures.result());
        } else if self
            .tightest
            .as_ref()
            .is_none_or(|tightest| figures.is_tighter_than(tightest))
        {
            self.tightest = Some(figures);
        }
    }
}

/// All checks on one order, in a fixed order. It allocates nothing but the texts that it returns.
///
/// A MARKET order counts at the price it would meet; a BUY with [`MARKET_BUY_PERCENT`] of it, since the price may run
/// away before the order arrives. Without a fresh reference the checks that need a price are replaced by
/// `NO_REFERENCE_PRICE`; the others still run.
///
/// # Errors
/// Every failed check; never empty.
pub fn check(order: &NewOrder, inputs: &RiskInputs<'_>) -> Result<Approved, Vec<CheckResult>> {
    let mut outcome = Outcome::default();
    let limits = &inputs.limits;
    let notional = worst_notional(order, inputs.reference);

    if notional.is_none() {
        outcome.failed.push(no_reference(inputs.reference));
    }
    if let Some(limit) = limits.max_order_qty {
        outcome.take(Figures::amounts(MAX_ORDER_QTY, order.qty.into(), limit));
    }
    if let (Some(limit), Some(notional)) = (limits.max_order_notional, notional) {
        outcome.take(Figures::amounts(MAX_ORDER_NOTIONAL, notional, limit));
    }
    if let Some(limit) = limits.max_open_orders {
        let (open, limit) = (i128::from(inputs.open_orders), i128::from(limit));
        outcome.take(Figures {
            code: MAX_OPEN_ORDERS,
            value: open + 1,
            limit,
            headroom: limit - open,
            places: 0,
        });
    }
    let hold = match order.side {
        Side::Buy => notional,
        Side::Sell => Some(order.qty.into()),
    };
    if let Some(hold) = hold {
        match inputs.free.checked_sub(hold) {
            Some(_) => outcome.take(Figures::amounts(INSUFFICIENT_BALANCE, hold, inputs.free)),
            None => outcome
                .failed
                .push(Figures::amounts(NUMERIC_RANGE, hold, inputs.free).result()),
        }
    }
    match (hold, outcome.tightest) {
        (Some(hold), Some(tightest)) if outcome.failed.is_empty() => Ok(Approved {
            hold: Hold(hold),
            tightest: tightest.result(),
        }),
        _ => Err(outcome.failed),
    }
}

/// What the order moves in quote at worst, rounded up to 8 decimals; `None` for MARKET without a fresh reference.
fn worst_notional(order: &NewOrder, reference: Option<Reference>) -> Option<Amount> {
    match (order.ord_type, order.side) {
        (OrdType::Limit, _) => order.price.map(|price| price.times(order.qty).to_amount_ceil()),
        (OrdType::Market, Side::Buy) => fresh(reference).map(|price| with_slippage(price.times(order.qty))),
        (OrdType::Market, Side::Sell) => fresh(reference).map(|price| price.times(order.qty).to_amount_ceil()),
    }
}

fn fresh(reference: Option<Reference>) -> Option<Price> {
    reference
        .filter(|reference| reference.age_ns <= REFERENCE_MAX_AGE_NS)
        .map(|reference| reference.price)
}

/// [`MARKET_BUY_PERCENT`] of the money, rounded up once. Whole and rest apart: the product itself may not fit.
const fn with_slippage(money: Money) -> Amount {
    const DIVISOR: i128 = UNIT * 100;
    let (whole, rest) = (
        money.0.div_euclid(DIVISOR),
        money.0.rem_euclid(DIVISOR) * MARKET_BUY_PERCENT,
    );
    let up = if rest % DIVISOR == 0 { 0 } else { 1 };
    Amount(whole * MARKET_BUY_PERCENT + rest / DIVISOR + up)
}

/// Ages in milliseconds; `none` stands where there is no price at all.
fn no_reference(reference: Option<Reference>) -> CheckResult {
    let millis = |ns: i64| (ns / 1_000_000).to_string();
    let text = |ns: Option<i64>| ns.map_or_else(|| "none".to_owned(), millis);
    let age = reference.map(|reference| reference.age_ns);
    CheckResult {
        code: NO_REFERENCE_PRICE.to_owned(),
        value: text(age),
        limit: millis(REFERENCE_MAX_AGE_NS),
        headroom: text(age.map(|age| REFERENCE_MAX_AGE_NS.saturating_sub(age))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_all_their_bits() {
        assert_eq!(product(0, u128::MAX), (0, 0));
        assert_eq!(product(3, 5), (0, 15));
        assert_eq!(product(1 << 127, 2), (1, 0));
        assert_eq!(product(u128::MAX, u128::MAX), (u128::MAX - 1, 1));
        assert_eq!(product(u128::MAX, 1 << 64), ((1 << 64) - 1, u128::MAX << 64));
    }

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

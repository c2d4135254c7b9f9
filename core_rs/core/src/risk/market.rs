//! Prices: what the order would meet, which reference price is believed, and how far the order may be from it.
//!
//! Bid, ask and last arrive together and are as old as each other. They are believed while they are fresh, the spread is
//! not too wide and mid and last are not too far apart. Then the reference is the mid; else it is the last mid that was
//! believed, and a MARKET order is refused.

use crate::decimal::product;
use crate::engine::Mark;
use crate::limits::LimitKind;
use crate::number::{Price, UNIT};
use crate::record::CheckResult;
use crate::request::NewOrder;
use crate::risk::figures::Figures;
use crate::risk::inputs::Inputs;
use crate::risk::outcome::Outcome;
use crate::risk::table::Check;
use crate::terms::{Nanos, OrdType, Side};

/// A reference price older than this is none, unless MAX_PRICE_AGE says otherwise.
pub const REFERENCE_MAX_AGE_NS: i64 = 2_000_000_000;
const MILLI: i64 = 1_000_000;

/// What the prices come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prices {
    /// What the order trades at, as far as can be told: its own limit, or the side that it meets, or its stop price when
    /// that is the higher one.
    pub meets: Option<Price>,
    /// What one of base is worth for sums of positions.
    pub mark: Option<Price>,
}

/// One figure as a share of another.
#[derive(Debug, Clone, Copy)]
struct Share {
    part: i128,
    whole: i128,
}

impl Share {
    /// As a ratio scaled by 10⁻⁸, rounded down, and whether anything was left; `None` out of range or of nothing.
    fn ratio(self) -> Option<(i128, bool)> {
        if self.whole <= 0 {
            return None;
        }
        let scaled = product(self.part, UNIT as i64)?;
        // 128-bit division is slow: once is enough, and usually 64 bits are.
        if let (Ok(scaled), Ok(whole)) = (i64::try_from(scaled), i64::try_from(self.whole)) {
            return Some((scaled.div_euclid(whole).into(), scaled.rem_euclid(whole) != 0));
        }
        let below = scaled.div_euclid(self.whole);
        Some((below, below * self.whole != scaled))
    }

    /// Whether the ratio, rounded up, is at most this: without a division, as n/d ≤ m is n ≤ m×d. False where there is
    /// no ratio.
    fn is_at_most(self, limit: i128) -> bool {
        let Some(scaled) = product(self.part, UNIT as i64).filter(|_| self.whole > 0) else {
            return false;
        };
        limit.checked_mul(self.whole).map_or(limit > 0, |bound| scaled <= bound)
    }

    fn up(self) -> Option<i128> {
        self.ratio().map(|(below, more)| below + i128::from(more))
    }
}

/// Numerator ÷ denominator as a ratio scaled by 10⁻⁸, rounded up; `None` out of range or without a denominator.
pub(super) fn ratio_up(numerator: i128, denominator: i128) -> Option<i128> {
    let share = Share {
        part: numerator,
        whole: denominator,
    };
    share.up()
}

fn ratio_down(numerator: i128, denominator: i128) -> Option<i128> {
    let share = Share {
        part: numerator,
        whole: denominator,
    };
    share.ratio().map(|(below, _)| below)
}

/// The spread as a share of the mid price.
const fn spread(mark: &Mark) -> Share {
    Share {
        part: 2 * (mark.ask.0 as i128 - mark.bid.0 as i128),
        whole: mark.mid_twice(),
    }
}

/// How far mid and last are apart, as a share of last.
const fn deviation(mark: &Mark) -> Share {
    let last_twice = 2 * mark.last.0 as i128;
    Share {
        part: (mark.mid_twice() - last_twice).abs(),
        whole: last_twice,
    }
}

/// Twice the reference price of a mark that is new, when it is believed: the engine keeps it for times without one.
#[must_use]
pub fn reference_twice(mark: &Mark, max_spread: Option<i128>, max_deviation: Option<i128>) -> Option<i128> {
    let within = |share: Share, limit: Option<i128>| limit.is_none_or(|limit| share.is_at_most(limit));
    let good = within(spread(mark), max_spread) && within(deviation(mark), max_deviation);
    good.then(|| mark.mid_twice())
}

/// Rows 9, 10, 18 and 33.
pub(super) fn check<'a>(order: &NewOrder, inputs: &Inputs<'a>, outcome: &mut Outcome<'a>) -> Prices {
    let max_age = inputs
        .strictest(LimitKind::MaxPriceAge)
        .map_or(REFERENCE_MAX_AGE_NS, |(millis, _)| {
            Nanos::try_from(millis.saturating_mul(MILLI.into())).unwrap_or(Nanos::MAX)
        });
    let market = &inputs.market;
    let fresh = market.mark.filter(|_| market.age_ns <= max_age);
    let limits = [LimitKind::MaxSpread, LimitKind::MaxLastDeviation].map(|kind| inputs.strictest(kind));
    let credible = |mark: Mark| reference_twice(&mark, limits[0].map(|it| it.0), limits[1].map(|it| it.0));
    let worth_twice = market.mark.and_then(credible).or(market.last_good_twice);
    let reference_twice = fresh.and_then(credible).or(market.last_good_twice);
    let side = fresh.map(|mark| if order.side == Side::Buy { mark.ask } else { mark.bid });
    let meets = match (order.price, order.stop_price) {
        (Some(price), _) => Some(price),
        (None, stop) => side.map(|side| stop.map_or(side, |stop| side.max(stop))),
    };
    let is_market = order.ord_type == OrdType::Market;
    // A stop order is not meant for now: its limit is judged by where it begins to work, its distance from here by nobody.
    let (judged, measure) = match order.stop_price {
        Some(stop) => (order.price, Some(2 * i128::from(stop.0))),
        None => (meets, reference_twice),
    };
    let collars = collar_kinds(order.side).map(|kind| inputs.strictest(kind));
    let needs_reference = meets.is_none() || (measure.is_none() && collars.iter().any(Option::is_some));
    if needs_reference {
        outcome.fail(no_reference(market.mark.map(|_| market.age_ns), max_age));
    }
    if let (true, Some(mark)) = (is_market, fresh) {
        let measured = [spread(&mark).up(), deviation(&mark).up()];
        let kinds = [LimitKind::MaxSpread, LimitKind::MaxLastDeviation];
        for ((kind, limit), value) in kinds.into_iter().zip(limits).zip(measured) {
            if let Some((limit, scope)) = limit {
                outcome.take(Figures::whole(Check::Limit(kind), Some(scope), value, limit));
            }
        }
    }
    if let (Some(price), Some(reference_twice)) = (judged, measure) {
        for ((kind, limit), towards) in collar_kinds(order.side).into_iter().zip(collars).zip([1, -1]) {
            let Some((limit, scope)) = limit else { continue };
            // A BUY must not be far above the reference, a SELL not far below; the far side is the other one.
            let sign = if order.side == Side::Buy { towards } else { -towards };
            let away = (2 * i128::from(price.0) - reference_twice) * sign;
            let figures = ratio_up(away, reference_twice)
                .map(|value| Figures::whole(Check::Limit(kind), Some(scope), Some(value), limit));
            outcome.take_or_range(figures, limit);
        }
    }
    if let (Some(price), Some(reference_twice)) = (judged, reference_twice) {
        venue_bands(order, price, reference_twice, inputs, outcome);
    }
    Prices {
        meets,
        mark: worth_twice.map(|twice| Price((twice / 2) as i64)).or(meets),
    }
}

const fn collar_kinds(side: Side) -> [LimitKind; 2] {
    match side {
        Side::Buy => [LimitKind::CollarUp, LimitKind::CollarFar],
        Side::Sell => [LimitKind::CollarDown, LimitKind::CollarFar],
    }
}

/// The exchange's own bands, as multiples of the reference. PERCENT_PRICE_BY_SIDE refuses limit prices; outside
/// PRICE_RANGE the exchange lets the order expire, so that is only told.
fn venue_bands<'a>(
    order: &NewOrder,
    price: Price,
    reference_twice: i128,
    inputs: &Inputs<'a>,
    outcome: &mut Outcome<'a>,
) {
    let filters = &inputs.instrument.market;
    let twice = 2 * i128::from(price.0);
    let (up, down) = match order.side {
        Side::Buy => (filters.bid_up, filters.bid_down),
        Side::Sell => (filters.ask_up, filters.ask_down),
    };
    if order.ord_type.has_price() {
        if let (false, Some(value)) = (up.is_zero(), ratio_up(twice, reference_twice)) {
            outcome.take(Figures::whole(Check::PercentPrice, None, Some(value), up.0.into()));
        }
        if let (false, Some(value)) = (down.is_zero(), ratio_down(twice, reference_twice)) {
            outcome.take(Figures::at_least(Check::PercentPrice, value, down.0.into()));
        }
    }
    if let (false, Some(value)) = (filters.range_up.is_zero(), ratio_up(twice, reference_twice)) {
        let limit = filters.range_up.0.into();
        outcome.warn_of(Figures::whole(Check::PriceRange, None, Some(value), limit));
    }
    if let (false, Some(value)) = (filters.range_down.is_zero(), ratio_down(twice, reference_twice)) {
        outcome.warn_of(Figures::at_least(Check::PriceRange, value, filters.range_down.0.into()));
    }
}

/// Ages in milliseconds; `none` stands where there is no price at all.
fn no_reference(age: Option<Nanos>, max_age: Nanos) -> CheckResult {
    let millis = |ns: Nanos| (ns / MILLI).to_string();
    let text = |ns: Option<Nanos>| ns.map_or_else(|| "none".to_owned(), millis);
    CheckResult {
        code: Check::Reference.code().to_owned(),
        value: text(age),
        limit: millis(max_age),
        headroom: text(age.map(|age| max_age.saturating_sub(age))),
        scope: "venue".to_owned(),
        ..CheckResult::default()
    }
}

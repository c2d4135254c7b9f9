//! What positions and balances are worth in the reporting currency, at the newest marks.
//!
//! A mark is the middle of bid and ask. Other currencies are converted by the quoted pair, never by a stored inverse.
//! Nothing is rounded in the client's favour.

use crate::engine::{Engine, Mark};
use crate::exposure::Tally;
use crate::limits::{LimitKind, LimitScope, Owner};
use crate::number::{Amount, Money, Price, UNIT};
use crate::record::Fill;
use crate::risk::PAR;
use crate::state::State;
use crate::terms::{AccountId, InstrumentId, Mode, Nanos};

/// The currency that limits of money are in.
pub const REPORTING_CURRENCY: &str = "USDT";
/// Oldest mark that a fee is valued at.
const FEE_MARK_AGE_NS: Nanos = 60_000_000_000;
/// A fee worth as much as this in quote (10⁻¹⁶) is not valued: trades must be counted whatever their fees are worth.
const LARGEST_FEE: u128 = 1 << 100;
/// Oldest mark that counts as fresh, unless MAX_PRICE_AGE says otherwise.
pub const FRESH_NS: Nanos = 2_000_000_000;

/// A figure, and whether every price behind it was fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    pub value: Money,
    pub fresh: bool,
}

impl Judged {
    const NOTHING: Self = Self {
        value: Money::ZERO,
        fresh: true,
    };

    fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            value: self.value.checked_add(other.value)?,
            fresh: self.fresh && other.fresh,
        })
    }
}

impl State {
    /// The firm's limit of a kind in an instrument: the strictest of the one everywhere and the one there.
    pub(crate) fn firm_limit(&self, kind: LimitKind, instrument: InstrumentId) -> Option<i128> {
        let owner = Owner::Firm;
        let everywhere = LimitScope {
            owner,
            instrument: None,
        };
        let table = self.limit_table();
        let there = LimitScope {
            instrument: Some(instrument),
            ..everywhere.clone()
        };
        let of = |scope: &LimitScope| table.get(scope)?.get(kind);
        [of(&everywhere), of(&there)].into_iter().flatten().min()
    }
}

impl Engine {
    /// What an owner won or lost since the day began, in the reporting currency: cash today + position × mark − opening
    /// position × opening mark − fees. `None` when it cannot be known at all.
    pub(crate) fn result_today(&self, owner: &Owner, mode: Mode, now: Nanos) -> Option<Judged> {
        let mut tallies = self.state.tallies(owner, mode);
        tallies.try_fold(Judged::NOTHING, |sum, (instrument, tally)| {
            sum.plus(self.result_in(tally, mode, instrument, now)?)
        })
    }

    fn result_in(&self, tally: &Tally, mode: Mode, instrument: InstrumentId, now: Nanos) -> Option<Judged> {
        let (traded, day) = (&tally.traded, &tally.day);
        let (position, opening) = (traded.quantity()?, day.opening.quantity()?);
        if position.is_zero() && opening.is_zero() && day.fills == 0 {
            return Some(Judged::NOTHING);
        }
        let cash = |sums: &crate::account::Position| sums.sold_quote.checked_sub(sums.bought_quote);
        let cash = cash(traded)?
            .checked_sub(cash(&day.opening)?)?
            .checked_sub(day.quote_fees)?;
        let mark = self.good_mark(mode, instrument);
        let price = mark.map(middle).or(tally.last_price).unwrap_or_default();
        // Without a price of this morning nothing tells what was lost since: neither a loss nor its absence is invented.
        let opening_price = if opening.is_zero() { Price(0) } else { day.opening_mark? };
        let worth = |quantity: Amount, price: Price| quantity.0.checked_mul(price.0.into()).map(Money);
        let value = worth(position, price)?
            .checked_sub(worth(opening, opening_price)?)?
            .checked_add(Money(cash.0.checked_mul(UNIT)?))?
            .checked_sub(day.other_fees)?;
        let marked = position.is_zero() || mark.is_some_and(|mark| self.is_fresh(mark, instrument, now));
        let quote = self.state.instrument(instrument)?.quote.as_str();
        let mut result = self.in_reporting(mode, quote, value, now)?;
        result.fresh &= marked && day.unvalued_fees == 0;
        Some(result)
    }

    /// Whether prices are young enough to judge by.
    pub(crate) fn is_fresh(&self, mark: &Mark, instrument: InstrumentId, now: Nanos) -> bool {
        let millis = self.state.firm_limit(LimitKind::MaxPriceAge, instrument);
        let longest = millis.map_or(FRESH_NS.into(), |millis| millis.saturating_mul(1_000_000));
        i128::from(now.saturating_sub(mark.at)) <= longest
    }

    /// The middle of the newest believed prices, when they are fresh.
    pub(crate) fn fresh_middle(&self, mode: Mode, instrument: InstrumentId, now: Nanos) -> Option<Price> {
        let mark = self.good_mark(mode, instrument);
        mark.filter(|mark| self.is_fresh(mark, instrument, now)).map(middle)
    }

    /// An amount of an asset in the reporting currency, by the quoted pair, rounded down. `None` without a pair or
    /// price, or out of range.
    pub(crate) fn in_reporting(&self, mode: Mode, asset: &str, money: Money, now: Nanos) -> Option<Judged> {
        if asset == REPORTING_CURRENCY || money == Money::ZERO {
            return Some(Judged {
                value: money,
                fresh: true,
            });
        }
        let (instrument, divides) = self.pair_with_reporting(asset)?;
        let mark = self.good_mark(mode, instrument)?;
        let value = if divides {
            divided(money, middle(mark))?
        } else {
            multiplied(money, middle(mark))?
        };
        let fresh = self.is_fresh(mark, instrument, now);
        Some(Judged { value, fresh })
    }

    /// The pair of an asset and the reporting currency, and whether it quotes the asset instead of being quoted for it.
    fn pair_with_reporting(&self, asset: &str) -> Option<(InstrumentId, bool)> {
        let pair = |base: &str, quote: &str| {
            let mut listed = self.state.instruments();
            listed
                .find(|listed| listed.base == base && listed.quote == quote)
                .map(|listed| listed.instrument)
        };
        let straight = pair(asset, REPORTING_CURRENCY).map(|instrument| (instrument, false));
        straight.or_else(|| pair(REPORTING_CURRENCY, asset).map(|instrument| (instrument, true)))
    }

    /// What a trade's fee is worth in the quote of its instrument, when its asset is neither base nor quote: through the
    /// reporting currency, at the middles of marks at most a minute old, rounded up. `None` when no such mark tells.
    pub(crate) fn fee_in_quote(&self, mode: Mode, instrument: InstrumentId, fill: &Fill, now: Nanos) -> Option<Money> {
        let listed = self.state.instrument(instrument)?;
        let (quote, asset) = (listed.quote.as_str(), fill.fee_asset.as_str());
        if asset == quote || asset == listed.base || fill.fee.is_zero() {
            return None;
        }
        let price = |asset: &str| {
            let (instrument, divides) = self.pair_with_reporting(asset)?;
            let young = |mark: &&Mark| now.saturating_sub(mark.at) <= FEE_MARK_AGE_NS;
            Some((middle(self.good_mark(mode, instrument).filter(young)?), divides))
        };
        // Of what is owed as a negative figure, the floor is against the client.
        let mut owed = Money(fill.fee.0.checked_mul(-UNIT)?);
        for (asset, gives) in [(asset, true), (quote, false)] {
            if asset != REPORTING_CURRENCY {
                let (price, divides) = price(asset)?;
                owed = if divides == gives {
                    divided(owed, price)?
                } else {
                    multiplied(owed, price)?
                };
            }
        }
        let value = Money(owed.0.checked_neg()?);
        (value.0.unsigned_abs() < LARGEST_FEE).then_some(value)
    }

    /// What one of an instrument's quote is worth in the reporting currency, rounded up, by prices of any age: the ask of
    /// the pair that quotes it, or one by the bid of the pair the other way round.
    pub(crate) fn fx(&self, mode: Mode, instrument: InstrumentId) -> Option<Price> {
        let listed = self.state.listed.get(instrument as usize)?;
        let reporting = *self.state.asset_ids.get(REPORTING_CURRENCY)?;
        if listed.quote == reporting {
            return Some(PAR);
        }
        let mut pairs = self.state.listed.iter();
        let pair = pairs.find(|pair| {
            (pair.base, pair.quote) == (listed.quote, reporting) || (pair.base, pair.quote) == (reporting, listed.quote)
        })?;
        let mark = self.good_mark(mode, pair.instrument.instrument)?;
        if pair.quote == reporting {
            return Some(mark.ask);
        }
        let bid = i128::from(mark.bid.0);
        let rate = (bid > 0).then(|| (UNIT * UNIT + bid - 1) / bid)?;
        i64::try_from(rate).ok().map(Price)
    }

    /// Everything that an account has in a mode, in the reporting currency.
    pub(crate) fn equity(&self, account: AccountId, mode: Mode, now: Nanos) -> Option<Judged> {
        let mut balances = self.state.balances(account).filter(|balance| balance.mode == mode);
        balances.try_fold(Judged::NOTHING, |sum, balance| {
            let money = Money(balance.total.0.checked_mul(UNIT)?);
            sum.plus(self.in_reporting(mode, balance.asset, money, now)?)
        })
    }
}

/// The middle of bid and ask, rounded down.
pub(crate) const fn middle(mark: &Mark) -> Price {
    // The mean of two 64-bit figures fits.
    Price(((mark.bid.0 as i128 + mark.ask.0 as i128) / 2) as i64)
}

/// Money × price, rounded down.
fn multiplied(money: Money, price: Price) -> Option<Money> {
    let (whole, rest) = (money.0.div_euclid(UNIT), money.0.rem_euclid(UNIT));
    let price = i128::from(price.0);
    whole
        .checked_mul(price)?
        .checked_add((rest * price).div_euclid(UNIT))
        .map(Money)
}

/// Money ÷ price, rounded down; `None` for a price of zero.
fn divided(money: Money, price: Price) -> Option<Money> {
    let price = i128::from(price.0);
    if price <= 0 {
        return None;
    }
    let (whole, rest) = (money.0.div_euclid(price), money.0.rem_euclid(price));
    whole
        .checked_mul(UNIT)?
        .checked_add((rest * UNIT).div_euclid(price))
        .map(Money)
}

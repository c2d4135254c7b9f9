//! What is traded and what is open, summed where limits look: per owner, mode and instrument, and per day.
//!
//! Worst cases count every open order in full on its own side, so that nothing that may still happen can exceed a limit.

use crate::account::Position;
use crate::number::{Amount, Money, Price};
use crate::order::{Order, remaining};
use crate::record::Fill;
use crate::terms::Side;
use serde::{Deserialize, Serialize};

/// Sums of one owner's trades and open orders in one instrument and mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Sums of its trades.
    pub traded: Position,
    /// Σ leaves of open BUY orders (while a replace is under way, of the larger terms).
    pub open_buy: Amount,
    /// Σ leaves of open SELL orders.
    pub open_sell: Amount,
    /// Σ worst price × leaves of open orders, in quote, each rounded up to 8 decimals: for BUY orders what they hold.
    pub open_notional: Amount,
    /// Open orders.
    pub open_orders: u32,
    /// Price of the newest trade: what a position is worth when no mark was ever seen.
    pub last_price: Option<Price>,
    /// Since the UTC day began.
    pub day: Day,
}

/// What a UTC day began with, and what happened since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Day {
    /// Sums of the trades when the day began: what is traded today is the difference.
    pub opening: Position,
    /// Mark when the day began; without a fresh one then, the first of the day.
    pub opening_mark: Option<Price>,
    /// Price × quantity traded today, in quote.
    pub turnover: Money,
    /// Fees of today in quote.
    pub quote_fees: Amount,
    /// Fees of today in assets other than base and quote, valued in quote when they became facts.
    pub other_fees: Money,
    /// Those of them that no mark could value: the day's result is not known then.
    pub unvalued_fees: u32,
    /// Orders accepted today.
    pub orders: u32,
    /// Cancels asked for today.
    pub cancels: u32,
    /// Trades of today.
    pub fills: u32,
}

impl Tally {
    /// Nothing traded, nothing open.
    pub const NOTHING: Self = Self {
        traded: Position::NOTHING,
        open_buy: Amount::ZERO,
        open_sell: Amount::ZERO,
        open_notional: Amount::ZERO,
        open_orders: 0,
        last_price: None,
        day: Day {
            opening: Position::NOTHING,
            opening_mark: None,
            turnover: Money::ZERO,
            quote_fees: Amount::ZERO,
            other_fees: Money::ZERO,
            unvalued_fees: 0,
            orders: 0,
            cancels: 0,
            fills: 0,
        },
    };

    /// Bought − sold − fees in base: what the owner's own trades made of its position.
    #[must_use]
    pub fn position(&self) -> Option<Amount> {
        self.traded.quantity()
    }

    /// The position if every open BUY fills and no SELL does.
    #[must_use]
    pub fn worst_long(&self) -> Option<Amount> {
        self.position()?.checked_add(self.open_buy)
    }

    /// The position if every open SELL fills and no BUY does: negative when short.
    #[must_use]
    pub fn worst_short(&self) -> Option<Amount> {
        self.position()?.checked_sub(self.open_sell)
    }

    /// The tally without what its open orders add: facts that nothing else tells.
    #[must_use]
    pub(crate) const fn settled(&self) -> Self {
        Self {
            open_buy: Amount::ZERO,
            open_sell: Amount::ZERO,
            open_notional: Amount::ZERO,
            open_orders: 0,
            ..*self
        }
    }

    /// An open order of this side changed from the one to the other; `None` when out of range.
    pub(crate) fn change_open(&mut self, side: Side, before: Option<Open>, now: Option<Open>) -> Option<()> {
        let part =
            |open: Option<Open>| open.map_or((Amount::ZERO, Amount::ZERO, 0), |open| (open.qty, open.notional, 1));
        let ((old_qty, old_notional, old_count), (qty, notional, count)) = (part(before), part(now));
        let leaves = match side {
            Side::Buy => &mut self.open_buy,
            Side::Sell => &mut self.open_sell,
        };
        *leaves = leaves.checked_sub(old_qty)?.checked_add(qty)?;
        self.open_notional = self.open_notional.checked_sub(old_notional)?.checked_add(notional)?;
        self.open_orders = self.open_orders.checked_sub(old_count)?.checked_add(count)?;
        Some(())
    }

    /// The tally after a trade; `None` when out of range.
    pub(crate) fn with_trade(&self, side: Side, fill: &Fill, fee: FeeIn) -> Option<Self> {
        let mut tally = *self;
        let traded = &mut tally.traded;
        let (qty, quote) = match side {
            Side::Buy => (&mut traded.bought_qty, &mut traded.bought_quote),
            Side::Sell => (&mut traded.sold_qty, &mut traded.sold_quote),
        };
        (*qty, *quote) = (qty.checked_add(fill.qty.into())?, quote.checked_add(fill.quote_qty)?);
        let day = &mut tally.day;
        match (fee, fill.fee_value) {
            (FeeIn::Base, _) => traded.base_fees = traded.base_fees.checked_add(fill.fee)?,
            (FeeIn::Quote, _) => day.quote_fees = day.quote_fees.checked_add(fill.fee)?,
            (FeeIn::Other, Some(value)) => day.other_fees = day.other_fees.checked_add(value)?,
            (FeeIn::Other, None) if fill.fee.is_zero() => {}
            (FeeIn::Other, None) => day.unvalued_fees = day.unvalued_fees.saturating_add(1),
        }
        traded.quantity()?;
        day.turnover = day.turnover.checked_add(fill.price.times(fill.qty))?;
        day.fills = day.fills.saturating_add(1);
        tally.last_price = Some(fill.price);
        Some(tally)
    }

    /// The tally when a day begins.
    pub(crate) fn with_new_day(&self, mark: Option<Price>) -> Self {
        Self {
            day: Day {
                opening: self.traded,
                opening_mark: mark,
                ..Day::default()
            },
            ..*self
        }
    }
}

/// The asset that a fee was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FeeIn {
    Base,
    Quote,
    Other,
}

/// What an open order adds to its owners' tallies, from its facts alone: taken away again it leaves nothing behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Leaves; while a replace is under way the larger.
    pub qty: Amount,
    /// Worst price × leaves in quote, rounded up; while a replace is under way the larger.
    pub notional: Amount,
    /// How far into the other side it reaches: its price, the bolder of two, and for MARKET the end of the scale. `None`
    /// for one that waits for its stop price: it is not in the book, and what it meets then is for the venue to prevent.
    pub reach: Option<Price>,
    /// Whether it may rest at the venue. What only takes (MARKET, IOC, FOK) never meets another that only takes.
    pub rests: bool,
}

impl Open {
    /// What the order adds now; `None` once it has ended.
    #[must_use]
    pub fn of(order: &Order) -> Option<Self> {
        if !order.is_open() {
            return None;
        }
        let terms = &order.terms;
        let replaced = order.replace.as_deref();
        let leaves = order.leaves();
        let renewed = replaced.map_or(Amount::ZERO, |new| remaining(new.qty, order.cum_qty));
        let prices = [terms.price, replaced.and_then(|new| new.price)];
        let (notional, reach) = match terms.side {
            Side::Buy => (
                order.hold_due(),
                prices.into_iter().flatten().max().unwrap_or(Price(i64::MAX)),
            ),
            Side::Sell => {
                // A MARKET SELL counts at the price it met when it was accepted.
                let price = order.counted_price().unwrap_or_default();
                let new_price = replaced.and_then(|new| new.price).unwrap_or(price);
                let at = |price: Price, leaves: Amount| Money(i128::from(price.0) * leaves.0).to_amount_ceil();
                let notional = at(price, leaves).max(at(new_price, renewed));
                (notional, prices.into_iter().flatten().min().unwrap_or_default())
            }
        };
        Some(Self {
            qty: leaves.max(renewed),
            notional,
            reach: (!terms.ord_type.has_stop()).then_some(reach),
            rests: terms.time_in_force.rests(),
        })
    }
}

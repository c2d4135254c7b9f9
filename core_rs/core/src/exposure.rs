//! What is traded and what is open, summed where limits look: per owner, mode and instrument, and per day.
//!
//! Worst cases count every open order in full on its own side, so that nothing that may still happen can exceed a limit.

use crate::account::Position;
use crate::number::{Amount, Money, Price};
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
    /// Σ worst price × leaves of open orders, in quote.
    pub open_notional: Money,
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
    /// Mark when the day began, or the first one seen in it.
    pub opening_mark: Option<Price>,
    /// Price × quantity traded today, in quote.
    pub turnover: Money,
    /// Fees of today in assets other than base and quote, valued in quote when they became facts.
    pub other_fees: Money,
    /// Orders accepted today.
    pub orders: u32,
    /// Cancels asked for today.
    pub cancels: u32,
    /// Trades of today.
    pub fills: u32,
}

impl Tally {
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
}

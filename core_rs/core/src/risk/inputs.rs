//! What the checks look at, besides the order: plain figures, put together by the engine.

use crate::decimal::product;
use crate::engine::Mark;
use crate::exposure::Tally;
use crate::instrument::Instrument;
use crate::limits::{LimitKind, LimitScope, LimitSet};
use crate::number::{Amount, Money, Price, UNIT};
use crate::risk::figures::Kinds;
use crate::terms::Nanos;
use serde::{Deserialize, Serialize};

/// Most scopes that bind one order: firm, account, strategy and key, each everywhere and in one symbol.
pub const MAX_SCOPES: usize = 8;

/// One scope that binds the order, with the sums that its limits look at.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Whose.
    pub scope: &'a LimitScope,
    /// What is limited.
    pub limits: &'a LimitSet,
    /// The owner's sums in the order's instrument; `None` when there are none yet.
    pub tally: Option<&'a Tally>,
    /// The owner's sums over every other instrument; `None` when no limit needs them.
    pub others: Option<&'a Totals>,
    /// Places of the scope's rate of new orders that are taken now.
    pub rate_used: u32,
}

/// Sums of one owner over instruments, in the reporting currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Open orders.
    pub open_orders: u32,
    /// Σ worst price × leaves of open orders.
    pub open_notional: Amount,
    /// Σ of the larger worst case of each position, at the mark.
    pub gross: Amount,
    /// Σ of the positions if every open BUY fills, at the mark.
    pub long: Amount,
    /// Σ of the positions if every open SELL fills, at the mark.
    pub short: Amount,
    /// Traded today.
    pub turnover: Amount,
    /// Orders accepted today.
    pub orders: u32,
    /// Cancels asked for today.
    pub cancels: u32,
    /// Trades of today.
    pub fills: u32,
    /// Realized and unrealized result of the day, fees included, over every instrument; `None` when it cannot be told.
    pub day_result: Option<Amount>,
    /// True when something could not be valued: limits on money then fail.
    pub unvalued: bool,
}

impl Totals {
    /// Nothing anywhere.
    pub const NOTHING: Self = Self {
        open_orders: 0,
        open_notional: Amount::ZERO,
        gross: Amount::ZERO,
        long: Amount::ZERO,
        short: Amount::ZERO,
        turnover: Amount::ZERO,
        orders: 0,
        cancels: 0,
        fills: 0,
        day_result: None,
        unvalued: false,
    };

    /// Adds one instrument's sums: `mark` is what a position is worth, `fx` what one of quote is worth. What cannot be
    /// valued or does not fit is marked so.
    pub fn add(&mut self, tally: &Tally, mark: Option<Price>, fx: Option<Price>) {
        self.open_orders = self.open_orders.saturating_add(tally.open_orders);
        self.orders = self.orders.saturating_add(tally.day.orders);
        self.cancels = self.cancels.saturating_add(tally.day.cancels);
        self.fills = self.fills.saturating_add(tally.day.fills);
        if self.add_money(tally, mark, fx).is_none() {
            self.unvalued = true;
        }
    }

    fn add_money(&mut self, tally: &Tally, mark: Option<Price>, fx: Option<Price>) -> Option<()> {
        let (long, short) = (tally.worst_long()?, tally.worst_short()?);
        let is_still = tally.open_notional.is_zero() && tally.day.turnover == Money::ZERO;
        if long.is_zero() && short.is_zero() && is_still {
            return Some(());
        }
        let fx = fx?;
        if !(long.is_zero() && short.is_zero()) {
            let mark = mark.or(tally.last_price)?;
            let (long, short) = (valued(long, mark, fx)?, valued(short, mark, fx)?);
            self.long = self.long.checked_add(long)?;
            self.short = self.short.checked_add(short)?;
            self.gross = self
                .gross
                .checked_add(Amount(long.0.checked_abs()?.max(short.0.checked_abs()?)))?;
        }
        let reported = |money: Money| converted(money.to_amount_ceil(), fx);
        self.open_notional = self.open_notional.checked_add(converted(tally.open_notional, fx)?)?;
        self.turnover = self.turnover.checked_add(reported(tally.day.turnover)?)?;
        Some(())
    }
}

/// Quantity × mark × fx in the reporting currency, rounded away from zero: exposure is never shown as less.
#[must_use]
pub fn valued(quantity: Amount, mark: Price, fx: Price) -> Option<Amount> {
    let worth = product(quantity.0.checked_abs()?, mark.0)?;
    let quote = Money(worth).to_amount_ceil();
    Some(Amount(converted(quote, fx)?.0 * quantity.0.signum()))
}

/// Quote in the reporting currency, rounded up.
#[must_use]
pub fn converted(quote: Amount, fx: Price) -> Option<Amount> {
    if fx.0 as i128 == UNIT {
        return Some(quote);
    }
    Some(Money(product(quote.0, fx.0)?).to_amount_ceil())
}

/// Prices of the instrument.
#[derive(Debug, Clone, Copy, Default)]
pub struct Market {
    /// Newest best prices.
    pub mark: Option<Mark>,
    /// How old they are, in nanoseconds of journal time.
    pub age_ns: Nanos,
    /// Twice the last reference price that was believed.
    pub last_good_twice: Option<i128>,
    /// Quantity visible on the side that the order would take; `None` when the venue does not tell.
    pub depth: Option<Amount>,
    /// Volume of the last day in base; `None` when the venue does not tell.
    pub volume: Option<Amount>,
}

/// How the journal keeps up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalHealth {
    /// How long the oldest record waits for its flush, in milliseconds.
    pub wait_ms: u32,
    /// Records that wait.
    pub backlog: u32,
}

/// What the LIVE venue has told or left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VenueFacts {
    /// It shows something else than was booked, for the account in this instrument or everywhere.
    pub drift: bool,
    /// An order of the account in this instrument is IN_DOUBT, and that leaves only reducing orders.
    pub in_doubt: bool,
    /// New orders that it still takes of the account now; `None` when it has not told.
    pub orders_left: Option<u32>,
}

/// What the checks look at, besides the order.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Name of the account.
    pub account: &'a str,
    /// The order's instrument.
    pub instrument: &'a Instrument,
    /// The scopes that bind the order, at most [`MAX_SCOPES`].
    pub bindings: &'a [Option<Binding<'a>>],
    /// The account's sums in the instrument.
    pub own: Option<&'a Tally>,
    /// The strategy's, when the order has one.
    pub strategy: Option<Option<&'a Tally>>,
    /// Free balance: of quote for BUY, of base for SELL.
    pub free: Amount,
    /// All of the account's base, held or not.
    pub base_total: Amount,
    /// Prices.
    pub market: Market,
    /// One of quote in the reporting currency; `None` when no price tells.
    pub fx: Option<Price>,
    /// What the account is worth in the reporting currency; `None` when it cannot be told.
    pub equity: Option<Amount>,
    /// How far the account's equity is below its peak, as a ratio; `None` when it cannot be told.
    pub drawdown: Option<i128>,
    /// Only orders that reduce a position pass.
    pub reduce_only: bool,
    /// Best price of own working orders on the other side, in the self-trade group.
    pub opposite: Option<Price>,
    /// Equal orders within one and within ten seconds.
    pub duplicates: (u32, u32),
    /// How the journal keeps up.
    pub journal: JournalHealth,
    /// How long the oldest order of the account in this instrument has been IN_DOUBT, in nanoseconds.
    pub doubt_age_ns: Option<Nanos>,
    /// What the venue has told or left open.
    pub venue: VenueFacts,
    /// Share of a limit, in percent, from which on it warns.
    pub warn_percent: u32,
    /// Limits that a signed override excuses for this order.
    pub excused: &'a [LimitKind],
}

impl<'a> Inputs<'a> {
    /// The strictest limit of a kind, with its scope: for limits on the order alone.
    pub(super) fn strictest(&self, kind: LimitKind) -> Option<(i128, &'a LimitScope)> {
        self.each(kind)
            .min_by_key(|(limit, _)| *limit)
            .map(|(limit, binding)| (limit, binding.scope))
    }

    /// Every limit of a kind, with what it binds: for limits on sums.
    pub(super) fn each(&self, kind: LimitKind) -> impl Iterator<Item = (i128, &'a Binding<'a>)> {
        self.bindings
            .iter()
            .flatten()
            .filter_map(move |binding| Some((binding.limits.get(kind)?, binding)))
    }

    /// True when some scope limits money, so that a conversion is needed.
    pub(super) fn limits_money(&self) -> bool {
        const MONEY: [LimitKind; 5] = [
            LimitKind::MaxOrderNotional,
            LimitKind::MaxOpenNotional,
            LimitKind::MaxGrossExposure,
            LimitKind::MaxNetExposure,
            LimitKind::MaxDailyTurnover,
        ];
        let is_set = |kind: LimitKind| self.each(kind).next().is_some();
        MONEY.into_iter().any(is_set) || is_set(LimitKind::MaxConcentration)
    }
}

/// Limits of these kinds need the owner's sums over every instrument.
pub(crate) const NEEDS_TOTALS: Kinds = Kinds::of(&[
    LimitKind::MaxOpenOrders,
    LimitKind::MaxOpenNotional,
    LimitKind::MaxGrossExposure,
    LimitKind::MaxNetExposure,
    LimitKind::MaxDailyLoss,
    LimitKind::MaxDailyTurnover,
    LimitKind::MaxDailyOrders,
    LimitKind::MaxDailyCancels,
    LimitKind::MaxDailyFills,
    LimitKind::MaxCancelFillRatio,
]);

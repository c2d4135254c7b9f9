//! Where the tallies are: the firm's, each account's and each strategy's, by mode and instrument.
//!
//! Each event changes at most three of them, found by index. Beside an account's tally stand the prices of its working
//! orders, so that an order which would trade with another of the same group is found without a search.

use crate::digest::{Digest, Mix};
use crate::exposure::{Day, Open, Tally};
use crate::number::Price;
use crate::terms::{AccountId, InstrumentId, Mode, OrderId, Side};
use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// Index of a strategy, in order of first mention by an order.
pub(crate) type StrategyIndex = u32;

/// Whose tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Holder {
    /// All accounts together.
    Firm,
    /// An account.
    Account(AccountId),
    /// A strategy.
    Strategy(StrategyIndex),
}

impl Holder {
    const fn words(self) -> (u64, u64) {
        match self {
            Self::Firm => (1, 0),
            Self::Account(id) => (2, id as u64),
            Self::Strategy(id) => (4, id as u64),
        }
    }
}

/// One tally with what belongs to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    pub tally: Tally,
    /// Its part of the state's hash.
    mark: u128,
    /// The same without the counts of the day, which change most often and come last; `None` when they never did.
    uncounted: Option<Mix>,
    /// How far the working orders reach, BUY and SELL, of those that only take and those that may rest: kept for
    /// accounts only.
    reach: [[BTreeSet<(Price, OrderId)>; 2]; 2],
}

/// Tallies of one holder: per mode, by instrument.
type Table = [Vec<Option<Box<Slot>>>; 2];

/// Every tally.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    firm: Table,
    accounts: Vec<Table>,
    strategies: Vec<Table>,
    names: Vec<String>,
    indexes: HashMap<String, StrategyIndex, FixedState>,
}

const fn place(mode: Mode) -> usize {
    crate::account::index(mode)
}

impl Sums {
    /// Index of a strategy's name; a new one is added.
    pub fn strategy(&mut self, name: &str) -> StrategyIndex {
        if let Some(index) = self.indexes.get(name) {
            return *index;
        }
        let index = self.names.len() as StrategyIndex;
        self.names.push(name.to_owned());
        self.indexes.insert(name.to_owned(), index);
        index
    }

    /// Index of a strategy that an order has mentioned.
    pub fn strategy_named(&self, name: &str) -> Option<StrategyIndex> {
        self.indexes.get(name).copied()
    }

    /// Names of the strategies, in order of first mention.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn table(&self, holder: Holder) -> Option<&Table> {
        match holder {
            Holder::Firm => Some(&self.firm),
            Holder::Account(id) => self.accounts.get(id as usize),
            Holder::Strategy(id) => self.strategies.get(id as usize),
        }
    }

    /// The tally of a holder, if anything was ever counted there.
    pub fn get(&self, holder: Holder, mode: Mode, instrument: InstrumentId) -> Option<&Tally> {
        let slot = self.table(holder)?[place(mode)].get(instrument as usize)?;
        slot.as_ref().map(|slot| &slot.tally)
    }

    /// Every tally of a holder in a mode.
    pub fn of(&self, holder: Holder, mode: Mode) -> impl Iterator<Item = (InstrumentId, &Tally)> {
        let slots = self.table(holder).map(|table| &table[place(mode)]);
        let numbered = slots.into_iter().flat_map(|slots| slots.iter().zip(0..));
        numbered.filter_map(|(slot, instrument)| slot.as_ref().map(|slot| (instrument, &slot.tally)))
    }

    /// Every tally.
    pub fn all(&self) -> impl Iterator<Item = (Holder, Mode, InstrumentId, &Tally)> {
        self.holders().flat_map(move |holder| {
            Mode::ALL.iter().flat_map(move |mode| {
                self.of(holder, *mode)
                    .map(move |(instrument, tally)| (holder, *mode, instrument, tally))
            })
        })
    }

    fn holders(&self) -> impl Iterator<Item = Holder> + use<> {
        let (accounts, strategies) = (self.accounts.len() as AccountId, self.strategies.len() as StrategyIndex);
        std::iter::once(Holder::Firm)
            .chain((0..accounts).map(Holder::Account))
            .chain((0..strategies).map(Holder::Strategy))
    }

    fn slot(&mut self, holder: Holder, mode: Mode, instrument: InstrumentId) -> &mut Slot {
        let table = match holder {
            Holder::Firm => &mut self.firm,
            Holder::Account(id) => entry(&mut self.accounts, id),
            Holder::Strategy(id) => entry(&mut self.strategies, id),
        };
        entry(&mut table[place(mode)], instrument).get_or_insert_default()
    }

    /// Counts a change of an open order for one holder; `None` when a sum is out of range.
    pub fn change_open(
        &mut self,
        holder: Holder,
        (mode, instrument, side): (Mode, InstrumentId, Side),
        order: OrderId,
        before: Option<Open>,
        now: Option<Open>,
    ) -> Option<()> {
        let slot = self.slot(holder, mode, instrument);
        slot.tally.change_open(side, before, now)?;
        if matches!(holder, Holder::Account(_)) {
            let reach = |open: Option<Open>| open.and_then(|open| open.reach).map(|price| (price, order));
            let rests = now.or(before).is_some_and(|open| open.rests);
            let prices = &mut slot.reach[usize::from(side == Side::Sell)][usize::from(rests)];
            let (was, is) = (reach(before), reach(now));
            if let Some(was) = was.filter(|_| was != is) {
                prices.remove(&was);
            }
            if let Some(is) = is.filter(|_| was != is) {
                prices.insert(is);
            }
        }
        Some(())
    }

    /// Changes facts of a tally, and with them its part of the state's hash.
    pub fn change(
        &mut self,
        digest: &mut Digest,
        holder: Holder,
        mode: Mode,
        instrument: InstrumentId,
        alter: impl FnOnce(&Tally) -> Option<Tally>,
    ) -> Option<()> {
        let slot = self.slot(holder, mode, instrument);
        slot.tally = alter(&slot.tally)?;
        let uncounted = mix_uncounted(&slot.tally, holder, mode, instrument);
        slot.uncounted = Some(uncounted);
        let mark = if slot.tally.settled() == Tally::NOTHING {
            // It may as well not be there.
            0
        } else {
            mix_counts(uncounted, &slot.tally)
        };
        digest.replace(std::mem::replace(&mut slot.mark, mark), mark);
        Some(())
    }

    /// Open orders of an account in an instrument and mode.
    pub fn open_orders(
        &self,
        account: AccountId,
        mode: Mode,
        instrument: InstrumentId,
    ) -> impl Iterator<Item = OrderId> + '_ {
        let table = self.table(Holder::Account(account));
        let slot = table.and_then(|table| table[place(mode)].get(instrument as usize)?.as_ref());
        let prices = slot.into_iter().flat_map(|slot| slot.reach.as_flattened());
        prices.flat_map(|orders| orders.iter().map(|(_, order)| *order))
    }

    /// Adds one to a count of the day.
    pub fn count(
        &mut self,
        digest: &mut Digest,
        holder: Holder,
        mode: Mode,
        instrument: InstrumentId,
        count: impl FnOnce(&mut Day) -> &mut u32,
    ) {
        let slot = self.slot(holder, mode, instrument);
        let count = count(&mut slot.tally.day);
        *count = count.saturating_add(1);
        let uncounted = *slot
            .uncounted
            .get_or_insert_with(|| mix_uncounted(&slot.tally, holder, mode, instrument));
        let mark = mix_counts(uncounted, &slot.tally);
        digest.replace(std::mem::replace(&mut slot.mark, mark), mark);
    }

    /// The boldest price of an account's working orders of this side, of those that may rest or of those that only take,
    /// and the oldest order that has it.
    pub fn boldest(
        &self,
        account: AccountId,
        mode: Mode,
        instrument: InstrumentId,
        side: Side,
        rests: bool,
    ) -> Option<(Price, OrderId)> {
        let table = self.table(Holder::Account(account))?;
        let slot = table[place(mode)].get(instrument as usize)?.as_ref()?;
        let prices = &slot.reach[usize::from(side == Side::Sell)][usize::from(rests)];
        match side {
            Side::Sell => prices.first().copied(),
            Side::Buy => {
                let (price, _) = *prices.last()?;
                prices.range((price, 0)..).next().copied()
            }
        }
    }
}

/// The nth, after as many blanks as it takes.
fn entry<T: Default>(list: &mut Vec<T>, nth: u32) -> &mut T {
    let nth = nth as usize;
    if list.len() <= nth {
        list.resize_with(nth + 1, T::default);
    }
    &mut list[nth]
}

/// A tally's facts in the state's hash, but for the counts of the day; what open orders add is told by these.
fn mix_uncounted(tally: &Tally, holder: Holder, mode: Mode, instrument: InstrumentId) -> Mix {
    let (kind, id) = holder.words();
    let mut mix = Mix::new(11)
        .word(kind << 32 | u64::from(mode as u8))
        .word(id << 32 | u64::from(instrument));
    let day = &tally.day;
    for sums in [&tally.traded, &day.opening] {
        mix = mix
            .wide(sums.bought_qty.0)
            .wide(sums.bought_quote.0)
            .wide(sums.sold_qty.0)
            .wide(sums.sold_quote.0)
            .wide(sums.base_fees.0);
    }
    let price = |price: Option<Price>| price.map(|price| price.0);
    mix = mix.maybe(price(tally.last_price)).maybe(price(day.opening_mark));
    mix.wide(day.turnover.0).wide(day.quote_fees.0).wide(day.other_fees.0)
}

fn mix_counts(uncounted: Mix, tally: &Tally) -> u128 {
    let day = &tally.day;
    let counts = [day.unvalued_fees, day.orders, day.cancels, day.fills];
    counts
        .into_iter()
        .fold(uncounted, |mix, count| mix.word(count.into()))
        .finish()
}

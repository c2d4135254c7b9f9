//! Prices as the venues last told them: not journaled, empty after a start.

use crate::account::index;
use crate::engine::Engine;
use crate::number::{Amount, Price};
use crate::terms::{InstrumentId, Mode, Nanos};

/// Best prices of an instrument, when they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Best bid.
    pub bid: Price,
    /// Best ask.
    pub ask: Price,
    /// Last trade.
    pub last: Price,
    /// Journal time of arrival.
    pub at: Nanos,
}

impl Mark {
    /// The mid price, doubled so that it is exact.
    #[must_use]
    pub const fn mid_twice(&self) -> i128 {
        self.bid.0 as i128 + self.ask.0 as i128
    }

    /// The mid price, rounded down.
    #[must_use]
    pub const fn mid(&self) -> Price {
        // The mean of two 64-bit figures fits.
        Price((self.mid_twice() / 2) as i64)
    }
}

/// Quantities behind the best prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Visible quantity of the bids.
    pub bid_qty: Amount,
    /// Visible quantity of the asks.
    pub ask_qty: Amount,
    /// Base traded in the last 24 hours.
    pub volume: Amount,
    /// Journal time of arrival.
    pub at: Nanos,
}

/// What is known of one instrument.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    pub mark: Option<Mark>,
    pub depth: Option<Depth>,
    /// The last of them that was believed: what positions are worth is told by it alone.
    pub good: Option<Mark>,
}

/// By mode and instrument.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prices([Vec<Known>; 2]);

impl Prices {
    fn place(&mut self, mode: Mode, instrument: InstrumentId) -> &mut Known {
        let known = &mut self.0[index(mode)];
        if known.len() <= instrument as usize {
            known.resize(instrument as usize + 1, Known::default());
        }
        &mut known[instrument as usize]
    }

    pub fn get(&self, mode: Mode, instrument: InstrumentId) -> Option<&Known> {
        self.0[index(mode)].get(instrument as usize)
    }

    /// The newest prices, and whether they are believed.
    pub fn set_mark(&mut self, mode: Mode, instrument: InstrumentId, mark: Mark, believed: bool) {
        let known = self.place(mode, instrument);
        known.mark = Some(mark);
        if believed {
            known.good = Some(mark);
        }
    }

    pub fn set_depth(&mut self, mode: Mode, instrument: InstrumentId, depth: Depth) {
        self.place(mode, instrument).depth = Some(depth);
    }
}

impl Engine {
    /// Quantities as a venue told them; what does not decode is dropped.
    pub(crate) fn depth(&mut self, mode: Mode, symbol: &str, figures: [&str; 3], at: Nanos) {
        let instrument = self
            .state
            .instrument_by_symbol(symbol)
            .map(|instrument| instrument.instrument);
        let figures = figures.map(Amount::parse_or_zero);
        match (instrument, figures) {
            (Some(instrument), [Ok(bid_qty), Ok(ask_qty), Ok(volume)]) => {
                let depth = Depth {
                    bid_qty,
                    ask_qty,
                    volume,
                    at,
                };
                self.prices.set_depth(mode, instrument, depth);
            }
            _ => self.dropped += 1,
        }
    }

    /// Prices as a venue told them; what does not decode is dropped.
    pub(crate) fn price(&mut self, mode: Mode, symbol: &str, prices: [&str; 3], at: Nanos) {
        let instrument = self
            .state
            .instrument_by_symbol(symbol)
            .map(|instrument| instrument.instrument);
        let prices = prices.map(Price::parse);
        match (instrument, prices) {
            (Some(instrument), [Ok(bid), Ok(ask), Ok(last)]) => {
                self.set_mark(mode, instrument, Mark { bid, ask, last, at });
            }
            _ => self.dropped += 1,
        }
    }
}

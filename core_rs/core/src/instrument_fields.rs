//! An instrument out of named texts, as the administration and the venues tell it.

use crate::number::{Amount, NumberError, Price, Qty, Rate};
use crate::record::{InstrumentSet, MarketFilters};
use std::collections::BTreeMap;

/// Fields of an instrument, by the names of the exchange's filters.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl Fields<'_> {
    fn text(&mut self, name: &str) -> Result<String, String> {
        let found = self.0.remove(name).map(str::to_owned);
        found.ok_or_else(|| format!("{name} is missing"))
    }

    fn number<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, NumberError>) -> Result<T, String> {
        let text = self.text(name)?;
        parse(&text).map_err(|error| format!("{name}: {text}: {error}"))
    }

    /// A filter that many instruments lack: absent is off.
    fn filter<T: Default>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, NumberError>,
    ) -> Result<T, String> {
        if self.0.contains_key(name) {
            self.number(name, parse)
        } else {
            Ok(T::default())
        }
    }

    fn count(&mut self, name: &str) -> Result<u32, String> {
        let text = self.0.remove(name).unwrap_or("0");
        text.parse()
            .map_err(|_| format!("{name}: {text}: must be a whole number"))
    }

    fn end(self) -> Result<(), String> {
        match self.0.into_keys().next() {
            Some(name) => Err(format!("{name} is not a field of an instrument")),
            None => Ok(()),
        }
    }
}

/// The instrument of these members; the engine fills in its index.
///
/// # Errors
/// The first member that is missing, wrong or unknown, in words.
pub fn instrument_of(texts: BTreeMap<&str, &str>) -> Result<InstrumentSet, String> {
    let mut fields = Fields(texts);
    let set = InstrumentSet {
        instrument: 0,
        symbol: fields.text("symbol")?,
        base: fields.text("base")?,
        quote: fields.text("quote")?,
        status: fields.text("status")?,
        min_price: fields.number("minPrice", Price::parse_or_zero)?,
        max_price: fields.number("maxPrice", Price::parse_or_zero)?,
        tick: fields.number("tickSize", Price::parse)?,
        min_qty: fields.number("minQty", Qty::parse_or_zero)?,
        max_qty: fields.number("maxQty", Qty::parse_or_zero)?,
        step: fields.number("stepSize", Qty::parse)?,
        market_max_qty: fields.number("marketMaxQty", Qty::parse_or_zero)?,
        min_notional: fields.number("minNotional", Amount::parse_or_zero)?,
        max_notional: fields.number("maxNotional", Amount::parse_or_zero)?,
        market: MarketFilters {
            bid_up: fields.filter("bidMultiplierUp", Rate::parse_or_zero)?,
            bid_down: fields.filter("bidMultiplierDown", Rate::parse_or_zero)?,
            ask_up: fields.filter("askMultiplierUp", Rate::parse_or_zero)?,
            ask_down: fields.filter("askMultiplierDown", Rate::parse_or_zero)?,
            range_up: fields.filter("priceRangeUp", Rate::parse_or_zero)?,
            range_down: fields.filter("priceRangeDown", Rate::parse_or_zero)?,
            max_orders: fields.count("maxNumOrders")?,
            max_position: fields.filter("maxPosition", Amount::parse_or_zero)?,
            max_base: fields.filter("maxAssetBase", Amount::parse_or_zero)?,
            max_quote: fields.filter("maxAssetQuote", Amount::parse_or_zero)?,
        },
    };
    fields.end()?;
    Ok(set)
}

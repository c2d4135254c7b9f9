//! An instrument with the exchange's filters, as JSON.

use ordergate_core::instrument::Instrument;
use ordergate_core::record::{InstrumentSet, MarketFilters};

/// The same members that `set_instrument` takes.
pub(crate) fn instrument_json(instrument: &Instrument) -> serde_json::Value {
    let market = &instrument.market;
    serde_json::json!({
        "symbol": instrument.symbol, "base": instrument.base, "quote": instrument.quote, "status": instrument.status,
        "minPrice": instrument.min_price.to_string(), "maxPrice": instrument.max_price.to_string(),
        "tickSize": instrument.tick.to_string(), "minQty": instrument.min_qty.to_string(),
        "maxQty": instrument.max_qty.to_string(), "stepSize": instrument.step.to_string(),
        "marketMaxQty": instrument.market_max_qty.to_string(), "minNotional": instrument.min_notional.to_string(),
        "maxNotional": instrument.max_notional.to_string(),
        "bidMultiplierUp": market.bid_up.to_string(), "bidMultiplierDown": market.bid_down.to_string(),
        "askMultiplierUp": market.ask_up.to_string(), "askMultiplierDown": market.ask_down.to_string(),
        "priceRangeUp": market.range_up.to_string(), "priceRangeDown": market.range_down.to_string(),
        "maxNumOrders": market.max_orders.to_string(), "maxPosition": market.max_position.to_string(),
        "maxAssetBase": market.max_base.to_string(), "maxAssetQuote": market.max_quote.to_string(),
    })
}

/// The exchange's filters for `risk.instruments`; those of the market only when one is set, so that rows of earlier
/// records stay what they were.
pub(crate) fn for_row(body: &InstrumentSet) -> String {
    let mut out = format!(
        r#"{{"minPrice":"{}","maxPrice":"{}","tickSize":"{}","minQty":"{}","maxQty":"{}","stepSize":"{}","marketMaxQty":"{}","minNotional":"{}","maxNotional":"{}"}}"#,
        body.min_price,
        body.max_price,
        body.tick,
        body.min_qty,
        body.max_qty,
        body.step,
        body.market_max_qty,
        body.min_notional,
        body.max_notional
    );
    let market = &body.market;
    if *market != MarketFilters::default() {
        out.pop();
        out.push_str(&format!(
            r#","bidMultiplierUp":"{}","bidMultiplierDown":"{}","askMultiplierUp":"{}","askMultiplierDown":"{}","priceRangeUp":"{}","priceRangeDown":"{}","maxNumOrders":"{}","maxPosition":"{}","maxAssetBase":"{}","maxAssetQuote":"{}"}}"#,
            market.bid_up,
            market.bid_down,
            market.ask_up,
            market.ask_down,
            market.range_up,
            market.range_down,
            market.max_orders,
            market.max_position,
            market.max_base,
            market.max_quote
        ));
    }
    out
}

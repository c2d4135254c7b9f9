//! Instruments and the exchange's filters on them.
//!
//! An instrument is the journaled record itself: what was recorded is what is in force.

use crate::number::{Amount, Money, Price, Qty};
use crate::record::InstrumentSet;
use crate::refusal::{self, FieldError, Refusal};
use crate::request::NewOrder;

/// An instrument with its filters; its id is [`InstrumentSet::instrument`].
pub type Instrument = InstrumentSet;

/// Longest symbol.
pub const MAX_SYMBOL: usize = 32;
/// Longest asset code.
pub const MAX_ASSET: usize = 20;

/// True for a symbol such as `BTCUSDT`: 2 to 32 capital letters and digits.
#[must_use]
pub fn is_symbol(text: &str) -> bool {
    text.len() >= 2 && is_code(text, MAX_SYMBOL)
}

/// True for an asset code such as `USDT`: 1 to 20 capital letters and digits.
#[must_use]
pub fn is_asset(text: &str) -> bool {
    is_code(text, MAX_ASSET)
}

fn is_code(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// The refusal of a symbol that is not set up here.
#[must_use]
pub fn unknown_symbol(symbol: &str) -> Refusal {
    let message = format!("{symbol} is not an instrument of this gateway");
    let errors = vec![field_error("symbol", message.clone())];
    Refusal {
        errors,
        ..Refusal::new(refusal::UNKNOWN_SYMBOL, message)
    }
}

impl InstrumentSet {
    /// True while new orders are taken.
    #[must_use]
    pub fn is_trading(&self) -> bool {
        self.status == "TRADING"
    }

    /// Whether the figures make sense: positive tick and step, nothing negative, every minimum at most its maximum.
    ///
    /// # Errors
    /// Every field that is wrong, by its name in the administration's request.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let range = |minimum: i128, maximum: i128| maximum == 0 || minimum <= maximum;
        let (min_price, max_price) = (self.min_price.0.into(), self.max_price.0.into());
        let (min_qty, max_qty) = (self.min_qty.0.into(), self.max_qty.0.into());
        let figures = [min_price, max_price, min_qty, max_qty, self.market_max_qty.0.into()];
        let names = ["minPrice", "maxPrice", "minQty", "maxQty", "marketMaxQty"];
        let amounts = [
            ("minNotional", self.min_notional.0),
            ("maxNotional", self.max_notional.0),
        ];
        let market = &self.market;
        let filters = [
            ("bidMultiplierUp", market.bid_up.0.into()),
            ("bidMultiplierDown", market.bid_down.0.into()),
            ("askMultiplierUp", market.ask_up.0.into()),
            ("askMultiplierDown", market.ask_down.0.into()),
            ("priceRangeUp", market.range_up.0.into()),
            ("priceRangeDown", market.range_down.0.into()),
            ("maxPosition", market.max_position.0),
            ("maxAssetBase", market.max_base.0),
            ("maxAssetQuote", market.max_quote.0),
        ];
        let negative = names
            .into_iter()
            .zip(figures)
            .chain(amounts)
            .chain(filters)
            .filter(|(_, figure): &(&str, i128)| *figure < 0);

        let mut wrong: Vec<(&str, &str)> = negative.map(|(name, _)| (name, "must not be negative")).collect();
        let rules = [
            (
                is_symbol(&self.symbol),
                "symbol",
                "must be 2 to 32 capital letters or digits",
            ),
            (
                is_asset(&self.base),
                "base",
                "must be 1 to 20 capital letters or digits",
            ),
            (
                is_asset(&self.quote),
                "quote",
                "must be 1 to 20 capital letters or digits",
            ),
            (self.base != self.quote, "quote", "must differ from base"),
            (!self.status.is_empty(), "status", "must not be empty"),
            (self.tick.0 > 0, "tickSize", "must be greater than 0"),
            (self.step.0 > 0, "stepSize", "must be greater than 0"),
            (range(min_price, max_price), "minPrice", "must not exceed maxPrice"),
            (range(min_qty, max_qty), "minQty", "must not exceed maxQty"),
            (
                range(min_qty, self.market_max_qty.0.into()),
                "marketMaxQty",
                "must not be below minQty",
            ),
            (
                range(self.min_notional.0, self.max_notional.0),
                "minNotional",
                "must not exceed maxNotional",
            ),
            (
                range(market.bid_down.0.into(), market.bid_up.0.into()),
                "bidMultiplierDown",
                "must not exceed bidMultiplierUp",
            ),
            (
                range(market.ask_down.0.into(), market.ask_up.0.into()),
                "askMultiplierDown",
                "must not exceed askMultiplierUp",
            ),
            (
                range(market.range_down.0.into(), market.range_up.0.into()),
                "priceRangeDown",
                "must not exceed priceRangeUp",
            ),
        ];
        wrong.extend(
            rules
                .iter()
                .filter(|(holds, ..)| !holds)
                .map(|(_, name, message)| (*name, *message)),
        );
        if wrong.is_empty() {
            return Ok(());
        }
        Err(wrong
            .into_iter()
            .map(|(field, message)| field_error(field, message.to_owned()))
            .collect())
    }

    /// Whether the order fits the instrument; `reference` is the price that a MARKET order would meet, if known.
    ///
    /// # Errors
    /// A [`Refusal`] whose code is that of the first violated filter and whose errors name all of them.
    pub fn check_filters(&self, order: &NewOrder, reference: Option<Price>) -> Result<(), Refusal> {
        if !self.is_trading() {
            let message = format!("{} is not trading: its status is {}", self.symbol, self.status);
            let errors = vec![field_error("symbol", message.clone())];
            return Err(Refusal {
                errors,
                ..Refusal::new(refusal::SYMBOL_NOT_TRADING, message)
            });
        }
        let mut violations = Violations::default();
        for (field, price) in [("price", order.price), ("stopPrice", order.stop_price)] {
            if let Some(price) = price {
                self.check_price(field, price, &mut violations);
            }
        }
        match order.quote_qty {
            Some(quote) => self.check_quote(quote, reference, &mut violations),
            None => self.check_quantity(order, &mut violations),
        }
        let priced = order.price.or(order.stop_price).or(reference);
        match (order.quote_qty.and_then(Amount::to_money), priced) {
            (Some(quote), _) => self.check_notional("quoteOrderQty", quote, &mut violations),
            (None, Some(price)) => self.check_notional("quantity", price.times(order.qty), &mut violations),
            (None, None) => {}
        }
        match violations.code {
            None => Ok(()),
            Some(code) => Err(Refusal::fields(code, violations.errors)),
        }
    }

    fn check_price(&self, field: &str, price: Price, violations: &mut Violations) {
        let mut add = |rule: &str, limit: Price| {
            violations.push(
                refusal::INVALID_PRICE,
                field,
                format!("{price} {rule} {limit} (PRICE_FILTER)"),
            );
        };
        if price < self.min_price {
            add(BELOW, self.min_price);
        }
        if !self.max_price.is_zero() && price > self.max_price {
            add(ABOVE, self.max_price);
        }
        if self.tick.0 > 0 && price.0 % self.tick.0 != 0 {
            add("is not a multiple of the tick size", self.tick);
        }
    }

    fn check_quantity(&self, order: &NewOrder, violations: &mut Violations) {
        let qty = order.qty;
        let mut add = |rule: &str, limit: Qty, filter: &str| {
            violations.push(
                refusal::INVALID_QUANTITY,
                "quantity",
                format!("{qty} {rule} {limit} ({filter})"),
            );
        };
        if qty < self.min_qty {
            add(BELOW, self.min_qty, "LOT_SIZE");
        }
        if !self.max_qty.is_zero() && qty > self.max_qty {
            add(ABOVE, self.max_qty, "LOT_SIZE");
        }
        if self.step.0 > 0 && qty.0 % self.step.0 != 0 {
            add("is not a multiple of the step size", self.step, "LOT_SIZE");
        }
        if !order.ord_type.has_price() && !self.market_max_qty.is_zero() && qty > self.market_max_qty {
            add(ABOVE, self.market_max_qty, "MARKET_LOT_SIZE");
        }
    }

    /// What an amount of quote comes to now, in whole steps, must be a quantity that can be ordered.
    fn check_quote(&self, quote: Amount, reference: Option<Price>, violations: &mut Violations) {
        let Some(price) = reference.filter(|price| price.0 > 0) else {
            return;
        };
        let base = quote
            .to_money()
            .map_or(i128::MAX, |money| money.0 / i128::from(price.0));
        let base = Amount(base - base % i128::from(self.step.0.max(1)));
        let mut add = |rule: &str, limit: Qty, filter: &str| {
            let message = format!("comes to {base}, which {rule} {limit} ({filter})");
            violations.push(refusal::INVALID_QUANTITY, "quoteOrderQty", message);
        };
        if base < self.min_qty.into() || base.is_zero() {
            add(BELOW, self.min_qty, "LOT_SIZE");
        }
        if !self.max_qty.is_zero() && base > self.max_qty.into() {
            add(ABOVE, self.max_qty, "LOT_SIZE");
        }
        if !self.market_max_qty.is_zero() && base > self.market_max_qty.into() {
            add(ABOVE, self.market_max_qty, "MARKET_LOT_SIZE");
        }
    }

    fn check_notional(&self, field: &str, notional: Money, violations: &mut Violations) {
        let mut add = |side: &str, limit: Amount| {
            let message = format!("makes a notional of {notional}, {side} of {limit} (NOTIONAL)");
            violations.push(refusal::INVALID_NOTIONAL, field, message);
        };
        // Rounded away from the limit, each comparison is the exact one.
        if notional.to_amount_floor() < self.min_notional {
            add("below the minimum", self.min_notional);
        }
        if !self.max_notional.is_zero() && notional.to_amount_ceil() > self.max_notional {
            add("above the maximum", self.max_notional);
        }
    }
}

const BELOW: &str = "is below the minimum of";
const ABOVE: &str = "is above the maximum of";

/// Violated filters; allocates nothing while there are none.
#[derive(Default)]
struct Violations {
    code: Option<&'static str>,
    errors: Vec<FieldError>,
}

impl Violations {
    fn push(&mut self, code: &'static str, field: &str, message: String) {
        self.code.get_or_insert(code);
        self.errors.push(field_error(field, message));
    }
}

fn field_error(field: &str, message: String) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message,
    }
}

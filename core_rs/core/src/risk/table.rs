//! The checks: code, row of docs/risk.md, unit, and one sentence for people. Limits bring theirs along.

use crate::limits::LimitKind;
use crate::number::PLACES;

/// Declares the checks that are no limits of ours: row, code, unit, sentence.
macro_rules! checks {
    ($($row:literal $name:ident => $code:literal, $unit:literal, $places:expr, $doc:literal;)+) => {
        /// One check of the ladder.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Check {
            /// A limit of ours.
            Limit(LimitKind),
            $(#[doc = $doc] $name),+
        }

        impl Check {
            /// Every check that is no limit.
            pub const OTHERS: &'static [Self] = &[$(Self::$name),+];

            /// Stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { Self::Limit(kind) => kind.as_str(), $(Self::$name => $code),+ }
            }

            /// Row of docs/risk.md.
            #[must_use]
            pub const fn row(self) -> u8 {
                match self { Self::Limit(kind) => row_of(kind), $(Self::$name => $row),+ }
            }

            /// What its figures count.
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self { Self::Limit(kind) => kind.unit().as_str(), $(Self::$name => $unit),+ }
            }

            /// Decimal places of its integers.
            #[must_use]
            pub const fn places(self) -> u32 {
                match self { Self::Limit(kind) => kind.unit().places(), $(Self::$name => $places),+ }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self { Self::Limit(kind) => kind.describe(), $(Self::$name => $doc),+ }
            }
        }
    };
}

checks! {
    9 PercentPrice => "PERCENT_PRICE_BY_SIDE", "ratio", PLACES, "The exchange's widest distance of a LIMIT price from the reference price.";
    10 PriceRange => "PRICE_RANGE", "ratio", PLACES, "Outside this range of the reference price the exchange lets the order expire.";
    11 MaxNumOrders => "MAX_NUM_ORDERS", "count", 0, "The exchange's most open orders of an account in the symbol.";
    12 MaxPosition => "MAX_POSITION", "base", PLACES, "The exchange's largest holding of base, open BUY orders included.";
    13 MaxAssetBase => "MAX_ASSET", "base", PLACES, "The exchange's largest quantity of base in one order.";
    13 MaxAssetQuote => "MAX_ASSET", "quote", PLACES, "The exchange's largest price × quantity of one order.";
    19 ReduceOnly => "REDUCE_ONLY", "base", PLACES, "Only what makes the position smaller passes, and not beyond zero.";
    19 Drift => "UNEXPLAINED_DRIFT", "base", PLACES, "The exchange shows something else than was booked: until that is explained, only what makes the position smaller passes.";
    25 VenueBudget => "VENUE_BUDGET", "count", 0, "The exchange takes no more new orders of the account for now.";
    34 InDoubt => "ORDER_IN_DOUBT", "base", PLACES, "Whether the exchange has an order of the account in the symbol is not known: until it is, only what makes the position smaller passes.";
    16 Conversion => "NO_CONVERSION_RATE", "reportingCurrency", PLACES, "No price converts the quote asset into the reporting currency.";
    23 Balance => "INSUFFICIENT_BALANCE", "asset", PLACES, "The hold is larger than what is free.";
    23 NumericRange => "NUMERIC_RANGE", "asset", PLACES, "A figure cannot be represented.";
    28 SelfTrade => "SELF_TRADE", "quote", PLACES, "The order would meet one of the account's own, or of its self-trade group.";
    33 Reference => "NO_REFERENCE_PRICE", "milliseconds", 0, "There is no price, or only one that is too old.";
}

impl Check {
    /// The check with this code; of two that share one, the first.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let limit = LimitKind::parse(code).map(Self::Limit);
        limit.or_else(|| Self::OTHERS.iter().copied().find(|check| check.code() == code))
    }
}

const fn row_of(kind: LimitKind) -> u8 {
    use LimitKind as Kind;
    match kind {
        Kind::MaxOrderQty => 15,
        Kind::MaxOrderNotional => 16,
        Kind::MaxDepthShare | Kind::MaxVolumeShare => 17,
        Kind::CollarUp | Kind::CollarDown | Kind::CollarFar => 18,
        Kind::MaxLongPosition | Kind::MaxShortPosition => 20,
        Kind::MaxGrossExposure | Kind::MaxNetExposure | Kind::MaxConcentration => 21,
        Kind::MaxOpenOrders | Kind::MaxOpenNotional => 22,
        Kind::NewOrderRate | Kind::CancelRate => 24,
        Kind::DuplicatesInSecond | Kind::DuplicatesInTenSeconds => 26,
        Kind::ExecutionsInMinute => 27,
        Kind::MaxDailyLoss => 29,
        Kind::MaxDrawdown => 30,
        Kind::MaxDailyTurnover
        | Kind::MaxDailyOrders
        | Kind::MaxDailyCancels
        | Kind::MaxDailyFills
        | Kind::MaxCancelFillRatio => 31,
        Kind::RejectsInMinute => 32,
        Kind::MaxPriceAge | Kind::MaxSpread | Kind::MaxLastDeviation => 33,
        Kind::MaxDoubtAge => 34,
        Kind::MaxJournalLatency | Kind::MaxJournalBacklog => 35,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_found_by_its_code_and_has_a_row_and_a_sentence() {
        let limits = LimitKind::ALL.iter().map(|kind| Check::Limit(*kind));
        for check in limits.chain(Check::OTHERS.iter().copied()) {
            assert_eq!(Check::parse(check.code()).map(Check::code), Some(check.code()));
            assert!((1..=35).contains(&check.row()), "{check:?}");
            assert!(check.describe().ends_with('.'), "{check:?}");
        }
        assert_eq!(Check::parse("NOPE"), None);
    }
}

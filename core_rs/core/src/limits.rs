//! Limits as data: what can be limited, for whom, and which limit is the stricter.
//!
//! A limit is always a maximum, so the smaller one is the stricter. Firm limits bind the sum over all accounts, an
//! account's its own orders; a limit can be narrowed to one symbol. PAPER and LIVE are measured apart, by the same limits.

use crate::risk::Kinds;
use crate::terms::{AccountId, InstrumentId, KeyId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a limit's number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Quantity of base, scaled by 10⁻⁸.
    Base,
    /// Amount of the reporting currency, scaled by 10⁻⁸.
    Money,
    /// A share: 0.05 is five percent; scaled by 10⁻⁸.
    Ratio,
    /// A whole number.
    Count,
    /// Whole milliseconds.
    Millis,
}

impl Unit {
    /// Decimal places of the stored integer.
    #[must_use]
    pub const fn places(self) -> u32 {
        match self {
            Self::Base | Self::Money | Self::Ratio => crate::number::PLACES,
            Self::Count | Self::Millis => 0,
        }
    }

    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Money => "reportingCurrency",
            Self::Ratio => "ratio",
            Self::Count => "count",
            Self::Millis => "milliseconds",
        }
    }
}

/// Whose sum a kind of limit may bind: bits of [`LimitKind::owners`].
pub mod owners {
    /// The firm.
    pub const FIRM: u8 = 1;
    /// An account.
    pub const ACCOUNT: u8 = 2;
    /// A strategy.
    pub const STRATEGY: u8 = 4;
    /// A key.
    pub const KEY: u8 = 8;
    /// Everybody.
    pub const ALL: u8 = 15;
    /// Those with positions of their own.
    pub const HOLDERS: u8 = FIRM | ACCOUNT | STRATEGY;

    /// The word in the API for one bit.
    #[must_use]
    pub const fn word(bit: u8) -> &'static str {
        match bit {
            FIRM => "firm",
            ACCOUNT => "account",
            STRATEGY => "strategy",
            _ => "key",
        }
    }
}

/// Declares the kinds: byte in the journal, word in the API, unit, owners, whether it may be narrowed to a symbol.
macro_rules! limit_kinds {
    ($($byte:literal $name:ident => $text:literal, $unit:ident, $owners:expr, $symbol:literal : $doc:literal;)+) => {
        /// What can be limited.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "u8")]
        #[repr(u8)]
        pub enum LimitKind { $(#[doc = $doc] $name = $byte),+ }

        impl LimitKind {
            /// Every kind, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
            /// The word in the API, which is also the code of the check.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),+ } }
            /// The kind with this word.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some(Self::$name),)+ _ => None } }
            /// What its number means.
            #[must_use]
            pub const fn unit(self) -> Unit { match self { $(Self::$name => Unit::$unit),+ } }
            /// Who can have one: bits of [`owners`].
            #[must_use]
            pub const fn owners(self) -> u8 { match self { $(Self::$name => $owners),+ } }
            /// Whether it may be narrowed to one symbol.
            #[must_use]
            pub const fn takes_symbol(self) -> bool { match self { $(Self::$name => $symbol),+ } }
            /// A value of this kind as a decimal.
            #[must_use]
            pub fn value_text(self, value: i128) -> String {
                crate::decimal::DecimalText::new(value, self.unit().places()).as_str().to_owned()
            }
            /// One sentence for people.
            #[must_use]
            pub const fn describe(self) -> &'static str { match self { $(Self::$name => $doc),+ } }
        }
        impl Serialize for LimitKind {
            /// The byte in the journal, the word in text for people.
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.serialize_str(self.as_str())
                } else {
                    serializer.serialize_u8(*self as u8)
                }
            }
        }
        impl From<LimitKind> for u8 { fn from(kind: LimitKind) -> Self { kind as Self } }
        impl TryFrom<u8> for LimitKind {
            type Error = String;
            fn try_from(byte: u8) -> Result<Self, String> {
                match byte { $($byte => Ok(Self::$name),)+ other => Err(format!("unknown LimitKind {other}")) }
            }
        }
    };
}

use owners::{ACCOUNT, ALL, FIRM, HOLDERS, STRATEGY};

limit_kinds! {
    1 MaxOrderQty => "MAX_ORDER_QTY", Base, ALL, true: "Largest quantity of base in one order.";
    2 MaxOrderNotional => "MAX_ORDER_NOTIONAL", Money, ALL, true: "Largest price × quantity of one order.";
    3 MaxOpenOrders => "MAX_OPEN_ORDERS", Count, HOLDERS, true: "Most orders that may be open at once.";
    4 MaxOpenNotional => "MAX_OPEN_NOTIONAL", Money, HOLDERS, true: "Largest sum of price × leaves of open orders.";
    5 MaxLongPosition => "MAX_LONG_POSITION", Base, HOLDERS, true: "Largest position in a symbol if every open BUY fills.";
    6 MaxShortPosition => "MAX_SHORT_POSITION", Base, HOLDERS, true: "Largest negative position in a symbol if every open SELL fills.";
    7 MaxGrossExposure => "MAX_GROSS_EXPOSURE", Money, HOLDERS, false: "Largest sum of worst-case positions at the mark.";
    8 MaxNetExposure => "MAX_NET_EXPOSURE", Money, HOLDERS, false: "Largest worst-case sum of signed positions at the mark.";
    9 MaxConcentration => "MAX_CONCENTRATION", Ratio, ACCOUNT, true: "Largest share of equity in one symbol.";
    10 CollarUp => "PRICE_COLLAR_UP", Ratio, ALL, true: "How far above the reference price a BUY may be.";
    11 CollarDown => "PRICE_COLLAR_DOWN", Ratio, ALL, true: "How far below the reference price a SELL may be.";
    12 CollarFar => "PRICE_COLLAR_FAR", Ratio, ALL, true: "How far on the passive side of the reference price an order may be.";
    13 MaxPriceAge => "MAX_PRICE_AGE", Millis, FIRM, true: "Oldest reference price that counts as fresh.";
    14 MaxSpread => "MAX_SPREAD", Ratio, FIRM, true: "Widest spread, as a share of the mid price, at which prices are believed.";
    15 MaxLastDeviation => "MAX_LAST_DEVIATION", Ratio, FIRM, true: "Farthest that mid and last price may be apart to be believed.";
    16 MaxDepthShare => "MAX_DEPTH_SHARE", Ratio, ALL, true: "Largest share of the visible opposite depth in one order.";
    17 MaxVolumeShare => "MAX_VOLUME_SHARE", Ratio, ALL, true: "Largest share of the last day's volume in one order.";
    18 NewOrderRate => "NEW_ORDER_RATE", Count, ALL, false: "New orders a second.";
    19 CancelRate => "CANCEL_RATE", Count, ALL, false: "Cancels a second, in a lane of their own.";
    20 DuplicatesInSecond => "MAX_DUPLICATES_1S", Count, HOLDERS, false: "Equal orders (account, symbol, side, type, price, quantity) within a second.";
    21 DuplicatesInTenSeconds => "MAX_DUPLICATES_10S", Count, HOLDERS, false: "Equal orders within ten seconds.";
    22 ExecutionsInMinute => "MAX_EXECUTIONS_60S", Count, STRATEGY, true: "Fills of a strategy on one side of a symbol within a minute; beyond it the strategy stops.";
    23 RejectsInMinute => "MAX_REJECTS_60S", Count, STRATEGY, false: "Rejected orders of a strategy within a minute; beyond it the strategy stops.";
    24 MaxDailyLoss => "MAX_DAILY_LOSS", Money, HOLDERS, false: "Largest loss, realized and not, fees included, since the UTC day began.";
    25 MaxDrawdown => "MAX_DRAWDOWN", Ratio, ACCOUNT, false: "Largest fall of equity from its peak, as a share of the peak.";
    26 MaxDailyTurnover => "MAX_DAILY_TURNOVER", Money, HOLDERS, false: "Largest traded and open notional of a UTC day.";
    27 MaxDailyOrders => "MAX_DAILY_ORDERS", Count, HOLDERS, false: "Most orders of a UTC day.";
    28 MaxDailyCancels => "MAX_DAILY_CANCELS", Count, HOLDERS, false: "Most cancels of a UTC day before new orders are refused.";
    29 MaxDailyFills => "MAX_DAILY_FILLS", Count, HOLDERS, false: "Most fills of a UTC day before new orders are refused.";
    30 MaxCancelFillRatio => "MAX_CANCEL_FILL_RATIO", Ratio, FIRM | ACCOUNT | STRATEGY, false: "Most cancels for each fill of a UTC day, counted from 100 cancels on.";
    31 MaxDoubtAge => "MAX_DOUBT_AGE", Millis, FIRM, false: "Longest that an order may be IN_DOUBT before its account only reduces in that symbol.";
    32 MaxJournalLatency => "MAX_JOURNAL_LATENCY", Millis, FIRM, false: "Longest that the journal may take to flush before new orders are refused.";
    33 MaxJournalBacklog => "MAX_JOURNAL_BACKLOG", Count, FIRM, false: "Most records that may wait for their flush before new orders are refused.";
}

/// Whose limit it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// All accounts together.
    Firm,
    /// One account.
    Account(AccountId),
    /// One strategy, by its name.
    Strategy(String),
    /// One API key.
    Key(KeyId),
}

impl Owner {
    /// Its bit of [`owners`].
    #[must_use]
    pub const fn bit(&self) -> u8 {
        match self {
            Self::Firm => owners::FIRM,
            Self::Account(_) => owners::ACCOUNT,
            Self::Strategy(_) => owners::STRATEGY,
            Self::Key(_) => owners::KEY,
        }
    }
}

/// Where a limit applies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LimitScope {
    /// Whose sum is limited.
    pub owner: Owner,
    /// Only in this instrument; `None` is everywhere (a limit per symbol then binds each of them).
    pub instrument: Option<InstrumentId>,
}

/// The limits of one scope, by kind, each in its unit's integer; at most one of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSet {
    kinds: Kinds,
    /// Zero for those that are not.
    values: [i128; LimitKind::ALL.len()],
}

impl Default for LimitSet {
    fn default() -> Self {
        let (kinds, values) = (Kinds::default(), [0; LimitKind::ALL.len()]);
        Self { kinds, values }
    }
}

impl LimitSet {
    /// The limit of a kind.
    #[inline]
    #[must_use]
    pub const fn get(&self, kind: LimitKind) -> Option<i128> {
        if self.kinds.contains(kind) {
            Some(self.values[kind as usize - 1])
        } else {
            None
        }
    }

    /// Sets or removes a limit; the one before.
    pub const fn set(&mut self, kind: LimitKind, value: Option<i128>) -> Option<i128> {
        let old = self.get(kind);
        self.values[kind as usize - 1] = match value {
            Some(value) => {
                self.kinds.insert(kind);
                value
            }
            None => {
                self.kinds.remove(kind);
                0
            }
        };
        old
    }

    /// Which are set.
    #[must_use]
    pub const fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = (LimitKind, i128)> {
        LimitKind::ALL
            .iter()
            .filter_map(|kind| self.get(*kind).map(|value| (*kind, value)))
    }

    /// True when nothing is limited.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

/// The limits of one owner, by instrument; the scope stands beside them, so that nobody has to put it together.
type OwnLimits = BTreeMap<Option<InstrumentId>, (LimitScope, LimitSet)>;

/// Every limit in force. An order finds what binds it by look-ups alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitTable {
    firm: OwnLimits,
    accounts: BTreeMap<AccountId, OwnLimits>,
    strategies: BTreeMap<String, OwnLimits>,
    keys: BTreeMap<KeyId, OwnLimits>,
}

impl LimitTable {
    fn own(&self, owner: &Owner) -> Option<&OwnLimits> {
        match owner {
            Owner::Firm => Some(&self.firm),
            Owner::Account(id) => self.accounts.get(id),
            Owner::Strategy(name) => self.strategies.get(name),
            Owner::Key(id) => self.keys.get(id),
        }
    }

    /// The limits of exactly this scope.
    #[must_use]
    pub fn get(&self, scope: &LimitScope) -> Option<&LimitSet> {
        self.own(&scope.owner)?.get(&scope.instrument).map(|(_, set)| set)
    }

    /// One limit of exactly this scope.
    #[must_use]
    pub fn limit(&self, scope: &LimitScope, kind: LimitKind) -> Option<i128> {
        self.get(scope)?.get(kind)
    }

    /// Sets a limit or takes it away; the one before.
    pub fn set(&mut self, scope: &LimitScope, kind: LimitKind, value: Option<i128>) -> Option<i128> {
        let own = match &scope.owner {
            Owner::Firm => &mut self.firm,
            Owner::Account(id) => self.accounts.entry(*id).or_default(),
            Owner::Strategy(name) => self.strategies.entry(name.clone()).or_default(),
            Owner::Key(id) => self.keys.entry(*id).or_default(),
        };
        let (_, set) = own
            .entry(scope.instrument)
            .or_insert_with(|| (scope.clone(), LimitSet::default()));
        let old = set.set(kind, value);
        if set.is_empty() {
            own.remove(&scope.instrument);
        }
        self.accounts.retain(|_, own| !own.is_empty());
        self.strategies.retain(|_, own| !own.is_empty());
        self.keys.retain(|_, own| !own.is_empty());
        old
    }

    /// Every scope that binds such an order, the widest first: by at most eight look-ups, without an allocation.
    pub fn binding(
        &self,
        account: AccountId,
        strategy: Option<&str>,
        key: KeyId,
        instrument: InstrumentId,
    ) -> impl Iterator<Item = (&LimitScope, &LimitSet)> {
        let owners = [
            Some(&self.firm),
            self.accounts.get(&account),
            strategy.and_then(|name| self.strategies.get(name)),
            self.keys.get(&key),
        ];
        let mut found = [None; 2 * 4];
        let mut count = 0;
        for own in owners.into_iter().flatten() {
            for place in [None, Some(instrument)] {
                if let Some((scope, set)) = own.get(&place) {
                    (found[count], count) = (Some((scope, set)), count + 1);
                }
            }
        }
        found.into_iter().map_while(|found| found)
    }

    /// Every scope with limits, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&LimitScope, &LimitSet)> {
        std::iter::once(&self.firm)
            .chain(self.accounts.values())
            .chain(self.strategies.values())
            .chain(self.keys.values())
            .flat_map(|own| own.values().map(|(scope, set)| (scope, set)))
    }
}

/// True when going from `old` to `new` allows more: a limit that is taken away allows everything.
#[must_use]
pub const fn is_looser(old: Option<i128>, new: Option<i128>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => new > old,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_consecutive_bytes_and_words_of_their_own() {
        for (place, kind) in LimitKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place + 1, "{kind:?}");
            assert_eq!(LimitKind::parse(kind.as_str()), Some(*kind));
            assert_eq!(LimitKind::try_from(u8::from(*kind)), Ok(*kind));
            assert!(kind.owners() & !ALL == 0 && kind.owners() != 0);
        }
        assert!(LimitKind::try_from(0).is_err() && LimitKind::try_from(99).is_err());
    }

    #[test]
    fn a_set_keeps_one_limit_of_a_kind() {
        let mut set = LimitSet::default();
        assert!(set.is_empty());
        assert_eq!(set.set(LimitKind::MaxOpenOrders, Some(5)), None);
        assert_eq!(set.set(LimitKind::MaxOpenOrders, Some(4)), Some(5));
        assert_eq!(set.iter().collect::<Vec<_>>(), [(LimitKind::MaxOpenOrders, 4)]);
        assert_eq!(set.set(LimitKind::MaxOpenOrders, None), Some(4));
        assert!(set.is_empty());
    }

    #[test]
    fn taking_a_limit_away_is_looser_and_a_first_one_is_not() {
        assert!(is_looser(Some(1), Some(2)) && is_looser(Some(1), None));
        assert!(!is_looser(Some(2), Some(1)) && !is_looser(None, Some(1)) && !is_looser(None, None));
    }
}

//! The words of trading used everywhere: one place owns each vocabulary and its spelling on the wire.

use serde::{Deserialize, Serialize};

/// Nanoseconds of journal time since the Unix epoch (see PROTOCOLS: monotonic, never steps back).
pub type Nanos = i64;
/// Record number in the journal: gap-free, never reused.
pub type Seq = u64;
/// An order's id is the sequence of the record that accepted or denied it.
pub type OrderId = u64;
/// Index of an account, in order of creation.
pub type AccountId = u32;
/// Index of an API key, in order of creation.
pub type KeyId = u32;
/// Stands where an order names its key when the gateway placed the order itself; keys are counted from 0, so that no
/// client's order ever has it.
pub const GATEWAY_KEY: KeyId = KeyId::MAX;
/// Index of an instrument, in order of first definition.
pub type InstrumentId = u32;
/// Number of a venue session: the sequence of its SESSION record.
pub type SessionId = u64;

/// Declares an enum with its journal byte and its spelling on the wire.
macro_rules! vocabulary {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $byte:literal => $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "u8")]
        #[repr(u8)]
        pub enum $name { $(#[doc = concat!("`", $text, "`")] $(#[$vmeta])* $variant = $byte),+ }

        impl $name {
            /// Every member, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            /// The member with this spelling.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
        impl Serialize for $name {
            /// The byte in the journal, the word in text for people.
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.serialize_str(self.as_str())
                } else {
                    serializer.serialize_u8(*self as u8)
                }
            }
        }
        impl From<$name> for u8 { fn from(value: $name) -> u8 { value as u8 } }
        impl TryFrom<u8> for $name {
            type Error = String;
            fn try_from(byte: u8) -> Result<Self, String> {
                match byte { $($byte => Ok(Self::$variant),)+ other => Err(format!("unknown {} {other}", stringify!($name))) }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

vocabulary!(
    /// Where an order trades.
    Mode { Paper = 1 => "PAPER", Live = 2 => "LIVE" });
vocabulary!(
    /// BUY takes base for quote; SELL gives it.
    Side { Buy = 1 => "BUY", Sell = 2 => "SELL" });
vocabulary!(
/// LIMIT has a price; MARKET takes what the book gives; LIMIT_MAKER is refused by the venue when it would take. The
/// others wait at the venue until the last price reaches their stop price, and are then as MARKET or LIMIT.
OrdType {
    Limit = 1 => "LIMIT", Market = 2 => "MARKET", LimitMaker = 3 => "LIMIT_MAKER", StopLoss = 4 => "STOP_LOSS",
    StopLossLimit = 5 => "STOP_LOSS_LIMIT", TakeProfit = 6 => "TAKE_PROFIT", TakeProfitLimit = 7 => "TAKE_PROFIT_LIMIT",
});
vocabulary!(
    /// How long the order works. GTD ends at a time that the gateway keeps; for the venue it is GTC.
    TimeInForce { Gtc = 1 => "GTC", Ioc = 2 => "IOC", Fok = 3 => "FOK", Gtd = 4 => "GTD" });
vocabulary!(
/// Status as clients see it: computed from facts by [`crate::order::Order::status`], never assigned.
OrdStatus {
    PendingNew = 1 => "PENDING_NEW", Submitted = 2 => "SUBMITTED", InDoubt = 3 => "IN_DOUBT", New = 4 => "NEW",
    PartiallyFilled = 5 => "PARTIALLY_FILLED", PendingCancel = 6 => "PENDING_CANCEL",
    PendingReplace = 7 => "PENDING_REPLACE", Filled = 8 => "FILLED", Canceled = 9 => "CANCELED",
    Rejected = 10 => "REJECTED", Expired = 11 => "EXPIRED",
});
vocabulary!(
    /// Who refused: GATEWAY means never sent and never re-opened.
    RejectedBy { Gateway = 1 => "GATEWAY", Venue = 2 => "VENUE" });
vocabulary!(
    /// What a key may do.
    Scope { Read = 1 => "read", Trade = 2 => "trade", CancelOnly = 3 => "cancel", RiskAdmin = 4 => "risk-admin", Kill = 5 => "kill" });
vocabulary!(
    /// Whether a scope may trade. The strictest of an order's scopes binds it; cancels always pass.
    TradingState { Active = 1 => "ACTIVE", ReduceOnly = 2 => "REDUCE_ONLY", Halted = 3 => "HALTED" });
vocabulary!(
    /// What the breach of a watched limit does. FLATTEN halts, cancels working orders and sells what was bought.
    BreachAction { ReduceOnly = 1 => "REDUCE_ONLY", Halt = 2 => "HALT", Flatten = 3 => "FLATTEN" });
vocabulary!(
    /// What a kill stops.
    KillScope { Global = 1 => "global", Account = 2 => "account", Strategy = 3 => "strategy", Symbol = 4 => "symbol" });
vocabulary!(
    /// What stands behind a kill: somebody or a limit asked for it; Redis was lost, so that what it asked for is not
    /// known; its key cannot be read.
    KillCause { Asked = 1 => "asked", Lost = 2 => "lost", Unreadable = 3 => "unreadable" });
vocabulary!(
    /// Whether a strategy may place orders.
    StrategyStatus { Running = 1 => "RUNNING", Stopped = 2 => "STOPPED" });
vocabulary!(
    /// What became of a change that needed a second person.
    ChangeOutcome { Approved = 1 => "APPROVED", Rejected = 2 => "REJECTED", Expired = 3 => "EXPIRED" });
vocabulary!(
/// What a reconciliation found to differ between the venue and what was booked.
DriftClass {
    /// An order that should work there does not, and nothing tells how it ended.
    MissingOrder = 1 => "MISSING_ORDER",
    /// The venue counts more traded than was booked, and the trade cannot be had.
    MissingFill = 2 => "MISSING_FILL",
    /// A booked trade that the venue does not show.
    ExtraFill = 3 => "EXTRA_FILL",
    /// Another quantity or price than was asked for.
    Quantity = 4 => "QUANTITY",
    /// A balance that trades and known transfers do not explain.
    Balance = 5 => "BALANCE",
    /// Somebody else trades in the account.
    External = 6 => "EXTERNAL",
});

impl OrdType {
    /// Whether it has a limit price: the others trade at what the book gives.
    #[must_use]
    pub const fn has_price(self) -> bool {
        matches!(
            self,
            Self::Limit | Self::LimitMaker | Self::StopLossLimit | Self::TakeProfitLimit
        )
    }

    /// Whether it waits for its stop price.
    #[must_use]
    pub const fn has_stop(self) -> bool {
        matches!(
            self,
            Self::StopLoss | Self::StopLossLimit | Self::TakeProfit | Self::TakeProfitLimit
        )
    }

    /// The times in force that it may have; the first is the usual one.
    #[must_use]
    pub const fn times_in_force(self) -> &'static [TimeInForce] {
        use TimeInForce::{Fok, Gtc, Gtd, Ioc};
        match self {
            Self::Market => &[Ioc],
            Self::Limit | Self::StopLossLimit | Self::TakeProfitLimit => &[Gtc, Ioc, Fok, Gtd],
            Self::LimitMaker | Self::StopLoss | Self::TakeProfit => &[Gtc, Gtd],
        }
    }
}

impl TimeInForce {
    /// Whether what is left may rest at the venue.
    #[must_use]
    pub const fn rests(self) -> bool {
        matches!(self, Self::Gtc | Self::Gtd)
    }
}

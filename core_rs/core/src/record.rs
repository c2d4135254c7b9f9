//! What is journaled: outcomes, never commands.
//!
//! Each record has a kind byte and a version byte; its body is a positional MessagePack array (fields are only ever
//! appended, with defaults). A decoder exists for every `(kind, version)` ever shipped; an unknown kind is fatal.
//! Golden bytes for each are in `tests/golden/`.

use crate::limits::{LimitKind, LimitScope};
use crate::number::{Amount, Money, Price, Qty, Rate};
use crate::order::Order;
use crate::packing::pack;
use crate::risk::{Kinds, Totals, VenueFacts};
use crate::terms::{
    AccountId, BreachAction, ChangeOutcome, DriftClass, InstrumentId, KeyId, KillCause, KillScope, Mode, Nanos,
    OrdType, OrderId, Seq, SessionId, Side, StrategyStatus, TimeInForce, TradingState,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Version of the fold: a follower of another version exits, and state hashes compare only within one.
pub const FOLD_VERSION: u32 = 4;

/// First record of every start of a gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Rises with every start.
    pub epoch: u32,
    /// [`FOLD_VERSION`] of the writer.
    pub fold_version: u32,
    /// Install id: 8 characters of `[a-z2-7]`, drawn at the first start, the same ever after.
    pub install: String,
    /// Journal time and CLOCK_BOOTTIME read together, so that followers can compute journal time.
    pub journal_ns: Nanos,
    /// See `journal_ns`.
    pub boottime_ns: i64,
    /// Wall clock − journal time at start.
    pub wall_offset_ns: i64,
}

/// The wall clock stepped: only the UTC day follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Wall clock − journal time from now on.
    pub wall_offset_ns: i64,
}

/// A new account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountCreated {
    /// Its index: must be the next one.
    pub account: AccountId,
    /// Public id: `[a-z0-9][a-z0-9_-]{0,31}`, unique.
    pub name: String,
}

/// Money put into or taken from an account (PAPER deposits; LIVE reconciliation).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BalanceAdjusted {
    /// Whose.
    pub account: AccountId,
    /// Which book of the account.
    pub mode: Mode,
    /// Asset code, for example `USDT`.
    pub asset: String,
    /// Signed change of the total.
    pub delta: Amount,
    /// Why, for the audit trail.
    pub reason: String,
}

/// A new API key. Only its hash is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyCreated {
    /// Its index: must be the next one.
    pub key: KeyId,
    /// Whose orders it may see and place.
    pub account: AccountId,
    /// The person who answers for it; a second approval needs another owner.
    pub owner: String,
    /// Label for people.
    pub name: String,
    /// SHA-256 of the token.
    #[serde(with = "bytes32")]
    pub token_sha256: [u8; 32],
    /// Bit set of [`crate::terms::Scope`] members: bit `1 << member as u8`.
    pub scopes: u32,
    /// Orders a second, also the burst; 0 means no limit.
    pub rate_per_second: u32,
    /// Journal time after which the key is refused.
    pub expires_at: Option<Nanos>,
    /// Symbols it may trade; empty is every symbol.
    #[serde(default)]
    pub symbols: Vec<String>,
    /// Networks it may be used from, in CIDR notation; empty is everywhere.
    #[serde(default)]
    pub ip_allow: Vec<String>,
}

/// A key is no longer accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRevoked {
    /// Which.
    pub key: KeyId,
}

/// An instrument with the venue's filters, new or changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstrumentSet {
    /// Its index: an existing one, or the next one.
    pub instrument: InstrumentId,
    /// For example `BTCUSDT`.
    pub symbol: String,
    /// Base asset code.
    pub base: String,
    /// Quote asset code.
    pub quote: String,
    /// `TRADING`, or anything else: new orders refused.
    pub status: String,
    /// PRICE_FILTER; a zero switches that part off.
    pub min_price: Price,
    /// PRICE_FILTER.
    pub max_price: Price,
    /// PRICE_FILTER.
    pub tick: Price,
    /// LOT_SIZE.
    pub min_qty: Qty,
    /// LOT_SIZE.
    pub max_qty: Qty,
    /// LOT_SIZE.
    pub step: Qty,
    /// MARKET_LOT_SIZE; MARKET orders obey both, zero switches it off.
    pub market_max_qty: Qty,
    /// NOTIONAL.
    pub min_notional: Amount,
    /// NOTIONAL; zero switches it off.
    pub max_notional: Amount,
    /// Filters that look at the market, or at what the account has and what is open.
    #[serde(default)]
    pub market: MarketFilters,
}

/// The exchange's filters that an order alone cannot answer: the risk checks do. A zero switches one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MarketFilters {
    /// PERCENT_PRICE_BY_SIDE: highest and lowest price of a BUY as a multiple of the reference price.
    pub bid_up: Rate,
    /// See `bid_up`.
    pub bid_down: Rate,
    /// PERCENT_PRICE_BY_SIDE: highest and lowest price of a SELL.
    pub ask_up: Rate,
    /// See `ask_up`.
    pub ask_down: Rate,
    /// PRICE_RANGE: an order that would trade outside these multiples of the reference price expires.
    pub range_up: Rate,
    /// See `range_up`.
    pub range_down: Rate,
    /// MAX_NUM_ORDERS: open orders of the account in the symbol.
    pub max_orders: u32,
    /// MAX_POSITION: base that the account has, open BUY orders included.
    pub max_position: Amount,
    /// MAX_ASSET of the base asset: largest quantity of one order.
    pub max_base: Amount,
    /// MAX_ASSET of the quote asset: largest price × quantity of one order.
    pub max_quote: Amount,
}

/// Three limits of one account at once, as the first releases wrote them; now each change is a [`LimitChanged`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitsSet {
    /// Whose; `None` is the firm's default for every account.
    pub account: Option<AccountId>,
    /// Rises with each change of any limit.
    pub version: u32,
    /// Largest quantity of base in one order; `None` is no limit.
    pub max_order_qty: Option<Amount>,
    /// Largest price × quantity of one order, in quote; `None` is no limit.
    pub max_order_notional: Option<Amount>,
    /// Most orders that may be open at once; `None` is no limit.
    pub max_open_orders: Option<u32>,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// One limit changed, in force from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitChanged {
    /// Where it applies.
    pub scope: LimitScope,
    /// What is limited.
    pub kind: LimitKind,
    /// What it was, for people.
    pub old: Option<i128>,
    /// In the unit of the kind; `None` takes the limit away.
    pub value: Option<i128>,
    /// Rises with each change of any limit.
    pub version: u32,
    /// Who asked for it.
    pub by: String,
    /// The second person, when one was needed.
    pub approved_by: Option<String>,
    /// Why.
    pub reason: String,
}

/// A limit that somebody wants to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitChange {
    /// See [`LimitChanged::scope`].
    pub scope: LimitScope,
    /// See [`LimitChanged::kind`].
    pub kind: LimitKind,
    /// See [`LimitChanged::value`].
    pub value: Option<i128>,
}

/// One order that somebody wants to let pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideAsked {
    /// Whose order.
    pub account: AccountId,
    /// Only in this instrument.
    pub instrument: Option<InstrumentId>,
    /// The checks that need not pass.
    pub kinds: Vec<LimitKind>,
    /// How long it may be used once it is granted, in nanoseconds.
    pub valid_for_ns: i64,
}

/// What a second person is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A limit is loosened.
    Limit(LimitChange),
    /// One order passes in spite of limits.
    Override(OverrideAsked),
    /// An order in doubt is declared absent at the venue: it ends, and what it holds is free again.
    Absent(AbsentAsked),
}

/// An order that somebody wants to declare absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsentAsked {
    /// Which order.
    pub order: OrderId,
}

/// A change waits for a second person. Its id is this record's sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeRequested {
    /// What.
    pub change: Change,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Journal time after which nobody can approve it any more.
    pub expires_at: Nanos,
    /// The limit when it was asked for: another one since, and the change is no longer what was asked.
    #[serde(default)]
    pub old: Option<i128>,
}

/// A change waits no longer. When it was approved, what it changed is a record of its own, just before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeClosed {
    /// Sequence of the request.
    pub request: Seq,
    /// APPROVED, REJECTED or EXPIRED.
    pub outcome: ChangeOutcome,
    /// Who decided; `gateway` when it expired.
    pub by: String,
}

/// One order may pass in spite of these limits: signed off, expiring, used once. Its id is the request's sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverrideGranted {
    /// Sequence of the request.
    pub request: Seq,
    /// Whose order.
    pub account: AccountId,
    /// Only in this instrument.
    pub instrument: Option<InstrumentId>,
    /// The checks that need not pass.
    pub kinds: Vec<LimitKind>,
    /// Journal time after which it is worth nothing.
    pub expires_at: Nanos,
    /// Who asked.
    pub by: String,
    /// The second person.
    pub approved_by: String,
    /// Why.
    pub reason: String,
}

/// A strategy, new or with another status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategySet {
    /// Its id: what orders carry as `strategyId`.
    pub name: String,
    /// Whose orders it places; never changes.
    pub account: AccountId,
    /// RUNNING or STOPPED.
    pub status: StrategyStatus,
    /// Who.
    pub by: String,
    /// Through what: `api`, `cli`, `kill`, `limit`.
    pub source: String,
    /// Why.
    pub reason: String,
}

/// New orders in an instrument are refused, or no longer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestrictionSet {
    /// Only for this account; `None` is everybody.
    pub account: Option<AccountId>,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// True refuses new orders.
    pub restricted: bool,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// When new orders are taken, by UTC wall time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSet {
    /// Only for this account; `None` is everybody.
    pub account: Option<AccountId>,
    /// Days on which trading begins: bit 0 is Monday.
    pub weekdays: u8,
    /// First minute of the day, 0 to 1,439.
    pub from_minute: u16,
    /// The minute when it ends, 1 to 1,440; not after `from_minute` means on the next day.
    pub to_minute: u16,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What the client asked for, as decoded and checked for shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Account that placed it.
    pub account: AccountId,
    /// Key that placed it.
    pub key: KeyId,
    /// PAPER or LIVE.
    pub mode: Mode,
    /// What.
    pub instrument: InstrumentId,
    /// BUY or SELL.
    pub side: Side,
    /// LIMIT, MARKET, …
    pub ord_type: OrdType,
    /// GTC, IOC, FOK or GTD (MARKET: always IOC).
    pub time_in_force: TimeInForce,
    /// Quantity of base.
    pub qty: Qty,
    /// Limit price; `None` for what trades at the market.
    pub price: Option<Price>,
    /// The client's own id, unique among the account's working orders; shared with the order in memory.
    pub client_order_id: Option<Arc<str>>,
    /// Name of the strategy.
    pub strategy_id: Option<Arc<str>>,
    /// How long the order may wait to be sent, in milliseconds; `None` is the default of 2,000.
    pub valid_for_ms: Option<u32>,
    /// What few orders ask for; `None` is nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Box<Conditions>>,
}

/// What an order asks for beyond type, quantity and price.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// The last price at which an order of a stop type begins to work.
    pub stop_price: Option<Price>,
    /// Quote that a MARKET order is to spend or to bring in; its `qty` is then only what that may come to at most.
    pub quote_qty: Option<Amount>,
    /// Journal time at which the gateway cancels a GTD order.
    pub expire_at: Option<Nanos>,
    /// The order whose rest this one takes over.
    pub replaces: Option<OrderId>,
}

impl Terms {
    /// See [`Conditions::stop_price`].
    #[must_use]
    pub fn stop_price(&self) -> Option<Price> {
        self.conditions.as_ref()?.stop_price
    }

    /// See [`Conditions::quote_qty`].
    #[must_use]
    pub fn quote_qty(&self) -> Option<Amount> {
        self.conditions.as_ref()?.quote_qty
    }

    /// See [`Conditions::expire_at`].
    #[must_use]
    pub fn expire_at(&self) -> Option<Nanos> {
        self.conditions.as_ref()?.expire_at
    }

    /// See [`Conditions::replaces`].
    #[must_use]
    pub fn replaces(&self) -> Option<OrderId> {
        self.conditions.as_ref()?.replaces
    }
}

/// The request's identity, kept for 24 hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestKey {
    /// The `Idempotency-Key` header; shared with the table of keys and the order.
    pub key: Arc<str>,
    /// First 16 bytes of SHA-256 over the decoded request.
    pub fingerprint: u64,
    /// See `fingerprint`: the second half.
    pub fingerprint2: u64,
}

/// One failed or tight check, with the figures that decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckResult {
    /// Stable code, for example `MAX_ORDER_QTY`.
    pub code: String,
    /// The order's figure, as a decimal.
    pub value: String,
    /// The limit, as a decimal.
    pub limit: String,
    /// What is left (limit − value without this order), as a decimal.
    pub headroom: String,
    /// Whose limit it is: `firm`, `account`, `strategy`, `key`, or `venue` for the exchange's own.
    #[serde(default)]
    pub scope: String,
    /// Name of the account or strategy, or the key's number; empty for the firm and the venue.
    #[serde(default)]
    pub target: String,
    /// The symbol, where the limit is that of one.
    #[serde(default)]
    pub symbol: String,
}

/// The inputs of the decision, kept once; the rest can be recomputed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Version of the limits in force.
    pub limits_version: u32,
    /// Reference price used, if any.
    pub reference_price: Option<Price>,
    /// Its age in nanoseconds.
    pub reference_age_ns: Option<i64>,
    /// The failed checks; empty when accepted.
    pub failed: Vec<CheckResult>,
    /// The check with the least headroom, when accepted.
    pub tightest: Option<CheckResult>,
    /// The override that the order named, used up when it was accepted.
    #[serde(default)]
    pub override_id: Option<Seq>,
    /// What else the checks looked at; `None` in records of earlier builds.
    #[serde(default)]
    pub inputs: Option<Box<DecisionInputs>>,
    /// Limits that the order exceeds and that a signed override excuses.
    #[serde(default)]
    pub overridden: Kinds,
    /// Limits of which the order uses more than the soft share.
    #[serde(default)]
    pub warned: Kinds,
}

/// Figures that the checks looked at, so that they can be done again: with the order's terms, the instrument and the
/// version of the limits nothing else is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DecisionInputs {
    /// Best bid, best ask and last trade, as old as [`Decision::reference_age_ns`] says.
    pub mark: Option<(Price, Price, Price)>,
    /// Twice the reference price of the collars.
    pub reference_twice: Option<Amount>,
    /// What was free: quote for BUY, base for SELL.
    pub free: Amount,
    /// One of quote in the reporting currency.
    pub fx: Option<Price>,
    /// The account might only reduce.
    pub reduce_only: bool,
    /// Best price of own working orders on the other side.
    pub opposite: Option<Price>,
    /// What the account was worth, when a limit looks at it.
    pub equity: Option<Amount>,
    /// How far that was below its peak (10⁻⁸), when a limit looks at it.
    pub drawdown: Option<Rate>,
    /// Age of the oldest order in doubt, when a limit looks at it.
    pub doubt_age_ns: Option<Nanos>,
    /// Visible quantity of the other side and volume of the day, when the venue tells them.
    pub depth: Option<Amount>,
    /// See `depth`.
    pub volume: Option<Amount>,
    /// All of the account's base, when the exchange limits it.
    pub base_total: Option<Amount>,
    /// Places taken in each rate of new orders that binds the order.
    pub rates: Vec<u32>,
    /// Equal orders within one and within ten seconds.
    pub duplicates: (u32, u32),
    /// Milliseconds that the oldest unflushed record waits, and how many wait.
    pub journal: (u32, u32),
    /// Sums of those whose limits bind the order.
    pub tallies: Vec<TallyInputs>,
    /// What the LIVE venue had told or left open, where that bound the order.
    #[serde(default)]
    pub venue: Option<VenueFacts>,
}

/// Sums of one owner before the order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TallyInputs {
    /// Bit of [`crate::limits::owners`].
    pub owner: u8,
    /// Position in the symbol.
    pub position: Amount,
    /// Σ leaves of open BUY orders.
    pub open_buy: Amount,
    /// Σ leaves of open SELL orders.
    pub open_sell: Amount,
    /// Σ price × leaves of open orders, in quote.
    pub open_notional: Amount,
    /// Open orders in the symbol.
    pub open_orders: u32,
    /// Orders, cancels and fills of the day in the symbol.
    pub day: (u32, u32, u32),
    /// The same over the other symbols, where a limit looks at them.
    pub others: Option<Box<Totals>>,
}

/// The intent: an order passed every check. Its id is this record's sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderAccepted {
    /// What was asked.
    pub terms: Terms,
    /// What the order may cost at worst: quote for BUY, base for SELL.
    pub hold: Amount,
    /// Identity of the request.
    pub request: RequestKey,
    /// Why it passed.
    pub decision: Decision,
    /// HTTP status of the stored answer.
    pub answer_status: u16,
    /// Body of the stored answer, replayed byte for byte.
    pub answer: String,
}

/// A risk refusal, stored under its request key: REJECTED by GATEWAY, never sent, never re-opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderDenied {
    /// What was asked.
    pub terms: Terms,
    /// Identity of the request.
    pub request: RequestKey,
    /// Every failed check.
    pub decision: Decision,
    /// HTTP status of the stored answer.
    pub answer_status: u16,
    /// Body of the stored answer.
    pub answer: String,
}

/// Durable before any byte goes to the venue: only the named session may send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubmitStarted {
    /// Which order.
    pub order: OrderId,
    /// Who may send it.
    pub session: SessionId,
}

/// One venue connection; ends every older session of that venue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// `paper`, `binance`.
    pub venue: String,
    /// What it trades.
    pub mode: Mode,
    /// Process id of the venue, for the audit trail.
    pub pid: u32,
}

/// An exchange trade. Facts are the venue's own digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fill {
    /// Which order.
    pub order: OrderId,
    /// The venue's trade id, unique per (venue, account, symbol).
    pub trade_id: String,
    /// Price.
    pub price: Price,
    /// Quantity of base.
    pub qty: Qty,
    /// Amount of quote that changed hands, as the venue booked it.
    pub quote_qty: Amount,
    /// Fee, positive when paid.
    pub fee: Amount,
    /// Asset of the fee.
    pub fee_asset: String,
    /// True when the order rested.
    pub maker: bool,
    /// The venue's time of the trade.
    pub venue_ns: Nanos,
    /// The fee in quote when its asset is neither base nor quote, at marks at most a minute old when the trade was
    /// booked; `None` when no mark told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_value: Option<Money>,
}

/// What happened to an order, other than a fill. One record per event of the life-cycle table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderEvent {
    /// Which order.
    pub order: OrderId,
    /// Stable code of why (`KILLED`, `NOT_SENT`, the venue's code), empty when there is none.
    pub reason: String,
    /// Words for people; the venue's own message.
    pub text: String,
    /// The venue's order id, when the event carries one.
    pub venue_order_id: Option<String>,
}

/// New terms of an order (replace requests and acknowledgements).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplaceTerms {
    /// Which order.
    pub order: OrderId,
    /// New total quantity.
    pub qty: Qty,
    /// New limit price.
    pub price: Option<Price>,
    /// New hold: the larger of old and new while pending.
    pub hold: Amount,
    /// The order is to be canceled, and a new one placed for what is left of the new quantity; `None` changes it in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew: Option<Anew>,
}

/// How a new order takes over from the one that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anew {
    /// The new order's stop price.
    pub stop_price: Option<Price>,
    /// The key that asked: the new order is its own.
    pub key: KeyId,
}

/// A client asked for new terms of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplaceAsked {
    /// Which order, and what is asked.
    pub terms: ReplaceTerms,
    /// Identity of the request.
    pub request: RequestKey,
    /// HTTP status of the stored answer.
    pub answer_status: u16,
    /// Body of the stored answer, replayed byte for byte.
    pub answer: String,
}

/// What the venue shows for an order (reconciliation).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VenueSnapshot {
    /// Which order.
    pub order: OrderId,
    /// The venue's order id.
    pub venue_order_id: Option<String>,
    /// True while the venue shows it as working.
    pub working: bool,
    /// Cumulative quantity at the venue.
    pub cum_qty: Qty,
}

/// An event that the life-cycle table does not allow: counted, never raised at a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IllegalEvent {
    /// Which order, 0 when unknown.
    pub order: OrderId,
    /// Name of the event.
    pub event: String,
    /// What it said.
    pub text: String,
}

/// A fact that could not be booked (a number out of range, a fill of an order that is not known): kept with an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// Stable code: `NUMERIC_RANGE`, `UNKNOWN_ORDER`, `FILL_CONFLICT`.
    pub code: String,
    /// The report as it came, as text.
    pub report: String,
}

/// A trade of an order that has left memory: it waits until the order is back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LateFill {
    /// What the venue trades: must be the order's own mode.
    pub mode: Mode,
    /// The trade.
    pub fill: Fill,
}

/// A trade that waited is not booked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LateFillClosed {
    /// Which order.
    pub order: OrderId,
    /// Which trade.
    pub trade_id: String,
    /// `UNKNOWN_ORDER`, `FILL_CONFLICT`, `NUMERIC_RANGE`, `ILLEGAL_EVENT`; empty when it had been counted before.
    pub code: String,
}

/// An order that had come back leaves memory again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderLeft {
    /// Which order.
    pub order: OrderId,
}

/// An order that the venue shows and the gateway did not place. Its id is this record's sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalOrder {
    /// Whose.
    pub account: AccountId,
    /// What the venue trades.
    pub mode: Mode,
    /// What.
    pub instrument: InstrumentId,
    /// The venue's id.
    pub venue_order_id: String,
    /// The id that whoever placed it gave it.
    pub client_order_id: Option<String>,
    /// BUY or SELL.
    pub side: Side,
    /// Its type; one that the gateway does not know counts as LIMIT with a price and as MARKET without.
    pub ord_type: OrdType,
    /// How long it works.
    pub time_in_force: TimeInForce,
    /// Quantity of base.
    pub qty: Qty,
    /// What had traded of it and is in the balances already: no FILL of that part follows.
    pub cum_qty: Qty,
    /// Limit price.
    pub price: Option<Price>,
    /// Trigger price.
    pub stop_price: Option<Price>,
    /// What it may cost at worst before any trade: quote for BUY, base for SELL.
    pub hold: Amount,
    /// Best bid when it was seen: what a SELL without a price counts at.
    pub reference: Option<Price>,
}

/// What the venue shows differs from what was booked: the account may only reduce there until it is explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftFound {
    /// Whose.
    pub account: AccountId,
    /// What the venue trades.
    pub mode: Mode,
    /// Where; `None` is everywhere.
    pub instrument: Option<InstrumentId>,
    /// What kind of difference.
    pub class: DriftClass,
    /// What was expected and what was found, in words.
    pub detail: String,
}

/// A difference is explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftExplained {
    /// Whose.
    pub account: AccountId,
    /// What the venue trades.
    pub mode: Mode,
    /// Where; `None` is everywhere.
    pub instrument: Option<InstrumentId>,
    /// What kind of difference.
    pub class: DriftClass,
    /// Sequence of its DRIFT_FOUND.
    pub found: Seq,
}

/// Every trade of an account in a symbol up to this one is booked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TradesConfirmed {
    /// Whose.
    pub account: AccountId,
    /// What the venue trades.
    pub mode: Mode,
    /// Where.
    pub instrument: InstrumentId,
    /// The venue's number of the trade: rises.
    pub trade_id: u64,
}

/// A comparison of the venue with what was booked has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReconciliationRun {
    /// Whose.
    pub account: AccountId,
    /// What the venue trades.
    pub mode: Mode,
    /// Why it ran: `start`, `interval`, `gap`, …
    pub trigger: String,
    /// Journal time when it began.
    pub started_ns: Nanos,
    /// How long it took.
    pub duration_ms: u64,
    /// True when every answer that it needed came; a partial one proves nothing.
    pub complete: bool,
    /// What kept it from being complete.
    pub error: Option<String>,
    /// What it looked at and did, by kind.
    pub counts: BTreeMap<String, u64>,
}

/// A person asks the venue process to look for an order in doubt once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoubtRequery {
    /// Which order.
    pub order: OrderId,
    /// Who.
    pub by: String,
}

/// A person says which of the venue's orders an order in doubt is: it is looked for by that id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VenueIdAttached {
    /// Which order.
    pub order: OrderId,
    /// The venue's id.
    pub venue_order_id: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// The gateway ended as it should: the start after this record is none after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CleanStop {
    /// Epoch that ends.
    pub epoch: u32,
}

/// LIVE may go on after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// Who; `gateway` where the settings say that nobody need be asked.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Trading stopped for a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KillOn {
    /// Scope.
    pub scope: KillScope,
    /// Account name, strategy name or symbol; empty for global.
    pub target: String,
    /// 1 stops new and unsent orders, 2 also cancels, 3 also flattens.
    pub level: u8,
    /// Why: the operator's words or a stable code (`redis_unreachable`, `redis_restarted`, …).
    pub reason: String,
    /// Who.
    pub by: String,
    /// Through what: `redis`, `api`, `cli`, `heartbeat`, `limit`, `gateway`.
    pub source: String,
    /// What stands behind it; absent in records of before it was told, where the reason tells.
    #[serde(default)]
    pub cause: Option<KillCause>,
}

/// Trading may go on in a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KillOff {
    /// Scope.
    pub scope: KillScope,
    /// See [`KillOn::target`].
    pub target: String,
    /// Who.
    pub by: String,
    /// Through what.
    pub source: String,
}

/// A dead man's switch: its scope is killed when no beat has come for so long. The beats themselves are not journaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatSet {
    /// `account` or `strategy`.
    pub scope: KillScope,
    /// Account name or strategy name.
    pub target: String,
    /// Milliseconds without a beat after which the scope is killed; 0 ends the watch.
    pub timeout_ms: u32,
    /// Key that asked for it; an operator has none ([`crate::terms::GATEWAY_KEY`]) and only ends watches.
    pub key: KeyId,
    /// The operator who ended the watch; empty for a key's.
    #[serde(default)]
    pub by: String,
}

/// Whether a scope may trade, from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TradingStateSet {
    /// Scope.
    pub scope: KillScope,
    /// See [`KillOn::target`].
    pub target: String,
    /// In which mode; `None` is both.
    pub mode: Option<Mode>,
    /// ACTIVE, REDUCE_ONLY or HALTED.
    pub state: TradingState,
    /// Why, in words or as the kind of the limit that was breached.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Through what: `api`, `cli`, `limit`.
    pub source: String,
    /// HALTED by a breach whose action is FLATTEN: what the scope holds is sold.
    #[serde(default)]
    pub flatten: bool,
}

/// A watched limit is breached: the TRADING_STATE_SET that follows says what comes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitBreached {
    /// Whose limit.
    pub scope: LimitScope,
    /// In which mode.
    pub mode: Mode,
    /// Which.
    pub kind: LimitKind,
    /// The figure, as a decimal in the kind's unit.
    pub value: String,
    /// The limit, likewise.
    pub limit: String,
    /// What is done about it.
    pub action: BreachAction,
    /// Highest equity seen of the account, where the kind is measured from it.
    pub peak: Option<Amount>,
}

/// A limit is nearly used up, or cannot be judged: at most once a minute for a scope, kind and mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitWarned {
    /// Whose limit.
    pub scope: LimitScope,
    /// In which mode.
    pub mode: Mode,
    /// Which.
    pub kind: LimitKind,
    /// The figure, as a decimal in the kind's unit; `None` when it cannot be judged, for want of a fresh price.
    pub value: Option<String>,
    /// The limit, likewise.
    pub limit: String,
    /// See [`LimitBreached::peak`].
    pub peak: Option<Amount>,
}

/// A UTC day began: what is counted by day starts anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayStarted {
    /// Days since 1970-01-01 by the wall clock; rises.
    pub day: i64,
    /// Marks then, of every instrument that had one.
    pub marks: Vec<(Mode, InstrumentId, Price)>,
    /// Currency of equity.
    pub currency: String,
    /// Highest equity seen so far of accounts whose drawdown is limited.
    pub peaks: Vec<(AccountId, Mode, Amount)>,
}

/// The first believed prices of a day for what had no fresh one when it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpeningMarks {
    /// Marks: what was held when the day began counts from here.
    pub marks: Vec<(Mode, InstrumentId, Price)>,
}

/// The highest equity of an account, from which its drawdown is measured: it rose, or a person corrected it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeakSet {
    /// Whose.
    pub account: AccountId,
    /// Which book of the account.
    pub mode: Mode,
    /// Equity in the reporting currency.
    pub peak: Amount,
    /// Who; `ordergate` when it rose.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Orders of the accounts of one group must not trade with each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StpGroupSet {
    /// Which account.
    pub account: AccountId,
    /// Its group; empty is a group of its own.
    pub group: String,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// From now on a Redis without our sentinel has lost its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedisBound {
    /// Value of the sentinel.
    pub install: String,
}

/// The writer's state hash after every record before this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateHash {
    /// Sequence that the hash covers: this record's own − 1.
    pub seq: Seq,
    /// High and low half.
    pub hash: (u64, u64),
}

/// Declares the records with their kind bytes; the current version of each is 1 unless said otherwise.
macro_rules! records {
    ($($(#[$meta:meta])* $kind:literal $name:ident($body:ty) => $text:literal),+ $(,)?) => {
        /// A journal record.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Record { $($(#[$meta])* #[doc = $text] $name($body)),+ }

        impl Record {
            /// Every kind byte with its name, for `dump` and the audit trail.
            pub const KINDS: &'static [(u8, &'static str)] = &[$(($kind, $text)),+];
            /// Kind byte.
            #[must_use]
            pub const fn kind(&self) -> u8 { match self { $(Self::$name(_) => $kind),+ } }
            /// Name in the audit trail, for example `ORDER_ACCEPTED`.
            #[must_use]
            pub const fn name(&self) -> &'static str { match self { $(Self::$name(_) => $text),+ } }
            /// Appends the body's bytes to `out`.
            ///
            /// # Errors
            /// Never in practice: every body serialises.
            pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
                let packed = match self { $(Self::$name(body) => pack(out, body)),+ };
                packed.map_err(serde::ser::Error::custom)
            }
            /// What [`Record::encode`] has to write.
            #[cfg(test)]
            pub(crate) fn as_rmp_serde(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
                match self { $(Self::$name(body) => rmp_serde::to_vec(body)),+ }
            }
            /// Appends the body as a JSON object for people: members as in the structs above, decimals and words.
            ///
            /// # Errors
            /// Never in practice: every body serialises.
            pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
                match self { $(Self::$name(body) => serde_json::to_writer(out, body)),+ }
            }
            /// The record with this kind, version and body.
            ///
            /// # Errors
            /// [`RecordError`] for an unknown kind or version, or a body that does not decode.
            pub fn decode(kind: u8, version: u8, body: &[u8]) -> Result<Self, RecordError> {
                match (kind, version) {
                    $(($kind, 1) => rmp_serde::from_slice(body).map(Self::$name)
                        .map_err(|error| RecordError::Body { kind, version, error: error.to_string() }),)+
                    _ => Err(RecordError::Unknown { kind, version }),
                }
            }
        }
    };
}

records! {
    1 Epoch(Epoch) => "EPOCH",
    2 Clock(Clock) => "CLOCK",
    3 StateHash(StateHash) => "STATE_HASH",
    10 AccountCreated(AccountCreated) => "ACCOUNT_CREATED",
    11 BalanceAdjusted(BalanceAdjusted) => "BALANCE_ADJUSTED",
    12 KeyCreated(KeyCreated) => "KEY_CREATED",
    13 KeyRevoked(KeyRevoked) => "KEY_REVOKED",
    14 InstrumentSet(InstrumentSet) => "INSTRUMENT_SET",
    15 LimitsSet(LimitsSet) => "LIMITS_SET",
    16 LimitChanged(LimitChanged) => "LIMIT_CHANGED",
    17 ChangeRequested(ChangeRequested) => "CHANGE_REQUESTED",
    18 ChangeClosed(ChangeClosed) => "CHANGE_CLOSED",
    19 OverrideGranted(OverrideGranted) => "OVERRIDE_GRANTED",
    20 KillOn(KillOn) => "KILL_ON",
    21 KillOff(KillOff) => "KILL_OFF",
    22 RedisBound(RedisBound) => "REDIS_BOUND",
    23 TradingStateSet(TradingStateSet) => "TRADING_STATE_SET",
    24 StrategySet(StrategySet) => "STRATEGY_SET",
    25 HeartbeatSet(HeartbeatSet) => "HEARTBEAT_SET",
    26 LimitBreached(LimitBreached) => "LIMIT_BREACHED",
    27 DayStarted(DayStarted) => "DAY_STARTED",
    28 RestrictionSet(RestrictionSet) => "RESTRICTION_SET",
    29 ScheduleSet(ScheduleSet) => "SCHEDULE_SET",
    30 SessionOpened(SessionOpened) => "SESSION_OPENED",
    40 OrderAccepted(OrderAccepted) => "ORDER_ACCEPTED",
    41 OrderDenied(OrderDenied) => "ORDER_DENIED",
    42 SubmitStarted(SubmitStarted) => "SUBMIT_STARTED",
    43 Acked(OrderEvent) => "ACKED",
    44 VenueRejected(OrderEvent) => "REJECTED",
    45 InDoubt(OrderEvent) => "IN_DOUBT",
    46 NotSent(OrderEvent) => "NOT_SENT",
    47 Fill(Fill) => "FILL",
    48 CancelRequested(OrderEvent) => "CANCEL_REQUESTED",
    49 Canceled(OrderEvent) => "CANCELED",
    50 CancelRejected(OrderEvent) => "CANCEL_REJECTED",
    51 CancelInDoubt(OrderEvent) => "CANCEL_IN_DOUBT",
    52 ReplaceRequested(ReplaceTerms) => "REPLACE_REQUESTED",
    53 Replaced(ReplaceTerms) => "REPLACED",
    54 ReplaceRejected(OrderEvent) => "REPLACE_REJECTED",
    55 Expired(OrderEvent) => "EXPIRED",
    56 FoundAtVenue(VenueSnapshot) => "FOUND_AT_VENUE",
    57 AbsentAtVenue(OrderEvent) => "ABSENT_AT_VENUE",
    58 Illegal(IllegalEvent) => "ILLEGAL_EVENT",
    59 Parked(Parked) => "PARKED",
    60 LateFill(LateFill) => "LATE_FILL",
    61 LateFillClosed(LateFillClosed) => "LATE_FILL_CLOSED",
    62 OrderReloaded(Box<Order>) => "ORDER_RELOADED",
    63 OrderLeft(OrderLeft) => "ORDER_LEFT",
    65 LimitWarned(LimitWarned) => "LIMIT_WARNED",
    66 StpGroupSet(StpGroupSet) => "STP_GROUP_SET",
    67 ExternalOrder(ExternalOrder) => "EXTERNAL_ORDER",
    68 DriftFound(DriftFound) => "DRIFT_FOUND",
    69 DriftExplained(DriftExplained) => "DRIFT_EXPLAINED",
    70 TradesConfirmed(TradesConfirmed) => "TRADES_CONFIRMED",
    71 ReconciliationRun(ReconciliationRun) => "RECONCILIATION_RUN",
    72 DoubtRequery(DoubtRequery) => "DOUBT_REQUERY",
    73 VenueIdAttached(VenueIdAttached) => "VENUE_ID_ATTACHED",
    74 CleanStop(CleanStop) => "CLEAN_STOP",
    75 Resumed(Resumed) => "RESUMED",
    80 ReplaceAsked(ReplaceAsked) => "REPLACE_ASKED",
    81 ReplaceDropped(OrderEvent) => "REPLACE_DROPPED",
    82 Done(OrderEvent) => "DONE",
    95 OpeningMarks(OpeningMarks) => "OPENING_MARKS",
    96 PeakSet(PeakSet) => "PEAK_SET",
}

impl Record {
    /// Version byte of what [`Record::encode`] writes.
    pub const VERSION: u8 = 1;

    /// The body of those that tell an event of one order and nothing else.
    #[must_use]
    pub const fn order_event(&self) -> Option<&OrderEvent> {
        match self {
            Self::Acked(body)
            | Self::VenueRejected(body)
            | Self::InDoubt(body)
            | Self::NotSent(body)
            | Self::CancelRequested(body)
            | Self::Canceled(body)
            | Self::CancelRejected(body)
            | Self::CancelInDoubt(body)
            | Self::ReplaceRejected(body)
            | Self::Expired(body)
            | Self::AbsentAtVenue(body)
            | Self::ReplaceDropped(body)
            | Self::Done(body) => Some(body),
            _ => None,
        }
    }
}

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer build, or damaged.
    #[error("record kind {kind} version {version} is not known to this build")]
    Unknown {
        /// Kind byte.
        kind: u8,
        /// Version byte.
        version: u8,
    },
    /// The body does not decode.
    #[error("record kind {kind} version {version} does not decode: {error}")]
    Body {
        /// Kind byte.
        kind: u8,
        /// Version byte.
        version: u8,
        /// The decoder's words.
        error: String,
    },
}

mod bytes32 {
    use serde::{Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            return serializer.serialize_str(&hex);
        }
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = [u8; 32];
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("32 bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

//! An account: its balances and positions per mode, its orders, its request keys.

use crate::addresses::{Network, peer_address};
use crate::digest::Mix;
use crate::number::Amount;
use crate::order::Order;
use crate::record::KeyCreated;
use crate::requests::Requests;
use crate::sums::{Holder, StrategyIndex};
use crate::terms::{AccountId, InstrumentId, Mode, Nanos, OrderId, Scope, Side};
use crate::working::Working;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Index of an asset code, in order of first mention.
pub(crate) type AssetId = u32;

/// What an account has of one asset in one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Balance {
    /// All of it.
    pub total: Amount,
    /// The part that open orders hold: always the sum of their holds.
    pub held: Amount,
}

/// Sums of the fills of one instrument in one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Base bought.
    pub bought_qty: Amount,
    /// Quote paid for it.
    pub bought_quote: Amount,
    /// Base sold.
    pub sold_qty: Amount,
    /// Quote received for it.
    pub sold_quote: Amount,
    /// Fees taken in base.
    pub base_fees: Amount,
}

impl Position {
    /// No trades.
    pub const NOTHING: Self = Self {
        bought_qty: Amount::ZERO,
        bought_quote: Amount::ZERO,
        sold_qty: Amount::ZERO,
        sold_quote: Amount::ZERO,
        base_fees: Amount::ZERO,
    };

    /// Bought − sold − fees taken in base; `None` when out of range.
    #[must_use]
    pub fn quantity(&self) -> Option<Amount> {
        self.bought_qty.checked_sub(self.sold_qty)?.checked_sub(self.base_fees)
    }
}

impl Balance {
    pub(crate) fn digest(&self, account: AccountId, mode: Mode, asset: AssetId) -> u128 {
        let mix = Mix::new(6)
            .word(account.into())
            .word(u64::from(mode as u8))
            .word(asset.into());
        mix.wide(self.total.0).wide(self.held.0).finish()
    }
}

/// An account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Its index.
    pub id: AccountId,
    /// Its public id.
    pub name: String,
    /// When it was created.
    pub created_at: Nanos,
    pub(crate) balances: BTreeMap<(Mode, AssetId), Balance>,
    /// Its group of accounts that must not trade with each other; empty is its own.
    pub stp_group: String,
    /// Its orders in memory.
    pub(crate) orders: BTreeSet<OrderId>,
    /// Open orders per mode.
    pub(crate) open: [u32; 2],
    /// Client order ids of open orders.
    pub(crate) working: Working,
    pub(crate) requests: Requests,
}

impl Account {
    /// Open orders in this mode.
    #[must_use]
    pub const fn open_orders(&self, mode: Mode) -> u32 {
        self.open[index(mode)]
    }

    /// Request keys kept now.
    #[must_use]
    pub fn request_keys(&self) -> usize {
        self.requests.len()
    }
}

/// Place of a mode in a pair.
pub(crate) const fn index(mode: Mode) -> usize {
    match mode {
        Mode::Paper => 0,
        Mode::Live => 1,
    }
}

/// What the indexes and balances need to know of an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    pub id: OrderId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    pub mode: Mode,
    pub side: Side,
    pub deadline: Nanos,
    pub strategy: Option<StrategyIndex>,
}

impl Label {
    pub fn of(order: &Order) -> Self {
        let terms = &order.terms;
        let (account, instrument, mode, side) = (terms.account, terms.instrument, terms.mode, terms.side);
        Self {
            id: order.id,
            account,
            instrument,
            mode,
            side,
            deadline: order.send_deadline(),
            strategy: order.strategy,
        }
    }

    /// Whose sums the order is part of.
    pub fn holders(&self) -> impl Iterator<Item = Holder> + use<> {
        let strategy = self.strategy.map(Holder::Strategy);
        [Holder::Firm, Holder::Account(self.account)]
            .into_iter()
            .chain(strategy)
    }
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// As it was created.
    pub created: KeyCreated,
    /// When.
    pub created_at: Nanos,
    /// When it was revoked.
    pub revoked_at: Option<Nanos>,
    /// What its texts mean, so that a request only compares.
    #[serde(skip)]
    pub(crate) allowed: Allowed,
}

/// Where and for what a key may be used; empty is no restriction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Allowed {
    pub networks: Vec<Network>,
    /// Sorted.
    pub instruments: Vec<InstrumentId>,
}

impl Key {
    /// True when the key may do this. A key that may trade may cancel, too, and see what it did.
    #[must_use]
    pub fn allows(&self, needed: Scope) -> bool {
        let has = |scope: Scope| self.created.scopes & (1 << scope as u8) != 0;
        match needed {
            Scope::Read => has(Scope::Read) || has(Scope::Trade) || has(Scope::CancelOnly),
            Scope::CancelOnly => has(Scope::CancelOnly) || has(Scope::Trade),
            other => has(other),
        }
    }

    /// True when it may be used from this address; where there are networks, an unknown address is none of them.
    #[must_use]
    pub fn may_come_from(&self, peer: Option<&str>) -> bool {
        let networks = &self.allowed.networks;
        networks.is_empty()
            || peer
                .and_then(peer_address)
                .is_some_and(|address| networks.iter().any(|network| network.contains(address)))
    }

    /// True when it may trade the instrument.
    #[must_use]
    pub fn may_trade(&self, instrument: InstrumentId) -> bool {
        let instruments = &self.allowed.instruments;
        instruments.is_empty() || instruments.binary_search(&instrument).is_ok()
    }

    /// True while it is accepted.
    #[must_use]
    pub fn is_valid(&self, now: Nanos) -> bool {
        self.revoked_at.is_none() && self.created.expires_at.is_none_or(|end| now < end)
    }
}

/// Orders of one mode that something waits for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    /// Not ended.
    pub open: BTreeSet<OrderId>,
    /// Open, and no session was told to send them: oldest first.
    pub unsent: BTreeSet<OrderId>,
    /// The same, by the time when they have waited long enough.
    pub deadlines: BTreeSet<(Nanos, OrderId)>,
    /// SUBMIT_STARTED without any report since.
    pub unanswered: BTreeSet<OrderId>,
    /// SUBMIT_STARTED without an outcome: neither acknowledged, ended nor in doubt.
    pub without_outcome: BTreeSet<OrderId>,
    /// Shown as IN_DOUBT.
    pub in_doubt: BTreeSet<OrderId>,
    /// Open orders that end at a time of their own and that nobody cancels yet, by that time.
    pub expiring: BTreeSet<(Nanos, OrderId)>,
    /// Canceled orders whose new order is still to be placed.
    pub renewals: BTreeSet<OrderId>,
}

impl Book {
    /// Puts the order where its facts say, and takes it out of where they no longer say.
    pub fn place(&mut self, label: &Label, before: Place, now: Place) {
        let (id, deadline) = (label.id, label.deadline);
        let set = |set: &mut BTreeSet<OrderId>, was: bool, is: bool| match (was, is) {
            (false, true) => {
                set.insert(id);
            }
            (true, false) => {
                set.remove(&id);
            }
            _ => {}
        };
        set(&mut self.open, before.open, now.open);
        set(&mut self.unsent, before.unsent, now.unsent);
        set(&mut self.unanswered, before.unanswered, now.unanswered);
        set(&mut self.without_outcome, before.without_outcome, now.without_outcome);
        set(&mut self.in_doubt, before.in_doubt, now.in_doubt);
        set(&mut self.renewals, before.renewal, now.renewal);
        if before.expires != now.expires {
            if let Some(at) = before.expires {
                self.expiring.remove(&(at, id));
            }
            if let Some(at) = now.expires {
                self.expiring.insert((at, id));
            }
        }
        match (before.unsent, now.unsent) {
            (false, true) => {
                self.deadlines.insert((deadline, id));
            }
            (true, false) => {
                self.deadlines.remove(&(deadline, id));
            }
            _ => {}
        }
    }
}

/// Where an order belongs in its [`Book`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub open: bool,
    unsent: bool,
    unanswered: bool,
    without_outcome: bool,
    in_doubt: bool,
    renewal: bool,
    expires: Option<Nanos>,
}

impl Place {
    pub fn of(order: &Order) -> Self {
        let open = order.is_open();
        Self {
            open,
            unsent: order.is_unsent(),
            unanswered: order.is_unanswered(),
            without_outcome: open && order.submit.is_some() && !order.acked && !order.in_doubt,
            in_doubt: open && order.in_doubt,
            renewal: order.awaits_renewal(),
            expires: order
                .terms
                .expire_at()
                .filter(|_| open && !order.cancel_pending && !order.cancel_wanted),
        }
    }
}

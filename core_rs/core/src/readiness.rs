//! Whether LIVE orders of an account can be sent now: as its venue last told, empty after a start. Nothing of it is
//! journaled.

use crate::account::Account;
use crate::engine::Engine;
use crate::order::Order;
use crate::refusal::{self, Refusal};
use crate::risk::VenueFacts;
use crate::terms::{AccountId, InstrumentId, Mode, Nanos, OrderId};
use crate::venue_reports::{LONGEST_CODE, LONGEST_TEXT, clip};
use std::collections::BTreeMap;

/// Why an account is not ready that nothing was told of.
const NOT_TOLD: &str = "the exchange connection is not ready for this account";
/// Why no account is ready after a crash.
pub const RESUME: &str = "LIVE waits for `ordergate resume` after a crash";
/// When trying again may help, unless the venue tells.
const RETRY_MS: u32 = 1_000;

/// What a venue told of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// True when its orders can be sent.
    pub ready: bool,
    /// Why not.
    pub reason: String,
    /// When trying again may help; 0 when nobody knows.
    pub retry_after_ms: u32,
}

/// New orders that a venue still lets an account place.
#[derive(Debug, Clone, Copy)]
struct Budget {
    orders_left: u32,
    /// From then on there is room again.
    until: Nanos,
}

/// What the LIVE venue told in this session.
#[derive(Debug, Default)]
pub(crate) struct Live {
    accounts: BTreeMap<AccountId, Readiness>,
    budgets: BTreeMap<AccountId, Budget>,
    /// What the last look for an order in doubt told, and when.
    doubts: BTreeMap<OrderId, (String, Nanos)>,
    /// After a crash a person must let LIVE go on.
    pub resume_manual: bool,
    /// Orders in doubt leave only reducing orders in their symbol.
    pub doubt_reduces: bool,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            doubt_reduces: true,
            ..Self::default()
        }
    }

    /// A session began or ended: what the last one told is worth nothing.
    pub(crate) fn forget(&mut self) {
        self.accounts.clear();
        self.budgets.clear();
    }

    pub(crate) fn ready(&mut self, account: AccountId, ready: bool, reason: &str, retry_after_ms: u32) {
        let readiness = Readiness {
            ready,
            reason: clip(reason, LONGEST_CODE),
            retry_after_ms,
        };
        self.accounts.insert(account, readiness);
    }

    pub(crate) fn budget(&mut self, account: AccountId, orders_left: u32, retry_after_ms: u32, now: Nanos) {
        let until = now.saturating_add(i64::from(retry_after_ms) * 1_000_000);
        self.budgets.insert(account, Budget { orders_left, until });
    }

    /// New orders that the venue takes of the account now; `None` when it has not told, or long ago.
    pub(crate) fn orders_left(&self, account: AccountId, now: Nanos) -> Option<u32> {
        let told = self.budgets.get(&account).filter(|told| now < told.until)?;
        Some(told.orders_left)
    }

    /// An order was accepted: it uses up one, until the venue tells anew.
    pub(crate) fn spend(&mut self, account: AccountId) {
        if let Some(told) = self.budgets.get_mut(&account) {
            told.orders_left = told.orders_left.saturating_sub(1);
        }
    }
}

impl Engine {
    /// After a crash a person must let LIVE go on.
    pub const fn set_resume_manual(&mut self, manual: bool) {
        self.live.resume_manual = manual;
    }

    /// Whether an order in doubt leaves only reducing orders of its account in its symbol (LIVE).
    pub const fn set_doubt_reduces(&mut self, reduces: bool) {
        self.live.doubt_reduces = reduces;
    }

    /// Whether LIVE waits for a person.
    #[must_use]
    pub const fn waits_for_resume(&self) -> bool {
        self.live.resume_manual && self.state.resume_needed()
    }

    /// What the LIVE venue told of each account.
    pub fn live_accounts(&self) -> impl Iterator<Item = (AccountId, &Readiness)> {
        self.live
            .accounts
            .iter()
            .map(|(account, readiness)| (*account, readiness))
    }

    /// True when orders of the account can be sent now; PAPER always can while its venue is connected.
    pub(crate) fn can_send(&self, mode: Mode, account: AccountId) -> bool {
        mode == Mode::Paper
            || !self.waits_for_resume() && self.live.accounts.get(&account).is_some_and(|told| told.ready)
    }

    /// Whether the venue takes orders of the account now.
    ///
    /// # Errors
    /// `venue_unavailable` with the reason.
    pub(crate) fn check_venue(&self, mode: Mode, account: &Account) -> Result<(), Refusal> {
        if mode == Mode::Paper {
            return Ok(());
        }
        let unavailable =
            |why: &str| Refusal::new(refusal::VENUE_UNAVAILABLE, format!("LIVE is not available: {why}."));
        if self.attached(Mode::Live).is_none() {
            return Err(unavailable("the exchange connection is down").retry_after_ms(RETRY_MS));
        }
        if self.waits_for_resume() {
            return Err(unavailable(RESUME));
        }
        match self.live.accounts.get(&account.id) {
            Some(told) if told.ready => Ok(()),
            Some(told) => {
                let after = if told.retry_after_ms == 0 {
                    RETRY_MS
                } else {
                    told.retry_after_ms
                };
                Err(unavailable(&told.reason).retry_after_ms(after))
            }
            None => Err(unavailable(NOT_TOLD).retry_after_ms(RETRY_MS)),
        }
    }

    /// What the risk checks see of the venue; PAPER has nothing to tell.
    pub(crate) fn venue_facts(
        &self,
        account: AccountId,
        mode: Mode,
        instrument: InstrumentId,
        now: Nanos,
    ) -> VenueFacts {
        if mode == Mode::Paper {
            return VenueFacts::default();
        }
        let concerned = |order: &Order| (order.terms.account, order.terms.instrument) == (account, instrument);
        VenueFacts {
            drift: self.state.drift_of(mode, account, instrument).is_some(),
            in_doubt: self.live.doubt_reduces && self.state.doubts(mode).any(concerned),
            orders_left: self.live.orders_left(account, now),
        }
    }

    /// What the last look for an order in doubt has told.
    pub(crate) fn doubt_seen(&mut self, order: OrderId, text: &str, now: Nanos) {
        let in_doubt = &self.state.books[crate::account::index(Mode::Live)].in_doubt;
        self.live.doubts.retain(|known, _| in_doubt.contains(known));
        if in_doubt.contains(&order) {
            self.live.doubts.insert(order, (clip(text, LONGEST_TEXT), now));
        }
    }

    /// What the last look for an order in doubt told, and when.
    #[must_use]
    pub fn last_look(&self, order: OrderId) -> Option<(&str, Nanos)> {
        self.live.doubts.get(&order).map(|(text, at)| (text.as_str(), *at))
    }
}

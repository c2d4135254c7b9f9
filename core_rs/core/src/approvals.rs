//! The second person: approving and rejecting changes, and overrides that let one order pass.

use crate::engine::{Decided, Engine};
use crate::limit_changes::{Changed, MAX_REQUESTS, check_words, is_same_person, named_account, named_instrument};
use crate::limits::LimitKind;
use crate::record::{Change, ChangeClosed, OverrideAsked, OverrideGranted, Record};
use crate::refusal::{self, Refusal};
use crate::request::NewOrder;
use crate::state::Broken;
use crate::terms::{AccountId, ChangeOutcome, InstrumentId, Nanos, Seq};

/// Longest that an override may be used once it is granted.
pub const OVERRIDE_LONGEST_NS: Nanos = 24 * 3600 * 1_000_000_000;
/// Who closes what has expired.
const GATEWAY: &str = "gateway";

/// An override that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct NewOverride<'a> {
    /// Whose order.
    pub account: &'a str,
    /// Only in this symbol.
    pub symbol: Option<&'a str>,
    /// The checks that need not pass.
    pub kinds: &'a [LimitKind],
    /// How long it may be used once it is granted, in nanoseconds.
    pub valid_for_ns: Nanos,
}

impl Engine {
    /// Asks a second person to let one order pass in spite of limits. Balance, kill and trading state are no limits.
    ///
    /// # Errors
    /// `not_found` for an unknown account or symbol, `invalid_parameter` for the rest, `change_request_quota`.
    pub fn request_override(
        &mut self,
        asked: &NewOverride<'_>,
        by: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Changed> {
        self.check_poison()?;
        let change = check_words(by, reason).and_then(|()| {
            let account = named_account(&self.state, asked.account)?;
            let named = |symbol| named_instrument(&self.state, symbol);
            let instrument = asked.symbol.map(named).transpose()?;
            let mut kinds = asked.kinds.to_vec();
            kinds.sort_unstable();
            kinds.dedup();
            let field = |name, message| Err(Refusal::field(refusal::INVALID_PARAMETER, name, message));
            if kinds.is_empty() {
                return field("kinds", "must name at least one");
            }
            if !(1..=OVERRIDE_LONGEST_NS).contains(&asked.valid_for_ns) {
                return field("validForMs", "must be 1 to 86400000");
            }
            Ok(Change::Override(OverrideAsked {
                account,
                instrument,
                kinds,
                valid_for_ns: asked.valid_for_ns,
            }))
        });
        match change {
            Ok(change) => self.request_change(change, by, reason, now),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Lets a change take effect: what it changes and its end are journaled together.
    ///
    /// # Errors
    /// `not_found` when it does not wait (any more), `second_person_needed` for whoever asked, and whatever the change
    /// would be refused for now.
    pub fn approve(&mut self, request: Seq, by: &str, now: Nanos) -> Decided<Seq> {
        self.check_poison()?;
        let now = now.max(self.state.last_ts());
        let asked = match self.check_approval(request, by, now) {
            Ok(()) => self.state.rules.requests.get(&request).cloned(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(asked) = asked else {
            return Ok(Err(waits_not(request)));
        };
        let seq = match asked.change.clone() {
            Change::Limit(change) => self.change_limit(change, &asked.by, Some(by), &asked.reason, now)?,
            Change::Override(change) => {
                let granted = OverrideGranted {
                    request,
                    account: change.account,
                    instrument: change.instrument,
                    kinds: change.kinds,
                    expires_at: now.saturating_add(change.valid_for_ns),
                    by: asked.by,
                    approved_by: by.to_owned(),
                    reason: asked.reason,
                };
                self.commit(Record::OverrideGranted(granted), now)?
            }
            Change::Absent(change) => self.declare_absent(change.order, &asked, by, now)?,
        };
        self.close_request(request, ChangeOutcome::Approved, by, now)?;
        Ok(Ok(seq))
    }

    fn check_approval(&self, request: Seq, by: &str, now: Nanos) -> Result<(), Refusal> {
        check_words(by, GATEWAY)?;
        let found = self.state.rules.requests.get(&request);
        let asked = found
            .filter(|asked| now < asked.expires_at)
            .ok_or_else(|| waits_not(request))?;
        if is_same_person(&asked.by, by) {
            let detail = format!("{} asked for this change: somebody else must approve it.", asked.by);
            return Err(Refusal::new(refusal::SECOND_PERSON_NEEDED, detail));
        }
        let unused = |granted: &&OverrideGranted| now < granted.expires_at;
        let granted = self.state.rules.overrides.values().filter(unused).count();
        if matches!(asked.change, Change::Override(_)) && granted >= MAX_REQUESTS {
            let detail = format!("{MAX_REQUESTS} overrides are granted and unused.");
            return Err(Refusal::new(refusal::CHANGE_REQUEST_QUOTA, detail));
        }
        if self.limit_now(&asked.change) != asked.old {
            let detail = "The limit was changed after this was asked for: ask anew.";
            return Err(Refusal::new(refusal::LIMIT_CHANGED, detail));
        }
        self.check_change(&asked.change)
    }

    /// Ends a change that waits, without effect; whoever asked may do that, too.
    ///
    /// # Errors
    /// `not_found` when it does not wait (any more).
    pub fn reject(&mut self, request: Seq, by: &str, now: Nanos) -> Decided<Seq> {
        self.check_poison()?;
        let waits = check_words(by, GATEWAY).and_then(|()| {
            let known = self.state.rules.requests.contains_key(&request);
            known.then_some(()).ok_or_else(|| waits_not(request))
        });
        match waits {
            Ok(()) => self.close_request(request, ChangeOutcome::Rejected, by, now).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Ends the changes that nobody has decided about in time. All wait equally long, so the oldest come first.
    pub(crate) fn expire_requests(&mut self, now: Nanos) -> Result<(), Broken> {
        while let Some((request, asked)) = self.state.rules.requests.first_key_value() {
            if now < asked.expires_at {
                break;
            }
            self.close_request(*request, ChangeOutcome::Expired, GATEWAY, now)?;
        }
        Ok(())
    }

    fn close_request(&mut self, request: Seq, outcome: ChangeOutcome, by: &str, now: Nanos) -> Result<Seq, Broken> {
        let by = by.to_owned();
        self.commit(Record::ChangeClosed(ChangeClosed { request, outcome, by }), now)
    }

    /// The account that an open change concerns; the firm's concerns none.
    ///
    /// # Errors
    /// `not_found` when it does not wait (any more).
    pub fn account_of_request(&self, request: Seq) -> Result<Option<AccountId>, Refusal> {
        let asked = self.state.rules.requests.get(&request);
        match &asked.ok_or_else(|| waits_not(request))?.change {
            Change::Limit(change) => Ok(self.state.account_of_owner(&change.scope.owner)),
            Change::Override(change) => Ok(Some(change.account)),
            Change::Absent(change) => Ok(self.state.order(change.order).map(|order| order.terms.account)),
        }
    }

    /// The checks that need not pass for this order: those of the override that it names.
    #[must_use]
    pub fn excused(&self, order: &NewOrder) -> &[LimitKind] {
        let granted = order.override_id.and_then(|id| self.state.rules.overrides.get(&id));
        granted.map_or(&[], |granted| &granted.kinds)
    }

    /// Whether the override that the order names, if any, is there for it.
    pub(crate) fn check_override(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        order: &NewOrder,
        now: Nanos,
    ) -> Result<(), Refusal> {
        let Some(id) = order.override_id else { return Ok(()) };
        let own = self.state.rules.overrides.get(&id).is_some_and(|granted| {
            granted.account == account
                && granted.instrument.is_none_or(|only| only == instrument)
                && now < granted.expires_at
        });
        own.then_some(()).ok_or_else(|| {
            let message = "is unknown, used, expired, or granted for something else";
            Refusal::field(refusal::OVERRIDE_INVALID, "overrideId", message)
        })
    }
}

fn waits_not(request: Seq) -> Refusal {
    Refusal::field(
        refusal::NOT_FOUND,
        "request",
        format!("{request} does not wait for anybody"),
    )
}

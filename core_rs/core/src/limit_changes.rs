//! Commands that change limits: at once when they tighten, with a second person when they loosen by much.

use crate::administration::check_text;
use crate::engine::{Decided, Engine};
use crate::limits::{LimitKind, LimitScope, Owner, Unit, is_looser};
use crate::number::parse_decimal;
use crate::record::{Change, ChangeRequested, LimitChange, LimitChanged, Record};
use crate::refusal::{self, Refusal};
use crate::state::{Broken, State};
use crate::terms::{AccountId, Nanos, Seq};

/// A limit may be loosened by so many percent of itself without a second person, unless the setting says otherwise.
pub const LOOSEN_PERCENT: u32 = 10;
/// How long a change waits for a second person.
pub const REQUEST_KEEP_NS: Nanos = 24 * 3600 * 1_000_000_000;
/// Most changes of an account that its keys may let wait; operators have no such bound. Also the most overrides that may
/// be granted and unused.
pub const MAX_REQUESTS: usize = 1_000;
/// Largest amount and share, scaled: far above any account, and far from where products leave their range.
const MOST_SCALED: i128 = 10_i128.pow(26);
/// Largest count and number of milliseconds.
const MOST_WHOLE: i128 = i32::MAX as i128;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// In force since this record.
    InForce(Seq),
    /// Waits for a second person as this request.
    Waits(Seq),
    /// It was so already: nothing was journaled.
    Same,
}

fn invalid_limit(field: &str, message: impl Into<String>) -> Refusal {
    Refusal::field(refusal::INVALID_LIMIT, field, message)
}

fn not_found(field: &str, message: impl Into<String>) -> Refusal {
    Refusal::field(refusal::NOT_FOUND, field, message)
}

/// A limit's number in the unit of its kind; `unit`, when given, must be that unit's word.
///
/// # Errors
/// `invalid_limit`: not a number, negative, too large, not whole where only whole numbers are, or another unit.
pub fn parse_limit(kind: LimitKind, text: &str, unit: Option<&str>) -> Result<i128, Refusal> {
    let own = kind.unit();
    if let Some(other) = unit.filter(|unit| *unit != own.as_str()) {
        let message = format!(
            "{kind} is measured in {}, not in {other}",
            own.as_str(),
            kind = kind.as_str()
        );
        return Err(invalid_limit("unit", message));
    }
    let scaled = parse_decimal(text).map_err(|error| invalid_limit("value", error.to_string()))?;
    let value = match own {
        Unit::Base | Unit::Money | Unit::Ratio => scaled,
        Unit::Count | Unit::Millis if scaled % crate::number::UNIT == 0 => scaled / crate::number::UNIT,
        Unit::Count | Unit::Millis => return Err(invalid_limit("value", "must be a whole number")),
    };
    check_range(kind, value).map(|()| value)
}

fn check_range(kind: LimitKind, value: i128) -> Result<(), Refusal> {
    let most = match kind.unit() {
        Unit::Base | Unit::Money | Unit::Ratio => MOST_SCALED,
        Unit::Count | Unit::Millis => MOST_WHOLE,
    };
    match value {
        ..0 => Err(invalid_limit("value", "must not be negative")),
        value if value > most => Err(invalid_limit("value", "is too large")),
        _ => Ok(()),
    }
}

impl State {
    /// The scope with these words: `firm`, `account`, `strategy` or `key`, whose, and a symbol.
    ///
    /// # Errors
    /// `not_found` names the word that leads nowhere.
    pub fn limit_scope(&self, scope: &str, target: &str, symbol: Option<&str>) -> Result<LimitScope, Refusal> {
        let owner = match scope {
            "firm" if target.is_empty() => Some(Owner::Firm),
            "account" => self.account_named(target).map(|account| Owner::Account(account.id)),
            "strategy" => self.strategy(target).map(|_| Owner::Strategy(target.to_owned())),
            "key" => {
                let id = target.parse().ok().filter(|id| self.key(*id).is_some());
                id.map(Owner::Key)
            }
            "firm" => None,
            other => {
                return Err(not_found(
                    "scope",
                    format!("{other:?} is none of firm, account, strategy, key"),
                ));
            }
        };
        let owner = owner.ok_or_else(|| not_found("target", format!("there is no {scope} {target:?}")))?;
        let instrument = match symbol {
            None => None,
            Some(symbol) => {
                let found = self.instrument_by_symbol(symbol);
                let found = found.ok_or_else(|| not_found("symbol", format!("there is no {symbol:?}")))?;
                Some(found.instrument)
            }
        };
        Ok(LimitScope { owner, instrument })
    }

    /// The words of a scope: what, whose, and its symbol.
    #[must_use]
    pub fn scope_words(&self, scope: &LimitScope) -> (&'static str, String, Option<&str>) {
        let symbol = scope.instrument.and_then(|id| self.instrument(id));
        let symbol = symbol.map(|instrument| instrument.symbol.as_str());
        let account = |id: AccountId| self.account(id).map(|account| account.name.clone());
        let (word, target) = match &scope.owner {
            Owner::Firm => ("firm", String::new()),
            Owner::Account(id) => ("account", account(*id).unwrap_or_default()),
            Owner::Strategy(name) => ("strategy", name.clone()),
            Owner::Key(id) => ("key", id.to_string()),
        };
        (word, target, symbol)
    }

    /// The account that an owner of limits belongs to; the firm to none.
    #[must_use]
    pub fn account_of_owner(&self, owner: &Owner) -> Option<AccountId> {
        match owner {
            Owner::Firm => None,
            Owner::Account(id) => Some(*id),
            Owner::Strategy(name) => self.strategy(name).map(|strategy| strategy.account),
            Owner::Key(id) => self.key(*id).map(|key| key.created.account),
        }
    }

    /// The strictest limit of this kind in the scopes that contain this one, and whose it is.
    fn parent_limit(&self, scope: &LimitScope, kind: LimitKind) -> Option<(LimitScope, i128)> {
        let account = self.account_of_owner(&scope.owner).map(Owner::Account);
        let owners = [Some(scope.owner.clone()), account, Some(Owner::Firm)];
        let places = [None, scope.instrument];
        let wider = owners.into_iter().flatten().flat_map(|owner| {
            places.map(|instrument| LimitScope {
                owner: owner.clone(),
                instrument,
            })
        });
        let limits = wider.filter(|wider| wider != scope).filter_map(|wider| {
            let limit = self.rules.limits.limit(&wider, kind)?;
            Some((wider, limit))
        });
        limits.min_by_key(|(_, limit)| *limit)
    }

    fn check_limit(&self, change: &LimitChange) -> Result<(), Refusal> {
        let LimitChange { scope, kind, value } = change;
        let word = kind.as_str();
        if kind.owners() & scope.owner.bit() == 0 {
            let (owner, ..) = self.scope_words(scope);
            return Err(invalid_limit("kind", format!("{word} is no limit of a {owner}")));
        }
        if scope.instrument.is_some() && !kind.takes_symbol() {
            return Err(invalid_limit("symbol", format!("{word} is not per symbol")));
        }
        let Some(value) = *value else { return Ok(()) };
        check_range(*kind, value)?;
        match self.parent_limit(scope, *kind) {
            Some((parent, most)) if value > most => {
                let (owner, target, symbol) = self.scope_words(&parent);
                let of = [owner, &target, symbol.unwrap_or_default()].join(" ");
                let most = kind.value_text(most);
                Err(invalid_limit(
                    "value",
                    format!("is looser than the {most} of {}", of.trim_end()),
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Engine {
    /// How many percent of itself a limit may be loosened by without a second person.
    pub const fn set_loosen_percent(&mut self, percent: u32) {
        self.loosen_percent = percent;
    }

    /// Sets a limit, or takes it away (`None`). One that tightens is in force at once; one that loosens by more than
    /// the configured share, or takes a limit away, waits for a second person.
    ///
    /// # Errors
    /// `invalid_limit` for a value, kind or symbol that cannot be, or that is looser than a limit of a wider scope.
    pub fn set_limit(
        &mut self,
        scope: LimitScope,
        kind: LimitKind,
        value: Option<i128>,
        by: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Changed> {
        self.check_poison()?;
        let change = LimitChange { scope, kind, value };
        let checked = check_words(by, reason).and_then(|()| self.state.check_limit(&change));
        if let Err(refusal) = checked {
            return Ok(Err(refusal));
        }
        let old = self.state.rules.limits.limit(&change.scope, kind);
        if old == value {
            return Ok(Ok(Changed::Same));
        }
        if self.loosens_much(old, value) {
            return self.request_change(Change::Limit(change), by, reason, now);
        }
        let seq = self.change_limit(change, by, None, reason, now)?;
        Ok(Ok(Changed::InForce(seq)))
    }

    fn loosens_much(&self, old: Option<i128>, new: Option<i128>) -> bool {
        match (old, new) {
            (Some(old), Some(value)) if is_looser(Some(old), new) => {
                // Both are bounded by `check_range`, so the products are far from overflow.
                (value - old) * 100 > old * i128::from(self.loosen_percent)
            }
            _ => is_looser(old, new),
        }
    }

    pub(crate) fn change_limit(
        &mut self,
        change: LimitChange,
        by: &str,
        approved_by: Option<&str>,
        reason: &str,
        now: Nanos,
    ) -> Result<Seq, Broken> {
        let LimitChange { scope, kind, value } = change;
        let record = LimitChanged {
            old: self.state.rules.limits.limit(&scope, kind),
            scope,
            kind,
            value,
            version: self.state.limits_version().saturating_add(1),
            by: by.to_owned(),
            approved_by: approved_by.map(str::to_owned),
            reason: reason.to_owned(),
        };
        self.commit(Record::LimitChanged(record), now)
    }

    /// Whether what a request asks for may still be done.
    pub(crate) fn check_change(&self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::Limit(change) => self.state.check_limit(change),
            Change::Override(_) => Ok(()),
            Change::Absent(change) => self.check_absent(*change),
        }
    }

    /// Whether a key of the account may ask for one more change; what others' keys asked for does not count.
    ///
    /// # Errors
    /// `change_request_quota`.
    pub fn check_request_quota(&self, account: AccountId) -> Result<(), Refusal> {
        let ids = self.state.rules.requests.keys();
        let own = ids.filter(|id| self.account_of_request(**id) == Ok(Some(account)));
        if own.count() < MAX_REQUESTS {
            return Ok(());
        }
        let detail = format!("{MAX_REQUESTS} changes of the account wait for a second person.");
        Err(Refusal::new(refusal::CHANGE_REQUEST_QUOTA, detail))
    }

    pub(crate) fn request_change(&mut self, change: Change, by: &str, reason: &str, now: Nanos) -> Decided<Changed> {
        let record = ChangeRequested {
            change,
            by: by.to_owned(),
            reason: reason.to_owned(),
            expires_at: now.max(self.state.last_ts()).saturating_add(REQUEST_KEEP_NS),
        };
        let seq = self.commit(Record::ChangeRequested(record), now)?;
        Ok(Ok(Changed::Waits(seq)))
    }
}

/// Who and why, as every change of the rules has them.
pub(crate) fn check_words(by: &str, reason: &str) -> Result<(), Refusal> {
    check_text("by", by)?;
    check_text("reason", reason)
}

/// The kinds with these words.
///
/// # Errors
/// `invalid_limit` names the first word that is none.
pub fn parse_kinds<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Vec<LimitKind>, Refusal> {
    let parse = |word: &str| {
        LimitKind::parse(word).ok_or_else(|| invalid_limit("kind", format!("{word:?} is no kind of limit")))
    };
    words.into_iter().map(parse).collect()
}

/// A person, however the name is capitalized.
pub(crate) fn is_same_person(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// The account with this name.
pub(crate) fn named_account(state: &State, name: &str) -> Result<AccountId, Refusal> {
    let found = state.account_named(name).map(|account| account.id);
    found.ok_or_else(|| not_found("account", format!("there is no account {name:?}")))
}

/// The instrument with this symbol.
pub(crate) fn named_instrument(state: &State, symbol: &str) -> Result<u32, Refusal> {
    let found = state.instrument_by_symbol(symbol);
    found
        .map(|instrument| instrument.instrument)
        .ok_or_else(|| not_found("symbol", format!("there is no symbol {symbol:?}")))
}

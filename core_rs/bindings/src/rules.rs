//! Limits, strategies, approvals, restricted symbols and hours. Refusals are values here: the administration and the
//! API tell them in words of their own.

use crate::gateway::Gateway;
use crate::refusal::Refusal as PyRefusal;
use crate::requests::{Either, token_hash};
use ordergate_core::engine::{Changed, Engine, NewOverride, parse_kinds, parse_limit};
use ordergate_core::limits::{LimitKind, LimitScope, Owner, is_looser};
use ordergate_core::number::Amount;
use ordergate_core::record::Change;
use ordergate_core::refusal::{self, Refusal};
use ordergate_core::state::{Broken, State};
use ordergate_core::terms::{AccountId, Mode, Nanos, Scope, Seq};
use pyo3::prelude::*;
use serde_json::{Value, json};

/// What became of a change: a word and its record.
pub(crate) type Told = Either<(&'static str, Seq), PyRefusal>;
/// A record's sequence (0: it was so already), or a refusal.
pub(crate) type Recorded = Either<Seq, PyRefusal>;

pub(crate) fn told(changed: Result<Changed, Refusal>) -> Told {
    match changed {
        Ok(Changed::InForce(seq)) => Either::Answer(("IN_FORCE", seq)),
        Ok(Changed::Waits(seq)) => Either::Answer(("WAITING", seq)),
        Ok(Changed::Same) => Either::Answer(("UNCHANGED", 0)),
        Err(refused) => Either::Refusal(refused.into()),
    }
}

pub(crate) fn recorded(done: Result<Option<Seq>, Refusal>) -> Recorded {
    match done {
        Ok(seq) => Either::Answer(seq.unwrap_or(0)),
        Err(refused) => Either::Refusal(refused.into()),
    }
}

/// A limit as it stands or is asked for.
fn limit_json(state: &State, scope: &LimitScope, kind: LimitKind, value: Option<i128>) -> Value {
    let (word, target, symbol) = state.scope_words(scope);
    json!({"scope": word, "target": target, "symbol": symbol, "kind": kind.as_str(),
        "value": value.map(|value| kind.value_text(value)), "unit": kind.unit().as_str()})
}

pub(crate) fn account_name(state: &State, account: Option<AccountId>) -> Option<&str> {
    Some(state.account(account?)?.name.as_str())
}

pub(crate) fn symbol_of(state: &State, instrument: u32) -> &str {
    state
        .instrument(instrument)
        .map_or("", |instrument| instrument.symbol.as_str())
}

impl Gateway {
    /// The account with this name, when the caller may look at or change only that one.
    fn within(&self, account: Option<&str>) -> Result<Option<AccountId>, Refusal> {
        let named = |name: &str| {
            let found = self.engine.state().account_named(name).map(|account| account.id);
            found.ok_or_else(|| Refusal::new(refusal::NOT_FOUND, "There is no such account."))
        };
        account.map(named).transpose()
    }

    /// The firm's limits are the operator's; somebody else's are not there.
    fn check_owner(&self, owner: &Owner, within: Option<AccountId>) -> Result<(), Refusal> {
        let Some(own) = within else { return Ok(()) };
        match self.engine.state().account_of_owner(owner) {
            Some(account) if account == own => Ok(()),
            Some(_) => Err(Refusal::new(
                refusal::NOT_FOUND,
                "There is no such thing in this account.",
            )),
            None => Err(Refusal::new(
                refusal::FORBIDDEN,
                "The firm's limits are changed by an operator.",
            )),
        }
    }

    fn check_request(&self, request: Seq, within: Option<&str>) -> Result<(), Refusal> {
        let Some(own) = self.within(within)? else { return Ok(()) };
        match self.engine.account_of_request(request)? {
            Some(account) if account == own => Ok(()),
            _ => Err(Refusal::new(
                refusal::NOT_FOUND,
                "There is no such request in this account.",
            )),
        }
    }

    fn check_strategy(&self, name: &str, within: Option<&str>) -> Result<(), Refusal> {
        let Some(own) = self.within(within)? else { return Ok(()) };
        let account = self.engine.state().strategy(name).map(|strategy| strategy.account);
        let found = (account == Some(own)).then_some(());
        found.ok_or_else(|| Refusal::new(refusal::NOT_FOUND, "There is no such strategy in this account."))
    }

    /// Runs a command after a check that needs nothing but the state.
    fn checked<T>(
        &mut self,
        check: Result<(), Refusal>,
        run: impl FnOnce(&mut Engine, Nanos) -> Result<Result<T, Refusal>, Broken>,
    ) -> PyResult<Result<T, Refusal>> {
        match check {
            Ok(()) => self.command(run),
            Err(refused) => Ok(Err(refused)),
        }
    }
}

#[pymethods]
impl Gateway {
    /// Who asks: the account and the owner of the key, which took a place in its rate. With `or_scope` a key with only
    /// that one may ask, too.
    #[pyo3(signature = (authorization, scope, peer=None, or_scope=None))]
    fn caller_of(
        &mut self,
        authorization: Option<&str>,
        scope: &str,
        peer: Option<&str>,
        or_scope: Option<&str>,
    ) -> PyResult<Either<(String, String), PyRefusal>> {
        let named = |word: &str| Scope::parse(word).ok_or_else(|| Self::misuse(format!("unknown scope {word}")));
        let (scope, other) = (named(scope)?, named(or_scope.unwrap_or(scope))?);
        let (now, token) = (self.clock.now(), token_hash(authorization));
        let asked = self.engine.authorize_either(&token, scope, other, peer, now);
        let state = self.engine.state();
        Ok(match asked {
            Ok(caller) => {
                let name = account_name(state, Some(caller.account)).unwrap_or_default();
                let owner = state.key(caller.key).map_or("", |key| key.created.owner.as_str());
                Either::Answer((name.to_owned(), owner.to_owned()))
            }
            Err(refused) => Either::Refusal(refused.into()),
        })
    }

    #[pyo3(signature = (scope, target, symbol, kind, value, unit, by, reason, within=None))]
    #[allow(clippy::too_many_arguments, reason = "the change's own fields")]
    fn set_limit(
        &mut self,
        scope: &str,
        target: &str,
        symbol: Option<&str>,
        kind: &str,
        value: Option<&str>,
        unit: Option<&str>,
        by: &str,
        reason: &str,
        within: Option<&str>,
    ) -> PyResult<Told> {
        let read = || -> Result<_, Refusal> {
            let scope = self.engine.state().limit_scope(scope, target, symbol)?;
            let own = self.within(within)?;
            self.check_owner(&scope.owner, own)?;
            let kind = parse_kinds([kind])?[0];
            let value = value.map(|value| parse_limit(kind, value, unit)).transpose()?;
            // What tightens never waits.
            let old = self.engine.state().limit_table().limit(&scope, kind);
            if let Some(own) = own.filter(|_| is_looser(old, value)) {
                self.engine.check_request_quota(own)?;
            }
            Ok((scope, kind, value))
        };
        match read() {
            Ok((scope, kind, value)) => self
                .command(|engine, now| engine.set_limit(scope, kind, value, by, reason, now))
                .map(told),
            Err(refused) => Ok(Either::Refusal(refused.into())),
        }
    }

    #[pyo3(signature = (account, symbol, kinds, valid_for_ms, by, reason, within=None))]
    #[allow(clippy::too_many_arguments, reason = "the request's own fields")]
    fn request_override(
        &mut self,
        account: &str,
        symbol: Option<&str>,
        kinds: Vec<String>,
        valid_for_ms: u32,
        by: &str,
        reason: &str,
        within: Option<&str>,
    ) -> PyResult<Told> {
        let read = || -> Result<_, Refusal> {
            let own = self.within(within)?;
            own.map_or(Ok(()), |own| self.engine.check_request_quota(own))?;
            parse_kinds(kinds.iter().map(String::as_str))
        };
        let kinds = match read() {
            Ok(kinds) => kinds,
            Err(refused) => return Ok(Either::Refusal(refused.into())),
        };
        let asked = NewOverride {
            account,
            symbol,
            kinds: &kinds,
            valid_for_ns: Nanos::from(valid_for_ms) * 1_000_000,
        };
        self.command(|engine, now| engine.request_override(&asked, by, reason, now))
            .map(told)
    }

    #[pyo3(signature = (request, by, within=None))]
    fn approve(&mut self, request: Seq, by: &str, within: Option<&str>) -> PyResult<Recorded> {
        let check = self.check_request(request, within);
        let done = self.checked(check, |engine, now| engine.approve(request, by, now))?;
        Ok(recorded(done.map(Some)))
    }

    #[pyo3(signature = (request, by, within=None))]
    fn reject(&mut self, request: Seq, by: &str, within: Option<&str>) -> PyResult<Recorded> {
        let check = self.check_request(request, within);
        let done = self.checked(check, |engine, now| engine.reject(request, by, now))?;
        Ok(recorded(done.map(Some)))
    }

    fn create_strategy(
        &mut self,
        name: &str,
        account: &str,
        by: &str,
        source: &str,
        reason: &str,
    ) -> PyResult<Recorded> {
        let done = self.command(|engine, now| engine.create_strategy(name, account, by, source, reason, now))?;
        Ok(recorded(done.map(Some)))
    }

    #[pyo3(signature = (name, by, source, reason, within=None))]
    fn start_strategy(
        &mut self,
        name: &str,
        by: &str,
        source: &str,
        reason: &str,
        within: Option<&str>,
    ) -> PyResult<Recorded> {
        let check = self.check_strategy(name, within);
        self.checked(check, |engine, now| {
            engine.start_strategy(name, by, source, reason, now)
        })
        .map(recorded)
    }

    #[pyo3(signature = (name, by, source, reason, within=None))]
    fn stop_strategy(
        &mut self,
        name: &str,
        by: &str,
        source: &str,
        reason: &str,
        within: Option<&str>,
    ) -> PyResult<Recorded> {
        let check = self.check_strategy(name, within);
        self.checked(check, |engine, now| engine.stop_strategy(name, by, source, reason, now))
            .map(recorded)
    }

    /// The peak of equity that drawdowns are measured from; without one, the worth of now.
    fn set_peak(
        &mut self,
        account: &str,
        mode: &str,
        peak: Option<&str>,
        by: &str,
        reason: &str,
    ) -> PyResult<Recorded> {
        let mode = Mode::parse(mode).ok_or_else(|| Self::misuse(format!("unknown mode {mode}")))?;
        let peak = peak.map(Amount::parse).transpose();
        let peak = peak.map_err(|error| Self::misuse(format!("peak: {error}")))?;
        self.command(|engine, now| engine.set_peak(account, mode, peak, by, reason, now))
            .map(|done| recorded(done.map(Some)))
    }

    /// JSON: the version and every limit; with `within` only those that bind that account.
    #[pyo3(signature = (within=None))]
    fn limits(&self, within: Option<&str>) -> Vec<u8> {
        let state = self.engine.state();
        let own = within
            .and_then(|name| state.account_named(name))
            .map(|account| account.id);
        let shown = |scope: &LimitScope| {
            let account = state.account_of_owner(&scope.owner);
            within.is_none() || account.is_none() || account == own
        };
        let limits: Vec<_> = state
            .limit_table()
            .iter()
            .filter(|(scope, _)| shown(scope))
            .flat_map(|(scope, set)| {
                set.iter()
                    .map(move |(kind, value)| limit_json(state, scope, kind, Some(value)))
            })
            .collect();
        let all = json!({"version": state.limits_version(), "limits": limits});
        all.to_string().into_bytes()
    }

    /// JSON list of the changes that wait for a second person.
    #[pyo3(signature = (within=None))]
    fn change_requests(&self, within: Option<&str>) -> Vec<u8> {
        let state = self.engine.state();
        let own = within
            .and_then(|name| state.account_named(name))
            .map(|account| account.id);
        let list: Value = state
            .change_requests()
            .filter_map(|(id, asked)| {
                let account = self.engine.account_of_request(id).ok()?;
                if within.is_some() && (account.is_none() || account != own) {
                    return None;
                }
                let (mut limit, mut excuse, mut absent) = (Value::Null, Value::Null, Value::Null);
                match &asked.change {
                    Change::Limit(change) => limit = limit_json(state, &change.scope, change.kind, change.value),
                    Change::Override(change) => {
                        let kinds: Vec<_> = change.kinds.iter().map(|kind| kind.as_str()).collect();
                        let symbol = change.instrument.map(|id| symbol_of(state, id));
                        excuse = json!({"account": account_name(state, Some(change.account)), "symbol": symbol,
                            "kinds": kinds, "validForMs": change.valid_for_ns / 1_000_000});
                    }
                    Change::Absent(change) => {
                        absent = json!({"account": account_name(state, account), "order": change.order.to_string()});
                    }
                }
                Some(
                    json!({"id": id.to_string(), "limit": limit, "override": excuse, "absent": absent, "old": asked.old.and_then(|old| match &asked.change {
                        Change::Limit(change) => Some(change.kind.value_text(old)),
                        _ => None,
                    }), "by": asked.by,
                    "reason": asked.reason, "expiresAtNs": asked.expires_at}),
                )
            })
            .collect();
        list.to_string().into_bytes()
    }

    /// JSON list of strategies.
    #[pyo3(signature = (within=None))]
    fn strategies(&self, within: Option<&str>) -> Vec<u8> {
        let state = self.engine.state();
        let list: Value = state
            .strategies()
            .filter_map(|(name, strategy)| {
                let account = account_name(state, Some(strategy.account)).unwrap_or_default();
                within.is_none_or(|own| own == account).then(|| {
                    json!({"id": name, "account": account, "status": strategy.status.as_str(), "by": strategy.by,
                        "source": strategy.source, "reason": strategy.reason, "createdAtNs": strategy.created_at,
                        "changedAtNs": strategy.changed_at})
                })
            })
            .collect();
        list.to_string().into_bytes()
    }

    /// How many percent of itself a limit may be loosened by without a second person.
    fn set_loosen_percent(&mut self, percent: u32) {
        self.engine.set_loosen_percent(percent);
    }
}

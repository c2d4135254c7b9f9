//! The state of risk as people see it: trading states, the day, the limits that are judged between trades.

use crate::gateway::Gateway;
use ordergate_core::days::DAY_NS;
use ordergate_core::figures::WatchedLimit;
use ordergate_core::limits::{LimitKind, LimitScope, Owner, owners};
use ordergate_core::state::State;
use ordergate_core::terms::{AccountId, BreachAction, KillScope, Mode, Nanos};
use ordergate_core::valuation::REPORTING_CURRENCY;
use pyo3::prelude::*;
use serde_json::{Value, json};

/// Most owners whose day is shown at once.
const FIGURES_MAX: usize = 1_000;

/// Whether an account sees what belongs to this owner. The firm's days and watched limits are an operator's to see; what
/// a check compares with the firm's limit is told to whoever places the order.
fn is_own(state: &State, owner: &Owner, within: Option<AccountId>) -> bool {
    within.is_none_or(|own| state.account_of_owner(owner) == Some(own))
}

/// Whether this scope's state binds orders of the account.
fn binds(state: &State, scope: KillScope, target: &str, within: Option<AccountId>) -> bool {
    let Some(own) = within else { return true };
    match scope {
        KillScope::Global | KillScope::Symbol => true,
        KillScope::Account => state.account_named(target).is_some_and(|account| account.id == own),
        KillScope::Strategy => state.strategy(target).is_some_and(|strategy| strategy.account == own),
    }
}

fn watched_json(state: &State, one: &WatchedLimit<'_>) -> Value {
    let (word, target, symbol) = state.scope_words(one.scope);
    json!({"scope": word, "target": target, "symbol": symbol, "mode": one.mode.as_str(), "kind": one.kind.as_str(),
        "limit": one.kind.value_text(one.limit), "value": one.value.map(|value| one.kind.value_text(value)),
        "unit": one.kind.unit().as_str(), "judged": one.judged,
        "breached": one.value.is_some_and(|value| value > one.limit), "warnedAtNs": one.warned_at})
}

/// Every kind of limit, for people: word, unit, who can have one, whether per symbol, one sentence.
pub fn limit_kinds() -> Vec<(&'static str, &'static str, Vec<&'static str>, bool, &'static str)> {
    let words = [
        (owners::FIRM, "firm"),
        (owners::ACCOUNT, "account"),
        (owners::STRATEGY, "strategy"),
        (owners::KEY, "key"),
    ];
    let row = |kind: &LimitKind| {
        let have = words
            .iter()
            .filter(|(bit, _)| kind.owners() & bit != 0)
            .map(|(_, word)| *word);
        let unit = kind.unit().as_str();
        (
            kind.as_str(),
            unit,
            have.collect(),
            kind.takes_symbol(),
            kind.describe(),
        )
    };
    LimitKind::ALL.iter().map(row).collect()
}

impl Gateway {
    fn day_json(&self, owner: Owner, now: Nanos) -> impl Iterator<Item = Value> {
        let scope = LimitScope {
            owner,
            instrument: None,
        };
        let state = self.engine.state();
        Mode::ALL.iter().filter_map(move |mode| {
            let day = self.engine.day_figures(&scope.owner, *mode, now)?;
            let (word, target, _) = state.scope_words(&scope);
            Some(
                json!({"scope": word, "target": target, "mode": mode.as_str(), "orders": day.orders,
                "cancels": day.cancels, "fills": day.fills, "turnover": day.turnover.map(|sum| sum.to_string()),
                "result": day.result.map(|sum| sum.to_string()), "fresh": day.fresh}),
            )
        })
    }
}

#[pymethods]
impl Gateway {
    /// JSON: the day, trading states that are not ACTIVE, what was done today, the limits judged between trades. With
    /// `within` what binds or belongs to that account.
    #[pyo3(signature = (within=None))]
    fn risk_state(&self, within: Option<&str>) -> Vec<u8> {
        let (state, now) = (self.engine.state(), self.clock.now());
        // An account that is not there owns nothing.
        let named = |name| state.account_named(name).map_or(AccountId::MAX, |account| account.id);
        let own = within.map(named);
        let states: Vec<Value> = state
            .trading_states()
            .filter(|(scope, target, ..)| binds(state, *scope, target, own))
            .map(|(scope, target, mode, standing)| {
                json!({"scope": scope.as_str(), "target": target, "mode": mode.as_str(),
                    "state": standing.state.as_str(), "reason": standing.reason, "by": standing.by,
                    "source": standing.source, "seq": standing.seq.to_string(), "sinceNs": standing.at})
            })
            .collect();
        let accounts = state.accounts().iter().map(|account| Owner::Account(account.id));
        let strategies = state.strategies().map(|(name, _)| Owner::Strategy(name.to_owned()));
        let figures: Vec<Value> = std::iter::once(Owner::Firm)
            .chain(accounts)
            .chain(strategies)
            .filter(|owner| is_own(state, owner, own))
            .flat_map(|owner| self.day_json(owner, now))
            .take(FIGURES_MAX)
            .collect();
        let watched: Vec<Value> = self
            .engine
            .watched_limits(now)
            .filter(|one| is_own(state, &one.scope.owner, own))
            .map(|one| watched_json(state, &one))
            .collect();
        json!({"dayStartNs": state.day().map(|day| day.saturating_mul(DAY_NS)), "currency": REPORTING_CURRENCY,
            "states": states, "figures": figures, "watched": watched})
        .to_string()
        .into_bytes()
    }

    /// What the breach of a limit that is judged between trades does: REDUCE_ONLY, HALT or FLATTEN.
    fn set_breach_action(&mut self, action: &str) -> PyResult<()> {
        let action = BreachAction::parse(action).ok_or_else(|| Self::misuse(format!("unknown action {action}")))?;
        self.engine.set_breach_action(action);
        Ok(())
    }

    /// From how many percent of such a limit on people are warned.
    fn set_warn_percent(&mut self, percent: u32) {
        self.engine.set_warn_percent(percent);
    }
}

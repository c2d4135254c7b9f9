//! The kill switch and the dead man's switch, as operators and clients see them.

use crate::gateway::Gateway;
use crate::refusal::Refusal as PyRefusal;
use crate::requests::{Either, token_hash};
use ordergate_core::refusal::{self, Refusal};
use ordergate_core::state::Kill;
use ordergate_core::terms::{KillCause, KillScope, Scope, Seq};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Value, json};

/// A kill scope of a request: an unknown word names nothing.
fn scope_of(word: &str) -> Result<KillScope, Refusal> {
    KillScope::parse(word)
        .ok_or_else(|| Refusal::field(refusal::NOT_FOUND, "scope", "is global, account, strategy or symbol"))
}

fn kill_json((scope, target, kill): (KillScope, &str, &Kill)) -> Value {
    json!({"scope": scope.as_str(), "target": target, "level": kill.level, "reason": kill.reason, "by": kill.by,
        "source": kill.source, "seq": kill.seq.to_string(), "activatedAtNs": kill.at})
}

#[pymethods]
impl Gateway {
    /// JSON: every kill in force with its age, and what those of level 3 and breaches with FLATTEN have not sold.
    fn kills(&self) -> Vec<u8> {
        let (state, now) = (self.engine.state(), self.clock.now());
        let aged = |one: (KillScope, &str, &Kill)| {
            let (cause, age) = (one.2.cause.unwrap_or(KillCause::Asked), now.saturating_sub(one.2.at));
            let mut kill = kill_json(one);
            kill["cause"] = json!(cause.as_str());
            kill["ageMs"] = json!(age / 1_000_000);
            kill
        };
        let kills: Vec<Value> = state.kills().map(aged).collect();
        let left: Vec<Value> = self
            .engine
            .not_flat()
            .map(|one| {
                let account = state.account(one.account).map_or("", |account| account.name.as_str());
                let symbol = state
                    .instrument(one.instrument)
                    .map_or("", |terms| terms.symbol.as_str());
                json!({"account": account, "mode": one.mode.as_str(), "symbol": symbol,
                    "quantity": one.quantity.to_string(), "why": one.why})
            })
            .collect();
        json!({"kills": kills, "notFlat": left}).to_string().into_bytes()
    }

    /// GET /kill: the kills that stop orders of the caller's account: its own, global ones, symbols', its strategies'.
    #[pyo3(signature = (authorization, peer=None))]
    fn client_kills<'py>(
        &self,
        py: Python<'py>,
        authorization: Option<&str>,
        peer: Option<&str>,
    ) -> Either<(u16, Seq, Bound<'py, PyBytes>), PyRefusal> {
        let any_of = [Scope::Read, Scope::Kill];
        let asked = self
            .engine
            .identify(&token_hash(authorization), &any_of, peer, self.clock.now());
        match asked {
            Err(refused) => Either::Refusal(refused.into()),
            Ok(caller) => {
                let state = self.engine.state();
                let kills: Vec<Value> = state
                    .kills()
                    .filter(|(scope, target, _)| match scope {
                        KillScope::Global | KillScope::Symbol => true,
                        _ => self.engine.own_target(caller, *scope, Some(target)).is_ok(),
                    })
                    .map(kill_json)
                    .collect();
                let body = json!({ "kills": kills }).to_string();
                Either::Answer((200, 0, PyBytes::new(py, body.as_bytes())))
            }
        }
    }

    /// Whether a client may stop this scope, or (`clear`) start it again, which takes a place in its key's rate of
    /// changes: (its key's owner, the target).
    #[pyo3(signature = (authorization, scope, target, clear, peer=None))]
    fn kill_request(
        &mut self,
        authorization: Option<&str>,
        scope: &str,
        target: Option<&str>,
        clear: bool,
        peer: Option<&str>,
    ) -> Either<(String, String), PyRefusal> {
        let now = self.clock.now();
        let mut ask = || -> Result<(String, String), Refusal> {
            let caller = self
                .engine
                .identify(&token_hash(authorization), &[Scope::Kill], peer, now)?;
            let scope = scope_of(scope)?;
            let target = self.engine.own_target(caller, scope, target)?;
            if clear {
                self.engine.may_clear(scope, &target)?;
                self.engine.take_change(caller.key, now)?;
            }
            let key = self.engine.state().key(caller.key);
            Ok((key.map_or_else(String::new, |key| key.created.owner.clone()), target))
        };
        match ask() {
            Ok(answer) => Either::Answer(answer),
            Err(refused) => Either::Refusal(refused.into()),
        }
    }

    /// Why a client may not (any more) clear what stops this scope; None while it may.
    fn clear_refusal(&self, scope: &str, target: &str) -> Option<PyRefusal> {
        let asked = scope_of(scope).and_then(|scope| self.engine.may_clear(scope, target));
        asked.err().map(Into::into)
    }

    /// How often a kill began, changed or ended since the start.
    fn kill_changes(&self) -> u64 {
        self.engine.kill_changes()
    }

    /// JSON list of the scopes that are watched: whose key asked, and how long ago the last beat came.
    fn heartbeats(&self) -> Vec<u8> {
        let (state, now) = (self.engine.state(), self.clock.now());
        let watched = state.heartbeats().map(|(scope, target, heartbeat)| {
            let key = state.key(heartbeat.key);
            let account = key.and_then(|key| state.account(key.created.account));
            let age = self.engine.beat_age(scope, target, now);
            json!({"scope": scope.as_str(), "target": target, "timeoutMs": heartbeat.timeout_ms, "key": heartbeat.key,
                "account": account.map(|account| account.name.as_str()),
                "owner": key.map(|key| key.created.owner.as_str()),
                "keyIsValid": key.is_some_and(|key| key.is_valid(now)),
                "lastBeatMs": age.map(|age| age / 1_000_000)})
        });
        watched.collect::<Value>().to_string().into_bytes()
    }

    /// An operator ends a watch: the record's sequence, 0 when the scope is not watched.
    fn end_heartbeat(&mut self, scope: &str, target: &str, by: &str) -> PyResult<Either<Seq, PyRefusal>> {
        let scope = match scope_of(scope) {
            Ok(scope) => scope,
            Err(refused) => return Ok(Either::Refusal(refused.into())),
        };
        let done = self.command(|engine, now| engine.end_heartbeat(scope, target, by, now))?;
        Ok(match done {
            Ok(seq) => Either::Answer(seq.unwrap_or_default()),
            Err(refused) => Either::Refusal(refused.into()),
        })
    }

    /// POST /heartbeat: a sign of life; the target. Never waits for a flush.
    #[pyo3(signature = (authorization, scope, target, timeout_ms, peer=None))]
    fn heartbeat(
        &mut self,
        authorization: Option<&str>,
        scope: &str,
        target: Option<&str>,
        timeout_ms: u32,
        peer: Option<&str>,
    ) -> PyResult<Either<String, PyRefusal>> {
        let any_of = [Scope::Trade, Scope::Kill];
        let asked = self
            .engine
            .identify(&token_hash(authorization), &any_of, peer, self.clock.now())
            .and_then(|caller| Ok((caller, scope_of(scope)?)));
        let (caller, scope) = match asked {
            Ok(asked) => asked,
            Err(refused) => return Ok(Either::Refusal(refused.into())),
        };
        let done = self.command(|engine, now| engine.heartbeat(caller, scope, target, timeout_ms, now))?;
        Ok(match done {
            Ok(target) => Either::Answer(target),
            Err(refused) => Either::Refusal(refused.into()),
        })
    }

    /// Whether there is such an account, strategy or symbol; a kill of what there is not (yet) is in force all the same.
    fn kill_target_exists(&self, scope: &str, target: &str) -> bool {
        let state = self.engine.state();
        match KillScope::parse(scope) {
            Some(KillScope::Global) => target.is_empty(),
            Some(KillScope::Account) => state.account_named(target).is_some(),
            Some(KillScope::Symbol) => state.instrument_by_symbol(target).is_some(),
            Some(KillScope::Strategy) => state.strategy(target).is_some(),
            None => false,
        }
    }
}

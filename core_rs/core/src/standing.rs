//! Which scopes may trade freely, only reduce, or not at all. Kills are another matter: the stricter of both binds.

use crate::digest::Mix;
use crate::record::TradingStateSet;
use crate::state::State;
use crate::terms::{KillScope, Mode, Nanos, Seq, TradingState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A scope that may not trade freely in a mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// REDUCE_ONLY or HALTED.
    pub state: TradingState,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Through what.
    pub source: String,
    /// Sequence of TRADING_STATE_SET.
    pub seq: Seq,
    /// When.
    pub at: Nanos,
    /// HALTED, and what the scope holds is sold until it is ACTIVE again.
    #[serde(default)]
    pub flatten: bool,
}

/// Those scopes; one that is ACTIVE is not there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standings(BTreeMap<(KillScope, Mode), BTreeMap<String, Standing>>);

impl Standings {
    /// Puts a scope in or takes it out.
    pub fn put(&mut self, scope: KillScope, target: &str, mode: Mode, standing: Option<Standing>) {
        let targets = self.0.entry((scope, mode)).or_default();
        match standing {
            Some(standing) => _ = targets.insert(target.to_owned(), standing),
            None => _ = targets.remove(target),
        }
        if targets.is_empty() {
            self.0.remove(&(scope, mode));
        }
    }

    fn iter(&self) -> impl Iterator<Item = (KillScope, &str, Mode, &Standing)> {
        self.0.iter().flat_map(|((scope, mode), targets)| {
            targets
                .iter()
                .map(|(target, standing)| (*scope, target.as_str(), *mode, standing))
        })
    }

    /// Its part of the state's hash.
    pub fn mix(&self, mix: Mix) -> Mix {
        self.iter().fold(mix, |mix, (scope, target, mode, standing)| {
            let words = u64::from_le_bytes([
                scope as u8,
                mode as u8,
                standing.state as u8,
                standing.flatten.into(),
                0,
                0,
                0,
                0,
            ]);
            let mix = mix.word(words).text(target).word(standing.seq).int(standing.at);
            mix.text(&standing.reason).text(&standing.by).text(&standing.source)
        })
    }
}

impl State {
    pub(crate) fn set_trading_state(&mut self, body: &TradingStateSet) {
        let standing = (body.state != TradingState::Active).then(|| Standing {
            state: body.state,
            reason: body.reason.clone(),
            by: body.by.clone(),
            source: body.source.clone(),
            seq: self.last_seq,
            at: self.last_ts,
            flatten: body.flatten,
        });
        for mode in Mode::ALL
            .iter()
            .filter(|mode| body.mode.is_none_or(|only| only == **mode))
        {
            // Whoever halts a scope once more does not mean that what is being sold should stay.
            let known = self.standing(body.scope, &body.target, *mode);
            let goes_on = known.is_some_and(|known| known.flatten) && body.state == TradingState::Halted;
            let standing = standing.clone().map(|standing| Standing {
                flatten: standing.flatten || goes_on,
                ..standing
            });
            self.standings.put(body.scope, &body.target, *mode, standing);
        }
    }

    /// Every scope that may not trade freely.
    pub fn trading_states(&self) -> impl Iterator<Item = (KillScope, &str, Mode, &Standing)> {
        self.standings.iter()
    }

    /// The standing of one scope, unless it is ACTIVE.
    #[must_use]
    pub fn standing(&self, scope: KillScope, target: &str, mode: Mode) -> Option<&Standing> {
        self.standings.0.get(&(scope, mode))?.get(target)
    }

    /// What binds an order: the strictest of its scopes with the scope's name, the widest first.
    #[must_use]
    pub fn standing_for(
        &self,
        mode: Mode,
        account: &str,
        strategy: Option<&str>,
        symbol: &str,
    ) -> Option<(KillScope, &str, &Standing)> {
        if self.standings.0.is_empty() {
            return None;
        }
        let scopes = [
            (KillScope::Global, Some("")),
            (KillScope::Account, Some(account)),
            (KillScope::Strategy, strategy),
            (KillScope::Symbol, Some(symbol)),
        ];
        let found = scopes.into_iter().filter_map(|(scope, target)| {
            let (target, standing) = self.standings.0.get(&(scope, mode))?.get_key_value(target?)?;
            Some((scope, target.as_str(), standing))
        });
        // The first of equals.
        found.reduce(|strictest, next| {
            if next.2.state > strictest.2.state {
                next
            } else {
                strictest
            }
        })
    }

    /// What an order's scopes may do: the strictest of them.
    #[must_use]
    pub fn trading_state(&self, mode: Mode, account: &str, strategy: Option<&str>, symbol: &str) -> TradingState {
        self.standing_for(mode, account, strategy, symbol)
            .map_or(TradingState::Active, |(.., standing)| standing.state)
    }
}

//! Limits that one person loosened step by step, each with the figure that two people stand for.
//!
//! A share of itself is allowed to one person; measured from where the last step led, steps would add up without end.

use crate::digest::Mix;
use crate::limits::{LimitKind, LimitScope, is_looser};
use crate::record::LimitChanged;
use crate::rules::mix_scope;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// By limit: its value before one person first loosened it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loosened(BTreeMap<(LimitScope, LimitKind), i128>);

impl Loosened {
    /// What a further loosening is measured from: the figure itself unless one person loosened it.
    pub fn base(&self, scope: &LimitScope, kind: LimitKind, now: Option<i128>) -> Option<i128> {
        self.0.get(&(scope.clone(), kind)).copied().or(now)
    }

    /// Takes a change in: two people, a tightening to the base or below, and a limit taken away start anew.
    pub fn note(&mut self, body: &LimitChanged) {
        let place = (body.scope.clone(), body.kind);
        let base = self.0.get(&place).copied().or(body.old);
        let above = body.value.is_some() && is_looser(base, body.value) && body.approved_by.is_none();
        match base {
            Some(base) if above => _ = self.0.insert(place, base),
            _ => _ = self.0.remove(&place),
        }
    }

    /// Its part of the state's hash.
    pub fn mix(&self, mix: Mix) -> Mix {
        let mix = mix.word(self.0.len() as u64);
        self.0.iter().fold(mix, |mix, ((scope, kind), base)| {
            mix_scope(mix, scope).word(u64::from(*kind as u8)).wide(*base)
        })
    }
}

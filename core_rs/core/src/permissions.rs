//! Commands about who may trade freely and with whom not: trading states and groups against self-trades.

use crate::administration::{account_of, check_text, invalid};
use crate::engine::{Decided, Engine};
use crate::kills::check_target;
use crate::record::{Record, StpGroupSet, TradingStateSet};
use crate::refusal::{self, Refusal};
use crate::terms::{KillScope, Mode, Nanos, Seq, TradingState};

const LONGEST_GROUP: usize = 32;

impl Engine {
    /// Sets whether a scope may trade: in force at once. Open orders stay; a REDUCE_ONLY scope takes only orders that
    /// make a position smaller, a HALTED one none; cancels always pass. Setting ACTIVE takes back what a breached limit
    /// had set; while the limit is still breached the next look sets it again.
    ///
    /// # Errors
    /// `not_found` for an unknown account, symbol or strategy; refused for bad texts, or a target that does not match the scope.
    /// `None` when the scope has that state already.
    pub fn set_trading_state(&mut self, set: TradingStateSet, now: Nanos) -> Decided<Option<Seq>> {
        self.check_poison()?;
        if let Err(refusal) = self.check_trading_state_set(&set) {
            return Ok(Err(refusal));
        }
        let modes = Mode::ALL
            .iter()
            .filter(|mode| set.mode.is_none_or(|only| only == **mode));
        let mut states = modes.map(|mode| {
            let standing = self.state.standing(set.scope, &set.target, *mode);
            standing.map_or(TradingState::Active, |standing| standing.state)
        });
        if states.all(|state| state == set.state) {
            return Ok(Ok(None));
        }
        self.commit(Record::TradingStateSet(set), now).map(|seq| Ok(Some(seq)))
    }

    fn check_trading_state_set(&self, set: &TradingStateSet) -> Result<(), Refusal> {
        check_target(set.scope, &set.target)?;
        check_text("by", &set.by)?;
        check_text("reason", &set.reason)?;
        match set.scope {
            KillScope::Account => account_of(&self.state, &set.target).map(drop),
            KillScope::Symbol if self.state.instrument_by_symbol(&set.target).is_none() => {
                let message = format!("{} is not a symbol", set.target);
                Err(Refusal::field(refusal::NOT_FOUND, "target", message))
            }
            KillScope::Strategy if self.state.strategy(&set.target).is_none() => {
                let message = format!("there is no strategy {:?}", set.target);
                Err(Refusal::field(refusal::NOT_FOUND, "target", message))
            }
            KillScope::Global | KillScope::Symbol | KillScope::Strategy => Ok(()),
        }
    }

    /// Puts an account into a group whose orders must not trade with each other; an empty group is the account's own.
    ///
    /// # Errors
    /// `not_found` for an unknown account; refused for bad texts. `None` when it is in that group already.
    pub fn set_stp_group(
        &mut self,
        account: &str,
        group: &str,
        by: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Option<Seq>> {
        self.check_poison()?;
        let checked = account_of(&self.state, account).and_then(|account| {
            check_text("by", by)?;
            check_text("reason", reason)?;
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
            if group.len() > LONGEST_GROUP || !group.bytes().all(plain) {
                return Err(invalid("group", "must be at most 32 of a-z 0-9 _ -"));
            }
            Ok(account)
        });
        let account = match checked {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self
            .state
            .account(account)
            .is_some_and(|known| known.stp_group == group)
        {
            return Ok(Ok(None));
        }
        let set = StpGroupSet {
            account,
            group: group.to_owned(),
            by: by.to_owned(),
            reason: reason.to_owned(),
        };
        self.commit(Record::StpGroupSet(set), now).map(|seq| Ok(Some(seq)))
    }
}

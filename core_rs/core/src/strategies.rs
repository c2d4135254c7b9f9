//! Commands about strategies: created by people, started by people, stopped by people, kills and throttles.

use crate::administration::invalid;
use crate::engine::{Decided, Engine};
use crate::limit_changes::{check_words, named_account};
use crate::record::{Record, StrategySet};
use crate::refusal::{self, Refusal};
use crate::request::{MAX_STRATEGY_ID, is_client_id};
use crate::state::Broken;
use crate::terms::{AccountId, KillScope, Nanos, Seq, StrategyStatus};
use crate::venue_reports::clip;

/// Most strategies of an account.
pub const MAX_STRATEGIES: usize = 10_000;
/// Through what a kill stops a strategy.
const KILL: &str = "kill";
const LONGEST_TEXT: usize = 256;

impl Engine {
    /// Creates a strategy. It begins STOPPED: somebody starts it.
    ///
    /// # Errors
    /// `not_found` for an unknown account, `strategy_exists`, `invalid_parameter` for a bad name.
    pub fn create_strategy(
        &mut self,
        name: &str,
        account: &str,
        by: &str,
        source: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Seq> {
        self.check_poison()?;
        let checked = check_words(by, reason).and_then(|()| {
            let account = named_account(&self.state, account)?;
            // It stands in paths, where a slash would be another segment.
            if !is_client_id(name, MAX_STRATEGY_ID) || name.contains('/') {
                return Err(invalid("name", "must be 1 to 64 characters of A-Z a-z 0-9 . _ : -"));
            }
            if self.state.strategy(name).is_some() {
                let message = format!("{name} exists already");
                return Err(Refusal::field(refusal::STRATEGY_EXISTS, "name", message));
            }
            let own = self.state.strategies().filter(|(_, other)| other.account == account);
            if own.count() >= MAX_STRATEGIES {
                return Err(invalid("name", format!("the account has {MAX_STRATEGIES} strategies")));
            }
            Ok(account)
        });
        match checked {
            Ok(account) => {
                let set = self.set_strategy(name, account, StrategyStatus::Stopped, [by, source, reason], now)?;
                Ok(Ok(set))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Lets a strategy place orders; `None` when it may already.
    ///
    /// # Errors
    /// `not_found`; `killed` while a kill stops everything, its account or itself.
    pub fn start_strategy(
        &mut self,
        name: &str,
        by: &str,
        source: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Option<Seq>> {
        self.turn_strategy(name, StrategyStatus::Running, [by, source, reason], now)
    }

    /// Takes no more orders of a strategy; `None` when none are taken already. Its open orders stay.
    ///
    /// # Errors
    /// `not_found`.
    pub fn stop_strategy(
        &mut self,
        name: &str,
        by: &str,
        source: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Option<Seq>> {
        self.turn_strategy(name, StrategyStatus::Stopped, [by, source, reason], now)
    }

    fn turn_strategy(
        &mut self,
        name: &str,
        status: StrategyStatus,
        words: [&str; 3],
        now: Nanos,
    ) -> Decided<Option<Seq>> {
        self.check_poison()?;
        let checked = check_words(words[0], words[2]).and_then(|()| {
            let strategy = self.state.strategy(name).ok_or_else(|| {
                Refusal::field(refusal::NOT_FOUND, "strategy", format!("there is no strategy {name:?}"))
            })?;
            let account = self.state.account(strategy.account);
            let account = account.map_or("", |account| account.name.as_str());
            // A symbol's kill stops no strategy, and no symbol is empty.
            let kill = self.state.kill_for(account, Some(name), "");
            if let (StrategyStatus::Running, Some((scope, _, kill))) = (status, kill) {
                let detail = format!("Trading is stopped for {scope}: {}.", kill.reason);
                return Err(Refusal::new(refusal::KILLED, detail));
            }
            Ok((strategy.account, strategy.status != status))
        });
        match checked {
            Ok((_, false)) => Ok(Ok(None)),
            Ok((account, true)) => {
                let seq = self.set_strategy(name, account, status, words, now)?;
                Ok(Ok(Some(seq)))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn set_strategy(
        &mut self,
        name: &str,
        account: AccountId,
        status: StrategyStatus,
        [by, source, reason]: [&str; 3],
        now: Nanos,
    ) -> Result<Seq, Broken> {
        let record = StrategySet {
            name: name.to_owned(),
            account,
            status,
            by: by.to_owned(),
            source: clip(source, LONGEST_TEXT),
            reason: reason.to_owned(),
        };
        self.commit(Record::StrategySet(record), now)
    }

    /// Stops the RUNNING strategies that a kill covers; a symbol's covers none. Nothing starts them again by itself.
    pub(crate) fn stop_killed_strategies(&mut self, scope: KillScope, target: &str, now: Nanos) -> Result<(), Broken> {
        let (by, reason) = match self.state.kill(scope, target) {
            Some(kill) if scope != KillScope::Symbol => (kill.by.clone(), kill.reason.clone()),
            _ => return Ok(()),
        };
        let account = self.state.account_named(target).map(|account| account.id);
        let running = self.state.strategies().filter(|(name, strategy)| {
            let covered = match scope {
                KillScope::Global => true,
                KillScope::Account => account == Some(strategy.account),
                KillScope::Strategy => *name == target,
                KillScope::Symbol => false,
            };
            covered && strategy.status == StrategyStatus::Running
        });
        let running: Vec<(String, AccountId)> = running
            .map(|(name, strategy)| (name.to_owned(), strategy.account))
            .collect();
        for (name, account) in running {
            self.set_strategy(&name, account, StrategyStatus::Stopped, [&by, KILL, &reason], now)?;
        }
        Ok(())
    }
}

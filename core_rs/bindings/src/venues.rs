//! Venue sessions, their reports, and the kill switch.

use crate::gateway::Gateway;
use ordergate_core::record::{KillOff, KillOn, TradingStateSet};
use ordergate_core::report::decode_reports;
use ordergate_core::terms::{KillCause, KillScope, Mode, Nanos, OrderId, Seq, SessionId, TradingState};
use pyo3::prelude::*;

fn scope(word: &str) -> PyResult<KillScope> {
    KillScope::parse(word).ok_or_else(|| Gateway::misuse(format!("unknown kill scope {word}")))
}

#[pymethods]
impl Gateway {
    /// Journals a new session, which ends every older one of that venue: (session, last sequence now).
    fn open_session(&mut self, venue: &str, mode: &str, pid: u32) -> PyResult<(SessionId, Seq)> {
        let mode = Mode::parse(mode).ok_or_else(|| Self::misuse(format!("unknown mode {mode}")))?;
        let session = self.command(|engine, now| engine.open_session(venue, mode, pid, now))?;
        let session = session.map_err(|refused| Self::misuse(refused.detail))?;
        Ok((session, self.engine.state().last_seq()))
    }

    /// The socket is gone: nothing more is started for it.
    fn close_session(&mut self, session: SessionId) {
        self.engine.close_session(session);
    }

    /// Applies one frame of reports and prices; ids of the orders that changed. Stale sessions change nothing.
    fn reports(&mut self, session: SessionId, frame: &[u8]) -> PyResult<Vec<OrderId>> {
        let reports = decode_reports(frame).map_err(|error| Self::misuse(error.to_string()))?;
        self.command(|engine, now| {
            reports
                .iter()
                .try_for_each(|report| engine.report(session, report, now))
        })?;
        Ok(self.engine.take_changed())
    }

    /// The attached session.
    fn session_of(&self, venue: &str) -> Option<SessionId> {
        self.engine.session(venue)
    }

    /// A good reading of the kill switch that began so many milliseconds ago: it may be that old.
    #[pyo3(signature = (age_ms=0.0))]
    fn kill_reading(&mut self, age_ms: f64) {
        let age_ns = (age_ms.max(0.0) * 1e6) as Nanos;
        self.engine.kill_reading(self.clock.now().saturating_sub(age_ns));
    }

    /// Journals TRADING_STATE_SET: in force at once. 0 when the scope has that state already.
    #[allow(clippy::too_many_arguments, reason = "the members of the record")]
    fn set_trading_state(
        &mut self,
        scope: &str,
        target: &str,
        mode: Option<&str>,
        state: &str,
        reason: &str,
        by: &str,
        source: &str,
    ) -> PyResult<Seq> {
        let unknown = |what: &str, word: &str| Self::misuse(format!("unknown {what} {word}"));
        let mode = mode.map(|word| Mode::parse(word).ok_or_else(|| unknown("mode", word)));
        let set = TradingStateSet {
            scope: self::scope(scope)?,
            target: target.to_owned(),
            mode: mode.transpose()?,
            state: TradingState::parse(state).ok_or_else(|| unknown("trading state", state))?,
            reason: reason.to_owned(),
            by: by.to_owned(),
            source: source.to_owned(),
            flatten: false,
        };
        self.command(|engine, now| engine.set_trading_state(set, now))?
            .map(Option::unwrap_or_default)
            .map_err(|refused| Self::misuse(refused.detail))
    }

    /// Every scope that may not trade freely: (scope, target, mode, state, reason, by, source).
    fn trading_states(&self) -> Vec<[String; 7]> {
        let states = self.engine.state().trading_states();
        states
            .map(|(scope, target, mode, standing)| {
                let words = [scope.as_str(), target, mode.as_str(), standing.state.as_str()];
                let [one, two, three, four] = words.map(str::to_owned);
                let (reason, by, source) = (&standing.reason, &standing.by, &standing.source);
                [one, two, three, four, reason.clone(), by.clone(), source.clone()]
            })
            .collect()
    }

    /// Journals STP_GROUP_SET; 0 when the account is in that group already.
    fn set_stp_group(&mut self, account: &str, group: &str, by: &str, reason: &str) -> PyResult<Seq> {
        self.command(|engine, now| engine.set_stp_group(account, group, by, reason, now))?
            .map(Option::unwrap_or_default)
            .map_err(|refused| Self::misuse(refused.detail))
    }

    /// Journals KILL_ON: in force at once; unsent orders of the scope end as KILLED.
    /// `cause`: asked, lost (Redis) or unreadable (the key).
    #[pyo3(signature = (scope, target, level, reason, by, source, cause="asked"))]
    #[allow(clippy::too_many_arguments, reason = "the members of the record")]
    fn kill_on(
        &mut self,
        scope: &str,
        target: &str,
        level: u8,
        reason: &str,
        by: &str,
        source: &str,
        cause: &str,
    ) -> PyResult<Seq> {
        let cause = KillCause::parse(cause).ok_or_else(|| Self::misuse(format!("unknown cause {cause}")))?;
        let kill = KillOn {
            scope: self::scope(scope)?,
            target: target.to_owned(),
            level,
            reason: reason.to_owned(),
            by: by.to_owned(),
            source: source.to_owned(),
            cause: Some(cause),
        };
        self.command(|engine, now| engine.kill_on(kill, now))?
            .map_err(|refused| Self::misuse(refused.detail))
    }

    /// Journals KILL_OFF.
    fn kill_off(&mut self, scope: &str, target: &str, by: &str, source: &str) -> PyResult<Seq> {
        let off = KillOff {
            scope: self::scope(scope)?,
            target: target.to_owned(),
            by: by.to_owned(),
            source: source.to_owned(),
        };
        self.command(|engine, now| engine.kill_off(off, now))?
            .map_err(|refused| Self::misuse(refused.detail))
    }

    /// (level, reason, sequence of KILL_ON) while killed.
    fn kill_state(&self, scope: &str, target: &str) -> PyResult<Option<(u8, String, Seq)>> {
        let kill = self.engine.state().kill(self::scope(scope)?, target);
        Ok(kill.map(|kill| (kill.level, kill.reason.clone(), kill.seq)))
    }

    /// Journals REDIS_BOUND with our install id.
    fn bind_redis(&mut self) -> PyResult<Seq> {
        self.command(|engine, now| engine.bind_redis(now))
    }
}

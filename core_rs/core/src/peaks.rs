//! The highest worth of an account, from which its drawdown is measured: seen, journaled, corrected by people.

use crate::engine::{Decided, Engine};
use crate::number::{Amount, Money, UNIT};
use crate::record::{PeakSet, Record};
use crate::refusal::{self, Refusal};
use crate::state::Broken;
use crate::terms::{AccountId, Mode, Nanos, Seq};
use crate::valuation::Judged;

/// A peak of equity is journaled when it rose by this part of the fall that is allowed.
const PEAK_STEPS: i128 = 100;
/// And at most this often.
pub(crate) const PEAK_AGAIN_NS: Nanos = 60_000_000_000;

impl Engine {
    /// How far a worth, at fresh prices, is below the account's highest: for an order between two looks.
    pub(crate) fn fallen(&self, account: AccountId, mode: Mode, worth: Amount) -> Option<i128> {
        below(
            self.peak_now(account, mode).map_or(worth, |peak| peak.max(worth)),
            worth,
        )
    }

    /// Highest equity of an account that is known: recorded, or seen since.
    pub(crate) fn peak_now(&self, account: AccountId, mode: Mode) -> Option<Amount> {
        let seen = self.watch.peaks.get(&(account, mode)).copied();
        self.state.peak(account, mode).max(seen)
    }

    /// Remembers a new peak, and journals it once it is worth a hundredth of the fall that the limit allows: a restart
    /// forgives no more than that, and what a minute brought.
    pub(crate) fn raise_peak(
        &mut self,
        account: AccountId,
        mode: Mode,
        peak: Amount,
        limit: i128,
        now: Nanos,
    ) -> Result<(), Broken> {
        let place = (account, mode);
        if self.peak_now(account, mode).is_none_or(|known| peak > known) {
            self.watch.peaks.insert(place, peak);
        }
        let (Some(peak), recorded) = (self.peak_now(account, mode), self.state.peak(account, mode)) else {
            return Ok(());
        };
        let worth_it = recorded.is_none_or(|recorded| {
            let step = peak.0.saturating_mul(limit) / UNIT / PEAK_STEPS;
            peak.0.saturating_sub(recorded.0) > step.max(0)
        });
        let soon = self.watch.recorded.get(&place).copied();
        if !worth_it || soon.is_some_and(|at| now.saturating_sub(at) < PEAK_AGAIN_NS) {
            return Ok(());
        }
        self.watch.recorded.insert(place, now);
        let (by, reason) = ("ordergate".to_owned(), "equity rose".to_owned());
        let body = PeakSet {
            account,
            mode,
            peak,
            by,
            reason,
        };
        self.commit(Record::PeakSet(body), now).map(drop)
    }

    /// A person corrects the peak that drawdowns are measured from; `None` takes the worth of now.
    ///
    /// # Errors
    /// Refused for an unknown account, and without a figure while prices do not tell the worth.
    pub fn set_peak(
        &mut self,
        account: &str,
        mode: Mode,
        peak: Option<Amount>,
        by: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Seq> {
        self.check_poison()?;
        let found = self.state.account_named(account).map(|found| found.id);
        let Some(id) = found else {
            return Ok(Err(Refusal::new(
                refusal::NOT_FOUND,
                format!("There is no account {account}."),
            )));
        };
        let worth = || self.equity(id, mode, now).filter(|equity| equity.fresh);
        let Some(peak) = peak.or_else(|| worth().map(|equity| equity.value.to_amount_floor())) else {
            let detail = "The worth of the account cannot be told at fresh prices: give the peak.";
            return Ok(Err(Refusal::new(refusal::INVALID_PARAMETER, detail)));
        };
        self.watch.peaks.remove(&(id, mode));
        let body = PeakSet {
            account: id,
            mode,
            peak,
            by: by.to_owned(),
            reason: reason.to_owned(),
        };
        self.commit(Record::PeakSet(body), now).map(Ok)
    }

    /// How far equity is below its peak, as a ratio scaled by 10⁻⁸ and rounded up, and the peak. A peak is only taken
    /// from fresh prices.
    pub(crate) fn drawdown(&self, account: AccountId, mode: Mode, now: Nanos) -> (Option<Judged>, Option<Amount>) {
        let known = self.peak_now(account, mode);
        let Some(equity) = self.equity(account, mode, now) else {
            return (None, known);
        };
        let worth = equity.value.to_amount_floor();
        let peak = match known {
            Some(known) if !equity.fresh || worth <= known => known,
            _ if equity.fresh => worth,
            _ => return (None, known),
        };
        let judged = below(peak, worth).map(|ratio| Judged {
            value: Money(ratio),
            fresh: equity.fresh,
        });
        (judged, Some(peak))
    }
}

/// (peak − worth) ÷ peak, scaled by 10⁻⁸ and rounded up; nothing is below a peak that is not positive.
fn below(peak: Amount, worth: Amount) -> Option<i128> {
    if peak.0 <= 0 {
        return Some(0);
    }
    let fallen = peak.0.checked_sub(worth.0)?.checked_mul(UNIT)?;
    Some(fallen.div_euclid(peak.0) + i128::from(fallen.rem_euclid(peak.0) != 0))
}

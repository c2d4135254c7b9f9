//! The checks done so far: what failed, what came closest, what a soft limit warns of.

use crate::limits::{LimitKind, LimitScope};
use crate::record::CheckResult;
use crate::risk::figures::{Figures, Kinds, Names, Share};
use crate::risk::inputs::Inputs;
use crate::risk::table::Check;

/// A limit that is nearly used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// Whose.
    pub scope: LimitScope,
    /// Which.
    pub kind: LimitKind,
    /// With the order, in the kind's unit.
    pub value: i128,
    /// The limit.
    pub limit: i128,
}

/// Checks done so far.
pub(super) struct Outcome<'a> {
    names: Names<'a>,
    excused: &'a [LimitKind],
    warn_percent: u32,
    pub failed: Vec<CheckResult>,
    tightest: Option<Figures<'a>>,
    /// What the tightest uses.
    share: Share,
    /// The same, where it is small and only what is tighter, warns or fails is of interest.
    beaten: Option<(u64, u64)>,
    pub overridden: Kinds,
    pub warned: Kinds,
    /// What `warned` names, with the figures.
    pub near: Vec<Near>,
    /// Every comparison, when somebody asked for all.
    pub seen: Option<Vec<CheckResult>>,
}

impl<'a> Outcome<'a> {
    pub fn new(inputs: &Inputs<'a>) -> Self {
        Self {
            names: Names {
                account: inputs.account,
                symbol: &inputs.instrument.symbol,
            },
            excused: inputs.excused,
            warn_percent: inputs.warn_percent,
            failed: Vec::new(),
            tightest: None,
            share: Share::default(),
            beaten: None,
            overridden: Kinds::default(),
            warned: Kinds::default(),
            near: Vec::new(),
            seen: None,
        }
    }

    /// Takes a comparison: failed, warned of, or the tightest so far.
    #[inline(always)]
    pub fn take(&mut self, figures: Figures<'a>) {
        if let (Some((value, limit)), Some((used, of))) = (figures.small(), self.beaten) {
            // Most pass with room to spare, and that takes three products of 64 bits.
            let product = |one: u64, other: u64| u128::from(one) * u128::from(other);
            let warns = product(value, 100) >= product(limit, self.warn_percent.into());
            if value <= limit && !warns && product(value, of) <= product(limit, used) {
                return;
            }
        }
        self.look_at(figures);
    }

    fn look_at(&mut self, figures: Figures<'a>) {
        if self.seen.is_some() {
            self.show(&figures);
        }
        if !figures.passes() {
            return self.refuse(&figures);
        }
        let share = figures.share();
        if share.is_percent(self.warn_percent) {
            self.warn(&figures);
        }
        if self.tightest.is_none() || share.is_tighter_than(self.share) {
            (self.tightest, self.share) = (Some(figures), share);
            self.beaten = share.small().filter(|_| self.seen.is_none());
        }
    }

    // What is rare stands apart, so that what is not stays short.

    #[cold]
    fn show(&mut self, figures: &Figures<'a>) {
        if let Some(seen) = &mut self.seen {
            seen.push(figures.result(self.names));
        }
    }

    #[cold]
    fn refuse(&mut self, figures: &Figures<'a>) {
        match figures.check {
            Check::Limit(kind) if self.excused.contains(&kind) => self.overridden.insert(kind),
            _ => self.failed.push(figures.result(self.names)),
        }
    }

    #[cold]
    fn warn(&mut self, figures: &Figures<'a>) {
        let Check::Limit(kind) = figures.check else { return };
        self.warned.insert(kind);
        if let (Some(scope), Some(value)) = (figures.scope, figures.value) {
            let (scope, limit) = (scope.clone(), figures.limit);
            self.near.push(Near {
                scope,
                kind,
                value,
                limit,
            });
        }
    }

    /// As [`Outcome::take`]; figures that are out of range fail as such, whatever is excused.
    #[inline]
    pub fn take_or_range(&mut self, figures: Option<Figures<'a>>, limit: i128) {
        match figures {
            Some(figures) => self.take(figures),
            None => self.out_of_range(limit),
        }
    }

    #[cold]
    pub fn out_of_range(&mut self, limit: i128) {
        let figures = Figures::whole(Check::NumericRange, None, None, limit);
        self.failed.push(figures.result(self.names));
    }

    /// A failure that nothing excuses.
    pub fn fail_with(&mut self, figures: &Figures<'a>) {
        self.fail(figures.result(self.names));
    }

    /// The check that came closest to failing, as text.
    pub fn closest(&self) -> Option<CheckResult> {
        self.tightest.map(|tightest| tightest.result(self.names))
    }

    /// A failure whose texts are not plain figures.
    pub fn fail(&mut self, result: CheckResult) {
        if let Some(seen) = &mut self.seen {
            seen.push(result.clone());
        }
        self.failed.push(result);
    }

    /// A soft check: it is noted and refuses nothing.
    pub fn warn_of(&mut self, figures: Figures<'a>) {
        if let Some(seen) = &mut self.seen {
            seen.push(figures.result(self.names));
        }
    }
}

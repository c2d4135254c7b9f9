//! The checks done so far: what failed, what came closest, what a soft limit warns of.

use crate::limits::{LimitKind, LimitScope};
use crate::record::CheckResult;
use crate::risk::figures::{Figures, Kinds, Names};
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
    pub tightest: Option<Figures<'a>>,
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
            overridden: Kinds::default(),
            warned: Kinds::default(),
            near: Vec::new(),
            seen: None,
        }
    }

    pub fn take(&mut self, figures: Figures<'a>) {
        if let Some(seen) = &mut self.seen {
            seen.push(figures.result(self.names));
        }
        if !figures.passes() {
            match figures.check {
                Check::Limit(kind) if self.excused.contains(&kind) => self.overridden.insert(kind),
                _ => self.failed.push(figures.result(self.names)),
            }
            return;
        }
        if let Check::Limit(kind) = figures.check
            && figures.uses_percent(self.warn_percent)
        {
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
        if self
            .tightest
            .as_ref()
            .is_none_or(|tightest| figures.is_tighter_than(tightest))
        {
            self.tightest = Some(figures);
        }
    }

    /// As [`Outcome::take`]; figures that are out of range fail as such, whatever is excused.
    pub fn take_or_range(&mut self, figures: Option<Figures<'a>>, limit: i128) {
        match figures {
            Some(figures) => self.take(figures),
            None => self.out_of_range(limit),
        }
    }

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

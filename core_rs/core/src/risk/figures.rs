//! One comparison, exact: figures as integers, text only for those that are stored.

use crate::decimal::DecimalText;
use crate::limits::{LimitKind, LimitScope, Owner};
use crate::record::CheckResult;
use crate::risk::table::Check;
use serde::{Deserialize, Serialize};

/// Which way the limit bounds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The value must not be larger.
    AtMost,
    /// The value must not be smaller.
    AtLeast,
}

/// Figures of one check, in the check's unit.
#[derive(Debug, Clone, Copy)]
pub struct Figures<'a> {
    /// Which check.
    pub check: Check,
    /// Whose limit; `None` for the exchange's own and the account's balance.
    pub scope: Option<&'a LimitScope>,
    /// The order's figure; `None` when it cannot be told, which fails.
    pub value: Option<i128>,
    /// The limit.
    pub limit: i128,
    /// What is left without this order.
    pub headroom: i128,
    /// Which way.
    pub bound: Bound,
}

/// Names that the text of a check needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub account: &'a str,
    pub symbol: &'a str,
}

impl<'a> Figures<'a> {
    /// A check whose figure without this order is zero, so that everything up to the limit is free.
    #[must_use]
    pub const fn whole(check: Check, scope: Option<&'a LimitScope>, value: Option<i128>, limit: i128) -> Self {
        Self {
            check,
            scope,
            value,
            limit,
            headroom: limit,
            bound: Bound::AtMost,
        }
    }

    /// A check of a sum: `before` without this order, `after` with it. `None` when the headroom does not fit.
    #[must_use]
    pub fn sum(check: Check, scope: Option<&'a LimitScope>, before: i128, after: i128, limit: i128) -> Option<Self> {
        Some(Self {
            headroom: limit.checked_sub(before)?,
            ..Self::whole(check, scope, Some(after), limit)
        })
    }

    /// A lower bound.
    #[must_use]
    pub const fn at_least(check: Check, value: i128, limit: i128) -> Self {
        Self {
            bound: Bound::AtLeast,
            ..Self::whole(check, None, Some(value), limit)
        }
    }

    /// Whether the order stays inside.
    #[must_use]
    pub const fn passes(&self) -> bool {
        match (self.value, self.bound) {
            (Some(value), Bound::AtMost) => value <= self.limit,
            (Some(value), Bound::AtLeast) => value >= self.limit,
            (None, _) => false,
        }
    }

    /// The share of the limit that is used, as a fraction of two numbers that are not negative.
    const fn share(&self) -> (u128, u128) {
        let value = match self.value {
            Some(value) if value > 0 => value.unsigned_abs(),
            _ => 0,
        };
        let limit = if self.limit > 0 { self.limit.unsigned_abs() } else { 0 };
        match self.bound {
            Bound::AtMost => (value, limit),
            Bound::AtLeast => (limit, value),
        }
    }

    /// True when this passed check uses a larger share of its limit than the other: a/b > c/d as a×d > c×b.
    #[must_use]
    pub const fn is_tighter_than(&self, other: &Self) -> bool {
        let ((used, of), (other_used, other_of)) = (self.share(), other.share());
        let (high, low) = product(used, other_of);
        let (other_high, other_low) = product(other_used, of);
        high > other_high || (high == other_high && low > other_low)
    }

    /// True when at least so many percent of the limit are used.
    #[must_use]
    pub const fn uses_percent(&self, percent: u32) -> bool {
        let (used, of) = self.share();
        let ((high, low), (part_high, part_low)) = (product(used, 100), product(of, percent as u128));
        used > 0 && (high > part_high || (high == part_high && low >= part_low))
    }

    /// As text. An unknown figure reads `none`.
    pub(super) fn result(&self, names: Names<'_>) -> CheckResult {
        let text = |figure| DecimalText::new(figure, self.check.places()).as_str().to_owned();
        let (scope, target, symbol) = self.place(names);
        CheckResult {
            code: self.check.code().to_owned(),
            value: self.value.map_or_else(|| "none".to_owned(), text),
            limit: text(self.limit),
            headroom: text(self.headroom),
            scope: scope.to_owned(),
            target,
            symbol,
        }
    }

    fn place(&self, names: Names<'_>) -> (&'static str, String, String) {
        let Some(scope) = self.scope else {
            return match self.check {
                Check::Balance | Check::ReduceOnly | Check::VenueBudget => {
                    ("account", names.account.to_owned(), String::new())
                }
                Check::Drift | Check::InDoubt => ("account", names.account.to_owned(), names.symbol.to_owned()),
                _ => ("venue", String::new(), names.symbol.to_owned()),
            };
        };
        let target = match &scope.owner {
            Owner::Firm => String::new(),
            Owner::Account(_) => names.account.to_owned(),
            Owner::Strategy(name) => name.clone(),
            Owner::Key(key) => key.to_string(),
        };
        let symbol = scope.instrument.map_or("", |_| names.symbol).to_owned();
        (crate::limits::owners::word(scope.owner.bit()), target, symbol)
    }
}

/// The full product as its high and low half.
const fn product(one: u128, other: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    if (one | other) <= LOW {
        // Nearly always: one multiplication instead of four.
        return (0, one * other);
    }
    let low = (one & LOW) * (other & LOW);
    let middle = (one >> 64) * (other & LOW) + (low >> 64);
    let crossed = (one & LOW) * (other >> 64) + (middle & LOW);
    (
        (one >> 64) * (other >> 64) + (middle >> 64) + (crossed >> 64),
        (crossed << 64) | (low & LOW),
    )
}

/// A set of limits, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kinds(pub u64);

impl Kinds {
    /// Puts a kind into the set.
    pub const fn insert(&mut self, kind: LimitKind) {
        self.0 |= 1 << kind as u8;
    }

    /// Whether the kind is in the set.
    #[must_use]
    pub const fn contains(self, kind: LimitKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// True for the empty set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members, in order.
    pub fn iter(self) -> impl Iterator<Item = LimitKind> {
        LimitKind::ALL.iter().copied().filter(move |kind| self.contains(*kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_all_their_bits() {
        assert_eq!(product(0, u128::MAX), (0, 0));
        assert_eq!(product(3, 5), (0, 15));
        assert_eq!(product(1 << 127, 2), (1, 0));
        assert_eq!(product(u128::MAX, u128::MAX), (u128::MAX - 1, 1));
        assert_eq!(product(u128::MAX, 1 << 64), ((1 << 64) - 1, u128::MAX << 64));
    }

    #[test]
    fn shares_count_what_is_used_and_never_less_than_nothing() {
        let most = |value, limit| Figures::whole(Check::Balance, None, Some(value), limit);
        assert!(most(80, 100).uses_percent(80) && !most(79, 100).uses_percent(80));
        assert!(most(i128::MAX, i128::MAX).uses_percent(100));
        assert!(!most(-5, 100).uses_percent(1) && !most(0, 0).uses_percent(1));
        assert!(most(2, 3).is_tighter_than(&most(66, 100)) && !most(-9, 1).is_tighter_than(&most(0, 5)));
        let least = Figures::at_least(Check::SelfTrade, 100, 99);
        assert!(least.passes() && least.is_tighter_than(&most(98, 100)));
        assert!(!Figures::whole(Check::Balance, None, None, i128::MAX).passes());
    }

    #[test]
    fn a_set_of_kinds_holds_every_kind() {
        let mut kinds = Kinds::default();
        assert!(kinds.is_empty());
        for kind in LimitKind::ALL {
            kinds.insert(*kind);
        }
        assert_eq!(kinds.iter().collect::<Vec<_>>(), LimitKind::ALL);
    }
}

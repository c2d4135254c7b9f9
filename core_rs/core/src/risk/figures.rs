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

    /// The share of the limit that is used.
    #[inline]
    pub(super) const fn share(&self) -> Share {
        let value = match self.value {
            Some(value) if value > 0 => value.unsigned_abs(),
            _ => 0,
        };
        let limit = if self.limit > 0 { self.limit.unsigned_abs() } else { 0 };
        match self.bound {
            Bound::AtMost => Share { used: value, of: limit },
            Bound::AtLeast => Share { used: limit, of: value },
        }
    }

    /// Value and limit, when this is an upper bound and both are 63 bits wide and not negative, as nearly always.
    #[inline]
    pub(super) const fn small(&self) -> Option<(u64, u64)> {
        match (self.value, self.bound) {
            (Some(value), Bound::AtMost) if (value | self.limit) >> 63 == 0 => Some((value as u64, self.limit as u64)),
            _ => None,
        }
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

/// A fraction of two numbers that are not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Share {
    used: u128,
    of: u128,
}

impl Share {
    /// Both numbers, when 64 bits are enough for each.
    pub const fn small(self) -> Option<(u64, u64)> {
        if (self.used | self.of) >> 64 == 0 {
            Some((self.used as u64, self.of as u64))
        } else {
            None
        }
    }

    /// True when this is the larger: a/b > c/d as a×d > c×b.
    #[inline]
    pub const fn is_tighter_than(self, other: Self) -> bool {
        if (self.used | self.of | other.used | other.of) >> 64 == 0 {
            // Nearly always: 64 bits each, and one multiplication instead of four.
            let (used, of) = (self.used as u64 as u128, self.of as u64 as u128);
            return used * (other.of as u64 as u128) > of * (other.used as u64 as u128);
        }
        let (high, low) = product(self.used, other.of);
        let (other_high, other_low) = product(other.used, self.of);
        high > other_high || (high == other_high && low > other_low)
    }

    /// True when it is at least so many percent, and not nothing.
    #[inline]
    pub const fn is_percent(self, percent: u32) -> bool {
        if (self.used | self.of) >> 64 == 0 {
            let (used, of) = (self.used as u64 as u128, self.of as u64 as u128);
            return used > 0 && used * 100 >= of * percent as u128;
        }
        let ((high, low), (part_high, part_low)) = (product(self.used, 100), product(self.of, percent as u128));
        self.used > 0 && (high > part_high || (high == part_high && low >= part_low))
    }
}

/// The full product as its high and low half.
const fn product(one: u128, other: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
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
    /// The set of these.
    #[must_use]
    pub const fn of(mut members: &[LimitKind]) -> Self {
        let mut kinds = Self(0);
        while let [first, rest @ ..] = members {
            kinds.insert(*first);
            members = rest;
        }
        kinds
    }

    /// Puts a kind into the set.
    pub const fn insert(&mut self, kind: LimitKind) {
        self.0 |= 1 << kind as u8;
    }

    /// Takes a kind out of the set.
    pub const fn remove(&mut self, kind: LimitKind) {
        self.0 &= !(1 << kind as u8);
    }

    /// Every kind of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they have a kind in common.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the kind is in the set.
    #[inline]
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
        let most = |value, limit| Figures::whole(Check::Balance, None, Some(value), limit).share();
        assert!(most(80, 100).is_percent(80) && !most(79, 100).is_percent(80));
        assert!(most(i128::MAX, i128::MAX).is_percent(100));
        assert!(!most(-5, 100).is_percent(1) && !most(0, 0).is_percent(1));
        assert!(most(2, 3).is_tighter_than(most(66, 100)) && !most(-9, 1).is_tighter_than(most(0, 5)));
        let least = Figures::at_least(Check::SelfTrade, 100, 99);
        assert!(least.passes() && least.share().is_tighter_than(most(98, 100)));
        assert!(!Figures::whole(Check::Balance, None, None, i128::MAX).passes());
    }

    #[test]
    fn shares_of_64_bits_compare_as_wider_ones_do() {
        let figures = [
            0,
            1,
            2,
            99,
            100,
            1 << 40,
            u128::from(u64::MAX) - 1,
            u128::from(u64::MAX),
        ];
        let shares = figures
            .iter()
            .flat_map(|used| figures.map(|of| Share { used: *used, of }));
        let shares: Vec<Share> = shares.collect();
        let wide = |share: &Share| Share {
            used: share.used << 60,
            of: share.of << 60,
        };
        for one in &shares {
            for other in &shares {
                let scaled = wide(one).is_tighter_than(wide(other));
                assert_eq!(one.is_tighter_than(*other), scaled, "{one:?} {other:?}");
            }
            for percent in [0, 1, 80, 100] {
                assert_eq!(
                    one.is_percent(percent),
                    wide(one).is_percent(percent),
                    "{one:?} {percent}"
                );
            }
        }
    }

    #[test]
    fn a_set_of_kinds_holds_every_kind() {
        let mut kinds = Kinds::default();
        assert!(kinds.is_empty());
        for kind in LimitKind::ALL {
            kinds.insert(*kind);
        }
        assert_eq!(kinds.iter().collect::<Vec<_>>(), LimitKind::ALL);
        let mut one = Kinds::default();
        one.insert(LimitKind::MaxOrderQty);
        kinds.remove(LimitKind::MaxOrderQty);
        assert!(!kinds.contains(LimitKind::MaxOrderQty) && !kinds.meets(one));
        assert!(kinds.with(one).meets(one) && kinds.with(one).contains(LimitKind::MaxOrderQty));
    }
}

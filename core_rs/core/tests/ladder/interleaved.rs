//! Orders, fills, cancels and limit changes in any order: what was accepted never exceeds a limit, whatever happens to
//! it afterwards, and holds are Σ of the open worst cases until none is open.

use crate::desk::{ACCOUNT, Desk, amount, btc, desk, order};
use ordergate_core::limits::{LimitKind, Owner};
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::terms::Side;
use proptest::prelude::*;

const KINDS: [LimitKind; 5] = [
    LimitKind::MaxOrderQty,
    LimitKind::MaxLongPosition,
    LimitKind::MaxShortPosition,
    LimitKind::MaxOpenOrders,
    LimitKind::MaxOpenNotional,
];

#[derive(Debug, Clone)]
enum Step {
    Place { buy: bool, qty: i64, price: i64 },
    Fill { which: usize, percent: i64 },
    Cancel { which: usize },
    Limit { firm: bool, kind: usize, value: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<bool>(), 1i64..500, 1i64..300).prop_map(|(buy, qty, price)| Step::Place { buy, qty, price }),
        3 => (any::<usize>(), 1i64..=100).prop_map(|(which, percent)| Step::Fill { which, percent }),
        2 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        1 => (any::<bool>(), 0usize..KINDS.len(), 1i64..4_000).prop_map(|(firm, kind, value)| Step::Limit { firm, kind, value }),
    ];
    proptest::collection::vec(step, 1..120)
}

struct Open {
    side: Side,
    price: Price,
    leaves: i64,
    held: Amount,
}

/// The desk and what a venue would do to it: quantities in hundredths of base, prices in whole quote.
struct World {
    desk: Desk,
    open: Vec<Open>,
    quote: Amount,
    base: Amount,
    held: [Amount; 2],
}

impl World {
    fn new() -> Self {
        let mut desk = desk();
        desk.instrument = btc();
        for owner in [Owner::Firm, ACCOUNT] {
            for (kind, limit) in KINDS.into_iter().zip(["4", "10", "8", "12", "2000"]) {
                desk = desk.limit(owner.clone(), kind, limit);
            }
        }
        Self {
            desk,
            open: Vec::new(),
            quote: amount("3000"),
            base: amount("10"),
            held: [Amount::ZERO; 2],
        }
    }

    fn each_tally(&mut self, change: impl Fn(&mut ordergate_core::exposure::Tally)) {
        for bound in &mut self.desk.bounds {
            change(&mut bound.tally);
        }
    }

    fn place(&mut self, buy: bool, qty: i64, price: i64) {
        let side = if buy { Side::Buy } else { Side::Sell };
        let mut order = order(side, "1", Some("1"));
        order.qty = Qty(qty * 1_000_000);
        let price = Price(price * 100_000_000);
        order.price = Some(price);
        let (total, held) = if buy {
            (self.quote, self.held[0])
        } else {
            (self.base, self.held[1])
        };
        self.desk.free = total.checked_sub(held).unwrap();
        let Ok(approved) = self.desk.check(&order) else { return };
        let hold = approved.hold.amount();
        let leaves: Amount = order.qty.into();
        let notional = price.times(order.qty).to_amount_ceil();
        self.each_tally(|tally| {
            let open = if buy { &mut tally.open_buy } else { &mut tally.open_sell };
            *open = open.checked_add(leaves).unwrap();
            tally.open_notional = tally.open_notional.checked_add(notional).unwrap();
            tally.open_orders += 1;
        });
        let held = &mut self.held[usize::from(!buy)];
        *held = held.checked_add(hold).unwrap();
        self.open.push(Open {
            side,
            price,
            leaves: order.qty.0,
            held: hold,
        });
        self.accepted_within_limits(order.qty);
    }

    /// What was just accepted keeps every limit in the worst case that may still come.
    fn accepted_within_limits(&self, qty: Qty) {
        for bound in &self.desk.bounds {
            let limit = |kind| bound.limits.get(kind).unwrap();
            assert!(i128::from(qty.0) <= limit(LimitKind::MaxOrderQty));
            assert!(i128::from(bound.tally.open_orders) <= limit(LimitKind::MaxOpenOrders));
            assert!(bound.tally.open_notional.0 <= limit(LimitKind::MaxOpenNotional));
            let last = self.open.last().unwrap();
            match last.side {
                Side::Buy => assert!(bound.tally.worst_long().unwrap().0 <= limit(LimitKind::MaxLongPosition)),
                Side::Sell => assert!(-bound.tally.worst_short().unwrap().0 <= limit(LimitKind::MaxShortPosition)),
            }
        }
    }

    /// Leaves of an order become a trade (`traded`) or nothing.
    fn leave(&mut self, which: usize, leaves: i64, traded: bool) {
        if self.open.is_empty() {
            return;
        }
        let place = which % self.open.len();
        let order = &mut self.open[place];
        let leaves = leaves.clamp(1, order.leaves);
        order.leaves -= leaves;
        let rest = match order.side {
            Side::Buy => order.price.times(Qty(order.leaves)).to_amount_ceil(),
            Side::Sell => Amount(order.leaves.into()),
        };
        let released = order.held.checked_sub(rest).unwrap();
        order.held = rest;
        let (side, ended, quantity) = (order.side, order.leaves == 0, Amount(leaves.into()));
        let money = order.price.times(Qty(leaves));
        self.each_tally(|tally| {
            let (open, moved) = match side {
                Side::Buy => (&mut tally.open_buy, &mut tally.traded.bought_qty),
                Side::Sell => (&mut tally.open_sell, &mut tally.traded.sold_qty),
            };
            *open = open.checked_sub(quantity).unwrap();
            if traded {
                *moved = moved.checked_add(quantity).unwrap();
            }
            tally.open_notional = tally.open_notional.checked_sub(money.to_amount_ceil()).unwrap();
            tally.open_orders -= u32::from(ended);
        });
        let held = &mut self.held[usize::from(side == Side::Sell)];
        *held = held.checked_sub(released).unwrap();
        if traded {
            let (quote, base) = (money.to_amount_ceil(), quantity);
            match side {
                Side::Buy => {
                    self.quote = self.quote.checked_sub(quote).unwrap();
                    self.base = self.base.checked_add(base).unwrap();
                }
                Side::Sell => {
                    self.quote = self.quote.checked_add(money.to_amount_floor()).unwrap();
                    self.base = self.base.checked_sub(base).unwrap();
                }
            }
        }
        if ended {
            self.open.remove(place);
        }
    }

    fn holds_are_the_open_worst_cases(&self) {
        for (place, side) in Side::ALL.iter().enumerate() {
            let open = self.open.iter().filter(|order| order.side == *side);
            let worst: i128 = open
                .map(|order| match side {
                    Side::Buy => order.price.times(Qty(order.leaves)).to_amount_ceil().0,
                    Side::Sell => order.leaves.into(),
                })
                .sum();
            assert_eq!(self.held[place].0, worst, "{side}");
        }
        assert!(
            self.held[0] <= self.quote && self.held[1] <= self.base,
            "never more held than there is"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_interleaving_exceeds_a_limit_and_holds_end_at_nothing(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Place { buy, qty, price } => world.place(buy, qty, price),
                Step::Fill { which, percent } => {
                    let leaves = world.open.get(which % world.open.len().max(1)).map_or(0, |order| order.leaves);
                    world.leave(which, leaves * percent / 100, true);
                }
                Step::Cancel { which } => world.leave(which, i64::MAX, false),
                Step::Limit { firm, kind, value } => {
                    let owner = if firm { Owner::Firm } else { ACCOUNT };
                    let value = if KINDS[kind] == LimitKind::MaxOpenOrders { value / 100 } else { value * 1_000_000 };
                    world.desk.bound(owner).limits.set(KINDS[kind], Some(value.into()));
                }
            }
            world.holds_are_the_open_worst_cases();
        }
        while !world.open.is_empty() {
            world.leave(0, i64::MAX, false);
        }
        prop_assert_eq!(world.held, [Amount::ZERO; 2]);
        prop_assert!(world.desk.bounds.iter().all(|bound| bound.tally.open_orders == 0));
    }
}

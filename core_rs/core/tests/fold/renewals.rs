//! Replaces in any interleaving with trades, cancels, kills, late news and restarts: a chain of orders never asks for
//! more than was wanted, at most one of it works, and every hold comes back.

use crate::support::{World, cause, check_state, limit, replay};
use ordergate_core::engine::{Engine, Submitted};
use ordergate_core::number::{Amount, Qty};
use ordergate_core::order::Order;
use ordergate_core::record::KillOff;
use ordergate_core::report::OrderReport;
use ordergate_core::state::State;
use ordergate_core::terms::{KillScope, Mode, OrderId, SessionId};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Place(u8),
    Replace {
        order: u8,
        qty: u8,
        price: Option<u8>,
    },
    /// The way it mostly goes: acknowledged, replaced, canceled.
    Renew {
        order: u8,
        qty: u8,
        price: u8,
    },
    /// A trade of an order that another one took over from.
    Late(u8),
    Cancel(u8),
    CancelAll,
    Venue {
        order: u8,
        says: Says,
    },
    /// Time passes, with or without a reading of the kill switch.
    Wait(bool),
    Kill(u8),
    Unkill,
    Disconnect,
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Says {
    Ack,
    Fill(u8),
    Canceled,
    CancelReject,
    CancelUnknown,
    Replaced,
    ReplaceReject,
    Found,
    Unknown,
    Expired,
}

fn step() -> impl Strategy<Value = Step> {
    let says = prop_oneof![
        4 => Just(Says::Ack),
        6 => (1..9_u8).prop_map(Says::Fill),
        5 => Just(Says::Canceled),
        1 => Just(Says::CancelReject),
        1 => Just(Says::CancelUnknown),
        3 => Just(Says::Replaced),
        1 => Just(Says::ReplaceReject),
        1 => Just(Says::Found),
        1 => Just(Says::Unknown),
        1 => Just(Says::Expired),
    ];
    let replace = (any::<u8>(), 1..20_u8, proptest::option::weighted(0.7, 40..60_u8));
    prop_oneof![
        3 => (1..20_u8).prop_map(Step::Place),
        8 => replace.prop_map(|(order, qty, price)| Step::Replace { order, qty, price }),
        3 => (any::<u8>(), 8..20_u8, 40..60_u8).prop_map(|(order, qty, price)| Step::Renew { order, qty, price }),
        1 => (1..4_u8).prop_map(Step::Late),
        2 => any::<u8>().prop_map(Step::Cancel),
        1 => Just(Step::CancelAll),
        16 => (any::<u8>(), says).prop_map(|(order, says)| Step::Venue { order, says }),
        3 => any::<bool>().prop_map(Step::Wait),
        1 => (1..3_u8).prop_map(Step::Kill),
        2 => Just(Step::Unkill),
        1 => Just(Step::Disconnect),
        1 => Just(Step::Restart),
    ]
}

struct Story {
    world: World,
    session: SessionId,
    trades: u32,
}

impl Story {
    fn new() -> Self {
        let (world, session, _) = World::connected();
        Self {
            world,
            session,
            trades: 0,
        }
    }

    fn state(&self) -> &State {
        self.world.engine.state()
    }

    /// One of the newest orders.
    fn pick(&self, number: u8) -> Option<OrderId> {
        let ids: Vec<OrderId> = self.state().orders().rev().take(5).map(|order| order.id).collect();
        ids.get(number as usize % ids.len().max(1)).copied()
    }

    /// Mostly one of the newest that are open.
    fn likely(&self, number: u8) -> Option<OrderId> {
        let mut open: Vec<OrderId> = self.state().open_orders(Mode::Paper).map(|order| order.id).collect();
        open.reverse();
        open.truncate(3);
        if number < 200 && !open.is_empty() {
            return open.get(number as usize % open.len()).copied();
        }
        self.pick(number)
    }

    fn go(&mut self, step: Step) {
        match step {
            Step::Place(qty) => {
                let body = limit(Mode::Paper, "BUY", &qty.to_string(), "50");
                let placed = self.world.submit(&body);
                assert!(!matches!(placed, Ok(Submitted::Stored { status: 422, .. })));
            }
            Step::Replace { order, qty, price } => {
                let Some(order) = self.likely(order) else { return };
                let price = price.map_or(String::new(), |price| format!(r#","price":{price}"#));
                // A refusal is as good an answer.
                let _ = self.world.replace(order, &format!(r#"{{"quantity":{qty}{price}}}"#));
            }
            Step::Renew { order, qty, price } => {
                self.hear(order, Says::Ack);
                let price = Some(price);
                self.go(Step::Replace { order, qty, price });
                self.hear(order, Says::Canceled);
            }
            Step::Late(part) => {
                let old = self.state().orders().rev().find(|order| order.replaced_by().is_some());
                if let Some(id) = old.map(|order| order.id) {
                    self.trade(id, part);
                }
            }
            Step::Cancel(order) => {
                let Some(order) = self.pick(order) else { return };
                let _ = self.world.cancel(order);
            }
            Step::CancelAll => {
                let (caller, now) = (self.world.caller(0), self.world.now);
                self.world.engine.cancel_all(caller, "BTCUSDT", now).unwrap().unwrap();
            }
            Step::Venue { order, says } => self.hear(order, says),
            Step::Wait(read) => {
                if read {
                    self.world.wait(300);
                } else {
                    self.world.now += 400_000_000;
                    self.world.engine.tick(self.world.now, self.world.now).unwrap();
                }
            }
            Step::Kill(level) => _ = self.world.kill(KillScope::Global, "", level),
            Step::Unkill => {
                let word = |word: &str| word.to_owned();
                let (scope, target, by, source) = (KillScope::Global, String::new(), word("ann"), word("cli"));
                let off = KillOff {
                    scope,
                    target,
                    by,
                    source,
                };
                self.world.engine.kill_off(off, self.world.now).unwrap().unwrap();
            }
            Step::Disconnect => {
                self.world.engine.close_session(self.session);
                self.session = self.world.connect("paper", Mode::Paper);
            }
            Step::Restart => {
                self.world.collect();
                let mut engine = Engine::new(replay(&self.world.journal));
                engine
                    .start(self.state().epoch() + 1, "otherone", 1, 0, self.world.now)
                    .unwrap();
                self.world.engine = engine;
                self.session = self.world.connect("paper", Mode::Paper);
            }
        }
    }

    /// No venue trades more than is left of what it was told of.
    fn trade(&mut self, id: OrderId, part: u8) {
        let order = self.world.order(id);
        let (price, left) = (order.terms.price.unwrap().to_string(), order.leaves());
        let traded = Amount::from(Qty(i64::from(part) * 50_000_000)).min(left);
        if order.submit.is_some() && traded > Amount::ZERO {
            self.trades += 1;
            let trade = format!("t{}", self.trades);
            self.world.fill(self.session, id, &trade, &traded.to_string(), &price);
        }
    }

    /// The venue says something of an order that it was told of; news of ended ones come late.
    fn hear(&mut self, order: u8, says: Says) {
        let told = |order: &&Order| order.submit.is_some();
        let Some(id) = self.likely(order).filter(|id| self.state().order(*id).iter().any(told)) else {
            return;
        };
        let order = self.world.order(id);
        let asked = order.amending().map(|qty| qty.to_string());
        let price = order.terms.price.unwrap().to_string();
        let what = match says {
            Says::Ack => OrderReport::Ack { venue_order_id: "v" },
            Says::Fill(part) => return self.trade(id, part),
            Says::Canceled => OrderReport::Canceled(cause("", "")),
            Says::CancelReject => OrderReport::CancelReject(cause("X", "")),
            Says::CancelUnknown => OrderReport::CancelUnknown(cause("X", "")),
            Says::Replaced => match &asked {
                Some(qty) => OrderReport::Replaced {
                    qty,
                    price: Some(&price),
                },
                None => return,
            },
            Says::ReplaceReject => OrderReport::ReplaceReject(cause("X", "")),
            Says::Found => OrderReport::Found {
                venue_order_id: Some("v"),
                working: true,
                cum_qty: "0",
            },
            Says::Unknown => OrderReport::Unknown(cause("X", "")),
            Says::Expired => OrderReport::Expired(cause("X", "")),
        };
        self.world.report(self.session, id, what);
        if matches!(says, Says::CancelReject) {
            // One that must not work is canceled again, but not at once.
            self.world.wait(1_100);
        }
    }
}

/// The order works, and nobody has asked for its end.
fn is_wanted(order: &Order) -> bool {
    order.is_open() && !order.cancel_pending && !order.cancel_wanted
}

/// The order with everything that took over from it, in turn.
fn chain<'a>(state: &'a State, first: &'a Order) -> Vec<&'a Order> {
    let mut orders = vec![first];
    while let Some(next) = orders.last().and_then(|last| last.replaced_by()) {
        orders.push(state.order(next).unwrap());
    }
    orders
}

fn check(state: &State) {
    for order in state.orders() {
        let orders = chain(state, order);
        let wanted: Vec<OrderId> = orders
            .iter()
            .filter(|order| is_wanted(order))
            .map(|order| order.id)
            .collect();
        assert!(wanted.len() <= 1, "{wanted:?} of one chain work");
        assert!(
            wanted.is_empty() || wanted[0] == orders[orders.len() - 1].id,
            "one that another took over from works"
        );
        if let [old, new, ..] = orders[..] {
            assert_eq!(new.terms.replaces(), Some(old.id));
            let target = Amount::from(old.changes().unwrap().target);
            let within = old.cum_qty.checked_add(new.terms.qty.into()).unwrap() <= target;
            assert!(within || wanted.is_empty(), "{} and {} exceed {target}", old.id, new.id);
            assert_eq!(old.renewal(), None, "what was asked is done");
        }
        if order.awaits_renewal() {
            assert_eq!(order.replaced_by(), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_never_asks_for_more_than_was_wanted(steps in proptest::collection::vec(step(), 1..60)) {
        let mut story = Story::new();
        for step in steps {
            story.go(step);
            check(story.state());
            check_state(story.state());
        }
        story.world.check();
        // Everything ends, and nothing is held.
        story.go(Step::Unkill);
        for _ in 0..40 {
            story.go(Step::CancelAll);
            story.world.wait(2_100);
            let open: Vec<OrderId> = story.state().open_orders(Mode::Paper).map(|order| order.id).collect();
            for order in open {
                story.world.report(story.session, order, OrderReport::Canceled(cause("", "")));
            }
            check(story.state());
        }
        prop_assert_eq!(story.state().open_count(), 0);
        prop_assert_eq!(story.world.balance(Mode::Paper, "USDT").1, "0");
        prop_assert!(story.state().orders().all(|order| !order.awaits_renewal()));
        story.world.check();
    }
}

/// The histories must come past what they are about, or they prove little.
#[test]
fn the_histories_come_past_every_end_of_a_replace() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let histories = proptest::collection::vec(step(), 60..80);
    let mut passed = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let mut story = Story::new();
        for step in histories.new_tree(&mut runner).unwrap().current() {
            story.go(step);
        }
        passed.extend(story.world.names());
        for order in story.state().orders() {
            let chain = chain(story.state(), order).len();
            passed.extend((chain > 2).then_some("a chain of three"));
            passed.extend((order.amends() > 0).then_some("changed in place"));
            passed.extend((order.late_fill && order.replaced_by().is_some()).then_some("a late trade of an old one"));
            passed.extend((&*order.reason == "OVER_TARGET").then_some("over target"));
        }
    }
    for sight in [
        "REPLACE_ASKED",
        "REPLACED",
        "REPLACE_REJECTED",
        "REPLACE_DROPPED",
        "a chain of three",
        "changed in place",
        "a late trade of an old one",
        "over target",
    ] {
        assert!(passed.contains(sight), "never seen: {sight}; seen: {passed:?}");
    }
}

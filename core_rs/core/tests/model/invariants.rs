//! What must hold after every step, each under its name.

use crate::picture::{Picture, rendered};
use crate::reference::{Model, SYMBOLS};
use crate::sums;
use crate::world::{Outcome, World};
use ordergate_core::record::{Fill, Record};
use ordergate_core::snapshot;
use ordergate_core::terms::{Mode, OrderId, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// A step has been taken.
pub struct Moment<'a> {
    pub world: &'a World,
    pub outcome: Outcome,
    pub before: &'a Picture,
    pub after: &'a Picture,
    /// State hash and last record before the step.
    pub was: (u128, Seq),
}

type Check = fn(&Moment<'_>) -> Result<(), String>;

pub const INVARIANTS: [(&str, Check); 21] = [
    ("the model agrees", the_model_agrees),
    ("total = free + held", total_is_free_and_held),
    ("held = sum of the holds of open orders", held_is_the_sum_of_holds),
    ("a hold is released exactly once", holds_are_released_once),
    ("position = fold of the fills", position_is_the_fold_of_fills),
    ("each trade id is counted once", trades_count_once),
    ("cumulative quantity = sum of the fills", cumulative_is_the_sum_of_fills),
    ("status is a function of the facts", status_follows_from_facts),
    ("an end is left only by late evidence", ends_are_left_by_evidence),
    ("refused input changes nothing", refused_input_changes_nothing),
    (
        "the hash moves with the records and with nothing else",
        hash_moves_with_records,
    ),
    ("replay = live, as hash and as text", replay_is_live),
    ("restore(snapshot) = live", restored_is_live),
    ("one request key, one answer", keys_keep_their_answers),
    ("sums = sums over the model's orders and trades", sums::are_naive),
    ("holds = the open worst cases", sums::holds_are_open_worst_cases),
    ("a doubt keeps its hold", sums::doubts_keep_their_holds),
    ("an accepted order keeps every limit", sums::accepted_orders_keep_limits),
    ("an accepted order is covered", accepted_orders_are_covered),
    ("PAPER and LIVE never mix", modes_never_mix),
    ("an order is sent once, by the newest session", orders_are_sent_once),
];

pub fn equal<T: PartialEq + std::fmt::Debug>(what: impl std::fmt::Debug, is: &T, should: &T) -> Result<(), String> {
    if is == should {
        Ok(())
    } else {
        Err(format!("{what:?}: {is:?}, should be {should:?}"))
    }
}

pub fn ensure(holds: bool, what: impl std::fmt::Debug) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what:?}")) }
}

impl Moment<'_> {
    pub fn model(&self) -> &Model {
        &self.world.model
    }

    /// Records of this step.
    fn news(&self) -> impl Iterator<Item = &Record> {
        self.world.records.range(self.was.1 + 1..).map(|(_, record)| record)
    }

    /// Status before and after of every order whose status changed.
    pub fn changes_of_status(&self) -> impl Iterator<Item = String> {
        let both = self
            .before
            .orders
            .iter()
            .filter_map(|(id, before)| Some((before, self.after.orders.get(id)?)));
        let changed = both.filter(|(before, after)| before.status != after.status);
        changed.map(|(before, after)| format!("{} > {}", before.status, after.status))
    }

    /// First sightings of trades in the journal.
    fn fills(&self) -> BTreeMap<(OrderId, &str), &Fill> {
        let mut fills = BTreeMap::new();
        for record in self.world.records.values() {
            if let Record::Fill(fill) = record {
                fills.entry((fill.order, &*fill.trade_id)).or_insert(fill);
            }
        }
        fills
    }
}

fn the_model_agrees(moment: &Moment<'_>) -> Result<(), String> {
    let (engine, model) = (moment.after, Picture::worked_out(moment.model()));
    for (id, order) in &engine.orders {
        equal(id, &Some(order), &model.orders.get(id))?;
    }
    equal("everything", engine, &model)
}

fn total_is_free_and_held(moment: &Moment<'_>) -> Result<(), String> {
    let scaled = |value: &serde_json::Value| {
        let text = value.as_str().unwrap();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{decimals:0<8}").parse::<i128>().unwrap()
    };
    for text in rendered(moment.world.state()) {
        let document: serde_json::Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        for balance in document["balances"].as_array().into_iter().flatten() {
            let [total, free, held] = ["total", "free", "held"].map(|name| scaled(&balance[name]));
            equal(balance, &total, &(free + held))?;
        }
    }
    Ok(())
}

fn held_is_the_sum_of_holds(moment: &Moment<'_>) -> Result<(), String> {
    let mut sums: BTreeMap<_, i128> = BTreeMap::new();
    for (id, order) in &moment.after.orders {
        ensure(order.held >= 0 && (order.is_open() || order.held == 0), (id, order))?;
        *sums.entry(order.purse()).or_default() += order.held;
    }
    for (place, (_, held)) in &moment.after.balances {
        equal(place, held, &sums.remove(place).unwrap_or(0))?;
    }
    ensure(sums.values().all(|sum| *sum == 0), sums)
}

/// What a balance's hold changes by is what its orders' holds change by, so that an end is booked once, and an order
/// that stays ended never again.
fn holds_are_released_once(moment: &Moment<'_>) -> Result<(), String> {
    let mut moved: BTreeMap<_, i128> = BTreeMap::new();
    for (id, after) in &moment.after.orders {
        let before = moment.before.orders.get(id);
        let held = before.map_or(0, |before| before.held);
        if before.is_some_and(|before| !before.is_open()) && !after.is_open() {
            equal(id, &(after.held, held), &(0, 0))?;
        }
        *moved.entry(after.purse()).or_default() += after.held - held;
    }
    let held = |picture: &Picture, place: &_| picture.balances.get(place).map_or(0, |balance| balance.1);
    for place in moment.before.balances.keys().chain(moment.after.balances.keys()) {
        let change = held(moment.after, place) - held(moment.before, place);
        equal(place, &change, moved.get(place).unwrap_or(&0))?;
    }
    Ok(())
}

fn position_is_the_fold_of_fills(moment: &Moment<'_>) -> Result<(), String> {
    let mut positions: BTreeMap<_, [i128; 5]> = BTreeMap::new();
    for ((order, _), fill) in moment.fills() {
        let order = &moment.after.orders[&order];
        let place = (order.account, order.mode, order.symbol.to_owned());
        let (qty, quote) = (i128::from(fill.qty.0), fill.quote_qty.0);
        let position = positions.entry(place).or_default();
        let (sign, side) = if order.buy { (1, 1) } else { (-1, 3) };
        let base = SYMBOLS.iter().any(|known| *known == (order.symbol, &*fill.fee_asset));
        position[0] += sign * qty - if base { fill.fee.0 } else { 0 };
        position[side] += qty;
        position[side + 1] += quote;
    }
    equal("positions", &moment.after.positions, &positions)
}

fn trades_count_once(moment: &Moment<'_>) -> Result<(), String> {
    let fills = moment.fills();
    for (id, order) in &moment.after.orders {
        let ids = fills.keys().filter(|(order, _)| order == id).count();
        equal(id, &order.trades, &ids)?;
    }
    equal("all", &moment.world.state().counters().fills, &(fills.len() as u64))
}

fn cumulative_is_the_sum_of_fills(moment: &Moment<'_>) -> Result<(), String> {
    let fills = moment.fills();
    for (id, order) in &moment.after.orders {
        let mine = fills.iter().filter(|((order, _), _)| order == id).map(|(_, fill)| fill);
        let sums = mine.fold((0, 0), |(qty, quote), fill| {
            (qty + i128::from(fill.qty.0), quote + fill.quote_qty.0)
        });
        equal(id, &(order.traded - order.before, order.quote), &sums)?;
    }
    Ok(())
}

fn status_follows_from_facts(moment: &Moment<'_>) -> Result<(), String> {
    let mut orders = moment.after.orders.iter();
    orders.try_for_each(|(id, order)| equal((id, order), &order.status, &order.facts().status()))
}

/// From, by which record, to.
#[rustfmt::skip]
const LATE_EVIDENCE: [(&str, &str, &[&str]); 7] = [
    ("CANCELED", "FILL", &["FILLED"]),
    ("EXPIRED", "FILL", &["FILLED"]),
    ("REJECTED", "FILL", &["PARTIALLY_FILLED", "FILLED"]),
    ("REJECTED", "ACKED", &["NEW"]),
    ("CANCELED", "FOUND_AT_VENUE", &["NEW", "PARTIALLY_FILLED"]),
    ("EXPIRED", "FOUND_AT_VENUE", &["NEW", "PARTIALLY_FILLED"]),
    ("REJECTED", "FOUND_AT_VENUE", &["NEW"]),
];

fn ends_are_left_by_evidence(moment: &Moment<'_>) -> Result<(), String> {
    for (id, before) in moment.before.orders.iter().filter(|(_, order)| !order.is_open()) {
        let Some(after) = moment.after.orders.get(id) else {
            continue;
        };
        if after.status == before.status && after.end == before.end {
            continue;
        }
        let allowed = LATE_EVIDENCE.iter().any(|(from, record, to)| {
            *from == before.status && to.contains(&after.status) && moment.news().any(|news| news.name() == *record)
        });
        let ours = before.end == Some(crate::orders::End::RejectedByGateway);
        ensure(allowed && !ours, (id, before.status, after.status))?;
    }
    Ok(())
}

fn refused_input_changes_nothing(moment: &Moment<'_>) -> Result<(), String> {
    if moment.outcome != Outcome::Refused {
        return Ok(());
    }
    let state = moment.world.state();
    equal("hash and record", &(state.digest(), state.last_seq()), &moment.was)?;
    equal("picture", moment.after, moment.before)
}

fn hash_moves_with_records(moment: &Moment<'_>) -> Result<(), String> {
    let state = moment.world.state();
    let (hash, seq) = moment.was;
    equal("moved", &(state.digest() != hash), &(state.last_seq() != seq))
}

fn replay_is_live(moment: &Moment<'_>) -> Result<(), String> {
    let (live, replayed) = (moment.world.state(), &moment.world.replayed);
    equal("hash", &replayed.digest(), &live.digest())?;
    equal("text", &rendered(replayed), &rendered(live))
}

fn restored_is_live(moment: &Moment<'_>) -> Result<(), String> {
    let live = moment.world.state();
    let bytes = snapshot::encode(live).map_err(|error| error.to_string())?;
    let restored = snapshot::decode(&bytes).map_err(|error| error.to_string())?;
    equal("hash", &restored.digest(), &live.digest())?;
    equal("picture", &moment.world.picture(&restored), moment.after)?;
    ensure(
        snapshot::encode(&restored).is_ok_and(|again| again == bytes),
        "another snapshot",
    )
}

/// What is found under a key is the record of its order, and that record holds the very answer given at first.
fn keys_keep_their_answers(moment: &Moment<'_>) -> Result<(), String> {
    let (state, model) = (moment.world.state(), moment.model());
    for ((account, key), (_, at, order)) in &model.requests {
        let kept = model.now < at + 24 * 3_600_000_000_000;
        let found = state.request(*account, key, model.now).map(|request| request.seq);
        equal(key, &found, &kept.then_some(*order))?;
        let stored = match &moment.world.records[order] {
            Record::OrderAccepted(body) => (body.answer_status, body.answer.clone()),
            Record::OrderDenied(body) => (body.answer_status, body.answer.clone()),
            other => return Err(format!("{key}: {}", other.name())),
        };
        equal(key, &Some(&stored), &moment.world.answers.get(order))?;
    }
    Ok(())
}

fn accepted_orders_are_covered(moment: &Moment<'_>) -> Result<(), String> {
    let Outcome::Accepted(id) = moment.outcome else {
        return Ok(());
    };
    let (total, held) = moment.after.balances[&moment.after.orders[&id].purse()];
    ensure(total >= held, (total, held))
}

/// Records about one order change nothing in the other mode.
fn modes_never_mix(moment: &Moment<'_>) -> Result<(), String> {
    for mode in [Mode::Paper, Mode::Live] {
        let concerned = moment.news().any(|record| match subject(record) {
            Subject::Order(order) => moment.after.orders[&order].mode == mode,
            Subject::Mode(of) => of == mode,
            Subject::New => moment
                .after
                .orders
                .iter()
                .any(|(id, order)| *id > moment.was.1 && order.mode == mode),
            Subject::Nothing => false,
        });
        if !concerned {
            equal(
                mode,
                &moment.after.part(mode),
                &Picture {
                    kills: moment.after.kills.clone(),
                    ..moment.before.part(mode)
                },
            )?;
        }
    }
    Ok(())
}

enum Subject {
    Order(OrderId),
    Mode(Mode),
    /// The order that the record makes.
    New,
    Nothing,
}

fn subject(record: &Record) -> Subject {
    match record {
        Record::OrderAccepted(_) | Record::OrderDenied(_) | Record::ExternalOrder(_) => Subject::New,
        Record::DoubtRequery(body) => Subject::Order(body.order),
        Record::VenueIdAttached(body) => Subject::Order(body.order),
        Record::SubmitStarted(body) => Subject::Order(body.order),
        Record::Fill(body) => Subject::Order(body.order),
        Record::Replaced(body) => Subject::Order(body.order),
        Record::FoundAtVenue(body) => Subject::Order(body.order),
        Record::Illegal(body) => Subject::Order(body.order),
        Record::BalanceAdjusted(body) => Subject::Mode(body.mode),
        Record::SessionOpened(body) => Subject::Mode(body.mode),
        other => other
            .order_event()
            .map_or(Subject::Nothing, |body| Subject::Order(body.order)),
    }
}

fn orders_are_sent_once(moment: &Moment<'_>) -> Result<(), String> {
    let (mut sent, mut newest) = (BTreeSet::new(), BTreeMap::new());
    for (seq, record) in &moment.world.records {
        match record {
            Record::SessionOpened(body) => _ = newest.insert(body.mode, *seq),
            Record::SubmitStarted(body) => {
                let mode = moment.after.orders[&body.order].mode;
                ensure(sent.insert(body.order), ("sent twice", body.order))?;
                equal(body.order, &Some(&body.session), &newest.get(&mode))?;
            }
            _ => {}
        }
    }
    Ok(())
}

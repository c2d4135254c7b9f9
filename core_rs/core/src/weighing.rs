//! What the checks of one order look at, put together from the state, the prices and the windows.

use crate::account::Account;
use crate::engine::{Caller, Engine, Mark};
use crate::exposure::Tally;
use crate::instrument::Instrument;
use crate::limits::{LimitKind, Owner};
use crate::number::{Amount, Price, Rate};
use crate::record::{CheckResult, Decision, DecisionInputs, TallyInputs, Terms};
use crate::refusal::{self, Refusal};
use crate::request::NewOrder;
use crate::risk::{self, Approved, Binding, Inputs, Kinds, MAX_SCOPES, Market, NEEDS_TOTALS, PAR, Totals, VenueFacts};
use crate::terms::{InstrumentId, Mode, Nanos, Side, TradingState};

/// Quantities behind the best prices that are older than this are none.
const DEPTH_MAX_AGE_NS: Nanos = 10_000_000_000;

/// One owner's sums: in the order's symbol, and over the others where a limit looks at them.
#[derive(Debug, Clone, Copy, Default)]
struct Sums<'a> {
    bit: u8,
    tally: Option<&'a Tally>,
    others: Option<Totals>,
}

impl Engine {
    /// Runs `judge` on what the checks of this order look at.
    pub(crate) fn weigh<T>(
        &self,
        caller: Caller,
        account: &Account,
        instrument: &Instrument,
        order: &NewOrder,
        now: Nanos,
        judge: impl FnOnce(&Inputs<'_>, &DecisionFigures<'_>) -> T,
    ) -> T {
        let (id, mode) = (instrument.instrument, order.mode);
        let strategy = order.strategy_id.as_deref();
        // Owners come in this sequence: firm, account, strategy. Keys have no sums.
        let mut sums = [Sums::default(); 3];
        let mut sets = [None; MAX_SCOPES];
        let (mut count, mut kinds) = (0, Kinds::default());
        for (place, (scope, limits)) in sets
            .iter_mut()
            .zip(self.state.limit_sets(account.id, strategy, caller.key, id))
        {
            (*place, count) = (Some((scope, limits)), count + 1);
            kinds = kinds.with(limits.kinds());
            let Some(place) = place_of(&scope.owner) else { continue };
            if sums[place].bit == 0 {
                sums[place].bit = scope.owner.bit();
                sums[place].tally = self.state.tally(&scope.owner, mode, id);
            }
            let reaches_others = scope.instrument.is_none() && limits.kinds().meets(NEEDS_TOTALS);
            if reaches_others && sums[place].others.is_none() {
                sums[place].others = Some(self.totals(&scope.owner, mode, id));
            }
            if limits.get(LimitKind::MaxDailyLoss).is_some()
                && let Some(others) = &mut sums[place].others
            {
                let result = self.result_today(&scope.owner, mode, now).filter(|result| result.fresh);
                others.day_result = result.map(|result| result.value.to_amount_floor());
            }
        }
        let mut bindings: [Option<Binding<'_>>; MAX_SCOPES] = [const { None }; MAX_SCOPES];
        for (binding, (scope, limits)) in bindings.iter_mut().zip(sets[..count].iter().copied().flatten()) {
            let own = place_of(&scope.owner).map(|place| &sums[place]);
            *binding = Some(Binding {
                scope,
                limits,
                tally: own.and_then(|own| own.tally),
                others: own.and_then(|own| own.others.as_ref()),
                rate_used: limits
                    .get(LimitKind::NewOrderRate)
                    .map_or(0, |_| self.order_rates.used(&scope.owner, now)),
            });
        }
        let bindings = &bindings[..count];
        let is_set = |kind: LimitKind| kinds.contains(kind);
        let needs_doubt = is_set(LimitKind::MaxDoubtAge);
        let needs_drawdown = is_set(LimitKind::MaxDrawdown);
        let equity = (needs_drawdown || is_set(LimitKind::MaxConcentration))
            .then(|| self.equity(account.id, mode, now))
            .flatten();
        let worth = equity.map(|equity| equity.value.to_amount_floor());
        let counts_equal = is_set(LimitKind::DuplicatesInSecond) || is_set(LimitKind::DuplicatesInTenSeconds);
        let own = self.state.tally(&Owner::Account(account.id), mode, id);
        let mine = strategy.map(|name| self.state.strategy_tally(name, mode, id));
        let rests = order.time_in_force.rests();
        let opposite = self.state.best_own_opposite(account.id, mode, id, order.side, rests);
        let inputs = Inputs {
            account: &account.name,
            instrument,
            bindings,
            own,
            strategy: mine,
            free: self.state.free(account, mode, id, order.side),
            base_total: self.state.base_total(account, mode, id),
            market: self.market(mode, id, order.side, now),
            fx: self.fx(mode, id),
            equity: worth,
            drawdown: equity
                .filter(|equity| needs_drawdown && equity.fresh)
                .and_then(|equity| self.fallen(account.id, mode, equity.value.to_amount_floor())),
            reduce_only: self
                .state
                .trading_state(mode, &account.name, strategy, &instrument.symbol)
                == TradingState::ReduceOnly,
            opposite: opposite.map(|(price, _)| price),
            duplicates: if counts_equal {
                self.equal_orders(account.id, id, order, now)
            } else {
                (0, 0)
            },
            journal: self.journal_health,
            doubt_age_ns: needs_doubt.then(|| self.doubt_age(account, mode, id, now)).flatten(),
            venue: self.venue_facts(account.id, mode, id, now),
            warn_percent: self.watch.warn_percent,
            excused: self.excused(order),
        };
        judge(&inputs, &DecisionFigures { sums: &sums })
    }

    /// Every check on the order, and what the decision record keeps of it. Failed checks are the error, to be put into
    /// the record by the caller, who also answers with them.
    pub(crate) fn assess(
        &self,
        caller: Caller,
        account: &Account,
        instrument: &Instrument,
        order: &NewOrder,
        now: Nanos,
    ) -> (Result<Approved, Vec<CheckResult>>, Decision) {
        self.weigh(caller, account, instrument, order, now, |inputs, figures| {
            let checked = risk::check(order, inputs);
            let mark = inputs.market.mark;
            let approved = checked.as_ref().ok();
            let decision = Decision {
                limits_version: self.state.limits_version(),
                reference_price: mark.map(|mark| if order.side == Side::Buy { mark.ask } else { mark.bid }),
                reference_age_ns: mark.map(|_| inputs.market.age_ns),
                failed: Vec::new(),
                tightest: approved.map(|approved| approved.tightest.clone()),
                inputs: Some(figures.recorded(inputs)),
                override_id: order.override_id,
                overridden: approved.map_or(Kinds::default(), |approved| approved.overridden),
                warned: approved.map_or(Kinds::default(), |approved| approved.warned),
            };
            (checked, decision)
        })
    }

    /// An accepted order takes its place in every rate that binds it: none is taken unless all checks passed.
    pub(crate) fn take_rates(&mut self, terms: &Terms, now: Nanos) {
        let strategy = terms.strategy_id.as_deref();
        let sets = self
            .state
            .limit_sets(terms.account, strategy, terms.key, terms.instrument);
        for (scope, limits) in sets {
            if let Some(rate) = limits.get(LimitKind::NewOrderRate) {
                self.order_rates
                    .take(&scope.owner, u32::try_from(rate).unwrap_or(u32::MAX), now);
            }
        }
        if terms.mode == Mode::Live {
            self.live.spend(terms.account);
        }
    }

    /// Takes a place in every rate of cancels that binds the order, a lane of their own.
    ///
    /// # Errors
    /// `rate_limited`, with the scope; nothing is taken then.
    pub(crate) fn take_cancel_rates(&mut self, terms: &Terms, now: Nanos) -> Result<(), Refusal> {
        let strategy = terms.strategy_id.as_deref();
        let rates = || {
            self.state
                .limit_sets(terms.account, strategy, terms.key, terms.instrument)
                .filter_map(|(scope, limits)| {
                    let rate = limits.get(LimitKind::CancelRate)?;
                    // A rate of none would keep an order from ever being withdrawn.
                    Some((scope, u32::try_from(rate).unwrap_or(u32::MAX).max(1)))
                })
        };
        for (scope, rate) in rates() {
            if self.cancel_rates.used(&scope.owner, now) >= rate {
                let owner = crate::limits::owners::word(scope.owner.bit());
                let detail = format!("The {owner}'s rate of cancels is {rate} a second.");
                return Err(Refusal::new(refusal::RATE_LIMITED, detail).retry_after_ms(1_000 / rate + 1));
            }
        }
        for (scope, rate) in rates() {
            self.cancel_rates.take(&scope.owner, rate, now);
        }
        Ok(())
    }

    /// Sums of an owner over every instrument but one.
    fn totals(&self, owner: &Owner, mode: Mode, but: InstrumentId) -> Totals {
        let mut totals = Totals::default();
        for (instrument, tally) in self.state.tallies(owner, mode).filter(|(id, _)| *id != but) {
            totals.add(tally, self.worth(mode, instrument), self.fx(mode, instrument));
        }
        totals
    }

    /// The last mid price that was believed, of any age: a position is worth something even while prices rest.
    fn worth(&self, mode: Mode, instrument: InstrumentId) -> Option<Price> {
        self.good_mark(mode, instrument).map(Mark::mid)
    }

    /// How long the oldest order of the account in this instrument has been in doubt.
    fn doubt_age(&self, account: &Account, mode: Mode, instrument: InstrumentId, now: Nanos) -> Option<Nanos> {
        let doubtful = self.state.books[crate::account::index(mode)].in_doubt.iter();
        doubtful
            .filter_map(|id| self.state.order(*id))
            .filter(|order| order.terms.account == account.id && order.terms.instrument == instrument)
            .map(|order| now.saturating_sub(order.doubt_since.unwrap_or(order.updated_at)))
            .max()
    }

    fn market(&self, mode: Mode, instrument: InstrumentId, side: Side, now: Nanos) -> Market {
        let Some(known) = self.prices.get(mode, instrument) else {
            return Market::default();
        };
        // What rests for longer than prices may is no market any more.
        let depth = known
            .depth
            .filter(|depth| now.saturating_sub(depth.at) <= DEPTH_MAX_AGE_NS);
        Market {
            mark: known.mark,
            age_ns: known.mark.map_or(0, |mark| now.saturating_sub(mark.at)),
            last_good_twice: known.good.map(|good| good.mid_twice()),
            depth: depth.map(|depth| {
                if side == Side::Buy {
                    depth.ask_qty
                } else {
                    depth.bid_qty
                }
            }),
            volume: depth.map(|depth| depth.volume),
        }
    }
}

/// Place of an owner among the sums.
const fn place_of(owner: &Owner) -> Option<usize> {
    match owner {
        Owner::Firm => Some(0),
        Owner::Account(_) => Some(1),
        Owner::Strategy(_) => Some(2),
        Owner::Key(_) => None,
    }
}

/// What the decision record keeps of the sums.
pub(crate) struct DecisionFigures<'a> {
    sums: &'a [Sums<'a>],
}

impl DecisionFigures<'_> {
    /// The input vector of the decision.
    pub fn recorded(&self, inputs: &Inputs<'_>) -> Box<DecisionInputs> {
        let kept = self.sums.iter().filter(|sums| sums.bit != 0);
        let tallies = kept.map(|sums| {
            let tally = sums.tally.copied().unwrap_or_default();
            TallyInputs {
                owner: sums.bit,
                position: tally.position().unwrap_or_default(),
                open_buy: tally.open_buy,
                open_sell: tally.open_sell,
                open_notional: tally.open_notional,
                open_orders: tally.open_orders,
                day: (tally.day.orders, tally.day.cancels, tally.day.fills),
                others: sums.others.filter(|others| *others != Totals::default()).map(Box::new),
            }
        });
        let market = &inputs.market;
        Box::new(DecisionInputs {
            mark: market.mark.map(|mark| (mark.bid, mark.ask, mark.last)),
            reference_twice: market.last_good_twice.map(Amount),
            free: inputs.free,
            fx: inputs.fx.filter(|fx| *fx != PAR),
            reduce_only: inputs.reduce_only,
            opposite: inputs.opposite,
            equity: inputs.equity,
            drawdown: inputs.drawdown.and_then(|ratio| i64::try_from(ratio).ok().map(Rate)),
            doubt_age_ns: inputs.doubt_age_ns,
            depth: market.depth,
            volume: market.volume,
            base_total: (inputs.instrument.market.max_position > Amount::ZERO).then_some(inputs.base_total),
            rates: (inputs.bindings.iter().flatten())
                .filter(|binding| binding.limits.get(LimitKind::NewOrderRate).is_some())
                .map(|binding| binding.rate_used)
                .collect(),
            duplicates: inputs.duplicates,
            journal: (inputs.journal.wait_ms, inputs.journal.backlog),
            tallies: tallies.collect(),
            venue: Some(inputs.venue).filter(|venue| *venue != VenueFacts::default()),
        })
    }
}

//! What people set and change while trading goes on: limits, strategies, restricted symbols, hours, and the changes
//! that wait for a second person. All of it comes from records; here they are folded.

use crate::digest::Mix;
use crate::limits::{LimitKind, LimitScope, LimitSet, LimitTable, Owner};
use crate::loosened::Loosened;
use crate::record::{
    ChangeClosed, ChangeRequested, LimitChanged, LimitsSet, OverrideGranted, RestrictionSet, ScheduleSet, StrategySet,
};
use crate::state::{Broken, State};
use crate::terms::{AccountId, InstrumentId, KeyId, Nanos, Seq, StrategyStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    /// Whose orders it places.
    pub account: AccountId,
    /// RUNNING or STOPPED.
    pub status: StrategyStatus,
    /// When it was created.
    pub created_at: Nanos,
    /// When its status was last set.
    pub changed_at: Nanos,
    /// Who set it.
    pub by: String,
    /// Through what.
    pub source: String,
    /// Why.
    pub reason: String,
}

/// Who set something that has no more to it, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Nanos,
}

/// When new orders are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// See [`ScheduleSet::weekdays`].
    pub weekdays: u8,
    /// See [`ScheduleSet::from_minute`].
    pub from_minute: u16,
    /// See [`ScheduleSet::to_minute`].
    pub to_minute: u16,
    /// Who, when, why.
    pub note: Note,
}

/// Everything of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub limits: LimitTable,
    pub loosened: Loosened,
    /// Rises with each change of any limit.
    pub limits_version: u32,
    pub strategies: BTreeMap<String, Strategy>,
    /// Changes that wait for a second person.
    pub requests: BTreeMap<Seq, ChangeRequested>,
    /// Overrides that were granted and not used yet.
    pub overrides: BTreeMap<Seq, OverrideGranted>,
    pub restrictions: BTreeMap<(Option<AccountId>, InstrumentId), Note>,
    pub schedules: BTreeMap<Option<AccountId>, Schedule>,
}

/// The rules as a snapshot holds them.
#[derive(Serialize, Deserialize)]
pub(crate) struct RulesImage {
    limits: Vec<(LimitScope, LimitKind, i128)>,
    limits_version: u32,
    strategies: BTreeMap<String, Strategy>,
    requests: BTreeMap<Seq, ChangeRequested>,
    overrides: BTreeMap<Seq, OverrideGranted>,
    restrictions: Vec<((Option<AccountId>, InstrumentId), Note)>,
    schedules: Vec<(Option<AccountId>, Schedule)>,
    loosened: Loosened,
}

impl Rules {
    pub fn image(&self) -> RulesImage {
        let limits = self.limits.iter();
        let limits = limits.flat_map(|(scope, set)| set.iter().map(|(kind, value)| (scope.clone(), kind, value)));
        RulesImage {
            limits: limits.collect(),
            limits_version: self.limits_version,
            strategies: self.strategies.clone(),
            requests: self.requests.clone(),
            overrides: self.overrides.clone(),
            restrictions: self.restrictions.iter().map(|(of, note)| (*of, note.clone())).collect(),
            schedules: self
                .schedules
                .iter()
                .map(|(of, schedule)| (*of, schedule.clone()))
                .collect(),
            loosened: self.loosened.clone(),
        }
    }

    pub fn of(image: RulesImage) -> Self {
        let mut limits = LimitTable::default();
        for (scope, kind, value) in image.limits {
            limits.set(&scope, kind, Some(value));
        }
        Self {
            limits,
            loosened: image.loosened,
            limits_version: image.limits_version,
            strategies: image.strategies,
            requests: image.requests,
            overrides: image.overrides,
            restrictions: image.restrictions.into_iter().collect(),
            schedules: image.schedules.into_iter().collect(),
        }
    }

    /// Adds all of it to the state's hash.
    pub fn mix(&self, mut mix: Mix) -> Mix {
        mix = mix.word(11).word(self.limits_version.into());
        for (scope, set) in self.limits.iter() {
            mix = mix_scope(mix, scope);
            for (kind, value) in set.iter() {
                mix = mix.word(u64::from(kind as u8)).wide(value);
            }
        }
        mix = self.loosened.mix(mix).word(self.strategies.len() as u64);
        for (name, strategy) in &self.strategies {
            mix = mix.text(name).word(strategy.account.into());
            mix = mix
                .word(u64::from(strategy.status as u8))
                .int(strategy.created_at)
                .int(strategy.changed_at);
            mix = mix.text(&strategy.by).text(&strategy.source).text(&strategy.reason);
        }
        mix = mix.word(self.requests.len() as u64);
        for (id, request) in &self.requests {
            mix = mix.word(*id).text(&request.by).int(request.expires_at);
        }
        mix = mix.word(self.overrides.len() as u64);
        for (id, granted) in &self.overrides {
            mix = mix.word(*id).word(granted.account.into()).int(granted.expires_at);
        }
        for ((account, instrument), note) in &self.restrictions {
            mix = mix_note(mix.maybe(account.map(i64::from)).word((*instrument).into()), note);
        }
        for (account, schedule) in &self.schedules {
            mix = mix.maybe(account.map(i64::from)).word(schedule.weekdays.into());
            mix = mix.word(schedule.from_minute.into()).word(schedule.to_minute.into());
            mix = mix_note(mix, &schedule.note);
        }
        mix
    }
}

pub(crate) fn mix_scope(mix: Mix, scope: &LimitScope) -> Mix {
    let mix = mix.word(u64::from(scope.owner.bit()));
    let mix = match &scope.owner {
        Owner::Firm => mix,
        Owner::Account(id) | Owner::Key(id) => mix.word((*id).into()),
        Owner::Strategy(name) => mix.text(name),
    };
    mix.maybe(scope.instrument.map(i64::from))
}

fn mix_note(mix: Mix, note: &Note) -> Mix {
    mix.text(&note.by).text(&note.reason).int(note.at)
}

impl State {
    /// Every scope whose limits bind such an order, the widest first; at most eight.
    pub fn limit_sets(
        &self,
        account: AccountId,
        strategy: Option<&str>,
        key: KeyId,
        instrument: InstrumentId,
    ) -> impl Iterator<Item = (&LimitScope, &LimitSet)> {
        self.rules.limits.binding(account, strategy, key, instrument)
    }

    /// Every limit in force.
    #[must_use]
    pub const fn limit_table(&self) -> &LimitTable {
        &self.rules.limits
    }

    /// Version of the limits in force; 0 before the first.
    #[must_use]
    pub const fn limits_version(&self) -> u32 {
        self.rules.limits_version
    }

    /// The strategy with this name.
    #[must_use]
    pub fn strategy(&self, name: &str) -> Option<&Strategy> {
        self.rules.strategies.get(name)
    }

    /// Every strategy, by name.
    pub fn strategies(&self) -> impl Iterator<Item = (&str, &Strategy)> {
        self.rules
            .strategies
            .iter()
            .map(|(name, strategy)| (name.as_str(), strategy))
    }

    /// Changes that wait for a second person, oldest first.
    pub fn change_requests(&self) -> impl Iterator<Item = (Seq, &ChangeRequested)> {
        self.rules.requests.iter().map(|(id, request)| (*id, request))
    }

    /// Overrides that were granted and neither used nor dropped, oldest first; some may have expired.
    pub fn overrides(&self) -> impl Iterator<Item = (Seq, &OverrideGranted)> {
        self.rules.overrides.iter().map(|(id, granted)| (*id, granted))
    }

    /// Restricted instruments, each for everybody (`None`) or for an account.
    pub fn restrictions(&self) -> impl Iterator<Item = (Option<AccountId>, InstrumentId, &Note)> {
        let all = self.rules.restrictions.iter();
        all.map(|((account, instrument), note)| (*account, *instrument, note))
    }

    /// Trading hours, everybody's (`None`) and accounts'.
    pub fn schedules(&self) -> impl Iterator<Item = (Option<AccountId>, &Schedule)> {
        self.rules
            .schedules
            .iter()
            .map(|(account, schedule)| (*account, schedule))
    }

    fn next_limits_version(&mut self, version: u32) -> Result<(), Broken> {
        if version <= self.rules.limits_version {
            return Broken::at(self.last_seq, format_args!("limits version {version} again"));
        }
        self.rules.limits_version = version;
        Ok(())
    }

    fn check_owner(&self, owner: &Owner) -> Result<(), Broken> {
        let known = match owner {
            Owner::Firm => true,
            Owner::Account(id) => self.account(*id).is_some(),
            Owner::Strategy(name) => self.strategy(name).is_some(),
            Owner::Key(id) => self.key(*id).is_some(),
        };
        if known {
            return Ok(());
        }
        Broken::at(self.last_seq, format_args!("limits of an unknown {owner:?}"))
    }

    /// Three kinds of one scope at once, as the first releases journaled them.
    pub(crate) fn fold_limits_set(&mut self, body: &LimitsSet) -> Result<(), Broken> {
        self.next_limits_version(body.version)?;
        let scope = LimitScope {
            owner: body.account.map_or(Owner::Firm, Owner::Account),
            instrument: None,
        };
        self.check_owner(&scope.owner)?;
        let limits = &mut self.rules.limits;
        limits.set(&scope, LimitKind::MaxOrderQty, body.max_order_qty.map(|limit| limit.0));
        limits.set(
            &scope,
            LimitKind::MaxOrderNotional,
            body.max_order_notional.map(|limit| limit.0),
        );
        limits.set(&scope, LimitKind::MaxOpenOrders, body.max_open_orders.map(i128::from));
        Ok(())
    }

    pub(crate) fn fold_limit_changed(&mut self, body: &LimitChanged) -> Result<(), Broken> {
        self.next_limits_version(body.version)?;
        self.check_owner(&body.scope.owner)?;
        self.rules.limits.set(&body.scope, body.kind, body.value);
        self.rules.loosened.note(body);
        Ok(())
    }

    pub(crate) fn fold_change_requested(&mut self, body: &ChangeRequested) {
        self.rules.requests.insert(self.last_seq, body.clone());
    }

    pub(crate) fn fold_change_closed(&mut self, body: &ChangeClosed) -> Result<(), Broken> {
        match self.rules.requests.remove(&body.request) {
            Some(_) => Ok(()),
            None => Broken::at(self.last_seq, format_args!("request {} is not open", body.request)),
        }
    }

    /// What has expired is dropped with the next grant, so that unused overrides do not pile up.
    pub(crate) fn fold_override_granted(&mut self, body: &OverrideGranted) {
        let now = self.last_ts;
        self.rules.overrides.retain(|_, granted| now < granted.expires_at);
        self.rules.overrides.insert(body.request, body.clone());
    }

    /// The accepted order has used it up.
    pub(crate) fn use_override(&mut self, id: Option<Seq>) -> Result<(), Broken> {
        match id {
            Some(id) if self.rules.overrides.remove(&id).is_none() => {
                Broken::at(self.last_seq, format_args!("override {id} is not to be had"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn fold_strategy_set(&mut self, body: &StrategySet) -> Result<(), Broken> {
        let old = self.rules.strategies.get(&body.name);
        let moved = old.is_some_and(|old| old.account != body.account);
        if moved || self.account(body.account).is_none() {
            return Broken::at(
                self.last_seq,
                format_args!("strategy {} of account {}", body.name, body.account),
            );
        }
        let strategy = Strategy {
            account: body.account,
            status: body.status,
            created_at: old.map_or(self.last_ts, |old| old.created_at),
            changed_at: self.last_ts,
            by: body.by.clone(),
            source: body.source.clone(),
            reason: body.reason.clone(),
        };
        self.rules.strategies.insert(body.name.clone(), strategy);
        Ok(())
    }

    pub(crate) fn fold_restriction_set(&mut self, body: &RestrictionSet) {
        let of = (body.account, body.instrument);
        if body.restricted {
            self.rules.restrictions.insert(of, self.note(&body.by, &body.reason));
        } else {
            self.rules.restrictions.remove(&of);
        }
    }

    pub(crate) fn fold_schedule_set(&mut self, body: &ScheduleSet) {
        let schedule = Schedule {
            weekdays: body.weekdays,
            from_minute: body.from_minute,
            to_minute: body.to_minute,
            note: self.note(&body.by, &body.reason),
        };
        if schedule.is_always() {
            self.rules.schedules.remove(&body.account);
        } else {
            self.rules.schedules.insert(body.account, schedule);
        }
    }

    fn note(&self, by: &str, reason: &str) -> Note {
        Note {
            by: by.to_owned(),
            reason: reason.to_owned(),
            at: self.last_ts,
        }
    }
}

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 1_440;
/// Every day of the week.
pub const EVERY_DAY: u8 = 0b111_1111;

impl Schedule {
    /// True when it refuses nothing.
    #[must_use]
    pub const fn is_always(&self) -> bool {
        self.weekdays == EVERY_DAY && self.from_minute == 0 && self.to_minute == DAY_MINUTES
    }

    /// True when new orders are taken at this wall time (nanoseconds since 1970, UTC).
    #[must_use]
    pub const fn is_open(&self, wall_ns: i64) -> bool {
        let minute_of_all = wall_ns.div_euclid(60_000_000_000);
        let (day, minute) = (
            minute_of_all.div_euclid(DAY_MINUTES as i64),
            minute_of_all.rem_euclid(DAY_MINUTES as i64),
        );
        // 1970 began on a Thursday. What runs past midnight belongs to the day on which it began.
        let (today, yesterday) = ((day + 3).rem_euclid(7), (day + 2).rem_euclid(7));
        let (from, to) = (self.from_minute as i64, self.to_minute as i64);
        let (today, yesterday) = (self.weekdays & (1 << today) != 0, self.weekdays & (1 << yesterday) != 0);
        if from < to {
            return today && from <= minute && minute < to;
        }
        (today && from <= minute) || (yesterday && minute < to)
    }
}

//! A snapshot: the whole state as MessagePack, and back. Indexes are rebuilt, and the hash must come out the same.

use crate::account::{Account, AssetId, Balance, Key, Label, Place};
use crate::days::Days;
use crate::digest::halves;
use crate::exposure::{Open, Tally};
use crate::heartbeat::Heartbeat;
use crate::instrument::Instrument;
use crate::order::Order;
use crate::reconciling::Reconciled;
use crate::record::{FOLD_VERSION, LateFill};
use crate::requests::{Expiry, Request};
use crate::rules::{Rules, RulesImage};
use crate::standing::Standing;
use crate::state::{Clocks, Counters, Kill, Lane, Listed, State};
use crate::sums::Holder;
use crate::terms::{AccountId, InstrumentId, KeyId, KillScope, Mode, Nanos, OrderId, Seq};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A snapshot that cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It does not encode or decode.
    #[error("snapshot: {0}")]
    Format(String),
    /// Another fold version wrote it.
    #[error("snapshot of fold version {0}, this is {FOLD_VERSION}")]
    Version(u32),
    /// It decodes to another state than was written.
    #[error("the snapshot's state hash disagrees: it is damaged")]
    Hash,
}

/// Everything but the orders; these follow as a second value, so that they are written without a copy.
#[derive(Serialize, Deserialize)]
struct Image {
    fold_version: u32,
    hash: (u64, u64),
    last_seq: Seq,
    last_ts: Nanos,
    clocks: Clocks,
    counters: Counters,
    assets: Vec<String>,
    instruments: Vec<Instrument>,
    rules: RulesImage,
    kills: Vec<(KillScope, String, Kill)>,
    lanes: Vec<Lane>,
    keys: Vec<Key>,
    accounts: Vec<AccountImage>,
    /// Request keys that wait to expire, oldest first, with the fingerprint of each that its record still owns.
    expiries: Vec<(Expiry, Option<(u64, u64)>)>,
    /// Orders that have ended, in that order, each with its last record then and that record's time.
    ended: Vec<(OrderId, Seq, Nanos)>,
    reloaded: Vec<OrderId>,
    /// Trades that wait for their orders, with the newest record about them.
    late: Vec<(OrderId, Seq, Vec<LateFill>)>,
    /// Names of strategies, in order of first mention.
    strategies: Vec<String>,
    /// What is not told by open orders.
    tallies: Vec<(Holder, Mode, InstrumentId, Tally)>,
    days: Days,
    standings: Vec<(KillScope, String, Mode, Standing)>,
    heartbeats: Vec<(KillScope, String, Heartbeat)>,
    #[serde(default)]
    reconciled: Reconciled,
}

/// An account without what its orders tell.
#[derive(Serialize, Deserialize)]
struct AccountImage {
    name: String,
    created_at: Nanos,
    balances: Vec<(Mode, AssetId, Balance)>,
    stp_group: String,
}

struct Orders<'a>(&'a BTreeMap<OrderId, Box<Order>>);

impl Serialize for Orders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.values())
    }
}

/// The state's bytes.
///
/// # Errors
/// Never in practice: every part encodes.
pub fn encode(state: &State) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::with_capacity(4_096 + state.orders.len() * 256);
    let written = rmp_serde::encode::write(&mut bytes, &(image_of(state), Orders(&state.orders)));
    written
        .map(|()| bytes)
        .map_err(|error| SnapshotError::Format(error.to_string()))
}

/// The state of these bytes.
///
/// # Errors
/// [`SnapshotError`]; a state that is returned has the hash that was written.
pub fn decode(bytes: &[u8]) -> Result<State, SnapshotError> {
    let format = |error: rmp_serde::decode::Error| SnapshotError::Format(error.to_string());
    let (mut image, orders): (Image, Vec<Box<Order>>) = rmp_serde::from_slice(bytes).map_err(format)?;
    if image.fold_version != FOLD_VERSION {
        return Err(SnapshotError::Version(image.fold_version));
    }
    let (hash, expiries) = (image.hash, std::mem::take(&mut image.expiries));
    let mut state = tables_of(image)?;
    for order in orders {
        restore_order(&mut state, order)?;
    }
    for (expiry, fingerprint) in expiries {
        restore_request(&mut state, expiry, fingerprint)?;
    }
    if halves(state.digest()) == hash {
        Ok(state)
    } else {
        Err(SnapshotError::Hash)
    }
}

fn image_of(state: &State) -> Image {
    let accounts = state.accounts.iter().map(|account| AccountImage {
        name: account.name.clone(),
        created_at: account.created_at,
        balances: account
            .balances
            .iter()
            .map(|((mode, asset), balance)| (*mode, *asset, *balance))
            .collect(),
        stp_group: account.stp_group.clone(),
    });
    let expiries = state.expiries.iter().map(|expiry| {
        let account = state.account(expiry.account);
        let request = account.and_then(|account| account.requests.find(&expiry.key));
        let own = request.filter(|request| request.seq == expiry.seq);
        (expiry.clone(), own.map(|request| request.fingerprint))
    });
    let retention = &state.retention;
    let late = retention.late.iter().map(|(id, fills)| {
        let seq = retention.late_seqs.get(id).copied().unwrap_or_default();
        (*id, seq, fills.clone())
    });
    let settled = state
        .sums
        .all()
        .map(|(holder, mode, instrument, tally)| (holder, mode, instrument, tally.settled()));
    let tallies = settled.filter(|(.., tally)| *tally != Tally::default());
    Image {
        fold_version: FOLD_VERSION,
        hash: halves(state.digest()),
        last_seq: state.last_seq,
        last_ts: state.last_ts,
        clocks: state.clocks.clone(),
        counters: state.counters,
        assets: state.assets.clone(),
        instruments: state.instruments().cloned().collect(),
        rules: state.rules.image(),
        kills: state
            .kills()
            .map(|(scope, target, kill)| (scope, target.to_owned(), kill.clone()))
            .collect(),
        lanes: state.lanes().cloned().collect(),
        keys: state.keys.clone(),
        accounts: accounts.collect(),
        expiries: expiries.collect(),
        ended: retention.ended.iter().copied().collect(),
        reloaded: retention.reloaded.iter().copied().collect(),
        late: late.collect(),
        heartbeats: state
            .heartbeats()
            .map(|(scope, target, heartbeat)| (scope, target.to_owned(), *heartbeat))
            .collect(),
        strategies: state.sums.names().to_vec(),
        tallies: tallies.collect(),
        days: state.days.clone(),
        standings: state
            .trading_states()
            .map(|(scope, target, mode, standing)| (scope, target.to_owned(), mode, standing.clone()))
            .collect(),
        reconciled: state.reconciled.clone(),
    }
}

/// A state with everything but orders and request keys.
fn tables_of(image: Image) -> Result<State, SnapshotError> {
    let mut state = State {
        last_seq: image.last_seq,
        last_ts: image.last_ts,
        clocks: image.clocks,
        counters: image.counters,
        rules: Rules::of(image.rules),
        key_ids: image
            .keys
            .iter()
            .zip(0..)
            .map(|(key, id): (_, KeyId)| (key.created.token_sha256, id))
            .collect(),
        keys: image.keys,
        lanes: image.lanes.into_iter().map(|lane| (lane.venue.clone(), lane)).collect(),
        days: image.days,
        reconciled: image.reconciled,
        ..State::default()
    };
    state.retention.ended = image.ended.into();
    state.retention.reloaded = image.reloaded.into_iter().collect();
    for (id, seq, fills) in image.late {
        state.retention.late.insert(id, fills);
        state.retention.late_seqs.insert(id, seq);
    }
    for code in &image.assets {
        state.asset(code);
    }
    for instrument in image.instruments {
        let (base, quote) = (state.asset(&instrument.base), state.asset(&instrument.quote));
        state
            .instrument_ids
            .insert(instrument.symbol.clone(), state.listed.len() as InstrumentId);
        state.listed.push(Listed {
            instrument,
            base,
            quote,
        });
    }
    for id in 0..state.keys.len() {
        let Some(allowed) = state.allowed(&state.keys[id].created) else {
            return Err(SnapshotError::Format(format!("key {id} has a bad symbol or network")));
        };
        state.keys[id].allowed = allowed;
    }
    for (scope, target, kill) in image.kills {
        state.kills.entry(scope).or_default().insert(target, kill);
    }
    for (scope, target, heartbeat) in image.heartbeats {
        state.heartbeats.insert((scope, target), heartbeat);
    }
    for (scope, target, mode, standing) in image.standings {
        state.standings.put(scope, &target, mode, Some(standing));
    }
    for name in &image.strategies {
        state.sums.strategy(name);
    }
    for (holder, mode, instrument, tally) in image.tallies {
        // Nothing else is there yet that it could be out of range with.
        _ = state
            .sums
            .change(&mut state.digest, holder, mode, instrument, |_| Some(tally));
    }
    for account in image.accounts {
        let id = state.accounts.len() as AccountId;
        for (mode, asset, balance) in &account.balances {
            state.digest.add(balance.digest(id, *mode, *asset));
        }
        state.account_ids.insert(account.name.clone(), id);
        state.accounts.push(Account {
            id,
            name: account.name,
            created_at: account.created_at,
            balances: account
                .balances
                .into_iter()
                .map(|(mode, asset, balance)| ((mode, asset), balance))
                .collect(),
            stp_group: account.stp_group,
            ..Account::default()
        });
    }
    Ok(state)
}

fn restore_order(state: &mut State, mut order: Box<Order>) -> Result<(), SnapshotError> {
    let Some(account) = state.accounts.get_mut(order.terms.account as usize) else {
        return Err(SnapshotError::Format(format!(
            "order {} of an unknown account",
            order.id
        )));
    };
    account.orders.insert(order.id);
    let name = order.terms.strategy_id.as_deref();
    order.strategy = name.map(|name| state.sums.strategy(name));
    order.mark = order.digest();
    state.digest.add(order.mark);
    let label = Label::of(&order);
    state.place(&label, order.client_id_hash(), Place::default(), Place::of(&order));
    let summed = state.sum(&label, None, Open::of(&order));
    summed.map_err(|broken| SnapshotError::Format(broken.to_string()))?;
    let id = order.id;
    state.orders.insert(id, order);
    state.index_venue_id(id);
    Ok(())
}

fn restore_request(state: &mut State, expiry: Expiry, own: Option<(u64, u64)>) -> Result<(), SnapshotError> {
    let Expiry { seq, account, at, .. } = expiry;
    let Some(owner) = state.accounts.get_mut(account as usize) else {
        return Err(SnapshotError::Format(format!(
            "request key {seq} of an unknown account"
        )));
    };
    // One text for the table, the queue and the order.
    let key = match state.orders.get(&seq) {
        Some(order) => Arc::clone(&order.request),
        None => expiry.key,
    };
    if let Some(fingerprint) = own {
        let request = Request { fingerprint, seq, at };
        state.digest.add(request.digest(account, &key));
        owner.requests.insert(Arc::clone(&key), request);
    }
    state.expiries.push_back(Expiry { seq, account, at, key });
    Ok(())
}

//! Administration: each change is a record like everything else.

use crate::gateway::Gateway;
use ordergate_core::engine::NewKey;
use ordergate_core::instrument_fields::instrument_of;
use ordergate_core::number::{Amount, NumberError};
use ordergate_core::refusal::Refusal;
use ordergate_core::terms::{KeyId, KillScope, Mode, Nanos, Scope, Seq};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A refusal of administration, as ValueError: the caller is the operator.
fn refused(refusal: Refusal) -> PyErr {
    Gateway::misuse(refusal.detail)
}

fn number<T>(name: &str, text: &str, parse: impl FnOnce(&str) -> Result<T, NumberError>) -> PyResult<T> {
    parse(text).map_err(|error| Gateway::misuse(format!("{name}: {text}: {error}")))
}

#[pymethods]
impl Gateway {
    fn create_account(&mut self, name: &str) -> PyResult<Seq> {
        self.command(|engine, now| engine.create_account(name, now))?
            .map_err(refused)
    }

    fn adjust_balance(&mut self, account: &str, mode: &str, asset: &str, delta: &str, reason: &str) -> PyResult<Seq> {
        let mode = Mode::parse(mode).ok_or_else(|| Self::misuse(format!("unknown mode {mode}")))?;
        let delta = number("delta", delta, Amount::parse)?;
        self.command(|engine, now| engine.adjust_balance(account, mode, asset, delta, reason, now))?
            .map_err(refused)
    }

    /// The key's id.
    #[pyo3(signature = (account, owner, name, token_sha256, scopes, rate_per_second, expires_at_ns, symbols=Vec::new(), ip_allow=Vec::new()))]
    #[allow(clippy::too_many_arguments, reason = "the record's own fields")]
    fn create_key(
        &mut self,
        account: &str,
        owner: &str,
        name: &str,
        token_sha256: &[u8],
        scopes: Vec<String>,
        rate_per_second: u32,
        expires_at_ns: Option<Nanos>,
        symbols: Vec<String>,
        ip_allow: Vec<String>,
    ) -> PyResult<KeyId> {
        let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let ip_allow: Vec<&str> = ip_allow.iter().map(String::as_str).collect();
        let token_sha256 = token_sha256
            .try_into()
            .map_err(|_| Self::misuse("token_sha256 has 32 bytes"))?;
        let parse = |word: &String| Scope::parse(word).ok_or_else(|| Self::misuse(format!("unknown scope {word}")));
        let scopes = scopes.iter().map(parse).collect::<PyResult<Vec<_>>>()?;
        let key = NewKey {
            account,
            owner,
            name,
            token_sha256,
            scopes: &scopes,
            rate_per_second,
            expires_at: expires_at_ns,
            symbols: &symbols,
            ip_allow: &ip_allow,
        };
        let (id, _) = self
            .command(|engine, now| engine.create_key(&key, now))?
            .map_err(refused)?;
        Ok(id)
    }

    fn revoke_key(&mut self, key: KeyId) -> PyResult<Seq> {
        self.command(|engine, now| engine.revoke_key(key, now))?
            .map_err(refused)
    }

    /// Journals a new or changed instrument; 0 when nothing changed.
    fn set_instrument(&mut self, fields: BTreeMap<String, String>) -> PyResult<Seq> {
        let texts = fields.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let set = instrument_of(texts.collect()).map_err(Self::misuse)?;
        let seq = self
            .command(|engine, now| engine.set_instrument(set, now))?
            .map_err(refused)?;
        Ok(seq.unwrap_or(0))
    }

    /// JSON list of accounts with balances.
    fn accounts(&self) -> Vec<u8> {
        let state = self.engine.state();
        let balance = |view: ordergate_core::render::BalanceView<'_>| {
            json!({"mode": view.mode.as_str(), "asset": view.asset, "total": view.total.to_string(),
                "held": view.held.to_string()})
        };
        let list: Value = state
            .accounts()
            .iter()
            .map(|account| {
                let balances: Vec<_> = state.balances(account.id).map(balance).collect();
                json!({"id": account.name, "createdAtNs": account.created_at, "balances": balances})
            })
            .collect();
        list.to_string().into_bytes()
    }

    /// JSON list of keys, without secrets.
    fn keys(&self) -> Vec<u8> {
        let (state, now) = (self.engine.state(), self.clock.now());
        let list: Value = state
            .keys()
            .iter()
            .enumerate()
            .map(|(id, key)| {
                let account = state
                    .account(key.created.account)
                    .map_or("", |account| account.name.as_str());
                let scopes: Vec<_> = Scope::ALL
                    .iter()
                    .filter(|scope| key.allows(**scope))
                    .map(|scope| scope.as_str())
                    .collect();
                json!({"id": id, "account": account, "owner": key.created.owner, "name": key.created.name,
                    "scopes": scopes, "ratePerSecond": key.created.rate_per_second,
                    "createdAtNs": key.created_at, "expiresAtNs": key.created.expires_at,
                    "revokedAtNs": key.revoked_at, "symbols": key.created.symbols, "ipAllow": key.created.ip_allow, "valid": key.is_valid(now)})
            })
            .collect();
        list.to_string().into_bytes()
    }

    /// For health and metrics.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (state, now) = (self.engine.state(), self.clock.now());
        let (counters, kill) = (state.counters(), state.kill(KillScope::Global, ""));
        let dict = PyDict::new(py);
        dict.set_item("lastSeq", state.last_seq())?;
        dict.set_item("durableSeq", self.journal.durable_seq())?;
        dict.set_item("epoch", state.epoch())?;
        dict.set_item("backlogBytes", self.journal.backlog_bytes())?;
        dict.set_item("journalFailure", self.journal.failure())?;
        dict.set_item("journalWarning", self.journal.warning())?;
        dict.set_item("journalFreeBytes", self.journal.free_bytes())?;
        dict.set_item("journalSpace", self.journal.space().as_str())?;
        dict.set_item("openOrders", state.open_count())?;
        dict.set_item("unsentOrders", state.unsent_count())?;
        dict.set_item("unansweredOrders", state.unanswered_count())?;
        dict.set_item("inDoubtOrders", state.in_doubt_count())?;
        dict.set_item("requestKeys", state.request_key_count())?;
        dict.set_item("killLevel", kill.map(|kill| kill.level))?;
        dict.set_item("killReason", kill.map(|kill| kill.reason.as_str()))?;
        dict.set_item("killsActive", state.kills().count())?;
        dict.set_item(
            "killReadingAgeMs",
            self.engine.kill_reading_age(now).map(|age| age / 1_000_000),
        )?;
        dict.set_item("paperSession", self.engine.attached(Mode::Paper))?;
        dict.set_item("liveSession", self.engine.attached(Mode::Live))?;
        dict.set_item("inDoubtOldestMs", self.oldest_doubt_ms())?;
        dict.set_item("driftsOpen", state.drifts().count())?;
        dict.set_item("resumeNeeded", state.resume_needed())?;
        dict.set_item("waitsForResume", self.engine.waits_for_resume())?;
        dict.set_item("acceptedOrders", counters.accepted)?;
        dict.set_item("deniedOrders", counters.denied)?;
        dict.set_item("fills", counters.fills)?;
        dict.set_item("illegalEvents", counters.illegal)?;
        dict.set_item("parked", counters.parked)?;
        dict.set_item("alarms", counters.alarms)?;
        dict.set_item("ordersLeft", counters.left)?;
        dict.set_item("lateFillsWaiting", state.late_fill_count())?;
        dict.set_item("droppedReports", self.engine.dropped_reports())?;
        dict.set_item("duplicateReports", self.engine.duplicate_reports())?;
        Ok(dict)
    }

    /// Prometheus text of the hot counters.
    fn metrics(&self) -> Vec<u8> {
        let (state, counters) = (self.engine.state(), self.engine.state().counters());
        let mut out = String::with_capacity(2048);
        let mut put = |name: &str, kind: &str, help: &str, value: u64| {
            out.push_str(&format!(
                "# HELP ordergate_{name} {help}\n# TYPE ordergate_{name} {kind}\nordergate_{name} {value}\n"
            ));
        };
        put(
            "orders_accepted_total",
            "counter",
            "Orders that passed every check.",
            counters.accepted,
        );
        put(
            "orders_denied_total",
            "counter",
            "Orders that a risk check refused.",
            counters.denied,
        );
        put("fills_total", "counter", "Trades booked.", counters.fills);
        put(
            "illegal_events_total",
            "counter",
            "Events that the life cycle does not allow.",
            counters.illegal,
        );
        put(
            "parked_total",
            "counter",
            "Facts that could not be booked.",
            counters.parked,
        );
        put("alarms_total", "counter", "Alarms of the fold.", counters.alarms);
        put(
            "orders_left_total",
            "counter",
            "Ended orders that have left memory.",
            counters.left,
        );
        put(
            "late_fills_waiting",
            "gauge",
            "Trades that wait for an order that has left memory.",
            state.late_fill_count() as u64,
        );
        put(
            "reports_dropped_total",
            "counter",
            "Reports of ended sessions.",
            self.engine.dropped_reports(),
        );
        put(
            "reports_duplicate_total",
            "counter",
            "Reports that told nothing new.",
            self.engine.duplicate_reports(),
        );
        put(
            "orders_open",
            "gauge",
            "Orders that have not ended.",
            state.open_count() as u64,
        );
        put(
            "orders_unsent",
            "gauge",
            "Accepted orders that wait to be sent.",
            state.unsent_count() as u64,
        );
        put(
            "orders_unanswered",
            "gauge",
            "Orders sent without any report yet.",
            state.unanswered_count() as u64,
        );
        put(
            "orders_in_doubt",
            "gauge",
            "Orders whose outcome is unknown.",
            state.in_doubt_count() as u64,
        );
        let oldest = self.oldest_doubt_ms().unwrap_or_default();
        put(
            "in_doubt_oldest_seconds",
            "gauge",
            "How long the oldest order has been in doubt.",
            (oldest / 1_000).unsigned_abs(),
        );
        put(
            "drifts_open",
            "gauge",
            "Differences from the exchange that are not explained yet.",
            state.drifts().count() as u64,
        );
        let ready = self.engine.live_accounts().filter(|(_, told)| told.ready);
        put(
            "live_accounts_ready",
            "gauge",
            "Accounts whose orders the exchange takes.",
            ready.count() as u64,
        );
        put(
            "request_keys",
            "gauge",
            "Idempotency keys kept.",
            state.request_key_count() as u64,
        );
        put(
            "kills_active",
            "gauge",
            "Scopes in which trading is stopped.",
            state.kills().count() as u64,
        );
        put("journal_last_seq", "gauge", "Last record.", state.last_seq());
        put(
            "journal_durable_seq",
            "gauge",
            "Last durable record.",
            self.journal.durable_seq(),
        );
        put(
            "journal_backlog_bytes",
            "gauge",
            "Bytes that wait for a flush.",
            self.journal.backlog_bytes(),
        );
        put(
            "journal_free_bytes",
            "gauge",
            "Bytes free on the journal's file system.",
            self.journal.free_bytes(),
        );
        put(
            "journal_space",
            "gauge",
            "0 enough, 1 below the soft mark, 2 new orders are refused.",
            self.journal.space() as u64,
        );
        out.into_bytes()
    }
}

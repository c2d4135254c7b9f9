//! Clients' requests: authenticate, decide, render. Answers name the sequence that must be durable before they leave.

use crate::gateway::Gateway;
use crate::refusal::Refusal as PyRefusal;
use ordergate_core::engine::{Caller, Submitted};
use ordergate_core::order::Order;
use ordergate_core::record::Record;
use ordergate_core::refusal::{self, Refusal};
use ordergate_core::render::{self, OrderView};
use ordergate_core::risk::JournalHealth;
use ordergate_core::state::State;
use ordergate_core::terms::{AccountId, Nanos, OrdStatus, OrderId, Scope, Seq};
use ordergate_journal::Space;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sha2::{Digest, Sha256};

/// Most orders in one page, and how many there are when the client does not say.
const PAGE_MAX: usize = 500;
const PAGE_DEFAULT: usize = 100;
/// Most orders looked at for one page of a filtered list: a page may be short and still have a next one.
const SCAN_MAX: usize = 10_000;

/// (status, sequence to wait for, body)
pub type Answer<'py> = (u16, Seq, Bound<'py, PyBytes>);
/// An answer, or a refusal as a value.
pub(crate) type Answered<'py> = Result<Answer<'py>, PyRefusal>;

/// Either side as one Python value.
#[derive(IntoPyObject)]
pub enum Either<A, B> {
    /// The answer.
    Answer(A),
    /// The refusal.
    Refusal(B),
}

pub(crate) fn either<'py>(answered: Answered<'py>) -> Either<Answer<'py>, PyRefusal> {
    match answered {
        Ok(answer) => Either::Answer(answer),
        Err(refusal) => Either::Refusal(refusal),
    }
}

impl Gateway {
    /// Who asks: `Bearer <token>`, looked up by the SHA-256 of the token, so that comparing leaks nothing.
    pub(crate) fn caller(
        &mut self,
        authorization: Option<&str>,
        needed: Scope,
        peer: Option<&str>,
    ) -> Result<Caller, Refusal> {
        let now = self.clock.now();
        self.engine
            .authorize_from(&token_hash(authorization), needed, peer, now)
    }

    /// A sequence to wait for, 0 when it is durable.
    pub(crate) fn wait_for(&self, seq: Seq) -> Seq {
        if seq > self.journal.durable_seq() { seq } else { 0 }
    }

    pub(crate) fn order_of(&self, caller: Caller, id: &str) -> Result<&Order, Refusal> {
        // No order has the id 0.
        self.engine.order_of(caller, parse_id(id).unwrap_or(0))
    }

    pub(crate) fn push_order(&self, out: &mut String, order: &Order) {
        let durable_at = self.journal.sealed_at(order.id);
        push_order(out, self.engine.state(), order, durable_at);
    }

    /// Whose key this is, without taking a place in its rate.
    pub(crate) fn account_of(&self, authorization: Option<&str>) -> Option<AccountId> {
        let (_, key) = self.engine.state().key_of(&token_hash(authorization))?;
        Some(key.created.account)
    }

    /// The stored answer of an earlier request, from its record in the journal. One that cannot be read says nothing
    /// about what is being written: the key stays taken and the client may ask again.
    fn stored_answer(&self, seq: Seq) -> Result<(u16, String), Refusal> {
        let unreadable = |why: String| {
            let detail =
                format!("The answer of this request is record {seq} of the journal, which cannot be read: {why}.");
            Refusal::new(refusal::ANSWER_UNREADABLE, detail).retry_after_ms(1_000)
        };
        let frame = self.journal.read(seq).map_err(|error| unreadable(error.to_string()))?;
        let frame = frame.ok_or_else(|| unreadable("it has left the journal".to_owned()))?;
        match Record::decode(frame.kind, frame.version, &frame.body) {
            Ok(Record::OrderAccepted(body)) => Ok((body.answer_status, body.answer)),
            Ok(Record::OrderDenied(body)) => Ok((body.answer_status, body.answer)),
            Ok(Record::ReplaceAsked(body)) => Ok((body.answer_status, body.answer)),
            Ok(_) => Err(unreadable("it holds no answer".to_owned())),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// A decision that is stored: the answer of now, or of the first time.
    pub(crate) fn submitted<'py>(
        &self,
        py: Python<'py>,
        submitted: Result<Submitted, Refusal>,
    ) -> Either<Answer<'py>, PyRefusal> {
        match submitted {
            Ok(Submitted::Stored { seq, status, body }) => {
                Either::Answer((status, seq, PyBytes::new(py, body.as_bytes())))
            }
            Ok(Submitted::Repeat { seq }) => match self.stored_answer(seq) {
                Ok((status, body)) => Either::Answer((status, 0, PyBytes::new(py, body.as_bytes()))),
                Err(refused) => Either::Refusal(refused.into()),
            },
            Err(refused) => Either::Refusal(refused.into()),
        }
    }

    fn page(&self, caller: Caller, query: &Query) -> (String, Seq, Option<OrderId>) {
        let state = self.engine.state();
        let mut out = String::with_capacity(512 * query.limit.min(64) + 64);
        out.push_str("{\"orders\":[");
        let (mut newest, mut listed, mut looked, mut last, mut more) = (0, 0, 0, None, false);
        for order in state.orders_of(caller.account, query.before) {
            if listed == query.limit || looked == SCAN_MAX {
                more = true;
                break;
            }
            looked += 1;
            last = Some(order.id);
            // Also of those that are left out: that they are may rest on a fact which is not durable yet.
            newest = newest.max(order.last_seq);
            let symbol = state
                .instrument(order.terms.instrument)
                .map(|instrument| instrument.symbol.as_str());
            if query.symbol.as_deref().is_some_and(|wanted| symbol != Some(wanted))
                || query.status.is_some_and(|wanted| order.status() != wanted)
            {
                continue;
            }
            if listed > 0 {
                out.push(',');
            }
            self.push_order(&mut out, order);
            listed += 1;
        }
        let next = last.filter(|_| more);
        out.push_str("],\"nextCursor\":");
        match next {
            Some(id) => out.push_str(&format!("\"{}\"", cursor_text(id))),
            None => out.push_str("null"),
        }
        out.push('}');
        (out, newest, next)
    }

    fn query(
        &self,
        caller: Caller,
        cursor: Option<&str>,
        limit: Option<&str>,
        symbol: Option<String>,
        status: Option<&str>,
    ) -> Result<Query, Refusal> {
        let before = match cursor {
            None => None,
            Some(text) => {
                let id = text
                    .strip_prefix('o')
                    .and_then(|hex| OrderId::from_str_radix(hex, 16).ok());
                let own = id.filter(|id| self.order_of(caller, &id.to_string()).is_ok());
                Some(own.ok_or_else(|| Refusal::field(refusal::INVALID_CURSOR, "cursor", "is not one of ours"))?)
            }
        };
        let limit = match limit {
            None => PAGE_DEFAULT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=PAGE_MAX).contains(limit))
                .ok_or_else(|| {
                    Refusal::field(
                        refusal::INVALID_PARAMETER,
                        "limit",
                        format!("must be a number from 1 to {PAGE_MAX}"),
                    )
                })?,
        };
        let status = match status {
            None => None,
            Some(text) => Some(OrdStatus::parse(text).ok_or_else(|| {
                let words: Vec<_> = OrdStatus::ALL.iter().map(|word| word.as_str()).collect();
                Refusal::field(
                    refusal::INVALID_PARAMETER,
                    "status",
                    format!("must be one of {}", words.join(", ")),
                )
            })?),
        };
        Ok(Query {
            before,
            limit,
            symbol,
            status,
        })
    }
}

pub(crate) fn token_hash(authorization: Option<&str>) -> [u8; 32] {
    let token = authorization
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .unwrap_or_default();
    Sha256::digest(token.as_bytes()).into()
}

fn push_order(out: &mut String, state: &State, order: &Order, durable_at: Option<Nanos>) {
    let view = OrderView {
        durable_at,
        ..state.view(order)
    };
    render::order_json(out, &view);
}

/// The order as a client sees it.
pub(crate) fn order_body(state: &State, order: &Order, durable_at: Option<Nanos>) -> String {
    let mut out = String::with_capacity(512);
    push_order(&mut out, state, order, durable_at);
    out
}

struct Query {
    before: Option<OrderId>,
    limit: usize,
    symbol: Option<String>,
    status: Option<OrdStatus>,
}

fn cursor_text(id: OrderId) -> String {
    format!("o{id:x}")
}

/// Decimal digits without sign or leading zero.
pub(crate) fn parse_id(text: &str) -> Option<OrderId> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

#[pymethods]
impl Gateway {
    /// POST /orders: authenticate, then everything that decides, then the record; see PROTOCOLS §5 for the order.
    #[pyo3(signature = (authorization, idempotency_key, request_id, body, peer=None))]
    fn place<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        idempotency_key: Option<&str>,
        request_id: &str,
        body: &[u8],
        peer: Option<&str>,
    ) -> PyResult<Either<Answer<'py>, PyRefusal>> {
        let caller = match self.caller(authorization, Scope::Trade, peer) {
            Ok(caller) => caller,
            Err(refused) => return Ok(Either::Refusal(refused.into())),
        };
        let durable = self.journal.durable_seq();
        self.engine.journal_is_full(self.journal.space() == Space::Hard);
        let backlog = self.engine.state().last_seq().saturating_sub(durable);
        self.engine.journal_health(JournalHealth {
            wait_ms: self.flush_wait_ms(durable),
            backlog: u32::try_from(backlog).unwrap_or(u32::MAX),
        });
        let submitted =
            self.command(|engine, now| engine.submit(caller, idempotency_key, request_id, body, now, durable))?;
        Ok(self.submitted(py, submitted))
    }

    /// DELETE /orders/{id}.
    #[pyo3(signature = (authorization, order_id, peer=None))]
    fn cancel<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        order_id: &str,
        peer: Option<&str>,
    ) -> PyResult<Either<Answer<'py>, PyRefusal>> {
        let caller = match self.caller(authorization, Scope::CancelOnly, peer) {
            Ok(caller) => caller,
            Err(refused) => return Ok(Either::Refusal(refused.into())),
        };
        let id = parse_id(order_id).unwrap_or(0);
        let answer = match self.command(|engine, now| engine.cancel(caller, id, now))? {
            Ok(answer) => answer,
            Err(refused) => return Ok(Either::Refusal(refused.into())),
        };
        let mut out = String::with_capacity(512);
        if let Some(order) = self.engine.state().order(id) {
            self.push_order(&mut out, order);
        }
        Ok(Either::Answer((
            answer.status,
            self.wait_for(answer.seq),
            PyBytes::new(py, out.as_bytes()),
        )))
    }

    /// GET /orders/{id}.
    #[pyo3(signature = (authorization, order_id, peer=None))]
    fn order<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        order_id: &str,
        peer: Option<&str>,
    ) -> Either<Answer<'py>, PyRefusal> {
        let read = |gateway: &mut Self| -> Result<Answer<'py>, Refusal> {
            let caller = gateway.caller(authorization, Scope::Read, peer)?;
            let order = gateway.order_of(caller, order_id)?;
            let mut out = String::with_capacity(512);
            gateway.push_order(&mut out, order);
            Ok((200, gateway.wait_for(order.last_seq), PyBytes::new(py, out.as_bytes())))
        };
        either(read(self).map_err(Into::into))
    }

    /// GET /orders: one page, newest first; the last element is the cursor of the next page.
    #[pyo3(signature = (authorization, cursor, limit, symbol, status, peer=None))]
    #[allow(clippy::too_many_arguments, reason = "the parameters of the request")]
    fn orders<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        cursor: Option<&str>,
        limit: Option<&str>,
        symbol: Option<String>,
        status: Option<&str>,
        peer: Option<&str>,
    ) -> Either<(u16, Seq, Bound<'py, PyBytes>, Option<String>), PyRefusal> {
        let read = || -> Result<_, Refusal> {
            let caller = self.caller(authorization, Scope::Read, peer)?;
            let query = self.query(caller, cursor, limit, symbol, status)?;
            let (body, newest, next) = self.page(caller, &query);
            Ok((
                200,
                self.wait_for(newest),
                PyBytes::new(py, body.as_bytes()),
                next.map(cursor_text),
            ))
        };
        match read() {
            Ok(page) => Either::Answer(page),
            Err(refused) => Either::Refusal(refused.into()),
        }
    }

    /// GET /portfolio: balances and positions of the caller's account.
    #[pyo3(signature = (authorization, peer=None))]
    fn portfolio<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        peer: Option<&str>,
    ) -> Either<Answer<'py>, PyRefusal> {
        let read = |gateway: &mut Self| -> Result<Answer<'py>, Refusal> {
            let caller = gateway.caller(authorization, Scope::Read, peer)?;
            let state = gateway.engine.state();
            let name = state
                .account(caller.account)
                .map_or("", |account| account.name.as_str());
            let (balances, positions) = (state.balances(caller.account), state.positions(caller.account));
            let (mut out, as_of) = (String::with_capacity(1024), state.last_seq());
            render::portfolio_json(&mut out, name, as_of, balances, positions);
            Ok((200, gateway.wait_for(as_of), PyBytes::new(py, out.as_bytes())))
        };
        either(read(self).map_err(Into::into))
    }
}

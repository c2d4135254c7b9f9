//! Orders that have left memory: read from the facts of their rows, and brought back for a late trade.

use crate::gateway::Gateway;
use crate::refusal::Refusal as PyRefusal;
use crate::requests::{Answer, Either, order_body};
use ordergate_core::engine::ended_cancel;
use ordergate_core::order::Order;
use ordergate_core::refusal::{self, Refusal};
use ordergate_core::retention::order_of_facts;
use ordergate_core::terms::{Nanos, OrderId, Seq};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

impl Gateway {
    /// The caller's own order of these facts; the request was authorized when memory was asked.
    fn past(&self, authorization: Option<&str>, facts: &[u8]) -> PyResult<Result<Order, Refusal>> {
        let order = order_of_facts(facts).map_err(PyValueError::new_err)?;
        let own = self.account_of(authorization) == Some(order.terms.account);
        Ok(if own {
            Ok(order)
        } else {
            Err(Refusal::new(refusal::NOT_FOUND, "There is no such order."))
        })
    }

    fn past_answer<'py>(
        &self,
        py: Python<'py>,
        past: Result<Order, Refusal>,
        durable_at: Option<Nanos>,
    ) -> Either<Answer<'py>, PyRefusal> {
        match past {
            Ok(order) => {
                let body = order_body(self.engine.state(), &order, durable_at);
                Either::Answer((200, 0, PyBytes::new(py, body.as_bytes())))
            }
            Err(refused) => Either::Refusal(refused.into()),
        }
    }
}

#[pymethods]
impl Gateway {
    /// GET /orders/{id} of an order that has left memory, from its row's facts.
    fn past_order<'py>(
        &self,
        py: Python<'py>,
        authorization: Option<&str>,
        facts: &[u8],
        durable_at: Option<Nanos>,
    ) -> PyResult<Either<Answer<'py>, PyRefusal>> {
        let past = self.past(authorization, facts)?;
        Ok(self.past_answer(py, past, durable_at))
    }

    /// DELETE /orders/{id} of an order that has left memory: it had ended.
    fn past_cancel<'py>(
        &self,
        py: Python<'py>,
        authorization: Option<&str>,
        facts: &[u8],
        durable_at: Option<Nanos>,
    ) -> PyResult<Either<Answer<'py>, PyRefusal>> {
        let past = self.past(authorization, facts)?;
        let past = past.and_then(|order| ended_cancel(&order).map(|()| order));
        Ok(self.past_answer(py, past, durable_at))
    }

    /// (order, sequence that Postgres must hold) of every order that a late trade waits for.
    fn awaited_orders(&self) -> Vec<(OrderId, Seq)> {
        self.engine.state().awaited_orders().collect()
    }

    /// Brings an order back from its row's facts (None: Postgres has no such order), and books the trades that waited.
    fn reload(&mut self, order: OrderId, facts: Option<&[u8]>) -> PyResult<()> {
        self.command(|engine, now| engine.reload(order, facts, now))?
            .map_err(PyValueError::new_err)
    }

    /// Sequences that Postgres must hold before each order that came back may leave again.
    fn reloaded_seqs(&self) -> Vec<Seq> {
        self.engine.state().reloaded().map(|order| order.last_seq).collect()
    }

    /// Lets go of the orders that had come back, as far as Postgres holds them.
    fn release(&mut self, watermark: Seq) -> PyResult<()> {
        self.command(|engine, now| engine.release(watermark, now))
    }
}

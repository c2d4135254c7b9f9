//! Clients' changes of orders that are there: new terms, and cancels of a whole symbol.

use crate::gateway::Gateway;
use crate::refusal::Refusal as PyRefusal;
use crate::requests::{Answer, Either, parse_id};
use ordergate_core::terms::Scope;
use ordergate_journal::Space;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

#[pymethods]
impl Gateway {
    /// PATCH /orders/{id}: the answer is stored under the key, like that of a new order.
    #[pyo3(signature = (authorization, idempotency_key, order_id, body, peer=None))]
    fn replace<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        idempotency_key: Option<&str>,
        order_id: &str,
        body: &[u8],
        peer: Option<&str>,
    ) -> PyResult<Either<Answer<'py>, PyRefusal>> {
        let caller = match self.caller(authorization, Scope::Trade, peer) {
            Ok(caller) => caller,
            Err(refused) => return Ok(Either::Refusal(refused.into())),
        };
        let (id, durable) = (parse_id(order_id).unwrap_or(0), self.journal.durable_seq());
        self.engine.journal_is_full(self.journal.space() == Space::Hard);
        let replaced = self.command(|engine, now| engine.replace(caller, idempotency_key, id, body, now, durable))?;
        Ok(self.submitted(py, replaced))
    }

    /// DELETE /orders?symbol=: the orders that were open, each as it stands now.
    #[pyo3(signature = (authorization, symbol, peer=None))]
    fn cancel_all<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        symbol: &str,
        peer: Option<&str>,
    ) -> PyResult<Either<Answer<'py>, PyRefusal>> {
        let caller = match self.caller(authorization, Scope::CancelOnly, peer) {
            Ok(caller) => caller,
            Err(refused) => return Ok(Either::Refusal(refused.into())),
        };
        let canceled = match self.command(|engine, now| engine.cancel_all(caller, symbol, now))? {
            Ok(canceled) => canceled,
            Err(refused) => return Ok(Either::Refusal(refused.into())),
        };
        let (mut out, mut newest) = (String::with_capacity(512 * canceled.orders.len() + 32), 0);
        out.push_str("{\"orders\":[");
        let state = self.engine.state();
        for (index, order) in canceled.orders.iter().filter_map(|id| state.order(*id)).enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            self.push_order(&mut out, order);
            newest = newest.max(order.last_seq);
        }
        out.push_str("],\"more\":");
        out.push_str(if canceled.more { "true}" } else { "false}" });
        Ok(Either::Answer((
            202,
            self.wait_for(newest),
            PyBytes::new(py, out.as_bytes()),
        )))
    }
}

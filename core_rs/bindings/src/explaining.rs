//! What risk would say, and what it said: dry runs, what is left of each limit, decisions.

use crate::gateway::Gateway;
use crate::refusal::Refusal as PyRefusal;
use crate::requests::{Answer, Either, either};
use ordergate_core::audit;
use ordergate_core::record::Record;
use ordergate_core::refusal::{self, Refusal};
use ordergate_core::terms::Scope;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

#[pymethods]
impl Gateway {
    /// POST /risk/preview: every check on this order, and no side effect but a place in the key's rate of reads.
    #[pyo3(signature = (authorization, body, peer=None))]
    fn preview<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        body: &[u8],
        peer: Option<&str>,
    ) -> Either<Answer<'py>, PyRefusal> {
        let read = |gateway: &mut Self| -> Result<Answer<'py>, Refusal> {
            let caller = gateway.caller(authorization, Scope::Read, peer)?;
            let out = gateway.engine.preview(caller, body, gateway.clock.now())?;
            let as_of = gateway.engine.state().last_seq();
            Ok((200, gateway.wait_for(as_of), PyBytes::new(py, out.as_bytes())))
        };
        either(read(self).map_err(Into::into))
    }

    /// GET /risk/headroom: what is left of every limit that binds an order of this symbol.
    #[pyo3(signature = (authorization, symbol, peer=None))]
    fn headroom<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        symbol: &str,
        peer: Option<&str>,
    ) -> Either<Answer<'py>, PyRefusal> {
        let read = |gateway: &mut Self| -> Result<Answer<'py>, Refusal> {
            let caller = gateway.caller(authorization, Scope::Read, peer)?;
            let out = gateway.engine.headroom(caller, symbol, gateway.clock.now())?;
            let as_of = gateway.engine.state().last_seq();
            Ok((200, gateway.wait_for(as_of), PyBytes::new(py, out.as_bytes())))
        };
        either(read(self).map_err(Into::into))
    }

    /// GET /orders/{id}/decision: from the record that decided it, while that is in the journal.
    #[pyo3(signature = (authorization, order_id, peer=None))]
    fn decision<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        order_id: &str,
        peer: Option<&str>,
    ) -> Either<Answer<'py>, PyRefusal> {
        let read = |gateway: &mut Self| -> Result<Answer<'py>, Refusal> {
            let caller = gateway.caller(authorization, Scope::Read, peer)?;
            let order = gateway.order_of(caller, order_id)?.id;
            let unreadable = |why: String| {
                let detail = format!("The decision is record {order} of the journal, which cannot be read: {why}.");
                Refusal::new(refusal::ANSWER_UNREADABLE, detail).retry_after_ms(1_000)
            };
            if order > gateway.journal.durable_seq() {
                return Ok((200, order, PyBytes::new(py, b"")));
            }
            let frame = gateway
                .journal
                .read(order)
                .map_err(|error| unreadable(error.to_string()))?;
            let frame = frame.ok_or_else(|| unreadable("it has left the journal".to_owned()))?;
            let record = Record::decode(frame.kind, frame.version, &frame.body)
                .map_err(|error| unreadable(error.to_string()))?;
            let mut out = String::with_capacity(1024);
            if !audit::decision_json(&mut out, order, frame.ts, &record) {
                return Err(unreadable("it decides nothing".to_owned()));
            }
            Ok((200, 0, PyBytes::new(py, out.as_bytes())))
        };
        either(read(self).map_err(Into::into))
    }
}

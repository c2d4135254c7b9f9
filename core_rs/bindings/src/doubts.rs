//! LIVE as people see it: what the exchange takes, orders in doubt, differences, and what is done about them.

use crate::gateway::Gateway;
use crate::refusal::Refusal as PyRefusal;
use crate::requests::{Answer, Either, either};
use crate::rows::{account, symbol};
use crate::rules::{Recorded, Told, recorded, told};
use ordergate_core::engine::DOUBT_ALARM_NS;
use ordergate_core::refusal::Refusal;
use ordergate_core::state::State;
use ordergate_core::terms::{AccountId, Mode, Nanos, OrderId, Scope};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Value, json};

impl Gateway {
    /// How long the oldest order has been in doubt, in milliseconds.
    pub(crate) fn oldest_doubt_ms(&self) -> Option<Nanos> {
        let since = self.engine.state().oldest_doubt()?;
        Some((self.clock.now() - since).max(0) / 1_000_000)
    }

    fn doubts_json(&self, within: Option<AccountId>) -> Value {
        let (state, now) = (self.engine.state(), self.clock.now());
        let doubts = Mode::ALL.iter().flat_map(|mode| state.doubts(*mode));
        let own = doubts.filter(|order| within.is_none_or(|own| order.terms.account == own));
        own.map(|order| {
            let since = order.doubt_since.unwrap_or(order.updated_at);
            let look = self.engine.last_look(order.id);
            json!({"id": order.id.to_string(), "account": account(state, order.terms.account),
                "mode": order.terms.mode.as_str(), "symbol": symbol(state, order.terms.instrument),
                "side": order.terms.side.as_str(), "quantity": order.terms.qty.to_string(),
                "filledQuantity": order.cum_qty.to_string(), "clientIdAtVenue": state.client_id_at_venue(order),
                "venueOrderId": order.venue_order_id, "sentAtNs": order.submit.map(|submit| submit.at),
                "sinceNs": since, "ageMs": (now - since).max(0) / 1_000_000,
                "alarm": now - since >= DOUBT_ALARM_NS, "cancelWanted": order.cancel_wanted,
                "lastLook": look.map(|(text, _)| text), "lastLookAtNs": look.map(|(_, at)| at)})
        })
        .collect()
    }
}

fn drifts_json(state: &State) -> Value {
    let found = state.drifts().map(|(mode, of, at, class, drift)| {
        json!({"account": account(state, of), "mode": mode.as_str(), "symbol": at.map(|at| symbol(state, at)),
            "class": class.as_str(), "detail": drift.detail, "seq": drift.seq, "foundAtNs": drift.at})
    });
    found.collect()
}

#[pymethods]
impl Gateway {
    /// What the LIVE venue told in this session: (account, ready, reason, retry after so many ms).
    fn live_accounts(&self) -> Vec<(String, bool, String, u32)> {
        let told = self.engine.live_accounts();
        told.map(|(id, told)| {
            let name = account(self.engine.state(), id).to_owned();
            (name, told.ready, told.reason.clone(), told.retry_after_ms)
        })
        .collect()
    }

    /// After an end that was none, LIVE waits for `resume`.
    fn set_resume_manual(&mut self, manual: bool) {
        self.engine.set_resume_manual(manual);
    }

    /// Whether an order in doubt leaves only reducing orders of its account in its symbol.
    fn set_doubt_reduces(&mut self, reduces: bool) {
        self.engine.set_doubt_reduces(reduces);
    }

    /// Journals RESUMED; 0 when nothing waited for it.
    fn resume(&mut self, by: &str, reason: &str) -> PyResult<Recorded> {
        Ok(recorded(self.command(|engine, now| engine.resume(by, reason, now))?))
    }

    /// JSON list of the orders in doubt.
    fn doubts(&self) -> Vec<u8> {
        self.doubts_json(None).to_string().into_bytes()
    }

    /// JSON list of the differences from the exchange that are not explained yet.
    fn drifts(&self) -> Vec<u8> {
        drifts_json(self.engine.state()).to_string().into_bytes()
    }

    /// GET /doubts: the caller's own.
    #[pyo3(signature = (authorization, peer=None))]
    fn client_doubts<'py>(
        &mut self,
        py: Python<'py>,
        authorization: Option<&str>,
        peer: Option<&str>,
    ) -> Either<Answer<'py>, PyRefusal> {
        let read = |gateway: &mut Self| -> Result<Answer<'py>, Refusal> {
            let caller = gateway.caller(authorization, Scope::Read, peer)?;
            let as_of = gateway.engine.state().last_seq();
            let body = json!({"doubts": gateway.doubts_json(Some(caller.account))}).to_string();
            Ok((200, gateway.wait_for(as_of), PyBytes::new(py, body.as_bytes())))
        };
        either(read(self).map_err(Into::into))
    }

    /// Journals DOUBT_REQUERY: the venue looks for the order once more.
    fn requery_doubt(&mut self, order: OrderId, by: &str) -> PyResult<Recorded> {
        let done = self.command(|engine, now| engine.requery_doubt(order, by, now))?;
        Ok(recorded(done.map(Some)))
    }

    /// Journals VENUE_ID_ATTACHED: the venue looks for the order by this id.
    fn attach_venue_id(&mut self, order: OrderId, venue_order_id: &str, by: &str, reason: &str) -> PyResult<Recorded> {
        let done = self.command(|engine, now| engine.attach_venue_id(order, venue_order_id, by, reason, now))?;
        Ok(recorded(done.map(Some)))
    }

    /// Asks a second person to declare an order in doubt absent.
    fn request_absent(&mut self, order: OrderId, by: &str, reason: &str) -> PyResult<Told> {
        Ok(told(self.command(|engine, now| {
            engine.request_absent(order, by, reason, now)
        })?))
    }
}

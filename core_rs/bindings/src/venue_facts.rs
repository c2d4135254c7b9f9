//! What a venue reads of the folded state: its orders, doubts, and how far trades are booked.

use crate::filters;
use crate::follower::Follower;
use crate::rows::{account, symbol};
use ordergate_core::order::Order;
use ordergate_core::state::State;
use ordergate_core::terms::{AccountId, InstrumentId, Mode, OrderId};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use serde_json::json;

/// The item that tells the venue the id of an order which it has shown.
pub(crate) fn external_item<'py>(py: Python<'py>, state: &State, id: OrderId) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let Some(order) = state.order(id) else {
        return Ok(None);
    };
    let venue_order_id = order.venue_order_id.as_deref().unwrap_or_default();
    let (account, symbol) = (
        account(state, order.terms.account),
        symbol(state, order.terms.instrument),
    );
    ("EXTERNAL", id, account, symbol, venue_order_id)
        .into_pyobject(py)
        .map(Some)
}

impl Follower {
    /// What a venue trades; one that never had a session is LIVE unless it is ours.
    fn mode_of(&self, venue: &str) -> Mode {
        let lane = self.state.lanes().find(|lane| lane.venue == venue);
        let unheard = if venue == "paper" { Mode::Paper } else { Mode::Live };
        lane.map_or(unheard, |lane| lane.mode)
    }

    fn place(&self, account: &str, symbol: &str) -> Option<(AccountId, InstrumentId)> {
        let account = self.state.account_named(account)?.id;
        Some((account, self.state.instrument_by_symbol(symbol)?.instrument))
    }
}

fn facts_json(state: &State, order: &Order) -> serde_json::Value {
    let terms = &order.terms;
    let replace = order
        .replacing()
        .map(|(qty, price)| json!({"quantity": qty.to_string(), "price": price.map(|price| price.to_string())}));
    json!({
        "id": order.id, "account": account(state, terms.account), "mode": terms.mode.as_str(),
        "symbol": symbol(state, terms.instrument), "side": terms.side.as_str(), "type": terms.ord_type.as_str(),
        "timeInForce": terms.time_in_force.as_str(), "quantity": terms.qty.to_string(),
        "price": terms.price.map(|price| price.to_string()), "stopPrice": terms.stop_price().map(|price| price.to_string()),
        "quoteQuantity": terms.quote_qty().map(|quote| quote.to_string()),
        "status": order.status().as_str(), "filled": order.cum_qty.to_string(),
        "cumQuote": order.cum_quote.to_string(), "venueOrderId": order.venue_order_id,
        "clientIdAtVenue": state.client_id_at_venue(order), "submittedNs": order.submit.map(|submit| submit.at),
        "session": order.submit.map(|submit| submit.session), "inDoubt": order.in_doubt,
        "doubtSinceNs": order.doubt_since, "cancelPending": order.cancel_pending,
        "cancelWanted": order.cancel_wanted, "replace": replace, "external": order.is_external(),
        "tradeIds": order.trade_ids().collect::<Vec<_>>(), "open": order.is_open(), "acked": order.acked,
        "receivedNs": order.received_at, "updatedNs": order.updated_at,
    })
}

#[pymethods]
impl Follower {
    /// JSON list of the instruments as of the folded state.
    fn instruments(&self) -> Vec<u8> {
        let list: serde_json::Value = self.state.instruments().map(filters::instrument_json).collect();
        list.to_string().into_bytes()
    }

    /// JSON facts of an order in memory.
    fn order(&self, order: OrderId) -> Option<Vec<u8>> {
        let order = self.state.order(order)?;
        Some(facts_json(&self.state, order).to_string().into_bytes())
    }

    /// Open orders of a venue that may be there: those that were never handed over are not.
    fn live_orders(&self, venue: &str) -> Vec<OrderId> {
        let open = self.state.open_orders(self.mode_of(venue));
        open.filter(|order| !order.is_unsent()).map(|order| order.id).collect()
    }

    /// Its orders in doubt, oldest first.
    fn doubts(&self, venue: &str) -> Vec<OrderId> {
        self.state.doubts(self.mode_of(venue)).map(|order| order.id).collect()
    }

    /// The order that a LIVE venue knows by this id.
    fn order_by_venue_id(&self, venue: &str, account: &str, symbol: &str, venue_order_id: &str) -> Option<OrderId> {
        let (account, instrument) = self.place(account, symbol)?;
        self.state
            .order_by_venue_id(self.mode_of(venue), account, instrument, venue_order_id)
    }

    /// The venue's number of the newest trade up to which all are booked; 0 before the first.
    fn confirmed_trade(&self, venue: &str, account: &str, symbol: &str) -> u64 {
        let place = self.place(account, symbol);
        place.map_or(0, |(account, instrument)| {
            self.state.confirmed_trade(self.mode_of(venue), account, instrument)
        })
    }

    /// All that an account has of an asset, as a decimal.
    fn balance(&self, account: &str, mode: &str, asset: &str) -> String {
        let total = self
            .state
            .account_named(account)
            .zip(Mode::parse(mode))
            .map(|(account, mode)| self.state.balance_total(account.id, mode, asset));
        total.unwrap_or_default().to_string()
    }

    /// Differences that are not explained yet: (account, symbol or nothing, class, detail).
    fn drifts(&self, venue: &str) -> Vec<(String, String, &'static str, String)> {
        let mode = self.mode_of(venue);
        let found = self.state.drifts().filter(|(of, ..)| *of == mode);
        found
            .map(|(_, of, at, class, drift)| {
                let at = at.map_or("", |at| symbol(&self.state, at));
                let of = account(&self.state, of);
                (of.to_owned(), at.to_owned(), class.as_str(), drift.detail.clone())
            })
            .collect()
    }
}

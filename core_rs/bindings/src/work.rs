//! What a venue is asked to do, as tuples.

use crate::follower::Follower;
use crate::venue_facts::external_item;
use ordergate_core::number::Qty;
use ordergate_core::terms::{Nanos, OrderId, TimeInForce};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// A piece of work for a venue.
pub(crate) enum Work {
    Submit(OrderId),
    Cancel(OrderId, Nanos),
    Amend(OrderId, Nanos),
    /// Somebody asks to look for an order in doubt again.
    Query(OrderId, Nanos),
    /// An order that the venue has shown has its id now.
    External(OrderId),
}

impl Follower {
    fn item<'py>(&self, py: Python<'py>, work: &Work) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let id = match work {
            Work::Query(id, at) => return ("QUERY", *id, *at).into_pyobject(py).map(Some),
            Work::External(id) => return external_item(py, &self.state, *id),
            Work::Submit(id) | Work::Cancel(id, _) | Work::Amend(id, _) => *id,
        };
        let Some(order) = self.state.order(id) else {
            return Ok(None);
        };
        let venue_id = self.state.client_id_at_venue(order);
        match work {
            Work::Submit(_) | Work::Query(..) | Work::External(_) => {}
            Work::Cancel(_, at) => return ("CANCEL", id, *at, venue_id).into_pyobject(py).map(Some),
            Work::Amend(_, at) => {
                // Answered meanwhile, or overtaken by a cancel that drops it.
                let Some(qty) = order.amending() else { return Ok(None) };
                let amend = ("AMEND", id, *at, venue_id, qty.to_string());
                return amend.into_pyobject(py).map(Some);
            }
        }
        let terms = &order.terms;
        let account = self
            .state
            .account(terms.account)
            .map_or("", |account| account.name.as_str());
        let symbol = self
            .state
            .instrument(terms.instrument)
            .map_or("", |instrument| instrument.symbol.as_str());
        let started = order.submit.map_or(order.received_at, |submit| submit.at);
        let (head, middle, tail) = (
            ("SUBMIT", id, started, account, symbol, terms.side.as_str()),
            (
                terms.ord_type.as_str(),
                at_venue(terms.time_in_force).as_str(),
                terms.quote_qty().map_or(terms.qty, |_| Qty(0)).to_string(),
                order.cum_qty.to_string(),
            ),
            (
                terms.price.map(|price| price.to_string()),
                venue_id,
                terms.strategy_id.as_deref(),
                order.flattens(),
            ),
        );
        let more = (
            terms.stop_price().map(|price| price.to_string()),
            terms.quote_qty().map(|quote| quote.to_string()),
        );
        let tuple = PyTuple::new(
            py,
            head.into_pyobject(py)?
                .iter()
                .chain(middle.into_pyobject(py)?.iter())
                .chain(tail.into_pyobject(py)?.iter())
                .chain(more.into_pyobject(py)?.iter())
                .collect::<Vec<_>>(),
        )?;
        Ok(Some(tuple))
    }

    pub(crate) fn items<'py>(&self, py: Python<'py>, works: &[Work]) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for work in works {
            if let Some(item) = self.item(py, work)? {
                list.append(item)?;
            }
        }
        Ok(list)
    }
}

/// The time in force that the venue hears: the gateway itself ends what is GTD.
const fn at_venue(time_in_force: TimeInForce) -> TimeInForce {
    match time_in_force {
        TimeInForce::Gtd => TimeInForce::Gtc,
        other => other,
    }
}

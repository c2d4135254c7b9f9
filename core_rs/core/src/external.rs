//! Orders that somebody else placed in an account: they count like its own, and are never canceled by the gateway's own
//! motion.

use crate::account::{Label, Place};
use crate::account_reports::RawExternal;
use crate::engine::Engine;
use crate::exposure::Open;
use crate::number::{Amount, Price, Qty};
use crate::order::Order;
use crate::record::{Conditions, ExternalOrder, Record, Terms};
use crate::report::Report;
use crate::risk::with_slippage;
use crate::state::{Applied, Broken, State};
use crate::terms::{AccountId, GATEWAY_KEY, InstrumentId, Mode, Nanos, OrdType, OrderId, Side, TimeInForce};
use crate::venue_reports::{LONGEST_CODE, NUMERIC_RANGE, clip};

impl Order {
    /// An order that somebody else placed, as the venue shows it.
    #[must_use]
    pub(crate) fn external(id: OrderId, at: Nanos, found: &ExternalOrder) -> Self {
        let terms = Terms {
            account: found.account,
            key: GATEWAY_KEY,
            mode: found.mode,
            instrument: found.instrument,
            side: found.side,
            ord_type: found.ord_type,
            time_in_force: found.time_in_force,
            qty: found.qty,
            price: found.price,
            client_order_id: found.client_order_id.as_deref().map(Into::into),
            strategy_id: None,
            valid_for_ms: None,
            conditions: found.stop_price.map(|stop_price| {
                Box::new(Conditions {
                    stop_price: Some(stop_price),
                    ..Conditions::default()
                })
            }),
        };
        Self {
            hold: found.hold,
            reference: found.reference,
            cum_qty: found.cum_qty.into(),
            external: Some(found.cum_qty.into()),
            venue_order_id: Some(found.venue_order_id.as_str().into()),
            acked: true,
            acked_at: Some(at),
            ..Self::blank(id, at, terms, "".into())
        }
    }

    /// Trades counted, by the venue's ids.
    pub fn trade_ids(&self) -> impl Iterator<Item = &str> {
        self.trades.ids()
    }

    /// Quantity and limit price that are asked for and not answered yet.
    #[must_use]
    pub fn replacing(&self) -> Option<(Qty, Option<Price>)> {
        self.replace.as_ref().map(|new| (new.qty, new.price))
    }

    /// True for one that was placed outside the gateway.
    #[must_use]
    pub const fn is_external(&self) -> bool {
        self.external.is_some()
    }
}

impl State {
    /// EXTERNAL_ORDER: it is an order from here on, with what it may still cost held.
    pub(crate) fn external_order(&mut self, body: &ExternalOrder) -> Result<Applied, Broken> {
        let (id, at) = (self.last_seq, self.last_ts);
        let Some(account) = self.accounts.get_mut(body.account as usize) else {
            return Broken::at(id, "an external order of an unknown account");
        };
        if body.instrument as usize >= self.listed.len() {
            return Broken::at(id, "an external order of an unknown instrument");
        }
        account.orders.insert(id);
        let mut order = Box::new(Order::external(id, at, body));
        order.held = order.hold_due();
        order.mark = order.digest();
        self.digest.add(order.mark);
        let (label, now) = (Label::of(&order), Place::of(&order));
        self.hold(&label, order.held)?;
        self.sum(&label, None, Open::of(&order))?;
        self.place(&label, order.client_id_hash(), Place::default(), now);
        if !now.open {
            self.retention.note(id, id, at);
        }
        self.orders.insert(id, order);
        self.index_venue_id(id);
        self.counters.alarms += 1;
        Ok(Applied {
            order: Some(id),
            alarm: Some("EXTERNAL_ORDER"),
        })
    }

    /// The client order id that the venue knows an order by: recomputable for ours, somebody else's word for the rest.
    #[must_use]
    pub fn client_id_at_venue(&self, order: &Order) -> String {
        if order.is_external() {
            return order.terms.client_order_id.as_deref().unwrap_or_default().to_owned();
        }
        format!("og{}-{}", self.install(), order.id)
    }

    /// Files a LIVE order under the venue's id, if it has one.
    pub(crate) fn index_venue_id(&mut self, id: OrderId) {
        if let Some(key) = self.order(id).and_then(venue_key) {
            self.by_venue_id.insert(key);
        }
    }

    /// The order with this id of the venue; the oldest, should a person have given one id to two.
    #[must_use]
    pub fn order_by_venue_id(
        &self,
        mode: Mode,
        account: AccountId,
        instrument: InstrumentId,
        venue_order_id: &str,
    ) -> Option<OrderId> {
        if mode != Mode::Live {
            return None;
        }
        let first = (account, instrument, Box::from(venue_order_id), 0);
        let (of, at, text, order) = self.by_venue_id.range(first..).next()?;
        ((*of, *at, &**text) == (account, instrument, venue_order_id)).then_some(*order)
    }
}

/// Where a LIVE order stands among the venue's ids. PAPER has no orders but ours, and needs no such index.
pub(crate) type VenueKey = (AccountId, InstrumentId, Box<str>, OrderId);

pub(crate) fn venue_key(order: &Order) -> Option<VenueKey> {
    let (terms, id) = (&order.terms, order.venue_order_id.as_ref()?);
    (terms.mode == Mode::Live).then(|| (terms.account, terms.instrument, id.clone(), order.id))
}

impl Engine {
    /// Takes in an order that the venue shows, unless it is known.
    pub(crate) fn external_report(
        &mut self,
        mode: Mode,
        account: AccountId,
        raw: &RawExternal<'_>,
        report: &Report<'_>,
        now: Nanos,
    ) -> Result<(), Broken> {
        let instrument = self.state.instrument_by_symbol(raw.symbol);
        let Some(instrument) = instrument.map(|instrument| instrument.instrument) else {
            return self.park(UNKNOWN_SYMBOL, report, now);
        };
        let named = (1..=LONGEST_CODE).contains(&raw.venue_order_id.len()) && !raw.venue_order_id.contains('\0');
        if !named {
            return self.park(NO_VENUE_ID, report, now);
        }
        let known = self
            .state
            .order_by_venue_id(mode, account, instrument, raw.venue_order_id);
        if known.is_some() {
            self.duplicates += 1;
            return Ok(());
        }
        match self.external_of(mode, account, instrument, raw) {
            Some(found) => self.commit(Record::ExternalOrder(found), now).map(drop),
            None => self.park(NUMERIC_RANGE, report, now),
        }
    }

    /// The record of such an order; `None` when a figure is out of range.
    fn external_of(
        &self,
        mode: Mode,
        account: AccountId,
        instrument: InstrumentId,
        raw: &RawExternal<'_>,
    ) -> Option<ExternalOrder> {
        let price = |text: Option<&str>| text.map(Price::parse).transpose().ok();
        let (qty, cum_qty) = (Qty::parse(raw.qty).ok()?, Qty::parse_or_zero(raw.cum_qty).ok()?);
        let (price, stop_price) = (price(raw.price)?, price(raw.stop_price)?);
        let unknown = if price.is_some() {
            OrdType::Limit
        } else {
            OrdType::Market
        };
        let mark = self.mark(mode, instrument);
        // Of what has no price the mark tells what it may cost, the stop price where it is dearer; without either
        // nothing is known, and nothing held.
        let dear = mark.map(|mark| mark.ask).max(stop_price);
        let rest = Qty(qty.0.saturating_sub(cum_qty.0).max(0));
        let hold = match (raw.side, price, dear) {
            (Side::Sell, ..) => qty.into(),
            (Side::Buy, Some(price), _) => price.times(qty).to_amount_ceil(),
            (Side::Buy, None, Some(dear)) => with_slippage(dear.times(rest)),
            (Side::Buy, None, None) => Amount::ZERO,
        };
        Some(ExternalOrder {
            account,
            mode,
            instrument,
            venue_order_id: raw.venue_order_id.to_owned(),
            client_order_id: (!raw.client_id.is_empty()).then(|| clip(raw.client_id, LONGEST_CODE)),
            side: raw.side,
            ord_type: OrdType::parse(raw.ord_type).unwrap_or(unknown),
            // What has no price never rests, whatever the venue calls it.
            time_in_force: match price {
                None => TimeInForce::Ioc,
                Some(_) => TimeInForce::parse(raw.time_in_force).unwrap_or(TimeInForce::Gtc),
            },
            qty,
            cum_qty,
            price,
            stop_price,
            hold,
            reference: mark.map(|mark| mark.bid),
        })
    }
}

/// The symbol is not one of the gateway's instruments.
pub(crate) const UNKNOWN_SYMBOL: &str = "UNKNOWN_SYMBOL";
/// An order without an id of the venue's cannot be told from others.
const NO_VENUE_ID: &str = "NO_VENUE_ID";

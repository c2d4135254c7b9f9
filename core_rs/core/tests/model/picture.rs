//! What an observer sees, as plain numbers and words: read off a state, or worked out by the model.

use crate::orders::{End, Facts, Order};
use crate::reference::{ACCOUNTS, Model, SYMBOLS};
use ordergate_core::order;
use ordergate_core::render::{order_json, portfolio_json};
use ordergate_core::state::State;
use ordergate_core::terms::{KillScope, Mode, OrderId, RejectedBy, SessionId, Side};
use std::collections::BTreeMap;

/// Account, mode, and an asset or symbol.
pub type Place = (u32, Mode, String);

/// Facts and figures of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub account: u32,
    pub mode: Mode,
    pub symbol: &'static str,
    pub buy: bool,
    pub price: Option<i128>,
    pub status: &'static str,
    pub ordered: i128,
    pub traded: i128,
    /// What had traded of somebody else's before it was seen.
    pub before: i128,
    pub quote: i128,
    pub average: Option<i128>,
    pub trades: usize,
    pub held: i128,
    pub end: Option<End>,
    pub reason: String,
    pub venue_id: Option<String>,
    pub submit: Option<SessionId>,
    pub acked: bool,
    pub in_doubt: bool,
    pub cancel_pending: bool,
    pub cancel_wanted: bool,
    pub late_fill: bool,
}

impl Seen {
    pub fn facts(&self) -> Facts {
        Facts {
            end: self.end,
            ordered: self.ordered,
            traded: self.traded,
            in_doubt: self.in_doubt,
            cancel_pending: self.cancel_pending,
            acked: self.acked,
            submitted: self.submit.is_some(),
        }
    }

    pub fn is_open(&self) -> bool {
        !matches!(self.status, "FILLED" | "CANCELED" | "REJECTED" | "EXPIRED")
    }

    /// Where its hold is.
    pub fn purse(&self) -> Place {
        let base = SYMBOLS.iter().find(|(symbol, _)| *symbol == self.symbol).unwrap().1;
        (self.account, self.mode, if self.buy { "USDT" } else { base }.to_owned())
    }

    pub fn of(state: &State, order: &order::Order) -> Self {
        let terms = &order.terms;
        let symbol = &state.instrument(terms.instrument).unwrap().symbol;
        Self {
            account: terms.account,
            mode: terms.mode,
            symbol: SYMBOLS.iter().find(|(known, _)| known == symbol).unwrap().0,
            buy: terms.side == Side::Buy,
            price: terms.price.map(|price| price.0.into()),
            status: order.status().as_str(),
            ordered: terms.qty.0.into(),
            traded: order.cum_qty.0,
            before: order.external.map_or(0, |before| before.0),
            quote: order.cum_quote.0,
            average: order.average_price().map(|price| price.0),
            trades: order.fill_count(),
            held: order.held.0,
            end: order.end.map(|end| match end {
                order::End::Done => unreachable!("no order by amount of quote"),
                order::End::Canceled => End::Canceled,
                order::End::Expired => End::Expired,
                order::End::Rejected(RejectedBy::Venue) => End::RejectedByVenue,
                order::End::Rejected(RejectedBy::Gateway) => End::RejectedByGateway,
            }),
            reason: order.reason.to_string(),
            venue_id: order.venue_order_id.as_deref().map(str::to_owned),
            submit: order.submit.map(|submit| submit.session),
            acked: order.acked,
            in_doubt: order.in_doubt,
            cancel_pending: order.cancel_pending,
            cancel_wanted: order.cancel_wanted,
            late_fill: order.late_fill,
        }
    }

    fn worked_out(order: &Order) -> Self {
        Self {
            account: order.account,
            mode: order.mode,
            symbol: SYMBOLS[order.instrument].0,
            buy: order.buy,
            price: order.price,
            status: order.status(),
            ordered: order.qty,
            traded: order.traded(),
            before: order.external.unwrap_or(0),
            quote: order.quote(),
            average: order.average(),
            trades: order.trades.len(),
            held: order.hold(),
            end: order.end,
            reason: order.reason.clone(),
            venue_id: order.venue_id.clone(),
            submit: order.submit,
            acked: order.acked,
            in_doubt: order.in_doubt,
            cancel_pending: order.cancel_pending,
            cancel_wanted: order.cancel_wanted,
            late_fill: order.late_fill,
        }
    }
}

/// Everything that can be seen; what is zero is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picture {
    pub orders: BTreeMap<OrderId, Seen>,
    /// Total and held.
    pub balances: BTreeMap<Place, (i128, i128)>,
    /// Quantity, base bought, quote paid, base sold, quote received.
    pub positions: BTreeMap<Place, [i128; 5]>,
    pub open: BTreeMap<(u32, Mode), u32>,
    pub kills: BTreeMap<(KillScope, String), u8>,
}

impl Picture {
    pub fn of(state: &State) -> Self {
        let mut picture = Self {
            orders: state.orders().map(|order| (order.id, Seen::of(state, order))).collect(),
            kills: state
                .kills()
                .map(|(scope, target, kill)| ((scope, target.to_owned()), kill.level))
                .collect(),
            ..Self::default()
        };
        for account in state.accounts() {
            for balance in state
                .balances(account.id)
                .filter(|balance| balance.total.0 != 0 || balance.held.0 != 0)
            {
                let place = (account.id, balance.mode, balance.asset.to_owned());
                picture.balances.insert(place, (balance.total.0, balance.held.0));
            }
            for position in state.positions(account.id) {
                let place = (account.id, position.mode, position.symbol.to_owned());
                let figures = [
                    position.quantity,
                    position.bought_quantity,
                    position.bought_quote,
                    position.sold_quantity,
                    position.sold_quote,
                ];
                picture.positions.insert(place, figures.map(|figure| figure.0));
            }
            for mode in Mode::ALL {
                picture.open.insert((account.id, *mode), account.open_orders(*mode));
            }
        }
        picture
    }

    pub fn worked_out(model: &Model) -> Self {
        let orders = model
            .orders
            .iter()
            .map(|(id, order)| (*id, Seen::worked_out(order)))
            .collect();
        let mut picture = Self {
            orders,
            kills: model.kills.clone(),
            ..Self::default()
        };
        for account in 0..ACCOUNTS.len() as u32 {
            for mode in Mode::ALL.iter().copied() {
                picture.open.insert((account, mode), model.open_count(account, mode));
                for asset in ["USDT", "BTC", "ETH", "BNB"] {
                    let balance = (model.total(account, mode, asset), model.held(account, mode, asset));
                    if balance != (0, 0) {
                        picture.balances.insert((account, mode, asset.to_owned()), balance);
                    }
                }
            }
        }
        for order in model.orders.values() {
            let (symbol, base) = SYMBOLS[order.instrument];
            for trade in order.trades.values() {
                let place = (order.account, order.mode, symbol.to_owned());
                let position = picture.positions.entry(place).or_default();
                let (sign, side) = if order.buy { (1, 1) } else { (-1, 3) };
                position[0] += sign * trade.qty - if trade.fee_asset == base { trade.fee } else { 0 };
                position[side] += trade.qty;
                position[side + 1] += trade.quote;
            }
        }
        picture
    }

    /// What belongs to one mode.
    pub fn part(&self, mode: Mode) -> Self {
        let mut part = self.clone();
        part.orders.retain(|_, order| order.mode == mode);
        part.balances.retain(|place, _| place.1 == mode);
        part.positions.retain(|place, _| place.1 == mode);
        part.open.retain(|place, _| place.1 == mode);
        part
    }
}

/// Every order and portfolio as clients read them.
pub fn rendered(state: &State) -> Vec<String> {
    let orders = state.orders().map(|order| {
        let mut text = String::new();
        order_json(&mut text, &state.view(order));
        text
    });
    let portfolios = state.accounts().iter().map(|account| {
        let mut text = String::new();
        let (balances, positions) = (state.balances(account.id), state.positions(account.id));
        portfolio_json(&mut text, &account.name, state.last_seq(), balances, positions);
        text
    });
    orders.chain(portfolios).collect()
}

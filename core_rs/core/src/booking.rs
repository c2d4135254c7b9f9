//! What trades and adjustments do to balances and positions: planned first, so that nothing is half booked.

use crate::account::{AssetId, Balance, Label};
use crate::exposure::FeeIn;
use crate::facts::sums_after;
use crate::number::Amount;
use crate::order::Order;
use crate::record::Fill;
use crate::state::{Broken, State};
use crate::terms::{AccountId, Mode, OrderId, Side};

impl State {
    /// Index of an asset code; a new one is added.
    pub(crate) fn asset(&mut self, code: &str) -> AssetId {
        if let Some(id) = self.asset_ids.get(code) {
            return *id;
        }
        let id = self.assets.len() as AssetId;
        self.assets.push(code.to_owned());
        self.asset_ids.insert(code.to_owned(), id);
        id
    }

    /// Whether a trade fits every sum that it would change: it is booked as a whole or parked.
    #[must_use]
    pub fn fill_fits(&self, order: &Order, fill: &Fill) -> bool {
        sums_after(order, fill).is_some() && self.tallies_fit(order, fill) && self.legs_fit(order, fill)
    }

    fn legs_fit(&self, order: &Order, fill: &Fill) -> bool {
        let Some(legs) = legs(order, fill) else { return false };
        let listed = &self.listed[order.terms.instrument as usize];
        let assets = [
            Some(listed.base),
            Some(listed.quote),
            self.asset_ids.get(&fill.fee_asset).copied(),
        ];
        // Added leg by leg, the fee last: it may be taken from either of the others, or from a third asset.
        (0..3).all(|leg| {
            let total = assets[leg].map_or(Amount::ZERO, |asset| self.balance(order, asset).total);
            let mut same = (0..=leg).filter(|other| assets[*other] == assets[leg]);
            same.try_fold(total, |sum, other| sum.checked_add(legs[other]))
                .is_some()
        })
    }

    fn balance(&self, order: &Order, asset: AssetId) -> Balance {
        let account = &self.accounts[order.terms.account as usize];
        account
            .balances
            .get(&(order.terms.mode, asset))
            .copied()
            .unwrap_or_default()
    }

    /// Books a trade's legs and position.
    pub(crate) fn book_fill(&mut self, id: OrderId, fill: &Fill) -> Result<(), Broken> {
        let planned = self
            .orders
            .get(&id)
            .and_then(|order| Some((Label::of(order), self.fee_in(order, fill), legs(order, fill)?)));
        let Some((label, fee_in, legs)) = planned else {
            return Broken::at(self.last_seq, format_args!("a trade of order {id} is out of range"));
        };
        let Label {
            account,
            mode,
            instrument,
            side,
            ..
        } = label;
        for holder in label.holders() {
            let booked = self.sums.change(&mut self.digest, holder, mode, instrument, |tally| {
                tally.with_trade(side, fill, fee_in)
            });
            if booked.is_none() {
                return Broken::at(self.last_seq, format_args!("a trade of order {id} is out of range"));
            }
        }
        let listed = &self.listed[instrument as usize];
        let (base, quote) = (listed.base, listed.quote);
        let fee_asset = self.asset(&fill.fee_asset);
        for (asset, delta) in [base, quote, fee_asset].into_iter().zip(legs) {
            self.change_balance(account, mode, asset, delta, Amount::ZERO)?;
        }
        Ok(())
    }

    fn tallies_fit(&self, order: &Order, fill: &Fill) -> bool {
        let (terms, fee_in) = (&order.terms, self.fee_in(order, fill));
        Label::of(order).holders().all(|holder| {
            let tally = self.sums.get(holder, terms.mode, terms.instrument).copied();
            tally.unwrap_or_default().with_trade(terms.side, fill, fee_in).is_some()
        })
    }

    fn fee_in(&self, order: &Order, fill: &Fill) -> FeeIn {
        let instrument = &self.listed[order.terms.instrument as usize].instrument;
        match &fill.fee_asset {
            asset if *asset == instrument.base => FeeIn::Base,
            asset if *asset == instrument.quote => FeeIn::Quote,
            _ => FeeIn::Other,
        }
    }

    /// Whether an adjustment stays in range.
    #[must_use]
    pub fn adjustment_fits(&self, account: AccountId, mode: Mode, asset: &str, delta: Amount) -> bool {
        let total = self.asset_ids.get(asset).and_then(|asset| {
            self.accounts
                .get(account as usize)?
                .balances
                .get(&(mode, *asset))
                .map(|balance| balance.total)
        });
        total.unwrap_or_default().checked_add(delta).is_some()
    }

    /// Changes a balance by these.
    pub(crate) fn change_balance(
        &mut self,
        account: AccountId,
        mode: Mode,
        asset: AssetId,
        total: Amount,
        held: Amount,
    ) -> Result<(), Broken> {
        let balances = &mut self.accounts[account as usize].balances;
        let new = balances.get(&(mode, asset)).is_none();
        let balance = balances.entry((mode, asset)).or_default();
        let old = balance.digest(account, mode, asset);
        let sums = balance.total.checked_add(total).zip(balance.held.checked_add(held));
        match sums {
            Some((total, held)) if !held.is_negative() => *balance = Balance { total, held },
            _ => {
                return Broken::at(
                    self.last_seq,
                    format_args!("a balance of account {account} is out of range"),
                );
            }
        }
        if !new {
            self.digest.remove(old);
        }
        self.digest.add(balance.digest(account, mode, asset));
        Ok(())
    }
}

/// What a trade changes: base, quote, and the fee's asset.
fn legs(order: &Order, fill: &Fill) -> Option<[Amount; 3]> {
    let (base, quote) = (Amount::from(fill.qty), fill.quote_qty);
    let fee = fill.fee.checked_neg()?;
    match order.terms.side {
        Side::Buy => Some([base, quote.checked_neg()?, fee]),
        Side::Sell => Some([base.checked_neg()?, quote, fee]),
    }
}

//! An order's number in the state's hash.

use crate::digest::Mix;
use crate::order::{End, Order, Submit};

impl Order {
    /// The order's number in the state's hash: every fact, in constant time whatever the number of fills.
    pub(crate) fn digest(&self) -> u128 {
        let flags = [
            self.acked,
            self.answered,
            self.in_doubt,
            self.cancel_pending,
            self.cancel_in_doubt,
            self.cancel_wanted,
            self.late_fill,
            self.submit.is_some(),
        ];
        let flags = flags
            .iter()
            .enumerate()
            .fold(0, |bits, (at, flag)| bits | u64::from(*flag) << at);
        let end = match self.end {
            None => 0,
            Some(End::Canceled) => 1,
            Some(End::Expired) => 2,
            Some(End::Done) => 3,
            Some(End::Rejected(by)) => 16 + u64::from(by as u8),
        };
        let submit = self.submit.unwrap_or(Submit { session: 0, at: 0 });
        let mut mix = self.mix_terms(Mix::new(1).word(self.id));
        mix = mix.text(&self.request).int(self.received_at).word(flags | end << 32);
        mix = mix
            .word(submit.session)
            .int(submit.at)
            .maybe(self.acked_at)
            .int(self.updated_at)
            .word(self.last_seq);
        mix = mix
            .wide(self.cum_qty.0)
            .wide(self.cum_quote.0)
            .wide(self.cum_money.0)
            .wide(self.held.0)
            .wide(self.hold.0);
        mix = mix
            .text(&self.reason)
            .maybe_text(self.venue_order_id.as_deref())
            .word(self.trades.sum())
            .maybe(self.reference.map(|price| price.0));
        if let Some(before) = self.external {
            mix = mix.word(17).wide(before.0);
        }
        if let Some(since) = self.doubt_since {
            mix = mix.word(18).int(since);
        }
        if let Some(new) = &self.replace {
            mix = mix
                .int(new.qty.0)
                .maybe(new.price.map(|price| price.0))
                .wide(new.hold.0);
            if let Some(anew) = new.anew {
                mix = mix.maybe(anew.stop_price.map(|price| price.0)).word(anew.key.into());
            }
        }
        if let Some(changes) = &self.changes {
            mix = mix
                .word(changes.amends.into())
                .word(changes.replaced_by.unwrap_or_default())
                .int(changes.target.0);
        }
        mix.finish()
    }

    fn mix_terms(&self, mix: Mix) -> Mix {
        let terms = &self.terms;
        let words = u32::from_le_bytes([
            terms.mode as u8,
            terms.side as u8,
            terms.ord_type as u8,
            terms.time_in_force as u8,
        ]);
        let mix = mix
            .word(u64::from(terms.account) << 32 | u64::from(terms.key))
            .word(u64::from(terms.instrument) << 32 | u64::from(words))
            .int(terms.qty.0)
            .maybe(terms.price.map(|price| price.0))
            .maybe_text(terms.client_order_id.as_deref())
            .maybe_text(terms.strategy_id.as_deref())
            .maybe(terms.valid_for_ms.map(i64::from));
        let Some(more) = &terms.conditions else { return mix };
        mix.maybe(more.stop_price.map(|price| price.0))
            .wide(more.quote_qty.unwrap_or_default().0)
            .maybe(more.expire_at)
            .word(more.replaces.unwrap_or_default())
    }
}

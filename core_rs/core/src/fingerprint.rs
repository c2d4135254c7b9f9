//! Which requests are the same: a hash over the decoded order, kept with its request key.

use crate::request::{NewOrder, NewTerms};
use crate::terms::OrderId;
use sha2::{Digest, Sha256};

/// First 16 bytes of SHA-256 over the decoded order: two spellings of the same order are the same request.
#[must_use]
pub fn fingerprint(order: &NewOrder) -> (u64, u64) {
    // Positional; every part has a fixed size or its length before it, so no two orders share an encoding. Kept for
    // 24 hours across restarts: another encoding needs another first line.
    let mut hash = Sha256::new();
    hash.update(b"ordergate new order 1\n");
    hash.update([
        order.mode as u8,
        order.side as u8,
        order.ord_type as u8,
        order.time_in_force as u8,
    ]);
    hash.update(order.qty.0.to_be_bytes());
    // A price is never zero, nor is a wait: zero says "none".
    hash.update(order.price.unwrap_or_default().0.to_be_bytes());
    hash.update(order.valid_for_ms.unwrap_or_default().to_be_bytes());
    let texts = [
        Some(order.symbol.as_str()),
        order.client_order_id.as_deref(),
        order.strategy_id.as_deref(),
    ];
    for text in texts {
        // An id is never empty: length zero says "none". Lengths are at most 64.
        let text = text.map(str::as_bytes).unwrap_or_default();
        hash.update([text.len() as u8]);
        hash.update(text);
    }
    // Appended only when there is one, so that every request from before keeps its fingerprint.
    if let Some(id) = order.override_id {
        hash.update(id.to_be_bytes());
    }
    if order.stop_price.is_some() || order.quote_qty.is_some() || order.expire_at.is_some() {
        // One block of fixed size, so that its length tells it from an override alone.
        hash.update(b"conditions");
        hash.update(order.stop_price.unwrap_or_default().0.to_be_bytes());
        hash.update(order.quote_qty.unwrap_or_default().0.to_be_bytes());
        hash.update(order.expire_at.unwrap_or_default().to_be_bytes());
    }
    halves(hash)
}

/// The fingerprint of a request for new terms of an order.
#[must_use]
pub fn replace_fingerprint(order: OrderId, asked: &NewTerms) -> (u64, u64) {
    let mut hash = Sha256::new();
    hash.update(b"ordergate replace 1\n");
    hash.update(order.to_be_bytes());
    // None of them is ever zero: zero says "none".
    hash.update(asked.qty.unwrap_or_default().0.to_be_bytes());
    hash.update(asked.price.unwrap_or_default().0.to_be_bytes());
    hash.update(asked.stop_price.unwrap_or_default().0.to_be_bytes());
    halves(hash)
}

fn halves(hash: Sha256) -> (u64, u64) {
    let digest = hash.finalize();
    let half = |bytes: &[u8]| bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    (half(&digest[..8]), half(&digest[8..16]))
}

//! The rates of a key: orders, cancels, reads and changes of other things each have their own.

use crate::engine::{Caller, Engine};
use crate::refusal::{self, Refusal};
use crate::terms::{KeyId, Nanos, Scope};
use crate::throttle::Throttle;

/// Cancels and reads have rates of their own, this many times the key's: an order can always be withdrawn and looked at.
const OTHER_RATE_FACTOR: u32 = 4;
/// What a client may change besides orders, a second: limits, strategies, which scopes are watched, kills that it
/// clears. Each is a record, and none is for programs in a hurry. No rate holds a kill up.
pub const CHANGES_PER_SECOND: u32 = 5;
/// How many of them may come at once.
pub const CHANGES_AT_ONCE: u32 = 50;

/// Rates of one key.
#[derive(Debug, Clone)]
pub(crate) struct Rates {
    orders: Throttle,
    cancels: Throttle,
    reads: Throttle,
    changes: Throttle,
}

impl Rates {
    fn new(rate: u32) -> Self {
        let other = rate.saturating_mul(OTHER_RATE_FACTOR);
        Self {
            orders: Throttle::new(rate, rate),
            cancels: Throttle::new(other, other),
            reads: Throttle::new(other, other),
            changes: Throttle::new(CHANGES_PER_SECOND, CHANGES_AT_ONCE),
        }
    }
}

impl Engine {
    fn rates_of(&mut self, key: KeyId, rate: u32) -> &mut Rates {
        let place = key as usize;
        if self.rates.len() <= place {
            self.rates.resize(place + 1, None);
        }
        self.rates[place].get_or_insert_with(|| Rates::new(rate))
    }

    /// As [`Engine::authorize_from`], from an address that is not known: a key with networks is refused.
    ///
    /// # Errors
    /// See there.
    pub fn authorize(&mut self, token_sha256: &[u8; 32], needed: Scope, now: Nanos) -> Result<Caller, Refusal> {
        self.authorize_from(token_sha256, needed, None, now)
    }

    /// Authenticates a key and takes a place in its rate: orders, cancels and reads each have their own. `peer` is the
    /// other end of the connection as the server tells it; nothing is read from headers.
    ///
    /// # Errors
    /// `unauthorized` for a key that is unknown, revoked or expired, `ip_not_allowed`, `forbidden` without the scope,
    /// `rate_limited`.
    pub fn authorize_from(
        &mut self,
        token_sha256: &[u8; 32],
        needed: Scope,
        peer: Option<&str>,
        now: Nanos,
    ) -> Result<Caller, Refusal> {
        self.authorize_either(token_sha256, needed, needed, peer, now)
    }

    /// The same for what a key with either scope may do; the place is one in the rate of the first.
    ///
    /// # Errors
    /// See there.
    pub fn authorize_either(
        &mut self,
        token_sha256: &[u8; 32],
        needed: Scope,
        or: Scope,
        peer: Option<&str>,
        now: Nanos,
    ) -> Result<Caller, Refusal> {
        let found = self.state.key_of(token_sha256).filter(|(_, key)| key.is_valid(now));
        let Some((id, key)) = found else {
            return Err(Refusal::new(refusal::UNAUTHORIZED, "The key is missing or not valid."));
        };
        if !key.may_come_from(peer) {
            let detail = "The key may not be used from this address.";
            return Err(Refusal::new(refusal::IP_NOT_ALLOWED, detail));
        }
        if !(key.allows(needed) || key.allows(or)) {
            let detail = format!("The key lacks the scope {needed}.");
            return Err(Refusal::new(refusal::FORBIDDEN, detail));
        }
        let (account, rate) = (key.created.account, key.created.rate_per_second);
        let caller = Caller { key: id, account };
        let rates = self.rates_of(id, rate);
        let other = rate.saturating_mul(OTHER_RATE_FACTOR);
        match needed {
            Scope::Trade => limited(rates.orders.admit(now), rate),
            Scope::CancelOnly => limited(rates.cancels.admit(now), other),
            Scope::Read => limited(rates.reads.admit(now), other),
            Scope::RiskAdmin => limited(rates.changes.admit(now), CHANGES_PER_SECOND),
            Scope::Kill => Ok(()),
        }?;
        Ok(caller)
    }

    /// Takes a place in a key's rate of changes.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn take_change(&mut self, key: KeyId, now: Nanos) -> Result<(), Refusal> {
        let rate = self.state.key(key).map_or(0, |key| key.created.rate_per_second);
        limited(self.rates_of(key, rate).changes.admit(now), CHANGES_PER_SECOND)
    }
}

fn limited(admitted: Result<(), Nanos>, rate: u32) -> Result<(), Refusal> {
    admitted.map_err(|wait| {
        let millis = u32::try_from(wait.div_euclid(1_000_000) + 1).unwrap_or(u32::MAX);
        let detail = format!("The key's rate for this is {rate} a second.");
        Refusal::new(refusal::RATE_LIMITED, detail).retry_after_ms(millis)
    })
}

//! Commands of operators: accounts, keys, instruments, limits. Records like everything else.

use crate::addresses::Network;
use crate::engine::{Decided, Engine};
use crate::instrument::is_symbol;
use crate::number::Amount;
use crate::record::{AccountCreated, BalanceAdjusted, InstrumentSet, KeyCreated, KeyRevoked, Record};
use crate::refusal::{self, Refusal};
use crate::state::State;
use crate::terms::{AccountId, KeyId, Mode, Nanos, Scope, Seq};

const LONGEST_NAME: usize = 32;
pub(crate) const LONGEST_TEXT: usize = 256;
/// Most symbols, and most networks, of one key.
const MOST_ALLOWED: usize = 64;

/// A key to be created; only the hash of its token comes here.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// Name of the account.
    pub account: &'a str,
    /// The person who answers for it.
    pub owner: &'a str,
    /// Label for people.
    pub name: &'a str,
    /// SHA-256 of the token.
    pub token_sha256: [u8; 32],
    /// What it may do.
    pub scopes: &'a [Scope],
    /// Orders a second; 0 means no limit.
    pub rate_per_second: u32,
    /// Journal time after which it is refused.
    pub expires_at: Option<Nanos>,
    /// Symbols it may trade; empty is every symbol.
    pub symbols: &'a [&'a str],
    /// Networks it may be used from, in CIDR notation; empty is everywhere.
    pub ip_allow: &'a [&'a str],
}

pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Refusal {
    Refusal::field(refusal::INVALID_PARAMETER, field, message)
}

/// Text for people: not empty, no control characters, of bounded length.
pub(crate) fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    let good = !text.trim().is_empty() && text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control);
    good.then_some(()).ok_or_else(|| {
        invalid(
            field,
            format!("must be 1 to {LONGEST_TEXT} bytes without control characters"),
        )
    })
}

fn check_allowed(state: &State, key: &NewKey<'_>) -> Result<(), Refusal> {
    if key.symbols.len() > MOST_ALLOWED || key.ip_allow.len() > MOST_ALLOWED {
        return Err(invalid(
            "symbols",
            format!("at most {MOST_ALLOWED} symbols and networks can be listed"),
        ));
    }
    if let Some(symbol) = key
        .symbols
        .iter()
        .find(|symbol| state.instrument_by_symbol(symbol).is_none())
    {
        return Err(invalid("symbols", format!("{symbol} is not an instrument")));
    }
    if let Some(network) = key.ip_allow.iter().find(|network| Network::parse(network).is_none()) {
        return Err(invalid(
            "ipAllow",
            format!("{network} is not a network in CIDR notation"),
        ));
    }
    Ok(())
}

fn is_account_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| plain(byte) || byte == b'_' || byte == b'-';
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().next().is_some_and(plain) && name.bytes().all(inner)
}

fn is_asset(code: &str) -> bool {
    (1..=LONGEST_NAME).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

pub(crate) fn account_of(state: &State, name: &str) -> Result<AccountId, Refusal> {
    let found = state.account_named(name).map(|account| account.id);
    found.ok_or_else(|| Refusal::field(refusal::NOT_FOUND, "account", format!("{name} is not an account")))
}

impl Engine {
    /// Journals what a checked command means.
    pub(crate) fn decide_and_commit(&mut self, record: Result<Record, Refusal>, now: Nanos) -> Decided<Seq> {
        self.check_poison()?;
        match record {
            Ok(record) => self.commit(record, now).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Creates an account.
    ///
    /// # Errors
    /// Refused for a name of a bad form or one that is taken.
    pub fn create_account(&mut self, name: &str, now: Nanos) -> Decided<Seq> {
        let account = self.state.accounts().len() as AccountId;
        let record = if !is_account_name(name) {
            Err(invalid(
                "name",
                "must be 1 to 32 of a-z 0-9 _ - and start with a letter or digit",
            ))
        } else if self.state.account_named(name).is_some() {
            Err(invalid("name", format!("{name} is taken")))
        } else {
            Ok(Record::AccountCreated(AccountCreated {
                account,
                name: name.to_owned(),
            }))
        };
        self.decide_and_commit(record, now)
    }

    /// Puts money into an account or takes it out.
    ///
    /// # Errors
    /// Refused for an unknown account, a bad asset, a sum out of range, or PAPER money that is not free.
    pub fn adjust_balance(
        &mut self,
        account: &str,
        mode: Mode,
        asset: &str,
        delta: Amount,
        reason: &str,
        now: Nanos,
    ) -> Decided<Seq> {
        let record = self.check_adjustment(account, mode, asset, delta).and_then(|account| {
            check_text("reason", reason)?;
            let (asset, reason) = (asset.to_owned(), reason.to_owned());
            Ok(Record::BalanceAdjusted(BalanceAdjusted {
                account,
                mode,
                asset,
                delta,
                reason,
            }))
        });
        self.decide_and_commit(record, now)
    }

    fn check_adjustment(&self, name: &str, mode: Mode, asset: &str, delta: Amount) -> Result<AccountId, Refusal> {
        let account = account_of(&self.state, name)?;
        if !is_asset(asset) {
            return Err(invalid("asset", "must be 1 to 20 of A-Z 0-9"));
        }
        if !self.state.adjustment_fits(account, mode, asset, delta) {
            return Err(invalid("delta", "the balance would be out of range"));
        }
        let balance = self
            .state
            .balances(account)
            .find(|balance| balance.mode == mode && balance.asset == asset);
        let (total, held) = balance.map_or((Amount::ZERO, Amount::ZERO), |balance| (balance.total, balance.held));
        // A LIVE balance follows the exchange, whatever that says.
        let lacks = total.checked_add(delta).is_none_or(|total| total < held);
        if mode == Mode::Paper && delta.is_negative() && lacks {
            return Err(invalid("delta", "takes more than is free"));
        }
        Ok(account)
    }

    /// Creates a key.
    ///
    /// # Errors
    /// Refused for an unknown account, bad texts, no scope, or a token that is known.
    pub fn create_key(&mut self, key: &NewKey<'_>, now: Nanos) -> Decided<(KeyId, Seq)> {
        let id = self.state.keys().len() as KeyId;
        let record = account_of(&self.state, key.account).and_then(|account| {
            check_text("owner", key.owner)?;
            check_text("name", key.name)?;
            if key.scopes.is_empty() {
                return Err(invalid("scopes", "must name at least one"));
            }
            check_allowed(&self.state, key)?;
            if self.state.key_of(&key.token_sha256).is_some() {
                return Err(invalid("token", "is known already"));
            }
            Ok(Record::KeyCreated(KeyCreated {
                key: id,
                account,
                owner: key.owner.to_owned(),
                name: key.name.to_owned(),
                token_sha256: key.token_sha256,
                scopes: key.scopes.iter().fold(0, |bits, scope| bits | 1 << *scope as u8),
                rate_per_second: key.rate_per_second,
                expires_at: key.expires_at,
                symbols: key.symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
                ip_allow: key.ip_allow.iter().map(|network| (*network).to_owned()).collect(),
            }))
        });
        Ok(self.decide_and_commit(record, now)?.map(|seq| (id, seq)))
    }

    /// Revokes a key, at once; its orders stay.
    ///
    /// # Errors
    /// Refused for an unknown key.
    pub fn revoke_key(&mut self, key: KeyId, now: Nanos) -> Decided<Seq> {
        let known = self.state.key(key).is_some();
        let record = known
            .then_some(Record::KeyRevoked(KeyRevoked { key }))
            .ok_or_else(|| Refusal::field(refusal::NOT_FOUND, "key", format!("{key} is not a key")));
        self.decide_and_commit(record, now)
    }

    /// Defines or changes an instrument; its index is filled in here. `None` when nothing changes.
    ///
    /// # Errors
    /// Refused for bad texts or figures, or other assets than before.
    pub fn set_instrument(&mut self, mut set: InstrumentSet, now: Nanos) -> Decided<Option<Seq>> {
        let old = self.state.instrument_by_symbol(&set.symbol);
        set.instrument = old.map_or(self.state.listed.len() as u32, |old| old.instrument);
        if old == Some(&set) {
            return Ok(Ok(None));
        }
        let moved = old.is_some_and(|old| (&old.base, &old.quote) != (&set.base, &set.quote));
        let record = if !is_symbol(&set.symbol) {
            Err(invalid("symbol", "must be 2 to 32 of A-Z 0-9"))
        } else if !is_asset(&set.base) || !is_asset(&set.quote) || set.base == set.quote {
            Err(invalid(
                "base",
                "base and quote must be two different asset codes of A-Z 0-9",
            ))
        } else if moved {
            Err(invalid("base", "an instrument keeps its base and quote"))
        } else {
            check_text("status", &set.status)
                .and_then(|()| {
                    set.validate()
                        .map_err(|errors| Refusal::fields(refusal::INVALID_PARAMETER, errors))
                })
                .map(|()| Record::InstrumentSet(set))
        };
        Ok(self.decide_and_commit(record, now)?.map(Some))
    }
}

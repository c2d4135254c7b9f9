//! Reading the state: orders, balances, names.

use crate::account::{Account, Allowed, Key, Position, index};
use crate::addresses::Network;
use crate::instrument::Instrument;
use crate::number::{Amount, Qty};
use crate::order::{Order, client_id_hash};
use crate::record::{KeyCreated, Terms};
use crate::render::{BalanceView, OrderView, PositionView};
use crate::requests::Request;
use crate::state::{Counters, Kill, Lane, State};
use crate::sums::Holder;
use crate::terms::{AccountId, InstrumentId, KeyId, KillScope, Mode, Nanos, OrdStatus, OrderId, Seq, SessionId, Side};

impl State {
    /// Sequence of the last record folded.
    #[must_use]
    pub const fn last_seq(&self) -> Seq {
        self.last_seq
    }

    /// Journal time of the last record folded.
    #[must_use]
    pub const fn last_ts(&self) -> Nanos {
        self.last_ts
    }

    /// The newest epoch; 0 before the first.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.clocks.epoch
    }

    /// Fold version of the newest epoch; 0 before the first.
    #[must_use]
    pub const fn fold_version(&self) -> u32 {
        self.clocks.fold_version
    }

    /// Install id; empty before the first epoch.
    #[must_use]
    pub fn install(&self) -> &str {
        &self.clocks.install
    }

    /// True once a Redis without our sentinel means that its state was lost.
    #[must_use]
    pub const fn redis_bound(&self) -> bool {
        self.clocks.redis_bound
    }

    /// Wall clock − journal time.
    #[must_use]
    pub const fn wall_offset_ns(&self) -> i64 {
        self.clocks.wall_offset_ns
    }

    /// Journal time and CLOCK_BOOTTIME read together at the newest epoch: `now = journal + boottime now − boottime`.
    #[must_use]
    pub const fn clock_base(&self) -> (Nanos, i64) {
        (self.clocks.journal_ns, self.clocks.boottime_ns)
    }

    /// The order with this id.
    #[must_use]
    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(&id).map(|order| &**order)
    }

    /// Every order in memory, by id.
    pub fn orders(&self) -> impl DoubleEndedIterator<Item = &Order> {
        self.orders.values().map(|order| &**order)
    }

    /// Open orders of a mode, by id.
    pub fn open_orders(&self, mode: Mode) -> impl Iterator<Item = &Order> {
        self.books[index(mode)].open.iter().filter_map(|id| self.order(*id))
    }

    /// Orders of an account in memory, newest first, with ids below `before`.
    pub fn orders_of(&self, account: AccountId, before: Option<OrderId>) -> impl Iterator<Item = &Order> {
        let orders = self.account(account).map(|account| &account.orders);
        let ids = orders.map(|ids| ids.range(..before.unwrap_or(OrderId::MAX)).rev());
        ids.into_iter().flatten().filter_map(|id| self.order(*id))
    }

    /// The order as clients see it; `durable_at` is the journal's to know.
    #[must_use]
    pub fn view<'a>(&'a self, order: &'a Order) -> OrderView<'a> {
        let symbol = self
            .instrument(order.terms.instrument)
            .map_or("", |instrument| &instrument.symbol);
        let blank = blank_view(&order.terms, symbol);
        let status = order.status();
        let known = if status == OrdStatus::Filled {
            Qty::try_from(order.cum_qty).ok()
        } else {
            None
        };
        OrderView {
            id: order.id,
            status,
            qty: blank.qty.or(known),
            replaced_by: order.replaced_by(),
            filled_qty: order.cum_qty,
            avg_fill_price: order.average_price(),
            rejected_by: order.rejected_by(),
            reason: (!order.reason.is_empty()).then_some(&*order.reason),
            venue_order_id: order.venue_order_id.as_deref(),
            received_at: order.received_at,
            sent_at: order.submit.map(|submit| submit.at),
            acked_at: order.acked_at,
            updated_at: order.updated_at,
            external: order.is_external(),
            ..blank
        }
    }

    /// The session that may act on the order now: a PAPER order belongs to the newest session once it was started.
    #[must_use]
    pub fn session_of(&self, order: &Order) -> Option<SessionId> {
        let submit = order.submit?;
        match order.terms.mode {
            Mode::Live => Some(submit.session),
            Mode::Paper => self.lane(Mode::Paper).map(|lane| lane.session.max(submit.session)),
        }
    }

    /// The venue of a mode, with its newest session.
    #[must_use]
    pub fn lane(&self, mode: Mode) -> Option<&Lane> {
        self.lanes.values().find(|lane| lane.mode == mode)
    }

    /// Every venue that ever had a session.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.values()
    }

    /// The account with this index.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(id as usize)
    }

    /// The account with this name.
    #[must_use]
    pub fn account_named(&self, name: &str) -> Option<&Account> {
        self.account(*self.account_ids.get(name)?)
    }

    /// Every account, in order of creation.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// An account's balances, by mode and order of the assets' first mention.
    pub fn balances(&self, account: AccountId) -> impl Iterator<Item = BalanceView<'_>> {
        self.account(account)
            .into_iter()
            .flat_map(|account| &account.balances)
            .map(|(&(mode, asset), balance)| BalanceView {
                mode,
                asset: &self.assets[asset as usize],
                total: balance.total,
                held: balance.held,
            })
    }

    /// An account's positions, by mode and instrument.
    pub fn positions(&self, account: AccountId) -> impl Iterator<Item = PositionView<'_>> {
        let tallies = Mode::ALL.iter().flat_map(move |mode| {
            self.sums
                .of(Holder::Account(account), *mode)
                .map(move |found| (*mode, found))
        });
        let traded = tallies.map(|(mode, (instrument, tally))| (mode, instrument, &tally.traded));
        traded
            .filter(|(.., position)| **position != Position::default())
            .map(|(mode, instrument, position)| PositionView {
                mode,
                symbol: &self.listed[instrument as usize].instrument.symbol,
                quantity: position.quantity().unwrap_or_default(),
                bought_quantity: position.bought_qty,
                bought_quote: position.bought_quote,
                sold_quantity: position.sold_qty,
                sold_quote: position.sold_quote,
            })
    }

    /// What an order of these could spend: quote for BUY, base for SELL.
    #[must_use]
    pub(crate) fn free(&self, account: &Account, mode: Mode, instrument: InstrumentId, side: Side) -> Amount {
        let listed = &self.listed[instrument as usize];
        let asset = if side == Side::Buy { listed.quote } else { listed.base };
        let balance = account.balances.get(&(mode, asset)).copied().unwrap_or_default();
        balance.total.checked_sub(balance.held).unwrap_or_default()
    }

    /// All of the account's base of an instrument, held or not.
    #[must_use]
    pub(crate) fn base_total(&self, account: &Account, mode: Mode, instrument: InstrumentId) -> Amount {
        let base = self.listed[instrument as usize].base;
        account
            .balances
            .get(&(mode, base))
            .map_or(Amount::ZERO, |balance| balance.total)
    }

    /// The account's open order with this client order id; the oldest, when evidence has re-opened one whose id was in
    /// use again: which is found must not depend on how the index came to be.
    #[must_use]
    pub fn working(&self, account: AccountId, client_order_id: &str) -> Option<&Order> {
        let hash = client_id_hash(client_order_id);
        let found = self
            .account(account)?
            .working
            .find(hash)
            .filter_map(|id| self.order(id));
        found
            .filter(|order| order.terms.client_order_id.as_deref() == Some(client_order_id))
            .min_by_key(|order| order.id)
    }

    /// What is stored under a request key, while it is kept.
    #[must_use]
    pub fn request(&self, account: AccountId, key: &str, now: Nanos) -> Option<&Request> {
        self.account(account)?
            .requests
            .find(key)
            .filter(|request| request.is_kept(now))
    }

    /// The key with this index.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.get(id as usize)
    }

    /// What the texts of a key mean; `None` when one of them means nothing.
    pub(crate) fn allowed(&self, key: &KeyCreated) -> Option<Allowed> {
        let networks = key.ip_allow.iter().map(|text| Network::parse(text));
        let instruments = key
            .symbols
            .iter()
            .map(|symbol| self.instrument_ids.get(symbol).copied());
        let mut instruments = instruments.collect::<Option<Vec<_>>>()?;
        instruments.sort_unstable();
        Some(Allowed {
            networks: networks.collect::<Option<_>>()?,
            instruments,
        })
    }

    /// The key whose token has this SHA-256.
    #[must_use]
    pub fn key_of(&self, token_sha256: &[u8; 32]) -> Option<(KeyId, &Key)> {
        let id = *self.key_ids.get(token_sha256)?;
        Some((id, self.key(id)?))
    }

    /// Every key, in order of creation.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The instrument with this index.
    #[must_use]
    pub fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.listed.get(id as usize).map(|listed| &listed.instrument)
    }

    /// The instrument with this symbol.
    #[must_use]
    pub fn instrument_by_symbol(&self, symbol: &str) -> Option<&Instrument> {
        self.instrument(*self.instrument_ids.get(symbol)?)
    }

    /// Every instrument, in order of first definition.
    pub fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        self.listed.iter().map(|listed| &listed.instrument)
    }

    /// The kill of a scope, while it is killed.
    #[must_use]
    pub fn kill(&self, scope: KillScope, target: &str) -> Option<&Kill> {
        self.kills.get(&scope)?.get(target)
    }

    /// Every kill in force.
    pub fn kills(&self) -> impl Iterator<Item = (KillScope, &str, &Kill)> {
        self.kills
            .iter()
            .flat_map(|(scope, kills)| kills.iter().map(|(target, kill)| (*scope, target.as_str(), kill)))
    }

    /// The kill that stops such an order, if any: the widest scope first.
    #[must_use]
    pub fn kill_for(&self, account: &str, strategy: Option<&str>, symbol: &str) -> Option<(KillScope, &str, &Kill)> {
        if self.kills.is_empty() {
            return None;
        }
        let scopes = [
            (KillScope::Global, Some("")),
            (KillScope::Account, Some(account)),
            (KillScope::Strategy, strategy),
            (KillScope::Symbol, Some(symbol)),
        ];
        scopes.into_iter().find_map(|(scope, target)| {
            let (target, kill) = self.kills.get(&scope)?.get_key_value(target?)?;
            Some((scope, target.as_str(), kill))
        })
    }

    /// How often things happened.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Open orders of both modes.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.books.iter().map(|book| book.open.len()).sum()
    }

    /// Open orders that no session was told to send.
    #[must_use]
    pub fn unsent_count(&self) -> usize {
        self.books.iter().map(|book| book.unsent.len()).sum()
    }

    /// Orders whose SUBMIT_STARTED waits for a report.
    #[must_use]
    pub fn unanswered_count(&self) -> usize {
        self.books.iter().map(|book| book.unanswered.len()).sum()
    }

    /// Orders shown as IN_DOUBT.
    #[must_use]
    pub fn in_doubt_count(&self) -> usize {
        self.books.iter().map(|book| book.in_doubt.len()).sum()
    }

    /// Request keys kept.
    #[must_use]
    pub fn request_key_count(&self) -> usize {
        self.accounts.iter().map(Account::request_keys).sum()
    }
}

/// An order that nothing has happened to.
pub(crate) fn blank_view<'a>(terms: &'a Terms, symbol: &'a str) -> OrderView<'a> {
    OrderView {
        id: 0,
        client_order_id: terms.client_order_id.as_deref(),
        symbol,
        side: terms.side,
        ord_type: terms.ord_type,
        time_in_force: terms.time_in_force,
        qty: terms.quote_qty().is_none().then_some(terms.qty),
        price: terms.price,
        stop_price: terms.stop_price(),
        quote_qty: terms.quote_qty(),
        expire_at: terms.expire_at(),
        replaces: terms.replaces(),
        replaced_by: None,
        status: OrdStatus::PendingNew,
        filled_qty: Amount::ZERO,
        avg_fill_price: None,
        mode: terms.mode,
        strategy_id: terms.strategy_id.as_deref(),
        rejected_by: None,
        reason: None,
        venue_order_id: None,
        received_at: 0,
        durable_at: None,
        sent_at: None,
        acked_at: None,
        updated_at: 0,
        external: false,
    }
}

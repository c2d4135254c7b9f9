"""The boundary to Rust: one crossing per client command, one per frame of venue reports.

Money crosses as the client's own digits (bytes, str) and comes back inside rendered JSON or as decimal strings; times
are integers in nanoseconds of journal time. Refusals are values; exceptions mean misuse or the end of the process.
"""

from collections.abc import Callable
from typing import Final, Literal, final

BUILD_PROFILE: Final[str]
"""`release` or `debug`; benchmarks refuse the latter."""
FOLD_VERSION: Final[int]
"""A follower of another fold version than the journal's epoch exits."""
VOCABULARY: Final[dict[str, list[str]]]
"""Every enum with its words on the wire: mode, side, type, timeInForce, status, rejectedBy, scope."""
LIMIT_KINDS: Final[list[tuple[str, str, list[str], bool, str]]]
"""Every kind of limit: word, unit, who can have one, whether it may be narrowed to a symbol, one sentence."""

class JournalRefused(Exception):
    """The journal does not start: the message names the place and says what to do (exit code 78)."""

class JournalLocked(Exception):
    """Another gateway holds the journal (exit code 2)."""

class JournalFailed(Exception):
    """A write or flush failed: nothing more may be answered; exit."""

class EnginePoisoned(Exception):
    """An invariant broke: halt and exit; what the failing command had not flushed is dropped."""

class FollowerStopped(Exception):
    """Another fold version, an unknown record kind, or a segment that is gone: restart (from a snapshot)."""

@final
class Refusal:
    """Why a request was refused before anything was journaled."""

    code: str
    """Stable code, for example `unknown_symbol`."""
    detail: str
    errors: list[tuple[str, str]]
    """(field, message) pairs."""
    retry_after_ms: int | None

Changed = tuple[Literal["IN_FORCE", "WAITING", "UNCHANGED"], int]
"""IN_FORCE, WAITING (for a second person) or UNCHANGED, and the record: the request's id while it waits."""

Answer = tuple[int, int, bytes]
"""HTTP status, sequence that must be durable before it leaves (0: now), body."""

@final
class Gateway:
    """The engine and its journal: the only writer."""

    @staticmethod
    def open(
        journal_dir: str,
        snapshot_dir: str,
        *,
        watermark: tuple[int, bytes] | None = None,
        postgres_read: bool = False,
        segment_bytes: int = 67108864,
        state_hash_every: int = 10000,
        soft_free_bytes: int = 0,
        hard_free_bytes: int = 0,
        reserve_bytes: int = 0,
    ) -> Gateway:
        """Takes the lock, recovers, and journals a new EPOCH.

        `watermark` is Postgres's (last_seq, chunk_hash); `postgres_read` says that Postgres was read (with or without
        one). The last three are the marks of the free space and the reserve (0: none). Raises JournalLocked,
        JournalRefused.
        """
    install: str
    epoch: int
    last_seq: int
    redis_bound: bool
    # --- requests: authorization is the raw header value; every call authenticates, checks scope and rate first
    # `peer` is the other end of the connection: without it a key that is bound to networks is refused
    def place(
        self,
        authorization: str | None,
        idempotency_key: str | None,
        request_id: str,
        body: bytes,
        peer: str | None = None,
    ) -> Answer | Refusal: ...
    def cancel(self, authorization: str | None, order_id: str, peer: str | None = None) -> Answer | Refusal: ...
    def replace(
        self,
        authorization: str | None,
        idempotency_key: str | None,
        order_id: str,
        body: bytes,
        peer: str | None = None,
    ) -> Answer | Refusal:
        """New terms of an order; the answer is stored under the key."""
    def cancel_all(self, authorization: str | None, symbol: str, peer: str | None = None) -> Answer | Refusal:
        """Cancels the caller's open orders in a symbol; shows each as it stands."""
    def order(self, authorization: str | None, order_id: str, peer: str | None = None) -> Answer | Refusal: ...
    def orders(
        self,
        authorization: str | None,
        cursor: str | None,
        limit: str | None,
        symbol: str | None,
        status: str | None,
        peer: str | None = None,
    ) -> tuple[int, int, bytes, str | None] | Refusal:
        """One page, newest first; the last element is the cursor of the next page."""
    def portfolio(self, authorization: str | None, peer: str | None = None) -> Answer | Refusal: ...
    def preview(self, authorization: str | None, body: bytes, peer: str | None = None) -> Answer | Refusal:
        """Every risk check on this order as it would be done now; nothing is stored, reserved or sent."""
    def headroom(self, authorization: str | None, symbol: str, peer: str | None = None) -> Answer | Refusal:
        """What is used and left of every limit that would bind an order of this symbol, by mode."""
    def decision(self, authorization: str | None, order_id: str, peer: str | None = None) -> Answer | Refusal:
        """The figures that decided an order, from its record; an empty body while that is not durable."""
    # --- durability
    def past_order(self, authorization: str | None, facts: bytes, durable_at: int | None) -> Answer | Refusal:
        """`order` for one that has left memory, from its row's facts. Raises ValueError when they do not decode."""
    def past_cancel(self, authorization: str | None, facts: bytes, durable_at: int | None) -> Answer | Refusal:
        """`cancel` for one that has left memory: it had ended."""
    def awaited_orders(self) -> list[tuple[int, int]]:
        """(order, sequence that Postgres must hold) of every order that a late trade waits for."""
    def reload(self, order: int, facts: bytes | None) -> None:
        """Brings an order back from its row's facts (None: Postgres has no such order); books the trades that waited.

        Raises ValueError when the facts are not that order's."""
    def reloaded_seqs(self) -> list[int]:
        """Sequences that Postgres must hold before each order that came back may leave again."""
    def release(self, watermark: int) -> None:
        """Lets go of the orders that had come back, as far as Postgres holds them."""
    def wake_fd(self) -> int:
        """An eventfd that becomes readable after each flush."""
    def drain(self) -> int:
        """Clears the eventfd; the durable sequence. Raises JournalFailed after a flush error."""
    def durable_seq(self) -> int: ...
    # --- venues
    def open_session(self, venue: str, mode: str, pid: int) -> tuple[int, int]:
        """Journals a new session (it ends every older one of that venue): (session, its sequence)."""
    def close_session(self, session: int) -> None:
        """The socket is gone: nothing more is started for it."""
    def reports(self, session: int, frame: bytes) -> list[int]:
        """Applies one frame of reports and prices; ids of the orders that changed. Stale sessions change nothing."""
    def session_of(self, venue: str) -> int | None:
        """The attached session."""
    # --- LIVE: what the exchange takes, orders in doubt, differences
    def live_accounts(self) -> list[tuple[str, bool, str, int]]:
        """What the LIVE venue told in this session: (account, ready, reason, retry after so many ms)."""
    def set_resume_manual(self, manual: bool) -> None:
        """After a crash LIVE waits for `resume`."""
    def resume(self, by: str, reason: str) -> int | Refusal:
        """Journals RESUMED: LIVE goes on after a crash. 0 when nothing waited for it."""
    def set_doubt_reduces(self, reduces: bool) -> None:
        """Whether a LIVE order in doubt leaves only reducing orders of its account in its symbol; so from the start."""
    def doubts(self) -> bytes:
        """JSON list of the orders in doubt: id account mode symbol side quantity filledQuantity clientIdAtVenue
        venueOrderId sentAtNs sinceNs ageMs alarm (five minutes or more) cancelWanted lastLook lastLookAtNs."""
    def client_doubts(self, authorization: str | None, peer: str | None = None) -> Answer | Refusal:
        """The caller's own orders in doubt."""
    def drifts(self) -> bytes:
        """JSON list of the differences that are not explained yet: account mode symbol (null: everywhere) class detail
        seq foundAtNs."""
    def requery_doubt(self, order: int, by: str) -> int | Refusal:
        """Journals DOUBT_REQUERY: the venue looks for the order once more."""
    def attach_venue_id(self, order: int, venue_order_id: str, by: str, reason: str) -> int | Refusal:
        """Journals VENUE_ID_ATTACHED: the venue looks for the order by this id."""
    def request_absent(self, order: int, by: str, reason: str) -> Changed | Refusal:
        """Asks a second person to declare an order in doubt absent; `approve` ends it."""
    # --- time
    def tick(self) -> list[int]:
        """Every 50 ms: unsent orders past their age, wall-clock steps, expired request keys; ids that changed."""
    def now_ns(self) -> int: ...
    # --- kill switch (the table of PROTOCOLS §4 is in ordergate.gateway.kill_switch)
    def kill_reading(self, age_ms: float = 0.0) -> None:
        """A good reading was begun so long ago; admission needs one at most 0.3 s old."""
    def kill_on(
        self, scope: str, target: str, level: int, reason: str, by: str, source: str, cause: str = "asked"
    ) -> int:
        """Journals KILL_ON and cancels unsent orders of the scope; its sequence. In force at once, before its flush.
        One that says nothing new is not journaled. `cause`: asked, lost or unreadable."""
    def kill_off(self, scope: str, target: str, by: str, source: str) -> int: ...
    def kill_state(self, scope: str, target: str) -> tuple[int, str, int] | None:
        """(level, reason, sequence of KILL_ON) while killed."""
    def kills(self) -> bytes:
        """JSON: `kills` in force (scope target level reason by source seq activatedAtNs cause ageMs) and `notFlat`,
        what those of level 3 and breaches with FLATTEN have not sold (account mode symbol quantity why)."""
    def client_kills(self, authorization: str | None, peer: str | None = None) -> Answer | Refusal:
        """The kills that may stop the caller's orders."""
    def kill_request(
        self, authorization: str | None, scope: str, target: str | None, clear: bool, peer: str | None = None
    ) -> tuple[str, str] | Refusal:
        """(owner of the key, target) when a client may stop this scope, or with `clear` start it again."""
    def clear_refusal(self, scope: str, target: str) -> Refusal | None:
        """Why a client may not (any more) clear what stops this scope."""
    def kill_changes(self) -> int:
        """How often a kill began, changed or ended since the start."""
    def heartbeats(self) -> bytes:
        """JSON list of what is watched: scope target timeoutMs key account owner keyIsValid lastBeatMs."""
    def end_heartbeat(self, scope: str, target: str, by: str) -> int | Refusal:
        """An operator ends a watch; 0 when there is none."""
    def kill_target_exists(self, scope: str, target: str) -> bool: ...
    def heartbeat(
        self, authorization: str | None, scope: str, target: str | None, timeout_ms: int, peer: str | None = None
    ) -> str | Refusal:
        """A sign of life of the caller's account or one of its strategies; the target. Only the first one, and one
        with another time-out, is journaled; 0 ends the watch."""
    # --- trading states and self-trade groups
    def set_trading_state(
        self, scope: str, target: str, mode: str | None, state: str, reason: str, by: str, source: str
    ) -> int:
        """Journals TRADING_STATE_SET, in force at once; `mode` None is both. 0 when that is the state already."""
    def trading_states(self) -> list[list[str]]:
        """Scopes that are not ACTIVE: scope, target, mode, state, reason, by, source of each."""
    def risk_state(self, within: str | None = None) -> bytes:
        """JSON: dayStartNs currency, states (not ACTIVE: scope target mode state reason by source seq sinceNs), figures
        of the day (scope target mode orders cancels fills turnover result fresh), watched (scope target symbol mode
        kind limit value unit judged breached warnedAtNs); with `within` what binds or belongs to that account."""
    def set_breach_action(self, action: str) -> None:
        """REDUCE_ONLY, HALT or FLATTEN: what the breach of a limit that is judged between trades does."""
    def set_warn_percent(self, percent: int) -> None:
        """From how many percent of such a limit on people are warned."""
    def set_stp_group(self, account: str, group: str, by: str, reason: str) -> int:
        """Accounts of one group must not trade with each other; an empty group is the account's own. 0: no change."""
    def bind_redis(self) -> int:
        """Journals REDIS_BOUND with our install id."""
    # --- administration: records like everything else; each returns after the append, not after the flush
    def create_account(self, name: str) -> int: ...
    def adjust_balance(self, account: str, mode: str, asset: str, delta: str, reason: str) -> int: ...
    def create_key(
        self,
        account: str,
        owner: str,
        name: str,
        token_sha256: bytes,
        scopes: list[str],
        rate_per_second: int,
        expires_at_ns: int | None,
        symbols: list[str] = ...,
        ip_allow: list[str] = ...,
    ) -> int:
        """The key's id. Empty lists allow everything. ValueError names what is wrong."""
    def revoke_key(self, key: int) -> int: ...
    def set_instrument(self, fields: dict[str, str]) -> int:
        """Keys: symbol base quote status minPrice maxPrice tickSize minQty maxQty stepSize marketMaxQty minNotional
        maxNotional; optional: bidMultiplierUp bidMultiplierDown askMultiplierUp askMultiplierDown priceRangeUp
        priceRangeDown maxNumOrders maxPosition maxAssetBase maxAssetQuote. Journals only a
        change; returns 0 when nothing changed."""
    # limits, strategies, approvals: refusals are values; `within` is the account that the caller may see and change
    def set_limit(
        self,
        scope: str,
        target: str,
        symbol: str | None,
        kind: str,
        value: str | None,
        unit: str | None,
        by: str,
        reason: str,
        within: str | None = None,
    ) -> Changed | Refusal:
        """Sets a limit, or takes it away (None). `scope` is firm, account, strategy or key."""
    def request_override(
        self,
        account: str,
        symbol: str | None,
        kinds: list[str],
        valid_for_ms: int,
        by: str,
        reason: str,
        within: str | None = None,
    ) -> Changed | Refusal:
        """Asks a second person to let one order pass in spite of these kinds of limits."""
    def approve(self, request: int, by: str, within: str | None = None) -> int | Refusal: ...
    def reject(self, request: int, by: str, within: str | None = None) -> int | Refusal: ...
    def create_strategy(self, name: str, account: str, by: str, source: str, reason: str) -> int | Refusal:
        """It begins STOPPED."""
    def start_strategy(self, name: str, by: str, source: str, reason: str, within: str | None = None) -> int | Refusal:
        """0 when it was RUNNING."""
    def stop_strategy(self, name: str, by: str, source: str, reason: str, within: str | None = None) -> int | Refusal:
        """0 when it was STOPPED."""
    def restrict(self, account: str | None, symbol: str, restricted: bool, by: str, reason: str) -> int | Refusal:
        """0 when it was so already."""
    def set_peak(
        self, account: str, mode: str, peak: str | None, by: str, reason: str
    ) -> int | Refusal:
        """The peak of equity that drawdowns are measured from; None: the worth of now, at fresh prices."""
    def set_schedule(
        self, account: str | None, weekdays: int, from_minute: int, to_minute: int, by: str, reason: str
    ) -> int | Refusal:
        """Bit 0 of `weekdays` is Monday; minutes of the UTC day."""
    def limits(self, within: str | None = None) -> bytes:
        """JSON: version and limits (scope target symbol kind value unit), with `within` those that bind it."""
    def change_requests(self, within: str | None = None) -> bytes:
        """JSON list of the changes that wait: id limit override absent by reason expiresAtNs."""
    def strategies(self, within: str | None = None) -> bytes:
        """JSON list: id account status by source reason createdAtNs changedAtNs."""
    def trading_rules(self) -> bytes:
        """JSON: restrictions and schedules."""
    def set_loosen_percent(self, percent: int) -> None:
        """How many percent of itself a limit may be loosened by without a second person."""
    def caller_of(
        self, authorization: str | None, scope: str, peer: str | None = None, or_scope: str | None = None
    ) -> tuple[str, str] | Refusal:
        """(account, owner of the key), once authorized as every request is; a key with `or_scope` may ask, too."""
    def accounts(self) -> bytes:
        """JSON list of accounts with balances."""
    def keys(self) -> bytes:
        """JSON list of keys, without secrets."""
    # --- looking in
    def state_hash(self) -> str: ...
    def status(self) -> dict[str, int | str | bool | None]:
        """For health and metrics: lastSeq durableSeq epoch backlogBytes openOrders unsentOrders unansweredOrders
        inDoubtOrders inDoubtOldestMs driftsOpen resumeNeeded waitsForResume killLevel killReason (of the global kill)
        killsActive killReadingAgeMs paperSession liveSession illegalEvents parked alarms requestKeys journalFreeBytes
        journalSpace (ok, soft, hard)."""
    def metrics(self) -> bytes:
        """Prometheus text of the hot counters."""
    def close(self) -> None:
        """Journals CLEAN_STOP, flushes what is pending and ends the journal thread."""

# --- the journal's tools (ordergate journal): JSON as bytes; verify and dump change nothing
def journal_verify(
    journal_dir: str, snapshot_dir: str, *, watermark: tuple[int, bytes] | None = None, postgres_read: bool = False
) -> bytes:
    """Reads every segment and says what a start would do; a running gateway's journal up to `commit`.

    Members: good running segments lastSeq epoch hash unprovenChunks commit start everything snapshotSeq; `start` and
    `everything` have a decision: start, cut (torn), refuse (file offset afterSeq reason advice). Raises JournalRefused
    when the directory itself proves nothing, OSError.
    """

def journal_dump(
    journal_dir: str, from_seq: int, to_seq: int, kinds: list[str], write: Callable[[bytes, int], object]
) -> bytes:
    """Hands JSON lines of the records to `write`, with the last sequence read; what `write` raises ends it.

    Answers like a decision of `journal_verify`: on a refusal everything before that place was written. ValueError for
    an unknown kind, else as there.
    """

def journal_repair(
    journal_dir: str,
    snapshot_dir: str,
    *,
    watermark: tuple[int, bytes] | None = None,
    postgres_read: bool = False,
    last_acknowledged: int | None = None,
    act: bool = False,
) -> bytes:
    """Cuts an unfinished write as a start would, keeping a copy; without `act` only says so.

    Members: needed done torn (file from bytes copy) commit commitCopy lastSeq. `last_acknowledged` stands in for
    a `commit` that cannot be read. Raises JournalLocked, JournalRefused with nothing changed, OSError.
    """

@final
class Rows:
    """What one batch of whole chunks means for Postgres."""

    first_seq: int
    last_seq: int
    epoch: int
    chunk_hash: bytes
    """Of the chunk that ends at last_seq."""
    event_hash: bytes
    """Head of the order_events chain after this batch."""
    copied: dict[str, bytes]
    """Table name -> its rows as a file for a binary COPY: the tables that only grow."""
    merged: dict[str, list[list[object]]]
    """Table name -> columns (not rows), in the order of `persistence/write_behind.sql`: the other tables."""
    tables: dict[str, list[list[object]]]
    """The columns of both kinds. All three are made anew at each look."""

@final
class Follower:
    """Folds the journal up to `commit`, with the gateway's own fold. Never writes the journal."""

    def __init__(
        self,
        journal_dir: str,
        snapshot_dir: str | None = None,
        *,
        from_seq: int | None = None,
        archive_dir: str | None = None,
    ) -> None:
        """Loads the newest valid snapshot (not later than `from_seq`, when given) and folds on from there, through the
        archive as well when that is given."""
    seq: int
    install: str
    def now_ns(self) -> int:
        """Journal time, computed from the newest EPOCH."""
    def catch_up(self, seq: int | None = None) -> int:
        """Folds to `commit` (or at least to `seq`, if committed) without producing anything; the sequence reached."""
    def committed_seq(self) -> int: ...
    # worker
    def start_rows(self, last_seq: int, chunk_hash: bytes, event_hash: bytes) -> None:
        """Rows begin after this watermark. FollowerStopped: it is not on our chain, Postgres holds another history."""
    def poll_rows(self, max_records: int, *, to_state_hash: bool = False) -> Rows | None:
        """The next batch, or None when there is nothing new.

        With `to_state_hash` it also ends with the first chunk that ends with a state hash."""
    def unpinned_seq(self) -> int:
        """No live request key points to a record up to here: nobody asks the journal for an answer in it."""
    def state_hash(self) -> str: ...
    def hash_agreed_seq(self) -> int:
        """Sequence of the last STATE_HASH record that equals our own; a disagreement raises FollowerStopped."""
    def write_snapshot(self, snapshot_dir: str) -> str:
        """Writes a snapshot at the current sequence and removes all but the two newest; its path."""
    # venue
    def open_work(self, venue: str, session: int) -> list[tuple[object, ...]]:
        """Orders handed over to this session at its start, as SUBMIT items, then pending cancels as CANCEL items."""
    def poll_work(self, venue: str, session: int, max_records: int) -> list[tuple[object, ...]]:
        """("SUBMIT", order_id, started_ns, account, symbol, side, type, timeInForce, quantity, filled, price | None,
        client_order_id_at_venue, strategy | None, flattens), ("CANCEL", order_id, requested_ns,
        client_order_id_at_venue: of an external order the foreign one, perhaps empty), ("QUERY", order_id, asked_ns):
        somebody asks to look for an order in doubt again (its venueOrderId may be new), and ("EXTERNAL", order_id,
        account, symbol, venue_order_id): the id of an order that an EXTERNAL report has shown; FILL reports name it."""
    def order(self, order: int) -> bytes | None:
        """JSON facts of an order in memory: id account mode symbol side type timeInForce quantity price stopPrice
        quoteQuantity status filled cumQuote venueOrderId clientIdAtVenue submittedNs session inDoubt doubtSinceNs
        cancelPending cancelWanted replace ({quantity, price}) external tradeIds open acked receivedNs updatedNs."""
    def live_orders(self, venue: str) -> list[int]:
        """Open orders that may be at the venue, external ones included: those never handed over are not."""
    def doubts(self, venue: str) -> list[int]:
        """Its orders in doubt, oldest first."""
    def order_by_venue_id(self, venue: str, account: str, symbol: str, venue_order_id: str) -> int | None:
        """The LIVE order in memory that the venue knows by this id. An order leaves memory an hour after its end."""
    def confirmed_trade(self, venue: str, account: str, symbol: str) -> int:
        """The venue's number of the newest trade up to which all are booked; 0 before the first."""
    def balance(self, account: str, mode: str, asset: str) -> str:
        """All that an account has of an asset."""
    def drifts(self, venue: str) -> list[tuple[str, str, str, str]]:
        """Differences that are not explained yet: (account, symbol or empty, class, detail)."""
    def instruments(self) -> bytes:
        """JSON list, as of the folded state."""
    # tests and tools
    def orders(self) -> bytes:
        """JSON list of every order in memory."""
    def balances(self) -> list[tuple[str, str, str, str, str]]:
        """(account, mode, asset, total, held)."""

def archive_segment(
    journal_dir: str, snapshot_dir: str, archive_dir: str, *, postgres_seq: int, unpinned_seq: int
) -> tuple[int, int, int, int] | None:
    """Moves the oldest segment to the archive if nothing needs it any more; (first, last, bytes, packed bytes).

    It stays (None) while it is the newest, its last record is above one of the two sequences, or fewer than two
    snapshots cover it. OSError: the disk, or a segment that does not verify; it is then still in the journal.
    """

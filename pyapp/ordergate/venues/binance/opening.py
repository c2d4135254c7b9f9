"""Opens a session of the LIVE venue: a connection for every account that has a key, from the settings."""

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from ordergate.config import Paths, Settings, master_key
from ordergate.config.settings import Binance
from ordergate.venues.binance import credentials, rest, session, user_stream
from ordergate.venues.binance.budget import Budget
from ordergate.venues.binance.clock import GOOD_MS, Clock
from ordergate.venues.binance.credentials import Credential
from ordergate.venues.binance.desk import AccountDesk, Desk, Times
from ordergate.venues.binance.doubt import Margins
from ordergate.venues.prices.binance import Place
from ordergate.venues.refusal import VenueRefused

if TYPE_CHECKING:
    from ordergate.venues.main import Opened

CLOCK_BOUND_MS: Final = round(GOOD_MS)
"""Nothing is signed on a worse clock, so that no order can be later than this."""

log = structlog.get_logger("ordergate.venues.binance")


def check(settings: Settings, paths: Paths) -> None:
    """Raises VenueRefused for what no restart can help."""
    if not settings.binance.enabled:
        raise VenueRefused("binance.enabled is false: this data directory does not trade LIVE")
    _unsealed(settings, paths)


async def serve(opened: "Opened", settings: Settings, paths: Paths, stop: asyncio.Event) -> None:
    """Serves one session until `stop` is set. Raises VenueRefused, and whatever ends a session."""
    live, clock = settings.binance, Clock()
    budget = Budget(clock.now_ms, paths.exchange_limits)
    urls = rest.urls_of(live)
    accounts = {
        credential.account: AccountDesk(
            credential.account,
            rest.open(urls, credential, clock, budget, timeout_ms=live.timeout_ms, recv_window_ms=live.recv_window_ms),
            credential,
            budget,
        )
        for credential in _unsealed(settings, paths)
    }
    http = user_stream.open_http(urls.allowed_hosts)
    desk = Desk(
        opened.number, opened.journal, opened.link, opened.reading, clock, margins_of(live), times_of(live),
        live.symbols, accounts, opened.greeted_ns,
    )  # fmt: skip
    log.info("session open", venue="binance", session=opened.number, accounts=sorted(accounts), at=live.rest_url)
    place = Place(live.rest_url, live.stream_url, urls.allowed_hosts, live.stream_silence_s)
    try:
        await session.run(desk, http, live.ws_api_url, place, stop)
    finally:
        await http.close()
        for side in accounts.values():
            await side.rest.close()


def margins_of(live: Binance) -> Margins:
    """What a proof of absence needs."""
    return Margins(
        recv_window_ms=live.recv_window_ms,
        clock_bound_ms=CLOCK_BOUND_MS,
        engine_timeout_ms=live.doubt_engine_timeout_ms,
        read_lag_ms=live.doubt_read_lag_ms,
        queries=live.doubt_queries,
        gap_ms=live.doubt_query_gap_ms,
    )


def times_of(live: Binance) -> Times:
    """The other margins. What is recent is what may still be on its way to where we read."""
    recent_ms = live.recv_window_ms + live.doubt_read_lag_ms + CLOCK_BOUND_MS
    return Times(live.reconcile_every_s, live.stream_silence_s, live.stream_lifetime_s, recent_s=recent_ms / 1_000)


def _unsealed(settings: Settings, paths: Paths) -> list[Credential]:
    """Every account's credential. Raises VenueRefused."""
    try:
        entries = credentials.entries(paths.credentials)
        if not entries:
            raise VenueRefused("no account has a key for the exchange: add one with `ordergate venue add binance`")
        master = master_key.read(settings, paths)
        return [credentials.unseal(paths.credentials, master, entry.account) for entry in entries]
    except (credentials.CredentialsError, master_key.MasterKeyError) as error:
        raise VenueRefused(str(error)) from None

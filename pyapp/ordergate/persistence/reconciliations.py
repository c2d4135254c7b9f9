"""Comparisons of the exchange with what was booked, as Postgres holds them: one page, newest first."""

from typing import Final

from ordergate.persistence.connection import SHORT_S, bounded, close, connect

PAGE_MAX: Final = 500

QUERY: Final = """
SELECT coalesce(json_agg(json_build_object(
    'id', seq::text, 'account', account_id, 'mode', mode, 'trigger', trigger, 'complete', complete, 'error', error,
    'durationMs', duration_ms, 'counts', counts,
    'startedAt', to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) ORDER BY seq DESC),
    '[]')::text
FROM (
    SELECT * FROM execution.reconciliation_runs
    WHERE ($1::text IS NULL OR account_id = $1) AND ($2::bigint IS NULL OR seq < $2)
    ORDER BY seq DESC LIMIT $3::integer) AS newest
"""
"""Arguments: account (null: every one), only older ones than this, how many."""


async def fetch(dsn: str, account: str | None, before: int | None, limit: int) -> str:
    """JSON list of runs, as far as Postgres holds the journal. Raises what `connection.TROUBLE` lists."""
    connection = await connect(dsn, "reconciliations")
    try:
        question = connection.fetchval(QUERY, account, before, min(limit, PAGE_MAX))
        found: object = await bounded(connection, question, SHORT_S)
    finally:
        await close(connection)
    return str(found)

"""The changes of limits as Postgres holds them: one page, newest first."""

from dataclasses import dataclass
from typing import Final

from ordergate.persistence.connection import SHORT_S, bounded, close, connect

PAGE_MAX: Final = 500
"""Changes on one page; the kinds that an early release set under one version stay together."""
VERSION_MAX: Final = 2**31 - 1
"""Of the column."""

QUERY: Final = """
SELECT coalesce(json_agg(json_build_object(
    'version', version, 'scope', scope, 'target', target, 'symbol', symbol, 'kind', kind, 'old', old::text,
    'new', new::text, 'by', set_by, 'approvedBy', approved_by, 'reason', reason,
    'at', to_char(set_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) ORDER BY version DESC, kind), '[]')::text
FROM (
    SELECT * FROM risk.limits
    WHERE ($1::text IS NULL OR scope = 'firm' OR (scope = 'account' AND target = $1)
           OR (scope = 'strategy' AND target IN (SELECT id FROM strategy.strategies WHERE account_id = $1))
           OR (scope = 'key' AND target IN (SELECT id::text FROM identity.api_keys WHERE account_id = $1)))
      AND ($2::text IS NULL OR scope = $2) AND ($3::text IS NULL OR target = $3)
      AND ($4::text IS NULL OR symbol = $4) AND ($5::text IS NULL OR kind = $5)
      AND ($6::integer IS NULL OR version < $6)
    ORDER BY version DESC FETCH FIRST ($7::integer) ROWS WITH TIES) AS newest
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which changes; None does not narrow."""

    account: str | None = None
    """Those that bind this account: the firm's, its own, its strategies' and keys'."""
    scope: str | None = None
    target: str | None = None
    symbol: str | None = None
    kind: str | None = None
    before: int | None = None
    """Only older versions than this one."""
    limit: int = PAGE_MAX

    def arguments(self) -> tuple[object, ...]:
        """Those of `QUERY`."""
        limit = min(self.limit, PAGE_MAX)
        return self.account, self.scope, self.target, self.symbol, self.kind, self.before, limit


async def fetch(dsn: str, wanted: Wanted) -> str:
    """JSON list of changes, as far as Postgres holds the journal. Raises what `connection.TROUBLE` lists."""
    connection = await connect(dsn, "limit history")
    try:
        found: object = await bounded(connection, connection.fetchval(QUERY, *wanted.arguments()), SHORT_S)
    finally:
        await close(connection)
    return str(found)

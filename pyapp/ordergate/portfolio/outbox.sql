-- Statements of the outbox's reader.

-- name: progress
SELECT coalesce((SELECT last_seq FROM execution.watermark WHERE shard = 0), 0),
       coalesce((SELECT last_seq FROM portfolio.cursor WHERE shard = 0), 0);

-- name: cursor_create
INSERT INTO portfolio.cursor (shard, last_seq) VALUES (0, 0) ON CONFLICT (shard) DO NOTHING;

-- name: cursor_lock
-- A second reader waits here, and then finds the cursor moved.
SELECT last_seq FROM portfolio.cursor WHERE shard = 0 FOR UPDATE;

-- name: cursor_move
UPDATE portfolio.cursor SET last_seq = $1 WHERE shard = 0;

-- name: page
SELECT seq, account_id, mode, kind, payload::text AS payload, processed_at IS NOT NULL AS done
FROM execution.portfolio_events_outbox WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3;

-- name: fills_recorded
-- Those whose event is parked have an alarm of their own.
SELECT count(*) FROM execution.order_events e WHERE seq > $1 AND seq <= $2 AND kind = 'FILL'
AND NOT EXISTS (SELECT FROM execution.parked_records p WHERE p.seq = e.seq AND p.relation = 'outbox');

-- name: held
-- Books that wait behind an event that could not be applied: everything unprocessed up to the cursor.
SELECT account_id, mode, min(seq) AS parked_seq, count(*) AS events
FROM execution.portfolio_events_outbox WHERE processed_at IS NULL AND seq <= $1 GROUP BY account_id, mode;

-- name: held_page
SELECT seq, account_id, mode, kind, payload::text AS payload, false AS done
FROM execution.portfolio_events_outbox
WHERE processed_at IS NULL AND seq <= $1 AND account_id = $2 AND mode = $3 ORDER BY seq LIMIT $4;

-- name: balances
INSERT INTO portfolio.balances AS b (account_id, mode, asset, total, last_seq)
SELECT account_id, mode, asset, sum(delta::numeric), max(seq)
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[]) AS r (seq, account_id, mode, asset, delta)
GROUP BY account_id, mode, asset ORDER BY account_id, mode, asset
ON CONFLICT (account_id, mode, asset) DO UPDATE SET
    total = b.total + excluded.total, last_seq = greatest(b.last_seq, excluded.last_seq);

-- name: positions
INSERT INTO portfolio.positions AS p (
    account_id, mode, symbol, quantity, bought_quantity, bought_quote, sold_quantity, sold_quote, fills, last_seq)
SELECT account_id, mode, symbol,
       sum(CASE side WHEN 'BUY' THEN quantity::numeric ELSE -quantity::numeric END - fee_in_base::numeric),
       coalesce(sum(quantity::numeric) FILTER (WHERE side = 'BUY'), 0),
       coalesce(sum(quote_quantity::numeric) FILTER (WHERE side = 'BUY'), 0),
       coalesce(sum(quantity::numeric) FILTER (WHERE side = 'SELL'), 0),
       coalesce(sum(quote_quantity::numeric) FILTER (WHERE side = 'SELL'), 0),
       count(*), max(seq)
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
     AS r (seq, account_id, mode, symbol, side, quantity, quote_quantity, fee_in_base)
GROUP BY account_id, mode, symbol ORDER BY account_id, mode, symbol
ON CONFLICT (account_id, mode, symbol) DO UPDATE SET
    quantity = p.quantity + excluded.quantity,
    bought_quantity = p.bought_quantity + excluded.bought_quantity,
    bought_quote = p.bought_quote + excluded.bought_quote,
    sold_quantity = p.sold_quantity + excluded.sold_quantity,
    sold_quote = p.sold_quote + excluded.sold_quote,
    fills = p.fills + excluded.fills,
    last_seq = greatest(p.last_seq, excluded.last_seq);

-- name: processed
UPDATE execution.portfolio_events_outbox SET processed_at = now() WHERE seq = ANY ($1::bigint[]);

-- name: alarm
-- The record itself may have raised an alarm already.
INSERT INTO execution.alarms (seq, order_id, kind, code, detail, at) VALUES ($1, NULL, $2, 'OUTBOX_POISON', $3, now())
ON CONFLICT (seq) DO UPDATE SET detail = alarms.detail || '; OUTBOX_POISON: ' || excluded.detail;

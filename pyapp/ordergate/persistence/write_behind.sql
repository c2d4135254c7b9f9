-- The write-behind's statements. Each takes the columns of one table of a batch, in the order given here, and is run
-- once per batch. Decimals arrive as text. Times arrive as whole nanoseconds: `ns / 1000` is an integer division, and a
-- whole number of microseconds below 2^53 (the year 2255) times one microsecond is exact.

-- name: watermark
SELECT last_seq, epoch, chunk_hash, event_hash FROM execution.watermark WHERE shard = 0;

-- name: watermark_first
-- Does nothing when another writer was first.
INSERT INTO execution.watermark (shard, last_seq, epoch, chunk_hash, event_hash)
VALUES (0, $1, $2, $3, $4)
ON CONFLICT (shard) DO NOTHING;

-- name: watermark_advance
-- Compare and set: updates nothing when the history here is not the one that this batch continues.
UPDATE execution.watermark
SET last_seq = $1, epoch = $2, chunk_hash = $3, event_hash = $4, updated_at = now()
WHERE shard = 0 AND last_seq = $5 AND epoch <= $2 AND chunk_hash = $6 AND event_hash = $7;

-- name: order_events
INSERT INTO execution.order_events (seq, order_id, account_id, kind, at, payload, prev_hash, hash)
SELECT seq, order_id, account_id, kind, timestamptz 'epoch' + at_ns / 1000 * interval '1 microsecond', payload::json,
       prev_hash, hash
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bytea[], $8::bytea[])
     AS r (seq, order_id, account_id, kind, at_ns, payload, prev_hash, hash)
ON CONFLICT (seq) DO NOTHING;

-- name: order_events_contradicted
-- Events that are stored with another hash than the journal's.
SELECT min(e.seq) FROM unnest($1::bigint[], $2::bytea[]) AS r (seq, hash)
JOIN execution.order_events e ON e.seq = r.seq WHERE e.hash <> r.hash;

-- name: orders
-- Several states of one order in a batch: the last one counts. When it became durable is only known to the batch that
-- accepted it: later ones bring no value, and leave what is there.
INSERT INTO execution.orders (
    id, account_id, client_order_id, idempotency_key, mode, symbol, side, type, time_in_force, quantity, price, status,
    filled_quantity, filled_quote, avg_fill_price, rejected_by, reason, strategy_id, venue_order_id, created_at,
    durable_at, sent_at, acked_at, updated_at, last_seq, facts, external, stop_price, quote_order_qty, expire_at,
    replaces, replaced_by)
SELECT DISTINCT ON (id)
    id, account_id, client_order_id, idempotency_key, mode, symbol, side, type, time_in_force, quantity::numeric,
    price::numeric, status, filled_quantity::numeric, filled_quote::numeric, avg_fill_price::numeric, rejected_by,
    reason, strategy_id, venue_order_id,
    timestamptz 'epoch' + created_ns / 1000 * interval '1 microsecond',
    timestamptz 'epoch' + durable_ns / 1000 * interval '1 microsecond',
    timestamptz 'epoch' + sent_ns / 1000 * interval '1 microsecond',
    timestamptz 'epoch' + acked_ns / 1000 * interval '1 microsecond',
    timestamptz 'epoch' + updated_ns / 1000 * interval '1 microsecond',
    last_seq, facts, external, stop_price::numeric, quote_order_qty::numeric,
    timestamptz 'epoch' + expire_ns / 1000 * interval '1 microsecond', replaces, replaced_by
FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
    $18::text[], $19::text[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[],
    $26::bytea[], $27::boolean[], $28::text[], $29::text[], $30::bigint[], $31::bigint[], $32::bigint[])
    AS r (id, account_id, client_order_id, idempotency_key, mode, symbol, side, type, time_in_force, quantity, price,
          status, filled_quantity, filled_quote, avg_fill_price, rejected_by, reason, strategy_id, venue_order_id,
          created_ns, durable_ns, sent_ns, acked_ns, updated_ns, last_seq, facts, external, stop_price,
          quote_order_qty, expire_ns, replaces, replaced_by)
ORDER BY id, last_seq DESC
ON CONFLICT (id) DO UPDATE SET
    quantity = excluded.quantity, price = excluded.price, status = excluded.status,
    filled_quantity = excluded.filled_quantity, filled_quote = excluded.filled_quote,
    avg_fill_price = excluded.avg_fill_price, rejected_by = excluded.rejected_by, reason = excluded.reason,
    venue_order_id = excluded.venue_order_id, durable_at = coalesce(excluded.durable_at, orders.durable_at),
    sent_at = excluded.sent_at, acked_at = excluded.acked_at, updated_at = excluded.updated_at, last_seq = excluded.last_seq,
    facts = excluded.facts, replaced_by = excluded.replaced_by
WHERE orders.last_seq < excluded.last_seq;

-- name: fills
-- The fold has removed duplicates already: a conflict here is an alarm.
INSERT INTO execution.fills (
    venue, account_id, symbol, exchange_fill_id, order_id, mode, side, price, quantity, quote_quantity, fee, fee_asset,
    maker, traded_at, seq)
SELECT venue, account_id, symbol, exchange_fill_id, order_id, mode, side, price::numeric, quantity::numeric,
       quote_quantity::numeric, fee::numeric, fee_asset, maker,
       timestamptz 'epoch' + traded_ns / 1000 * interval '1 microsecond', seq
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::text[], $12::text[], $13::boolean[], $14::bigint[], $15::bigint[])
     AS r (venue, account_id, symbol, exchange_fill_id, order_id, mode, side, price, quantity, quote_quantity, fee,
           fee_asset, maker, traded_ns, seq)
ON CONFLICT DO NOTHING;

-- name: fill_conflicts
INSERT INTO execution.alarms (seq, order_id, kind, code, detail, at)
SELECT r.seq, r.order_id, 'FILL', 'FILL_CONFLICT',
       format('trade %s of %s at %s for %s is stored already, from record %s', r.exchange_fill_id, r.symbol, r.venue,
              r.account_id, f.seq),
       timestamptz 'epoch' + r.traded_ns / 1000 * interval '1 microsecond'
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
     AS r (venue, account_id, symbol, exchange_fill_id, order_id, traded_ns, seq)
JOIN execution.fills f USING (venue, account_id, symbol, exchange_fill_id)
WHERE f.seq <> r.seq
ON CONFLICT (seq) DO UPDATE SET detail = alarms.detail || '; ' || excluded.detail;

-- name: drifts
INSERT INTO execution.drifts (seq, account_id, mode, symbol, class, detail, found_at)
SELECT seq, account_id, mode, symbol, class, detail, timestamptz 'epoch' + found_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
     AS r (seq, account_id, mode, symbol, class, detail, found_ns)
ON CONFLICT (seq) DO NOTHING;

-- name: drifts_explained
UPDATE execution.drifts d
SET explained_at = timestamptz 'epoch' + r.explained_ns / 1000 * interval '1 microsecond', explained_seq = r.last_seq
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS r (id, explained_ns, last_seq)
WHERE d.seq = r.id;

-- name: reconciliation_runs
INSERT INTO execution.reconciliation_runs (
    seq, account_id, mode, trigger, started_at, duration_ms, complete, error, counts)
SELECT seq, account_id, mode, trigger, timestamptz 'epoch' + started_ns / 1000 * interval '1 microsecond', duration_ms,
       complete, error, counts::json
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[], $8::text[],
            $9::text[])
     AS r (seq, account_id, mode, trigger, started_ns, duration_ms, complete, error, counts)
ON CONFLICT (seq) DO NOTHING;

-- name: outbox
INSERT INTO execution.portfolio_events_outbox (seq, account_id, mode, kind, payload, created_at)
SELECT seq, account_id, mode, kind, payload::json, timestamptz 'epoch' + created_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
     AS r (seq, account_id, mode, kind, payload, created_ns)
ON CONFLICT (seq) DO NOTHING;

-- name: outbox_notify
SELECT pg_notify('portfolio_outbox', '');

-- name: sessions
INSERT INTO execution.sessions (id, venue, mode, pid, opened_at)
SELECT id, venue, mode, pid, timestamptz 'epoch' + opened_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS r (id, venue, mode, pid, opened_ns)
ON CONFLICT (id) DO NOTHING;

-- name: alarms
INSERT INTO execution.alarms (seq, order_id, kind, code, detail, at)
SELECT seq, order_id, kind, code, detail, timestamptz 'epoch' + at_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[])
     AS r (seq, order_id, kind, code, detail, at_ns)
ON CONFLICT (seq) DO NOTHING;

-- name: instruments
INSERT INTO execution.instruments (symbol, base, quote, status, filters, last_seq)
SELECT DISTINCT ON (symbol) symbol, base, quote, status, filters::json, last_seq
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
     AS r (symbol, base, quote, status, filters, last_seq)
ORDER BY symbol, last_seq DESC
ON CONFLICT (symbol) DO UPDATE SET
    base = excluded.base, quote = excluded.quote, status = excluded.status, filters = excluded.filters,
    last_seq = excluded.last_seq
WHERE instruments.last_seq < excluded.last_seq;

-- name: accounts
INSERT INTO identity.accounts (id, created_at, last_seq)
SELECT id, timestamptz 'epoch' + created_ns / 1000 * interval '1 microsecond', last_seq
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS r (id, created_ns, last_seq)
ON CONFLICT (id) DO NOTHING;

-- name: api_keys
INSERT INTO identity.api_keys (
    id, account_id, owner, name, token_sha256, scopes, rate_per_second, created_at, expires_at, symbols, ip_allow,
    last_seq)
SELECT id, account_id, owner, name, token_sha256, string_to_array(scopes, ','), rate_per_second,
       timestamptz 'epoch' + created_ns / 1000 * interval '1 microsecond',
       timestamptz 'epoch' + expires_ns / 1000 * interval '1 microsecond',
       string_to_array(symbols, ','), string_to_array(ip_allow, ','), last_seq
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::text[], $11::text[], $12::bigint[])
     AS r (id, account_id, owner, name, token_sha256, scopes, rate_per_second, created_ns, expires_ns, symbols,
           ip_allow, last_seq)
ON CONFLICT (id) DO NOTHING;

-- name: api_keys_revoked
UPDATE identity.api_keys k
SET revoked_at = timestamptz 'epoch' + r.revoked_ns / 1000 * interval '1 microsecond', last_seq = r.last_seq
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS r (id, revoked_ns, last_seq)
WHERE k.id = r.id AND k.last_seq < r.last_seq;

-- name: limits
INSERT INTO risk.limits (version, scope, target, symbol, kind, old, new, set_by, approved_by, reason, set_at)
SELECT version, scope, target, symbol, kind, old::numeric, new::numeric, set_by, approved_by, reason,
       timestamptz 'epoch' + set_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::bigint[], $12::bigint[])
     AS r (version, scope, target, symbol, kind, old, new, set_by, approved_by, reason, set_ns, seq)
ON CONFLICT (version, kind) DO NOTHING;

-- name: change_requests
INSERT INTO risk.change_requests (id, change, requested_by, reason, requested_at, expires_at, last_seq)
SELECT id, change::json, requested_by, reason, timestamptz 'epoch' + requested_ns / 1000 * interval '1 microsecond',
       timestamptz 'epoch' + expires_ns / 1000 * interval '1 microsecond', id
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
     AS r (id, change, requested_by, reason, requested_ns, expires_ns)
ON CONFLICT (id) DO NOTHING;

-- name: change_requests_closed
UPDATE risk.change_requests q
SET outcome = r.outcome, closed_by = r.closed_by, last_seq = r.last_seq,
    closed_at = timestamptz 'epoch' + r.closed_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
     AS r (id, outcome, closed_by, closed_ns, last_seq)
WHERE q.id = r.id AND q.last_seq < r.last_seq;

-- name: strategies
INSERT INTO strategy.strategies (id, account_id, status, set_by, source, reason, updated_at, last_seq)
SELECT DISTINCT ON (id) id, account_id, status, set_by, source, reason,
       timestamptz 'epoch' + updated_ns / 1000 * interval '1 microsecond', last_seq
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
     AS r (id, account_id, status, set_by, source, reason, updated_ns, last_seq)
ORDER BY id, last_seq DESC
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, set_by = excluded.set_by, source = excluded.source, reason = excluded.reason,
    updated_at = excluded.updated_at, last_seq = excluded.last_seq
WHERE strategies.last_seq < excluded.last_seq;

-- name: restrictions
INSERT INTO risk.restrictions (seq, account_id, symbol, restricted, set_by, reason, set_at)
SELECT seq, account_id, symbol, restricted, set_by, reason, timestamptz 'epoch' + set_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[], $7::bigint[])
     AS r (seq, account_id, symbol, restricted, set_by, reason, set_ns)
ON CONFLICT (seq) DO NOTHING;

-- name: schedules
INSERT INTO risk.schedules (seq, account_id, weekdays, from_minute, to_minute, set_by, reason, set_at)
SELECT seq, account_id, weekdays, from_minute, to_minute, set_by, reason,
       timestamptz 'epoch' + set_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[])
     AS r (seq, account_id, weekdays, from_minute, to_minute, set_by, reason, set_ns)
ON CONFLICT (seq) DO NOTHING;

-- name: heartbeats
INSERT INTO risk.heartbeats (seq, scope, target, timeout_ms, key_id, set_at)
SELECT seq, scope, target, timeout_ms, key_id, timestamptz 'epoch' + set_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
     AS r (seq, scope, target, timeout_ms, key_id, set_ns)
ON CONFLICT (seq) DO NOTHING;

-- name: risk_events
INSERT INTO risk.events (seq, kind, mode, body, at)
SELECT seq, kind, mode, body::jsonb, timestamptz 'epoch' + at_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[])
     AS r (seq, kind, mode, body, at_ns)
ON CONFLICT (seq) DO NOTHING;

-- name: kill_switch_events
INSERT INTO risk.kill_switch_events (seq, scope, target, active, level, reason, by, source, at)
SELECT seq, scope, target, active, level, reason, by, source,
       timestamptz 'epoch' + at_ns / 1000 * interval '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::text[], $7::text[], $8::text[],
            $9::bigint[])
     AS r (seq, scope, target, active, level, reason, by, source, at_ns)
ON CONFLICT (seq) DO NOTHING;

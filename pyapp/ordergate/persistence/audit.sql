-- Statements of the audit.

-- name: begin
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: rows
-- The first batch also finds what stands before record 1.
SELECT seq, order_id, account_id, kind, (extract(epoch FROM at) * 1000000)::bigint AS at, payload::text, prev_hash, hash
FROM execution.order_events WHERE (seq > $1 OR $1 = 0) AND seq <= $2 ORDER BY seq;

-- name: outside
SELECT seq, order_id, account_id, kind FROM execution.order_events WHERE seq > $1 ORDER BY seq LIMIT 1;

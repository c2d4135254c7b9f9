-- Statements of the audit.

-- name: begin
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: rows
-- The first batch also finds what stands before record 1.
SELECT seq, order_id, account_id, kind, (extract(epoch FROM at) * 1000000)::bigint AS at, payload::text, prev_hash, hash
FROM execution.order_events WHERE (seq > $1 OR $1 = 0) AND seq <= $2 ORDER BY seq;

-- name: parked
-- Rows that their table refused: parked in the transaction that should have written them, with the hash they would have.
SELECT seq, body ->> 'hash' AS hash FROM execution.parked_records
WHERE relation = 'order_events' AND (seq > $1 OR $1 = 0) AND seq <= $2;

-- name: outside
SELECT seq, order_id, account_id, kind FROM execution.order_events WHERE seq > $1 ORDER BY seq LIMIT 1;

-- Statements for rows that are refused for what they hold.

-- name: park
INSERT INTO execution.parked_records (seq, relation, body, sqlstate, error) VALUES ($1, $2, $3::text::json, $4, $5);

-- name: alarm
-- The record itself, or another of its rows, may have raised an alarm already.
INSERT INTO execution.alarms (seq, order_id, kind, code, detail, at) VALUES ($1, $2, $3, 'POISON_RECORD', $4, now())
ON CONFLICT (seq) DO UPDATE SET detail = alarms.detail || '; POISON_RECORD ' || excluded.kind || ': ' || excluded.detail;

-- name: count
SELECT count(*) FROM execution.parked_records;

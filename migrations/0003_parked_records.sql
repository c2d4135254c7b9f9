-- Rows that their table refused for what they hold, as the journal gave them: parked in the transaction that moved the
-- watermark past them, each with an alarm POISON_RECORD. A row of order_events that is missing from the hash chain
-- stands here with both of its hashes.
CREATE TABLE execution.parked_records (
    seq       bigint      NOT NULL,   -- the record that made the row
    relation  text        NOT NULL,   -- the table that refused it, by its name in the write-behind
    body      json        NOT NULL,   -- the row; bytes as \x and hexadecimal digits, times in nanoseconds
    sqlstate  text        NOT NULL,
    error     text        NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (seq, relation)
);

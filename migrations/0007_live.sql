-- What a LIVE venue told: orders that others placed, differences from what was booked, and comparisons.
ALTER TABLE execution.orders ADD COLUMN external boolean NOT NULL DEFAULT false;   -- placed outside the gateway

CREATE TABLE execution.reconciliation_runs (
    seq         bigint      PRIMARY KEY,
    account_id  text        NOT NULL,
    mode        text        NOT NULL,
    trigger     text        NOT NULL,   -- start, interval, gap, ...
    started_at  timestamptz NOT NULL,
    duration_ms bigint      NOT NULL,
    complete    boolean     NOT NULL,   -- false: an answer was missing, and nothing was concluded from its lack
    error       text,
    counts      json        NOT NULL    -- what was looked at and done, by kind
);
CREATE INDEX reconciliation_runs_account ON execution.reconciliation_runs (account_id, seq DESC);

CREATE TABLE execution.drifts (
    seq           bigint      PRIMARY KEY,
    account_id    text        NOT NULL,
    mode          text        NOT NULL,
    symbol        text,                   -- null: everywhere
    class         text        NOT NULL,   -- MISSING_ORDER, MISSING_FILL, EXTRA_FILL, QUANTITY, BALANCE, EXTERNAL
    detail        text        NOT NULL,
    found_at      timestamptz NOT NULL,
    explained_at  timestamptz,            -- null: the account may only reduce there
    explained_seq bigint
);

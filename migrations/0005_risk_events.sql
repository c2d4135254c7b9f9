-- What the watch over limits saw and did: breaches, warnings, trading states and the starts of days, as journaled.
CREATE TABLE risk.events (
    seq    bigint      PRIMARY KEY,
    kind   text        NOT NULL,   -- LIMIT_BREACHED, LIMIT_WARNED, TRADING_STATE_SET, DAY_STARTED, STP_GROUP_SET
    mode   text,                   -- null: both
    body   jsonb       NOT NULL,   -- the record's members
    at     timestamptz NOT NULL
);

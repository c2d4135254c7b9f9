-- Dead man's switches as they were asked for; of a scope and target the newest row counts. The beats are not recorded.
CREATE TABLE risk.heartbeats (
    seq        bigint      PRIMARY KEY,
    scope      text        NOT NULL,   -- account or strategy
    target     text        NOT NULL,
    timeout_ms integer     NOT NULL,   -- without a beat for so long, the scope is killed; 0: no longer watched
    key_id     bigint      NOT NULL,   -- the API key that asked for it
    set_at     timestamptz NOT NULL
);

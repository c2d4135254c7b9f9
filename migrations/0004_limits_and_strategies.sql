-- Every change of a limit is a row: whose, of what, from what to what, by whom. What was set three at a time becomes
-- three rows of one version; what it replaced was not recorded then.
ALTER TABLE risk.limits RENAME TO limits_by_three;
ALTER TABLE risk.limits_by_three RENAME CONSTRAINT limits_pkey TO limits_by_three_pkey;

CREATE TABLE risk.limits (
    version     integer     NOT NULL,
    scope       text        NOT NULL CHECK (scope IN ('firm', 'account', 'strategy', 'key')),
    target      text        NOT NULL,   -- account, strategy or number of the key; empty for the firm
    symbol      text,                   -- null: everywhere
    kind        text        NOT NULL,
    old         numeric,                -- null: there was none, or it was not recorded
    new         numeric,                -- null: the limit was taken away
    set_by      text        NOT NULL,
    approved_by text,                   -- the second person, when one was needed
    reason      text        NOT NULL,
    set_at      timestamptz NOT NULL,
    PRIMARY KEY (version, kind)
);

INSERT INTO risk.limits (version, scope, target, kind, new, set_by, reason, set_at)
SELECT version, CASE WHEN account_id IS NULL THEN 'firm' ELSE 'account' END, coalesce(account_id, ''), kind, value,
       set_by, reason, set_at
FROM risk.limits_by_three
CROSS JOIN LATERAL (VALUES ('MAX_ORDER_QTY', max_order_qty), ('MAX_ORDER_NOTIONAL', max_order_notional),
                           ('MAX_OPEN_ORDERS', max_open_orders::numeric)) AS k (kind, value);

DROP TABLE risk.limits_by_three;

-- Changes that needed a second person, and what became of them.
CREATE TABLE risk.change_requests (
    id           bigint      PRIMARY KEY,
    change       json        NOT NULL,
    requested_by text        NOT NULL,
    reason       text        NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    outcome      text        CHECK (outcome IN ('APPROVED', 'REJECTED', 'EXPIRED')),   -- null: still waits
    closed_by    text,
    closed_at    timestamptz,
    last_seq     bigint      NOT NULL
);

CREATE TABLE risk.restrictions (
    seq        bigint      PRIMARY KEY,
    account_id text,                    -- null: everybody
    symbol     text        NOT NULL,
    restricted boolean     NOT NULL,
    set_by     text        NOT NULL,
    reason     text        NOT NULL,
    set_at     timestamptz NOT NULL
);

CREATE TABLE risk.schedules (
    seq         bigint      PRIMARY KEY,
    account_id  text,                   -- null: everybody
    weekdays    smallint    NOT NULL,   -- bit 0 is Monday
    from_minute smallint    NOT NULL,
    to_minute   smallint    NOT NULL,
    set_by      text        NOT NULL,
    reason      text        NOT NULL,
    set_at      timestamptz NOT NULL
);

ALTER TABLE strategy.strategies
    ADD COLUMN set_by text NOT NULL DEFAULT '',
    ADD COLUMN source text NOT NULL DEFAULT '',
    ADD COLUMN reason text NOT NULL DEFAULT '';

ALTER TABLE identity.api_keys
    ADD COLUMN symbols  text[] NOT NULL DEFAULT '{}',   -- empty: every symbol
    ADD COLUMN ip_allow text[] NOT NULL DEFAULT '{}';   -- empty: everywhere

-- Everything here is a projection of the journal: one writer, advanced together with execution.watermark.

CREATE SCHEMA execution;
CREATE SCHEMA strategy;
CREATE SCHEMA identity;
CREATE SCHEMA risk;
CREATE SCHEMA portfolio;

-- How far the journal has been written here. Compared and advanced in the transaction of each batch.
CREATE TABLE execution.watermark (
    shard       smallint    PRIMARY KEY CHECK (shard = 0),
    last_seq    bigint      NOT NULL,
    epoch       integer     NOT NULL,
    chunk_hash  bytea       NOT NULL,   -- of the journal chunk that ends at last_seq
    event_hash  bytea       NOT NULL,   -- head of the order_events chain
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE execution.orders (
    id              bigint      PRIMARY KEY,
    account_id      text        NOT NULL,
    client_order_id text,
    idempotency_key text        NOT NULL,
    mode            text        NOT NULL,
    symbol          text        NOT NULL,
    side            text        NOT NULL,
    type            text        NOT NULL,
    time_in_force   text        NOT NULL,
    quantity        numeric     NOT NULL,
    price           numeric,
    status          text        NOT NULL,
    filled_quantity numeric     NOT NULL,
    filled_quote    numeric     NOT NULL,   -- sum of the fills' quote amounts
    avg_fill_price  numeric,
    rejected_by     text,
    reason          text,
    strategy_id     text,
    venue_order_id  text,
    created_at      timestamptz NOT NULL,   -- received by the gateway
    durable_at      timestamptz,
    sent_at         timestamptz,
    acked_at        timestamptz,
    updated_at      timestamptz NOT NULL,
    last_seq        bigint      NOT NULL    -- the record that made this row
);
CREATE INDEX orders_created ON execution.orders (created_at DESC, id DESC);
CREATE INDEX orders_account ON execution.orders (account_id, id DESC);

-- The audit trail: append-only, hash-chained. `payload` keeps its text as written, since the chain covers it.
CREATE TABLE execution.order_events (
    seq         bigint      PRIMARY KEY,
    order_id    bigint      NOT NULL,
    account_id  text        NOT NULL,
    kind        text        NOT NULL,
    at          timestamptz NOT NULL,
    payload     json        NOT NULL,
    prev_hash   bytea       NOT NULL,
    hash        bytea       NOT NULL
);
CREATE INDEX order_events_order ON execution.order_events (order_id, seq);

CREATE TABLE execution.fills (
    venue            text        NOT NULL,
    account_id       text        NOT NULL,
    symbol           text        NOT NULL,
    exchange_fill_id text        NOT NULL,
    order_id         bigint      NOT NULL,
    mode             text        NOT NULL,
    side             text        NOT NULL,
    price            numeric     NOT NULL,
    quantity         numeric     NOT NULL,
    quote_quantity   numeric     NOT NULL,
    fee              numeric     NOT NULL,
    fee_asset        text        NOT NULL,
    maker            boolean     NOT NULL,
    traded_at        timestamptz NOT NULL,   -- the venue's time
    seq              bigint      NOT NULL,
    PRIMARY KEY (venue, account_id, symbol, exchange_fill_id)
);
CREATE INDEX fills_order ON execution.fills (order_id);

CREATE TABLE execution.portfolio_events_outbox (
    seq          bigint      PRIMARY KEY,
    account_id   text        NOT NULL,
    mode         text        NOT NULL,
    kind         text        NOT NULL,        -- FILL, BALANCE_ADJUSTED
    payload      json        NOT NULL,
    created_at   timestamptz NOT NULL,
    processed_at timestamptz
);
CREATE INDEX outbox_unprocessed ON execution.portfolio_events_outbox (seq) WHERE processed_at IS NULL;

CREATE TABLE execution.sessions (
    id        bigint      PRIMARY KEY,
    venue     text        NOT NULL,
    mode      text        NOT NULL,
    pid       integer     NOT NULL,
    opened_at timestamptz NOT NULL
);

-- What the fold could not book or did not allow, with the reason: each row is an alarm.
CREATE TABLE execution.alarms (
    seq      bigint      PRIMARY KEY,
    order_id bigint,
    kind     text        NOT NULL,
    code     text        NOT NULL,
    detail   text        NOT NULL,
    at       timestamptz NOT NULL
);

CREATE TABLE execution.instruments (
    symbol         text    PRIMARY KEY,
    base           text    NOT NULL,
    quote          text    NOT NULL,
    status         text    NOT NULL,
    filters        json    NOT NULL,
    last_seq       bigint  NOT NULL
);

CREATE TABLE strategy.strategies (
    id         text        PRIMARY KEY,
    account_id text        NOT NULL,
    status     text        NOT NULL CHECK (status IN ('RUNNING', 'STOPPED')),
    updated_at timestamptz NOT NULL,
    last_seq   bigint      NOT NULL
);

CREATE TABLE identity.accounts (
    id         text        PRIMARY KEY,
    created_at timestamptz NOT NULL,
    last_seq   bigint      NOT NULL
);

CREATE TABLE identity.api_keys (
    id              integer     PRIMARY KEY,
    account_id      text        NOT NULL,
    owner           text        NOT NULL,
    name            text        NOT NULL,
    token_sha256    bytea       NOT NULL,
    scopes          text[]      NOT NULL,
    rate_per_second integer     NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz,
    revoked_at      timestamptz,
    last_seq        bigint      NOT NULL
);

CREATE TABLE risk.limits (
    version            integer     PRIMARY KEY,
    account_id         text,                      -- null: the firm's default
    max_order_qty      numeric,
    max_order_notional numeric,
    max_open_orders    integer,
    set_by             text        NOT NULL,
    reason             text        NOT NULL,
    set_at             timestamptz NOT NULL
);

CREATE TABLE risk.kill_switch_events (
    seq    bigint      PRIMARY KEY,
    scope  text        NOT NULL,
    target text        NOT NULL,
    active boolean     NOT NULL,
    level  smallint    NOT NULL,
    reason text        NOT NULL,
    by     text        NOT NULL,
    source text        NOT NULL,
    at     timestamptz NOT NULL
);

-- Applied from the outbox; the cursor moves in the same transaction.
CREATE TABLE portfolio.cursor (
    shard    smallint PRIMARY KEY CHECK (shard = 0),
    last_seq bigint   NOT NULL
);

CREATE TABLE portfolio.balances (
    account_id text    NOT NULL,
    mode       text    NOT NULL,
    asset      text    NOT NULL,
    total      numeric NOT NULL,
    last_seq   bigint  NOT NULL,
    PRIMARY KEY (account_id, mode, asset)
);

CREATE TABLE portfolio.positions (
    account_id      text    NOT NULL,
    mode            text    NOT NULL,
    symbol          text    NOT NULL,
    quantity        numeric NOT NULL,   -- bought − sold − fees taken in base
    bought_quantity numeric NOT NULL,
    bought_quote    numeric NOT NULL,
    sold_quantity   numeric NOT NULL,
    sold_quote      numeric NOT NULL,
    fills           bigint  NOT NULL,
    last_seq        bigint  NOT NULL,
    PRIMARY KEY (account_id, mode, symbol)
);

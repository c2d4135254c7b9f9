-- What orders ask for beyond type, quantity and price, and which of them took over from which.
ALTER TABLE execution.orders
    ADD COLUMN stop_price      numeric,       -- the last price at which it begins to work
    ADD COLUMN quote_order_qty numeric,       -- amount of quote to spend or to bring in
    ADD COLUMN expire_at       timestamptz,   -- when the gateway cancels it (GTD)
    ADD COLUMN replaces        bigint,        -- the order whose rest it took over
    ADD COLUMN replaced_by     bigint,        -- the order that took over its rest
    ALTER COLUMN quantity DROP NOT NULL;      -- of an amount of quote it is known only in the end

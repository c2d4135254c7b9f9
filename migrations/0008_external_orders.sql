-- Orders that somebody placed at the exchange without this gateway: counted, never canceled by it.
ALTER TABLE execution.orders ADD COLUMN external boolean NOT NULL DEFAULT false;

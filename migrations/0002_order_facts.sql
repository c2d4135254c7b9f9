-- Everything that an ended order is, as the core encodes it: what shows it, and brings it back for a late trade, when
-- it has left the gateway's memory. Null while the order is open.
ALTER TABLE execution.orders ADD COLUMN facts bytea;

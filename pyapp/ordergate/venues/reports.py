"""What a venue reports: one tuple each, the kind first, then its fields in the order of the venue link.

Prices and quantities are exact text, times are journal nanoseconds. Kinds: ACK REJECT NOT_SENT UNKNOWN FILL CANCELED
CANCEL_REJECT CANCEL_UNKNOWN EXPIRED DONE REPLACED REPLACE_REJECT FOUND ABSENT PRICE DEPTH HEARTBEAT.

About an account (its name second): (READY, account, ready, reason, retry_after_ms or 0), (BUDGET, account, orders_left,
retry_after_ms), (EXTERNAL, account, symbol, venue_order_id, client_id, side, type, time_in_force, quantity, cum_qty,
price or None, stop_price or None), (BALANCE, account, asset, total), (DRIFT, account, symbol or "" for everywhere,
class, detail), (DRIFT_EXPLAINED, account, symbol, class), (CONFIRMED, account, symbol, trade_id as an int),
(RECONCILED, account, {trigger startedNs durationMs complete error counts}). Besides: (INSTRUMENT, {field: text}) and
(DOUBT_SEEN, order, text). `cum_qty` of an EXTERNAL is what had traded before and is in the balances already: FILL
reports come on top of it. An order is shown so only while it works, or has trades above the watermark.
"""

Report = tuple[object, ...]

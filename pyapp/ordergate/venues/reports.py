"""What a venue reports: one tuple each, the kind first, then its fields in the order of the venue link.

Prices and quantities are exact text, times are journal nanoseconds. Kinds: ACK REJECT NOT_SENT UNKNOWN FILL CANCELED
CANCEL_REJECT CANCEL_UNKNOWN EXPIRED REPLACED REPLACE_REJECT FOUND ABSENT PRICE HEARTBEAT.
"""

Report = tuple[object, ...]

"""The PAPER exchange: pure functions over exact integers; events in, reports out, no clock, no sockets."""

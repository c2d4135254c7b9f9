"""A local Binance Spot for rehearsal and tests: its own engine, its own ledger, and faults on demand.

Shares no code with the gateway's core, so that what its ledger says is evidence and not an echo.
"""

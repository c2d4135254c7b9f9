"""Balances and positions as Postgres shows them: applied from the outbox, exactly once, for people and reports.

No decision is made from them: risk checks use the fold's own balances. Start with `outbox`.
"""

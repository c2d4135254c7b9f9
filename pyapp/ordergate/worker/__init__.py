"""The process that follows the journal: rows to Postgres, snapshots, outbox to portfolio.

It decides nothing and may be dead for days: trading goes on, and it takes up where the watermark stands. Start with
`main`.
"""

"""What Postgres is told and asked: migrations, the write-behind of the journal, its watermark.

No decision about an order is made here, and nothing here reads the journal. Start with `write_behind`.
"""

from ordergate.persistence.watermark import PostgresUnreadable, Watermark, read_watermark

__all__ = ["PostgresUnreadable", "Watermark", "read_watermark"]

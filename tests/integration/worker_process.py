"""A whole worker process over a history made by hand; arguments: DSN, data directory, orders, orders a batch.

Everything is real except the follower. How far the journal is committed stands as text in `journal/commit`.
"""

import sys
from pathlib import Path

from ordergate.config import Paths, Settings
from ordergate.config.settings import Postgres
from ordergate.persistence.watermark import EVENT_CHAIN_START
from ordergate.worker import main
from tests.integration.batches import Rows, history


class HandFollower:
    """Follows `history` as `_core.Follower` follows the journal."""

    def __init__(self, journal: Path, orders: int, per_batch: int) -> None:
        self.commit = journal / "commit"
        self.batches = list(history(orders, per_batch))
        self.seq = 0

    def committed_seq(self) -> int:
        return int(self.commit.read_text() or 0)

    def catch_up(self, seq: int | None = None) -> int:
        limit = min(self.committed_seq(), seq or 2**63)
        self.seq = max((batch.last_seq for batch in self.batches if batch.last_seq <= limit), default=0)
        return self.seq

    def start_rows(self, last_seq: int, chunk_hash: bytes, event_hash: bytes) -> None:
        heads = {0: EVENT_CHAIN_START} | {batch.last_seq: batch.event_hash for batch in self.batches}
        assert heads[last_seq] == event_hash
        assert self.seq == last_seq

    def poll_rows(self, max_records: int, *, to_state_hash: bool = False) -> Rows | None:
        assert max_records > 0
        # Read once: the file may be empty for a moment while the test writes it anew.
        committed = self.committed_seq()
        batch = next((batch for batch in self.batches if batch.last_seq > self.seq), None)
        if batch is None or batch.last_seq > committed:
            return None
        self.seq = batch.last_seq
        return batch

    def hash_agreed_seq(self) -> int:
        return self.seq

    def unpinned_seq(self) -> int:
        return self.seq

    def write_snapshot(self, snapshot_dir: str) -> str:
        path = Path(snapshot_dir) / f"{self.seq}.snapshot"
        path.touch()
        return str(path)


if __name__ == "__main__":
    address, directory, count, size = sys.argv[1:]

    def open_by_hand(journal: Path, snapshots: Path, from_seq: int, archive: Path) -> HandFollower:
        assert not archive.exists()
        assert snapshots.is_dir()
        assert from_seq >= 0
        return HandFollower(journal, int(count), int(size))

    main._open_follower = open_by_hand
    sys.exit(main.run(Settings(postgres=Postgres(url=address)), Paths(directory)))

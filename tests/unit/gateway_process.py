"""The gateway's `main.run` over the fake engine, as a process of its own: `<data dir> <port> <redis url> <what>`."""

import asyncio
import sys
from typing import Any

from tests.unit import fake_core

fake_core.install()

from ordergate import _core  # noqa: E402 - after the stand-in
from ordergate.config import Paths, Settings  # noqa: E402
from ordergate.config.settings import Http, Redis  # noqa: E402
from ordergate.gateway import main  # noqa: E402


class Opening:
    """Stands in for the class `Gateway`: `open` does what the test asks for."""

    @staticmethod
    def open(journal_dir: str, snapshot_dir: str, **options: Any) -> Any:
        what = sys.argv[4]
        if what == "locked":
            raise _core.JournalLocked(journal_dir)
        if what == "refused":
            raise _core.JournalRefused("segment 1, offset 64: damaged; restore it from a backup")
        gateway: Any = fake_core.Gateway(auto_flush=what != "slow")
        gateway.redis_bound = what == "bound"
        if what == "broken":

            def fail() -> None:
                gateway.failure = _core.JournalFailed("fdatasync: EIO")
                gateway.flush()

            gateway.refuse_place = fail
        if what == "slow":
            gateway.refuse_place = lambda: asyncio.get_running_loop().call_later(0.5, gateway.flush) and None
        return gateway


if __name__ == "__main__":
    _core.Gateway = Opening  # type: ignore[misc,assignment]
    paths = Paths(sys.argv[1])
    paths.prepare()
    settings = Settings(http=Http(port=int(sys.argv[2])), redis=Redis(url=sys.argv[3] or None))
    code = main.run(settings, paths)
    sys.exit(code)

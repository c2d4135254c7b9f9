"""Signs of life: who is alive and does nothing is as bad as dead."""

from pathlib import Path
from typing import Final


class Patience:
    """How long one process may go without a sign of life.

    It doubles each time that it ends, until there is a sign again: folding the journal of days takes its time, and a
    process that is always killed in the middle of it would never come to work.
    """

    def __init__(self, first_s: float) -> None:
        self.first_s: Final = first_s
        self.patience_s = first_s
        self._pid: int | None = None
        self._since_s = 0.0

    def sign(self, pid: int, now_s: float) -> None:
        """The process has shown that it lives."""
        self.patience_s = self.first_s
        self._pid, self._since_s = pid, now_s

    def rest(self) -> None:
        """Nothing can be expected at the moment; counting begins anew."""
        self._pid = None

    def over(self, pid: int, now_s: float) -> bool:
        """No sign: has it been missing for too long? Says so once, then waits twice as long."""
        if pid != self._pid:
            self._pid, self._since_s = pid, now_s
        if now_s - self._since_s <= self.patience_s:
            return False
        self.patience_s *= 2
        self._since_s = now_s
        return True


class VenueWatch:
    """A venue whose session the gateway has ended, for silence, and one that never comes to open a session."""

    def __init__(self, opening_s: float) -> None:
        self._opening: Final = Patience(opening_s)
        self._connected: int | None = None

    def complaint(self, pid: int | None, lost: bool, now_s: float) -> str | None:
        """Why the venue has to be killed; None when it has not. `lost`: the gateway has no session with it."""
        if pid is None:
            return None
        if not lost:
            self._connected = pid
            self._opening.sign(pid, now_s)
            return None
        if pid == self._connected:  # the gateway has waited already
            self._connected = None
            return "is silent"
        return "opens no session" if self._opening.over(pid, now_s) else None

    def rest(self) -> None:
        """The gateway cannot say."""
        self._opening.rest()


class FileWatch:
    """A process that rewrites a file as long as it lives. The clock of its times is not ours: only a change counts."""

    def __init__(self, file: Path, patience_s: float) -> None:
        self._file: Final = file
        self._patience: Final = Patience(patience_s)
        self._seen: int | None = None

    def frozen(self, pid: int | None, now_s: float) -> bool:
        """Whether the file has stayed the same for too long under this process."""
        if pid is None:
            self._patience.rest()
            return False
        try:
            written = self._file.stat().st_mtime_ns
        except OSError:
            written = None
        if written != self._seen:
            self._seen = written
            self._patience.sign(pid, now_s)
            return False
        return self._patience.over(pid, now_s)

"""`python -m tests.torture --minutes 20 --seed 1 [--faults kill-gateway,kill-worker]`; see docs/reliability.md."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.torture.faults import FAULTS, chosen
from tests.torture.live_faults import LIVE_FAULTS
from tests.torture.run import CHECK_EVERY, Failed, schedule, torture


def main() -> int:
    """0: everything held; 1: it did not, and the data are kept; 2: cannot be run like this."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cycles", type=int, help="end after so many cycles, if that comes first")
    parser.add_argument("--faults", default="", help="only these, with commas; default: all")
    parser.add_argument("--check-every", type=int, default=CHECK_EVERY, help="cycles between two checks")
    parser.add_argument("--live", action="store_true", help="LIVE at a local exchange, with its faults")
    options = parser.parse_args()
    try:
        names = [name for name in options.faults.split(",") if name]
        faults = chosen(names, LIVE_FAULTS if options.live else FAULTS)
    except ValueError as missing:
        print(missing, file=sys.stderr)
        return 2

    def goes_on(cycles: int, seconds: float) -> bool:
        return seconds < options.minutes * 60 and (options.cycles is None or cycles < options.cycles)

    directory = Path(tempfile.mkdtemp(prefix=f"ordergate-torture-{options.seed}-"))
    try:
        cycles = schedule(options.seed, faults)
        run = torture(
            directory,
            options.seed,
            cycles,
            goes_on=goes_on,
            check_every=options.check_every,
            trades_live=options.live,
        )
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    shutil.rmtree(directory)
    print(run.summary())
    return 0


if __name__ == "__main__":
    sys.exit(main())

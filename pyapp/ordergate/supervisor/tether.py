"""Becomes another program that the kernel ends together with its parent. Run as a file, by itself, with `-I -S`.

    tether.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT...]

Not a `preexec_fn`: that runs Python between fork and exec of a process that may have threads. The order matters: a
change of user clears the death signal, so the user comes first; and a parent that died before the request never
triggers it, so its pid is compared afterwards. `-` as UID and GID keeps the user.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns: execs, or exits with a message on stderr and code 71."""
    parent, death_signal, uid, gid, *command = arguments
    library = ctypes.CDLL(None, use_errno=True)
    try:
        if uid != "-":
            os.setgroups([int(gid)])
            os.setgid(int(gid))
            os.setuid(int(uid))
        if sys.platform == "linux" and library.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != int(parent):
            os._exit(0)
        # Python ignores these for itself, and an ignored signal stays ignored in the next program.
        for name in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(name, signal.SIG_DFL)
        os.execv(command[0], command)
    except OSError as error:
        who = "" if uid == "-" else f" as user {uid}"
        sys.stderr.write(f"cannot start {command[0]}{who}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(71)


if __name__ == "__main__":
    main(sys.argv[1:])

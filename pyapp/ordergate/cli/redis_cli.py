"""The `redis-cli` of `ordergate env`: always our own server, replies in redis-cli's format.

One difference: an error reply ends with code 1, since an emergency stop that failed must not look like one that worked.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ordergate.cli.resp import Failure, Link, Reply, Status, Unreachable
from ordergate.config import Paths
from ordergate.supervisor.addresses import Address, kept

USAGE: Final = """\
redis-cli, bound to the server of the ordergate in {data}

  redis-cli [-n DB] [--raw|--no-raw] [-x] [COMMAND [ARGUMENT...]]
  redis-cli [--scan] [--pattern P]

  -x          the last argument is read from standard input
  --raw       replies as they are (the default when the output is not a terminal)
  --no-raw    replies with their types
Without a command, commands are read from standard input, one a line.
Keys kill_switch:account:, :strategy: and :symbol: are looked for where they belong, in the next database, unless -n or
SELECT names one; a command that mixes them with others is refused.
For another server, call the redis-cli of your system by its full path.
"""
ENDLESS: Final = frozenset({b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"MONITOR"})
BLOCKING: Final = frozenset({b"BLPOP", b"BRPOP", b"BLMOVE", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"XREAD", b"WAIT"})
SCOPED: Final = (b"kill_switch:account:", b"kill_switch:strategy:", b"kill_switch:symbol:")
ALL_KEYS: Final = frozenset({b"DEL", b"UNLINK", b"EXISTS", b"MGET", b"TOUCH", b"WATCH", b"RENAME", b"RENAMENX"})
ESCAPES: Final = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}


class Options(msgspec.Struct):
    """What stands before the command."""

    database: int | None = None
    raw: bool = False
    last_from_input: bool = False
    scan: bool = False
    pattern: str = "*"


class Usage(Exception):
    """The options are not understood; or they name another server."""


class Place:
    """The connection, and the database that it is in.

    Scoped kill keys are in the next database: an emergency stop must not depend on knowing that. Whoever chooses a
    database (`-n`, SELECT) gets that one.
    """

    def __init__(self, link: Link, database: int, *, chosen: bool) -> None:
        self.link = link
        self._home = self._now = database
        self._chosen = chosen

    def go_to(self, words: list[bytes]) -> None:
        """Goes to the database of a command's keys. Raises Usage for one that names keys of both."""
        if self._chosen:
            return
        if words[0].upper() == b"SELECT":
            self._chosen = True
            return
        keys = keys_of(words)
        scoped = sum(key.startswith(SCOPED) for key in keys)
        if 0 < scoped < len(keys):
            raise Usage("keys of accounts, strategies and symbols are in another database: name them by themselves")
        wanted = self._home + (scoped > 0)
        if wanted != self._now:
            reply = self.link.ask([b"SELECT", str(wanted).encode()])
            if isinstance(reply, Failure):
                raise Unreachable(f"SELECT {wanted} was refused: {as_shown(reply)}")
            self._now = wanted


def keys_of(words: list[bytes]) -> list[bytes]:
    """The keys that a command names: of the commands that somebody may use on kill keys."""
    name = words[0].upper()
    if name in ALL_KEYS:
        return words[1:]
    if name in (b"MSET", b"MSETNX"):
        return words[1::2]
    return words[2:3] if name in (b"OBJECT", b"MEMORY", b"DEBUG") else words[1:2]


def main(arguments: list[str]) -> int:
    """The data directory, then redis-cli's own arguments; the exit code."""
    paths = Paths(arguments[0])
    known = kept(paths.servers)
    if known is None:
        print(f"redis-cli: ordergate has not run on {paths.data} yet: `ordergate up`", file=sys.stderr)
        return 1
    if arguments[1:2] in (["--help"], ["--version"]):
        print(USAGE.format(data=paths.data) if arguments[1] == "--help" else "redis-cli (ordergate)")
        return 0
    try:
        options, words = read_options(arguments[1:], known.redis)
        link = Link(known.redis.own_url, options.database)
        place = Place(link, link.database, chosen=options.database is not None)
        return _run(place, options, words)
    except Usage as error:
        print(f"redis-cli: {error}", file=sys.stderr)
        return 1
    except Unreachable as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def read_options(arguments: list[str], server: Address) -> tuple[Options, list[bytes]]:
    """Splits options from the command. Raises Usage."""
    options = Options(raw=not sys.stdout.isatty())
    rest = list(arguments)

    def value(name: str) -> str:
        if not rest:
            raise Usage(f"{name} needs a value")
        return rest.pop(0)

    flags: dict[str, Callable[[], None]] = {
        "--raw": lambda: setattr(options, "raw", True),
        "--no-raw": lambda: setattr(options, "raw", False),
        "-x": lambda: setattr(options, "last_from_input", True),
        "-e": lambda: None,
        "--scan": lambda: setattr(options, "scan", True),
        "--pattern": lambda: setattr(options, "pattern", value("--pattern")),
        "-n": lambda: setattr(options, "database", _number(value("-n"))),
        "-h": lambda: _same_server(server, host=value("-h")),
        "-p": lambda: _same_server(server, port=value("-p")),
        "-u": lambda: _same_server(server, url=value("-u")),
        "-s": lambda: _same_server(server, url="unix://" + value("-s")),
    }
    while rest and rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in flags:
            raise Usage(f"option {name} is not known here; see redis-cli --help")
        flags[name]()
    return options, [os.fsencode(word) for word in rest]


def _number(text: str) -> int:
    if not text.isdigit():
        raise Usage(f"-n {text}: expected a number")
    return int(text)


def _same_server(server: Address, *, host: str = "", port: str = "", url: str = "") -> None:
    ours = urlsplit(server.url)
    same = (
        (not host or host in {ours.hostname, "localhost" if ours.hostname == "127.0.0.1" else ours.hostname})
        and (not port or port == str(ours.port or 6379))
        and (not url or url.partition("?")[0] in {server.url, server.own_url.partition("?")[0]})
    )
    if not same:
        raise Usage(
            f"{host or port or url} is another server; this redis-cli only speaks to ordergate's ({server.url}). "
            "For the other one, call the redis-cli of your system by its full path"
        )


def _run(place: Place, options: Options, words: list[bytes]) -> int:
    if options.scan:
        pattern = options.pattern.encode()
        place.go_to([b"KEYS", pattern])
        for key in _scan(place.link, pattern):
            _print(key, options.raw)
        return 0
    if options.last_from_input:
        words = [*words, sys.stdin.buffer.read()]
    if words:
        return _one(place, words, options.raw)
    if sys.stdin.isatty():
        return _talk(place, options.raw)
    codes = [_one_of_many(place, split, options.raw) for line in sys.stdin if (split := _split(line))]
    return max(codes, default=0)


def _talk(place: Place, raw: bool) -> int:
    import readline  # noqa: F401 - gives input() its history

    while True:
        try:
            words = _split(input(f"{place.link.place}> "))
        except EOFError:
            return 0
        except ValueError:
            print("Invalid argument(s)")
            continue
        if words and words[0].lower() in (b"quit", b"exit"):
            return 0
        if words:
            _one_of_many(place, words, raw)


def _one_of_many(place: Place, words: list[bytes], raw: bool) -> int:
    """One that is refused leaves the others to be carried out."""
    try:
        return _one(place, words, raw)
    except Usage as error:
        print(f"redis-cli: {error}", file=sys.stderr)
        return 1


def _split(line: str) -> list[bytes]:
    return [os.fsencode(word) for word in shlex.split(line)]


def _one(place: Place, words: list[bytes], raw: bool) -> int:
    name, link = words[0].upper(), place.link
    place.go_to(words)
    if name in ENDLESS or name in BLOCKING:
        link.wait_for_ever()
    reply = link.ask(words)
    _print(reply, raw)
    while name in ENDLESS and not isinstance(reply, Failure):
        sys.stdout.flush()
        reply = link.listen()
        _print(reply, raw)
    return 1 if isinstance(reply, Failure) else 0


def _scan(link: Link, pattern: bytes) -> Iterator[bytes]:
    cursor = b"0"
    while True:
        reply = link.ask([b"SCAN", cursor, b"MATCH", pattern])
        if not isinstance(reply, list) or not isinstance(reply[0], bytes) or not isinstance(reply[1], list):
            raise Unreachable(f"SCAN was refused: {as_shown(reply)}")
        yield from (key for key in reply[1] if isinstance(key, bytes))
        cursor = reply[0]
        if cursor == b"0":
            return


def _print(reply: Reply, raw: bool) -> None:
    sys.stdout.buffer.write((as_is(reply) if raw else as_shown(reply).encode()) + b"\n")


def as_is(reply: Reply) -> bytes:
    """A reply for a program: only its content."""
    if isinstance(reply, Status | Failure):
        return reply.text
    if isinstance(reply, list):
        return b"\n".join(as_is(item) for item in reply)
    return str(reply).encode() if isinstance(reply, int) else reply or b""


def as_shown(reply: Reply, indent: str = "") -> str:
    """A reply for a person: with its type."""
    if isinstance(reply, Status):
        return reply.text.decode(errors="replace")
    if isinstance(reply, Failure):
        return f"(error) {reply.text.decode(errors='replace')}"
    if isinstance(reply, int):
        return f"(integer) {reply}"
    if reply is None:
        return "(nil)"
    if isinstance(reply, bytes):
        return quoted(reply)
    if not reply:
        return "(empty array)"
    width = len(str(len(reply)))
    inner = indent + " " * (width + 2)
    lines = [f"{place:>{width}}) {as_shown(item, inner)}" for place, item in enumerate(reply, start=1)]
    return f"\n{indent}".join(lines)


def quoted(text: bytes) -> str:
    """A string in double quotes, with everything that is not printable ASCII escaped."""
    return (
        '"' + "".join(ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in text) + '"'
    )


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.exit(code)

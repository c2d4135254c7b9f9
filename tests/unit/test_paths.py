"""Paths of a data directory: short sockets, private directories, one name for one place."""

import os
import stat
from pathlib import Path

import pytest

from ordergate.config import Paths, PathsError
from ordergate.config.paths import LONGEST_SOCKET, SOCKET_PATH_LIMIT, check_private


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short directory name for what would go to shared temporary places."""
    runtime = Path("/tmp") / f"og-paths-{os.getpid()}"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return runtime


@pytest.fixture(autouse=True)
def _tidy() -> object:
    import shutil

    yield
    shutil.rmtree(f"/tmp/og-paths-{os.getpid()}", ignore_errors=True)


def deep(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 100) / "data"


def test_a_short_directory_keeps_everything_inside(short: Path) -> None:
    paths = Paths(short / "d")
    assert paths.run == short / "d" / "run"
    assert paths.venue_socket == short / "d/run/venue.sock"
    assert not paths.data.exists()
    paths.prepare()
    for directory in (paths.run, paths.journal, paths.snapshots, paths.valkey, paths.log, paths.shims):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(paths.data.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)


def test_a_deep_directory_moves_only_the_run_directory(short: Path, tmp_path: Path) -> None:
    paths = Paths(deep(tmp_path))
    assert paths.run.parent == short
    assert len(os.fsencode(paths.run / LONGEST_SOCKET)) <= SOCKET_PATH_LIMIT
    paths.prepare()
    assert stat.S_IMODE(paths.run.stat().st_mode) == 0o700
    assert Paths(tmp_path / ("y" * 100)).run != paths.run


def test_others_find_the_moved_directory_whatever_their_environment(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(deep(tmp_path))
    paths.prepare()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert Paths(deep(tmp_path)).run == paths.run


def test_a_moved_directory_that_a_reboot_took_comes_back(short: Path, tmp_path: Path) -> None:
    paths = Paths(deep(tmp_path))
    paths.prepare()
    paths.run.rmdir()
    Paths(deep(tmp_path)).prepare()
    assert paths.run.is_dir()


def test_a_directory_that_somebody_else_can_enter_is_not_used(short: Path, tmp_path: Path) -> None:
    paths = Paths(deep(tmp_path))
    paths.run.mkdir(mode=0o755)
    paths.run.chmod(0o755)
    with pytest.raises(PathsError, match="only we can use"):
        paths.prepare()
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(PathsError):
        check_private(link, os.geteuid())


def test_a_comma_would_split_a_database_url(short: Path) -> None:
    assert Paths(short / "a,b").run.parent == short
    assert Paths(short / "a,b").run != short / "a,b" / "run"


def test_two_names_of_one_place_are_one(short: Path) -> None:
    (short / "real").mkdir()
    (short / "alias").symlink_to(short / "real")
    assert Paths(short / "alias").data == Paths(short / "real" / "." / ".." / "real").data


def test_existing_permissions_are_left_alone(short: Path) -> None:
    (short / "d").mkdir(mode=0o700)
    (short / "d" / "log").mkdir()
    (short / "d" / "log").chmod(0o750)
    Paths(short / "d").prepare()
    assert stat.S_IMODE((short / "d").stat().st_mode) == 0o700
    assert stat.S_IMODE((short / "d" / "log").stat().st_mode) == 0o750


def test_what_is_in_the_way_is_named(short: Path) -> None:
    (short / "d").write_text("")
    with pytest.raises(PathsError, match=str(short / "d")):
        Paths(short / "d").prepare()

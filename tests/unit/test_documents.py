"""What the documents list is what there is."""

import re
from pathlib import Path

import click
import pytest

from ordergate.cli import main
from ordergate.config import Settings
from ordergate.venues.binance import budget, outcomes

TOP = Path(__file__).resolve().parents[2]
DOCUMENTS = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]


def test_the_journal_page_lists_every_record() -> None:
    source = (TOP / "core_rs/core/src/record.rs").read_text()
    there = set(re.findall(r'^    ([0-9]+) \w+\(.+\) => "([A-Z_]+)"', source, re.MULTILINE))
    page = (TOP / "docs/journal.md").read_text()
    listed = re.findall(r"^\| ([0-9]+) \| `([A-Z_]+)` \|", page, re.MULTILINE)
    assert len(there) > 40
    assert sorted(listed) == sorted(there)
    assert [int(kind) for kind, _ in listed] == sorted(int(kind) for kind, _ in listed)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(path: Path) -> None:
    for line in re.findall(r"^\s*(?:\$ )?ordergate ([a-z][a-z -]*[a-z])", path.read_text(), re.MULTILINE):
        command: click.Command = main
        context = click.Context(main)
        for word in line.split():
            if not isinstance(command, click.Group):
                break
            found = command.get_command(context, word)
            assert found is not None, f"{path.name}: ordergate {line}: there is no {word}"
            command = found


def test_the_operations_page_lists_the_settings_of_risk() -> None:
    section = (TOP / "docs/operations.md").read_text().partition("| setting of `[risk]` |")[2].partition("\n\n")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| `?([\w]+)`? \|", section, re.MULTILINE))
    risk = Settings().risk
    words = {name: str(getattr(risk, name)) for name in risk.__struct_fields__}
    assert listed == {name: {"True": "true", "False": "false"}.get(word, word) for name, word in words.items()}


def test_the_binance_page_lists_its_settings() -> None:
    section = (TOP / "docs/binance.md").read_text().partition("| setting of `[binance]` |")[2].partition("\n\n")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", section, re.MULTILINE))
    binance = Settings().binance

    def text(value: object) -> str:
        if isinstance(value, tuple):
            return ", ".join(value)
        return {"None": "not set", "False": "false"}.get(str(value), str(value))

    assert listed == {name: text(getattr(binance, name)) for name in binance.__struct_fields__}


def test_the_binance_page_lists_every_reason() -> None:
    page = (TOP / "docs/binance.md").read_text()
    known = {one.reason for one in outcomes.REFUSED_BEFORE.values()} | set(outcomes.NEW_ORDER_MESSAGES.values())
    known |= set(outcomes.UNKNOWN_CODES.values()) | {outcomes.REFUSED_BY_ENGINE}
    assert [word for word in sorted(known) if f"`{word}`" not in page] == []
    assert all(f"{share} %" in page for share in budget.SHARES.values())

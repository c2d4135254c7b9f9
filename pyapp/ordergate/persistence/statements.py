"""Named SQL statements: one file of SQL per module, so that people and tools can read it as SQL."""

from pathlib import Path
from typing import Final

MARK: Final = "-- name: "


def named_statements(file: Path) -> dict[str, str]:
    """The statements of the file by name; each begins with a line `-- name: <name>`. ValueError on a repeated name."""
    statements: dict[str, str] = {}
    for part in file.read_text(encoding="utf-8").split(f"\n{MARK}")[1:]:
        name, _, text = part.partition("\n")
        if name in statements:
            raise ValueError(f"{file.name}: two statements are named {name}")
        statements[name] = text.strip().removesuffix(";")
    return statements

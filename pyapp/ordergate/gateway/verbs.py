"""What the administration's verbs share: how they refuse, and the shape of their arguments."""

from typing import Any

import msgspec

Json = dict[str, Any]


class Refused(Exception):
    """An administration request that cannot be carried out: (code, detail)."""


class Arguments(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Arguments of a verb: unknown members are refused."""


class Nothing(Arguments):
    """No arguments."""

"""Which tickets a policy or a rule is about, in a few words for a list."""

from collections.abc import Iterable
from typing import Any

# How many of a kind are named.
NAMED = 3


def conditions(*kinds: Iterable[Any]) -> str:
    """`VPN or Wi-Fi; Network`: one of each kind. Without any: every ticket."""
    return "; ".join(filter(None, map(_either, kinds))) or "every ticket"


def _either(rows: Iterable[Any]) -> str:
    names = [str(row) for row in rows]
    shown = names[:NAMED] + ([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])
    return " or ".join(shown)

"""Who is connected right now, as far as somebody who knows tells us.

Presence is an open socket, availability an agent's own decision; sockets lie to the right of this
app, so whoever has them registers where to ask.
"""

from collections.abc import Callable, Collection, Mapping

STATES = ("online", "away", "offline")
Source = Callable[[Collection[int]], Mapping[int, str]]

_sources: list[Source] = []


def register(source: Source) -> None:
    """`source` answers the presence of the users with the given ids; the last one counts."""
    _sources[:] = [source]


def states(ids: Collection[int]) -> dict[int, str]:
    """The presence of each of these users: offline where nobody knows better."""
    known = _sources[0](ids) if _sources else {}
    return {number: known.get(number, "offline") for number in ids}

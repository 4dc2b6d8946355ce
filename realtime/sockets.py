"""The sockets of this process, by whatever they are looked up by. No I/O."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from realtime.connection import Connection
from realtime.protocol import HEARTBEAT_SECONDS

NOBODY: frozenset[Connection] = frozenset()


class Sockets:
    """`desk` are those in the agents' room."""

    def __init__(self) -> None:
        self._all: set[Connection] = set()
        self._by_user: dict[int, set[Connection]] = defaultdict(set)
        self._watchers: dict[int, set[Connection]] = defaultdict(set)
        # As many groups as seconds in a heartbeat: each second one of them has its turn.
        self._beats: list[set[Connection]] = [set() for _ in range(int(HEARTBEAT_SECONDS))]
        self.desk: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        """Those of now, whatever happens to them on the way."""
        return iter(list(self._all))

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._all

    def add(self, connection: Connection) -> None:
        self._all.add(connection)
        self._by_user[connection.user_id].add(connection)
        min(self._beats, key=len).add(connection)

    def remove(self, connection: Connection) -> None:
        self._all.discard(connection)
        self.desk.discard(connection)
        for beat in self._beats:
            beat.discard(connection)
        self.watch(connection, frozenset())
        _drop(self._by_user, connection.user_id, connection)

    def of_user(self, user: int) -> Collection[Connection]:
        return self._by_user.get(user, NOBODY)

    def of_users(self, users: Iterable[int]) -> list[Connection]:
        return [connection for user in users for connection in self.of_user(user)]

    def watch(self, connection: Connection, users: frozenset[int]) -> None:
        """It is told of the presence of these users from now on, and of no others."""
        for user in connection.watched - users:
            _drop(self._watchers, user, connection)
        for user in users - connection.watched:
            self._watchers[user].add(connection)
        connection.watched = users

    def watchers_of(self, user: int) -> Collection[Connection]:
        return self._watchers.get(user, NOBODY)

    def next_beat(self) -> Collection[Connection]:
        """Those whose turn it is, once in every heartbeat."""
        beat = self._beats.pop(0)
        self._beats.append(beat)
        return beat


def _drop(index: dict[int, set[Connection]], user: int, connection: Connection) -> None:
    index[user].discard(connection)
    if not index[user]:
        del index[user]

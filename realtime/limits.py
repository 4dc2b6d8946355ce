"""How much one may do. No I/O; `now` is a clock that does not jump, in seconds."""

from collections import OrderedDict

FRAMES_A_SECOND, FRAMES_AT_ONCE = 20.0, 40.0
MESSAGES_A_SECOND, MESSAGES_AT_ONCE = 5.0, 5.0
# So many refusals are forgiven; who earns more is not a client that is a little too fast.
REFUSALS_A_SECOND, REFUSALS_AT_ONCE = 10.0, 100.0
MAX_SOCKETS_A_USER = 20
# Users whose budget is remembered; who is forgotten has a full one.
REMEMBERED = 10_000


class Bucket:
    """A token bucket: `rate` a second, up to `size` at once."""

    __slots__ = ("_at", "_left", "_rate", "_size")

    def __init__(self, rate: float, size: float, now: float) -> None:
        self._rate, self._size = rate, size
        self._left, self._at = size, now

    def take(self, now: float) -> int:
        """0 where it is allowed, else the milliseconds until it will be."""
        self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0
        return max(1, round((1 - self._left) / self._rate * 1000))


class MessageBudget:
    """What each user may send, over all their sockets of this process."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[int, Bucket] = OrderedDict()

    def take(self, user: int, now: float) -> int:
        """As `Bucket.take`."""
        bucket = self._buckets.pop(user, None)
        bucket = bucket or Bucket(MESSAGES_A_SECOND, MESSAGES_AT_ONCE, now)
        self._buckets[user] = bucket
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket.take(now)


class FrameBudget:
    """What one socket may say. Refusing costs something, too, so there is a budget for that."""

    def __init__(self, now: float) -> None:
        self._frames = Bucket(FRAMES_A_SECOND, FRAMES_AT_ONCE, now)
        self._refusals = Bucket(REFUSALS_A_SECOND, REFUSALS_AT_ONCE, now)

    def take(self, now: float) -> int:
        """As `Bucket.take`. Raises RateAbuse."""
        wait = self._frames.take(now)
        if wait and self._refusals.take(now):
            raise RateAbuse
        return wait


class RateAbuse(Exception):
    """Nobody who reads the answers would go on like that."""

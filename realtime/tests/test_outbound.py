"""What waits for a slow reader: bounded, in order, and events never in the place of signals."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from realtime.outbound import (
    MAX_STALL_SECONDS,
    MAX_WAITING_BYTES,
    MAX_WAITING_FRAMES,
    AsgiOutbound,
    Backlog,
    DirectOutbound,
)
from realtime.protocol.wire import Prepared

# Few of the largest fit, many of the smallest.
sizes = st.sampled_from([0, 10, 1000, MAX_WAITING_BYTES // 5, MAX_WAITING_BYTES])


class Waiting(RuleBasedStateMachine):
    """A backlog beside a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog()
        self.model: list[Prepared] = []

    @rule(size=sizes, is_signal=st.booleans(), times=st.sampled_from([1, 1, 1, 100]))
    def put(self, size, is_signal, times):
        for _ in range(times):
            frame = Prepared(b"x" * size, is_signal=is_signal)
            assert self.backlog.put(frame) == self.expect(frame)

    def expect(self, frame: Prepared) -> bool:
        """Whether it is taken, or may be dropped."""
        if fits([*self.model, frame]):
            self.model.append(frame)
            return True
        if frame.is_signal:
            return True
        self.model = [each for each in self.model if not each.is_signal]
        if not fits([*self.model, frame]):
            return False
        self.model.append(frame)
        return True

    @precondition(lambda self: self.model)
    @rule(times=st.integers(1, 300))
    def take(self, times):
        for _ in range(min(times, len(self.model))):
            assert self.backlog.take() is self.model.pop(0)

    @rule()
    def clear(self):
        self.backlog.clear()
        self.model = []

    @invariant()
    def is_bounded(self):
        assert len(self.backlog) == len(self.model)
        assert fits(self.model)


def fits(frames: list[Prepared]) -> bool:
    total = sum(len(frame.wire) for frame in frames)
    return len(frames) <= MAX_WAITING_FRAMES and total <= MAX_WAITING_BYTES


Waiting.TestCase.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, database=None, derandomize=True
)
TestWaiting = Waiting.TestCase


class Wire:
    """A transport that pauses after every so many frames, as one whose buffer is full."""

    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.room = holds
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.room -= 1
        if not self.room:
            self.pause()

    def listen(self, pause, resume, gone) -> None:
        self.pause, self.resume, self.gone = pause, resume, gone

    def abort(self) -> None:
        raise AssertionError

    def empties(self) -> None:
        self.room = self.holds
        self.resume()


@settings(deadline=None)
@given(st.integers(1, 5), st.lists(st.booleans(), max_size=80))
async def test_however_a_transport_pauses_all_comes_in_order(holds, empties) -> None:
    wire, slow = Wire(holds), []
    outbound = DirectOutbound(wire, lambda: slow.append(True))
    frames = [Prepared(str(nth).encode()) for nth in range(len(empties))]
    for frame, does in zip(frames, empties, strict=True):
        outbound.send(frame)
        if does and wire.room <= 0:
            wire.empties()
    while wire.room <= 0:
        wire.empties()
    await outbound.drained()
    assert wire.written == [frame.wire for frame in frames]
    assert not slow


async def test_who_does_not_read_is_given_up_once_and_nothing_more_is_kept() -> None:
    wire, slow = Wire(1), []
    outbound = DirectOutbound(wire, lambda: slow.append(True))
    for _ in range(MAX_WAITING_FRAMES + 10):
        outbound.send(Prepared(b"x"))
    assert slow == [True]
    assert len(outbound.backlog) == 0
    assert len(wire.written) == 1


async def test_signals_are_dropped_before_an_event_is() -> None:
    wire, slow = Wire(1), []
    outbound = DirectOutbound(wire, lambda: slow.append(True))
    for _ in range(2 * MAX_WAITING_FRAMES):
        outbound.send(Prepared(b"signal", is_signal=True))
    outbound.send(Prepared(b"event"))
    assert [len(outbound.backlog), outbound.backlog.take().json, slow] == [1, b"event", []]


async def test_a_transport_that_is_paused_for_long_has_stalled() -> None:
    wire = Wire(1)
    outbound = DirectOutbound(wire, lambda: None)
    assert not outbound.has_stalled(1e9)
    outbound.send(Prepared(b"x"))
    since = outbound.stalled_since
    assert since is not None
    assert not outbound.has_stalled(since + MAX_STALL_SECONDS)
    assert outbound.has_stalled(since + MAX_STALL_SECONDS + 0.1)
    wire.room = 2
    wire.resume()
    assert not outbound.has_stalled(since + 1e9)


async def test_who_waits_for_a_peer_that_has_gone_waits_no_longer() -> None:
    wire, slow = Wire(1), []
    outbound = DirectOutbound(wire, lambda: slow.append(True))
    for _ in range(5):
        outbound.send(Prepared(b"x"))
    waiting = asyncio.create_task(outbound.drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    wire.gone()
    await waiting
    assert outbound.is_over
    assert not slow


class Server:
    """One that is not ours: it takes ASGI messages, one at a time, when it may."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.may_go = asyncio.Event()

    async def send(self, message: dict[str, str]) -> None:
        await self.may_go.wait()
        self.sent.append(message["text"])


async def test_another_server_gets_everything_in_order_as_fast_as_it_takes_it() -> None:
    server, slow = Server(), []
    outbound = AsgiOutbound(server.send, lambda: slow.append(True))
    frames = [Prepared(str(number).encode()) for number in range(50)]
    for frame in frames:
        outbound.send(frame)
    await asyncio.sleep(0)
    assert outbound.stalled_since is not None
    server.may_go.set()
    assert await outbound.finish(Prepared(b"last"))
    outbound.send(Prepared(b"too late"))
    await outbound.drained()
    assert server.sent == [*map(str, range(50)), "last"]
    assert not slow


async def test_another_server_that_takes_nothing_is_given_up() -> None:
    server, slow = Server(), []
    outbound = AsgiOutbound(server.send, lambda: slow.append(True))
    for _ in range(MAX_WAITING_FRAMES + 2):
        outbound.send(Prepared(b"x"))
    assert slow == [True]
    server.may_go.set()

"""The database from coroutines, in threads of our own.

Channels' `database_sync_to_async` puts every call of a process on one thread, so that one slow
query holds up all sockets. Here a few threads share the work; a connection goes back (to the pool,
where there is one) after every call.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
R = TypeVar("R")
Question = TypeVar("Question")
Found = TypeVar("Found")
THREADS = 4

_readers = ThreadPoolExecutor(THREADS, thread_name_prefix="realtime-read")
# Who writes may wait for a lock, but nobody who only reads waits for them.
_writers = ThreadPoolExecutor(THREADS, thread_name_prefix="realtime-write")


async def in_database(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What the call answers or raises."""
    return await _run(_readers, partial(call, *args, **kwargs))


async def writing(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The same for what changes something."""
    return await _run(_writers, partial(call, *args, **kwargs))


async def _run(threads: ThreadPoolExecutor, call: Callable[[], R]) -> R:
    def run() -> R:
        close_old_connections()
        try:
            return call()
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(threads, run)


class Together(Generic[Question, Found]):
    """Asks the database for many at once.

    Whoever comes while a call is under way waits for the next one and shares it: alone it costs no
    time, and when a thousand sockets come back it saves most of the hops between threads.
    """

    def __init__(self, ask: Callable[[Sequence[Question]], Sequence[Found]], at_once: int) -> None:
        self._ask = ask
        self._at_once = at_once
        self._waiting: list[tuple[Question, asyncio.Future[Found]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, question: Question) -> Found:
        answer: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            some = self._waiting[: self._at_once]
            del self._waiting[: self._at_once]
            try:
                found = await in_database(self._ask, [question for question, _ in some])
            except Exception as exc:
                for _, answer in some:
                    if not answer.done():
                        answer.set_exception(exc)
                continue
            for (_, answer), each in zip(some, found, strict=True):
                if not answer.done():
                    answer.set_result(each)

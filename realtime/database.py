"""The database from coroutines, in threads of our own.

Channels' `database_sync_to_async` puts every call of a process on one thread, so that one slow
query holds up all sockets. Here a few threads share the work; a connection goes back (to the pool,
where there is one) after every call.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
R = TypeVar("R")
THREADS = 4

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="realtime-db")


async def in_database(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What the call answers or raises."""

    def run() -> R:
        close_old_connections()
        try:
            return call(*args, **kwargs)
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(_threads, run)

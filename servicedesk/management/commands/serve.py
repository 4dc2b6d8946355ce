import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from servicedesk.models import Heartbeat
from servicedesk.sweeps import run_lanes


class Command(BaseCommand):
    help = "Serve HTTP and WebSocket through Daphne; --worker also runs the sweeps in a thread."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--worker", action="store_true", help="run the sweeps in a thread")
        parser.add_argument(
            "--grace",
            type=float,
            default=30,
            metavar="S",
            help="asked to end, wait at most so many seconds for requests in hand",
        )
        parser.add_argument(
            "--notice",
            type=float,
            default=0,
            metavar="S",
            help="asked to end, take new connections for so many seconds more, in which "
            "/health/ready says that it is over",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from realtime import hub
        from servicedesk.asgi import application
        from servicedesk.server import Server

        host, port = options["host"], options["port"]
        server = Server(
            application,
            host=host,
            port=port,
            grace=options["grace"],
            notice=options["notice"],
            ready=lambda: self.announce(host, port),
        )
        server.before_exit(hub.drain)
        with worker_thread() if options["worker"] else _nothing():
            server.run()
        if server.failure:
            raise CommandError(server.failure)
        server.leave()

    def announce(self, host: str, port: int) -> None:
        base = f"http://{host}:{port}"
        self.stdout.write(
            f"\nThe desk is open on {base}\n"
            f"  console    {base}/admin/\n"
            f"  API        {base}/api/docs/\n"
            f"  database   {settings.DATABASES['default']['ENGINE'].rpartition('.')[2]}\n"
            "Ctrl-C closes it.\n"
        )
        self.stdout.flush()


@contextmanager
def worker_thread(interval: float = 2.0) -> Iterator[None]:
    """The sweeps beside the server, ended after the batch in hand."""
    stop = threading.Event()
    thread = threading.Thread(
        target=run_lanes,
        name="worker",
        args=(stop,),
        kwargs={
            "interval": interval,
            "batch": 200,
            "after_round": lambda: Heartbeat.beat("worker"),
        },
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _nothing() -> Iterator[None]:
    yield

"""The desk's server and Django's handler around views whose storage does on request what a real
one seldom does.

    python -m attachments.tests.transfer_server PORT FOLDER

`GET /files/<name>` gives a file of the folder, `?store=` says how the storage behaves. Tests
start it as a process of its own.
"""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

CHUNK = 64 * 1024
MB = 1024 * 1024


class State:
    """What the tests ask about."""

    folder = Path()
    open_readers = 0
    # Set, a stuck storage goes on.
    go = threading.Event()


def read_file(path: Path, start: int, stop: int) -> Generator[bytes, None, None]:
    State.open_readers += 1
    try:
        with path.open("rb") as file:
            file.seek(start)
            while start < stop:
                chunk = file.read(min(CHUNK, stop - start))
                start += len(chunk)
                yield chunk
    finally:
        State.open_readers -= 1


def behaving(how: str, path: Path, start: int, stop: int) -> Generator[bytes, None, None]:
    from attachments.refusals import StorageUnavailable

    if how == "away":
        raise StorageUnavailable
    with closing(read_file(path, start, stop)) as chunks:
        for number, chunk in enumerate(chunks):
            if how == "slow":
                time.sleep(0.05)
            if how == "stuck" and number == 1:
                State.go.wait(60)
            if how == "fails" and number == 16:
                raise OSError("the disk has gone")
            if how == "ends early" and number == 16:
                return
            yield chunk
        if how == "does not end":
            yield b"more"


def views():
    from rest_framework.decorators import api_view, authentication_classes, permission_classes
    from rest_framework.response import Response

    from agents.models import User
    from attachments.api.streaming import file_response

    def view(*methods):
        def decorate(function):
            return api_view(methods)(authentication_classes([])(permission_classes([])(function)))

        return decorate

    @view("GET", "HEAD")
    def give(request, name):
        path = State.folder / name
        how = request.query_params.get("store", "")
        if "database" in request.query_params:
            # As a view does that asks for permission: the connection is the request's now.
            User.objects.exists()
        return file_response(
            request,
            size=path.stat().st_size,
            etag=name,
            read=lambda start, stop: behaving(how, path, start, stop),
            filename=name,
            content_type="video/mp4",
            is_inline=False,
        )

    @view("POST")
    def take(request):
        digest, size = hashlib.sha256(), 0
        while piece := request._request.read(CHUNK):
            digest.update(piece)
            size += len(piece)
        return Response({"size": size, "sha256": digest.hexdigest()})

    @view("GET")
    def state(request):
        readers = [thread for thread in threading.enumerate() if thread.name.startswith("download")]
        found = {"open_readers": State.open_readers, "threads": threading.active_count()}
        return Response(found | {"reading_threads": len(readers)})

    @view("POST")
    def go(request):
        State.go.set()
        return Response({})

    return give, take, state, go


def main(port: str, folder: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "servicedesk.settings.testing")
    import django

    django.setup(set_prefix=False)
    from django.conf import settings
    from django.urls import path

    State.folder = Path(folder)
    give, take, state, go = views()
    urlpatterns.extend(
        [
            path("files/<name>", give),
            path("api/files/upload", take),
            path("state", state),
            path("go", go),
        ]
    )
    settings.ROOT_URLCONF = __name__
    from servicedesk.asgi import application
    from servicedesk.server import Server

    if size := os.environ.get("POOL"):
        pool = {"min_size": 1, "max_size": int(size), "timeout": 5}
        settings.DATABASES["default"]["OPTIONS"]["pool"] = pool
    Server(
        application,
        host="127.0.0.1",
        port=int(port),
        ready=lambda: print("ready", flush=True),  # noqa: T201
    ).run()


urlpatterns: list[Any] = []

if __name__ == "__main__":
    main(*sys.argv[1:])

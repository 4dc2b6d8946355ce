"""Which socket is where."""

from typing import Any

from channels.routing import URLRouter
from django.urls import path, re_path

from realtime.consumers import DeskConsumer


async def nothing_here(scope: Any, receive: Any, send: Any) -> None:
    """Refuse the handshake (403) on any other path."""
    await send({"type": "websocket.close"})


websocket = URLRouter(
    [path("ws/", DeskConsumer.as_asgi()), re_path(r"", nothing_here)]  # type: ignore[arg-type]
)

"""Channels as its documentation shows it: a consumer in a group. And with one thing mended.

Of the layers, BENCH_LAYER says which.
"""

import os
from typing import Any

from django.conf import settings

from benchmarks.live.servers import ROOM

if not settings.configured:
    settings.configure(
        CHANNEL_LAYERS={
            "default": {
                "BACKEND": os.environ["BENCH_LAYER"],
                # Longer than the 5 s after which redis-py 8 gives an idle layer up.
                "CONFIG": {"hosts": [{"address": os.environ["REDIS_URL"], "socket_timeout": 15}]},
            }
        }
    )

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer


class Stock(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        await self.channel_layer.group_add(ROOM, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(ROOM, self.channel_name)

    async def room_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


class OwnDispatch(Stock):
    """Without the hop through a thread that closes old database connections at every message."""

    async def dispatch(self, message: dict[str, Any]) -> None:
        await getattr(self, get_handler_name(message))(message)


stock = Stock.as_asgi()
own_dispatch = OwnDispatch.as_asgi()

"""`websockets.broadcast`: about the limit of what a Python library reaches."""

import asyncio
import os
import sys

from redis.asyncio import Redis
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.live.servers import ROOM

room: set[ServerConnection] = set()


async def join(connection: ServerConnection) -> None:
    room.add(connection)
    try:
        await connection.wait_closed()
    finally:
        room.discard(connection)


async def main(port: int) -> None:
    async with Redis.from_url(os.environ["REDIS_URL"]).pubsub() as subscription:
        await subscription.subscribe(ROOM)
        async with serve(join, "127.0.0.1", port, compression=None):
            async for message in subscription.listen():
                if message["type"] == "message":
                    broadcast(room, message["data"].decode())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

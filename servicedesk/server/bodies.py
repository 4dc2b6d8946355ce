"""The body of a request on its way to the application: from the disk, as it asks for it."""

import asyncio
from io import BytesIO
from typing import Any

# The application has one piece of a body at a time, however large the body is.
PIECE = 256 * 1024


class RequestQueue(asyncio.Queue[dict[str, Any]]):
    """What an application receives of one request: its body, and that the peer has gone.

    Daphne would read the whole body into its queue. It gets an empty one instead, and ours is
    closed, and with that off the disk, when it has been read or nobody will read it.
    """

    def __init__(self, request: Any) -> None:
        super().__init__()
        self._body, request.content = request.content, BytesIO()

    def _put(self, item: dict[str, Any]) -> None:
        if item["type"] == "http.disconnect":
            self._body.close()
            super()._put(item)

    async def receive(self) -> dict[str, Any]:
        if self._body.closed:
            return await self.get()
        piece = self._body.read(PIECE)
        is_last = len(piece) < PIECE
        if is_last:
            self._body.close()
        else:
            # Between two pieces everybody else has a turn.
            await asyncio.sleep(0)
        return {"type": "http.request", "body": piece, "more_body": not is_last}

"""HTTP and WebSocket joined."""

import os
from typing import IO, Any
from uuid import uuid4

import django
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter
from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections
from django.http.response import HttpResponseBase

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "servicedesk.settings.development")
django.setup(set_prefix=False)

from realtime.routing import websocket  # noqa: E402
from servicedesk.api.errors import problem_for_status  # noqa: E402
from servicedesk.middleware import secure  # noqa: E402


class DeskHandler(ASGIHandler):
    """Django's handler, and what no middleware can mend because it happens before them."""

    def create_request(self, scope: Any, body_file: IO[bytes]) -> tuple[Any, Any]:
        request, refusal = super().create_request(scope, body_file)
        if request is None and refusal is not None:  # the query string is not UTF-8
            problem = problem_for_status(refusal.status_code).response()
            problem["X-Request-ID"] = uuid4().hex
            secure(problem)
            return None, problem
        if request is not None and "CONTENT_LENGTH" not in request.META:
            # Sent in chunks. Without a length REST framework takes a body for empty.
            request.META["CONTENT_LENGTH"] = str(body_file.seek(0, os.SEEK_END))
            body_file.seek(0)
        return request, None

    async def send_response(self, response: HttpResponseBase, send: Any) -> None:
        """Django keeps what a request has borrowed until the peer has read all of the answer, and
        for ever where the answer fails in the middle."""
        try:
            if response.streaming:
                # A few slow readers would hold all of the pool's connections.
                await sync_to_async(close_old_connections)()
            await super().send_response(response, send)
        except Exception:
            await sync_to_async(response.close)()
            raise


http = DeskHandler()
application = ProtocolTypeRouter({"http": http, "websocket": websocket})

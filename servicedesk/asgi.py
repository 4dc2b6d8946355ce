"""HTTP and WebSocket joined."""

import os
from typing import IO, Any
from uuid import uuid4

import django
from channels.routing import ProtocolTypeRouter
from django.core.handlers.asgi import ASGIHandler

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


http = DeskHandler()
application = ProtocolTypeRouter({"http": http, "websocket": websocket})

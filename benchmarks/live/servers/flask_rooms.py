"""Flask-SocketIO on gevent, with its rooms and its Redis message queue."""

# Installed for this benchmark only.
# mypy: disable-error-code="import-not-found, import-untyped"

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import sys  # noqa: E402

from flask import Flask  # noqa: E402
from flask_socketio import SocketIO, join_room  # noqa: E402

from benchmarks.live.servers import ROOM  # noqa: E402


def main(port: int) -> None:
    app = Flask(__name__)
    rooms = SocketIO(app, async_mode="gevent", message_queue=os.environ["REDIS_URL"])
    rooms.on_event("connect", lambda auth=None: join_room(ROOM))
    rooms.run(app, host="127.0.0.1", port=port)


if __name__ == "__main__":
    main(int(sys.argv[1]))

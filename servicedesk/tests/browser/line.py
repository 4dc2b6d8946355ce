"""The line between a browser and the desk, which can be cut."""

import socket
import struct
from contextlib import suppress
from threading import Lock, Thread

CHUNK = 64 * 1024
# Closing sends a reset instead of a polite end, as a network does that goes away.
ABRUPT = struct.pack("ii", 1, 0)


class Line:
    """Passes TCP on to the desk. A browser's own offline mode leaves open sockets alone; here they
    break, and new ones are refused, until the line is mended."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._is_cut = False
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            for one in self._open:
                _reset(one)
            self._open.clear()

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        # Ends with the listener.
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                Thread(target=self._connect, args=(caller,), daemon=True).start()

    def _connect(self, caller: socket.socket) -> None:
        try:
            desk = socket.create_connection(self._to, timeout=5)
        except OSError:
            return _reset(caller)
        desk.settimeout(None)
        with self._lock:
            if self._is_cut:
                _reset(desk)
                return _reset(caller)
            self._open |= {caller, desk}
        back = Thread(target=_pass_on, args=(desk, caller), daemon=True)
        back.start()
        _pass_on(caller, desk)
        back.join()
        with self._lock:
            self._open -= {caller, desk}
        caller.close()
        desk.close()
        return None


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPT)
        # Wakes who is reading from it; closing alone would not.
        one.shutdown(socket.SHUT_RDWR)
    one.close()

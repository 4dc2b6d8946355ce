"""The desk's server around a small application that does on request what a real one seldom does.

    python -m servicedesk.tests.small_server PORT [GRACE] [NOTICE] [STALL]

Tests start it as a process of its own and read what it prints.
"""

import asyncio
import logging
import os
import resource
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs

MIB = 1024 * 1024


def peak_mib() -> float:
    """The most memory that this process has had since `forget`."""
    status = Path("/proc/self/status")
    if not status.exists():  # where it cannot be told since when
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
    line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def forget() -> None:
    if (marks := Path("/proc/self/clear_refs")).exists():
        marks.write_text("5")


def say(*words) -> None:
    print(*words, flush=True)  # noqa: T201


class State:
    """What one connection tells another."""

    go = asyncio.Event()
    chunks_sent = 0


async def answer(send, text: str) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


async def length(query, receive, send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    await answer(send, f"{size}")


async def peak(query, receive, send) -> None:
    await answer(send, f"{peak_mib()}")


async def forgotten(query, receive, send) -> None:
    forget()
    await answer(send, f"{peak_mib()}")


async def slow(query, receive, send) -> None:
    await asyncio.sleep(float(query["s"]))
    await answer(send, "slowly")


async def blocked(query, receive, send) -> None:
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)


async def stream(query, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(int(query["mib"])):
        body = os.urandom(1024) * 1024
        await send({"type": "http.response.body", "body": body, "more_body": True})
        State.chunks_sent += 1
    await send({"type": "http.response.body", "body": b""})
    say("streamed")


async def sent(query, receive, send) -> None:
    await answer(send, f"{State.chunks_sent}")


async def fails(query, receive, send) -> None:
    raise RuntimeError("before the answer")


async def fails_late(query, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("in the middle of the answer")


async def protocol_failure(query, receive, send) -> None:
    from twisted.internet import defer

    defer.fail(RuntimeError("inside a protocol"))
    await answer(send, "soon")


async def go(query, receive, send) -> None:
    State.go.set()
    await answer(send, "gone")


PAGES = {
    "/length": length,
    "/api/tickets": length,
    "/upload": length,
    "/peak": peak,
    "/forget": forgotten,
    "/slow": slow,
    "/blocked": blocked,
    "/stream": stream,
    "/sent": sent,
    "/fails": fails,
    "/fails_late": fails_late,
    "/protocol_failure": protocol_failure,
    "/go": go,
}


async def http(scope, receive, send) -> None:
    query = {key: value[0] for key, value in parse_qs(scope["query_string"].decode()).items()}
    await PAGES[scope["path"]](query, receive, send)


async def websocket(scope, receive, send) -> None:
    path = scope["path"]
    await receive()
    if path == "/never":
        await receive()
        return
    await send({"type": "websocket.accept"})
    if path == "/flood":
        await State.go.wait()
        await count(receive, send)
    elif path == "/direct":
        await direct(scope["extensions"]["desk.transport"], receive, send)
    else:
        await echo(receive, send)


async def echo(receive, send) -> None:
    say("socket open")
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})
    say("cleaned up after", message["code"])


async def count(receive, send) -> None:
    """Everything until `end`, and the most that ever waited."""
    received, most = 0, 0
    while True:
        most = max(most, receive.__self__.qsize())
        if (await receive())["text"] == "end":
            break
        received += 1
        await asyncio.sleep(0)
    await send({"type": "websocket.send", "text": f"{received} {most}"})


async def direct(transport, receive, send) -> None:
    turns: list[str] = []
    frame = b"\x81\x02hi"
    transport.listen(lambda: turns.append("pause"), lambda: turns.append("resume"), lambda: None)
    while (message := await receive())["type"] == "websocket.receive":
        match message["text"]:
            case "write":
                transport.write(frame)
            case "fill":
                for _ in range(30):  # more than any kernel takes
                    transport.write(b"\x81\x7f" + MIB.to_bytes(8) + b"x" * MIB)
                say("filled")
            case "turns":
                await send({"type": "websocket.send", "text": " ".join(["turns", *turns])})
            case "abort":
                transport.abort()
                transport.write(frame)
                say("open" if transport.is_open else "shut")
    say("cleaned up after", message["code"])


async def application(scope, receive, send) -> None:
    await (http if scope["type"] == "http" else websocket)(scope, receive, send)


async def farewell() -> None:
    await asyncio.sleep(0.3)
    say("farewell")


async def broken() -> None:
    raise RuntimeError("a hook that fails")


def main(port: str, grace: str = "30", notice: str = "0", stall: str = "300") -> None:
    import django

    django.setup(set_prefix=False)
    logging.getLogger().setLevel(logging.INFO)
    from django.conf import settings

    from servicedesk.server import Server
    from servicedesk.server import http as server_http

    settings.BODY_LIMITS = {"/upload": 64 * MIB, "": MIB}
    server_http.HEADERS_SECONDS = 1
    server_http.STALL_SECONDS = float(stall)
    server = Server(
        application,
        host="127.0.0.1",
        port=int(port),
        grace=float(grace),
        notice=float(notice),
        ready=lambda: say("ready"),
    )
    server.websocket_handshake_timeout = 2
    server.before_exit(broken)
    server.before_exit(farewell)
    server.run()
    say("cut off" if server.was_cut_off else "done")
    server.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])

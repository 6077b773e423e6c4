"""A server of its own process: small JSON over HTTP/1.1 on a free port, and how many connections it took.

Run as a script: prints its port, answers every line with the number of connections that it has accepted so
far, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from typing import Any

ITEM = b'{"name":"apple","amount":7}'
ANSWERS = {"/v1/items/apple": (200, ITEM), "/down/v1/items/apple": (503, b'{"detail":"down"}')}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The least application: an answer by path, with its length and type."""
    status, body = ANSWERS.get(scope["path"], (404, b"{}"))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Accepted:
    """Counts connections."""

    number = 0


def serve(cores: set[int]) -> None:
    """Serve until standard input ends, on these cores where the system allows it."""
    import uvicorn

    if cores and hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, cores)
        except OSError:
            pass
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    # Nobody's connections end for want of calls between two rounds.
    config = uvicorn.Config(
        app, log_level="error", access_log=False, lifespan="off", timeout_keep_alive=3600, ws="none"
    )
    config.load()
    protocol: Any = config.http_protocol_class

    class Counting(protocol):  # type: ignore[misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            Accepted.number += 1
            super().connection_made(transport)

    config.http_protocol_class = Counting
    server = uvicorn.Server(config)

    def answer() -> None:
        print(listening.getsockname()[1], flush=True)
        for _ in sys.stdin:
            print(Accepted.number, flush=True)
        server.should_exit = server.force_exit = True

    threading.Thread(target=answer, daemon=True).start()
    server.run(sockets=[listening])


if __name__ == "__main__":
    serve({int(core) for core in sys.argv[1:]})

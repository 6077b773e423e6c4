"""A process of one of the services, on a free loopback port, under uvicorn or hypercorn.

``python -m cqrs.demo.notifications.serve CONFIG``; CONFIG is a JSON object with ``service`` (``user`` or
``notif``), ``server`` (``uvicorn`` or ``hypercorn``) and ``settings``. It writes a line with its port, and
ends when standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
import threading
from importlib import import_module
from typing import Any

HOST = "127.0.0.1"
GRACE = 1
"""Seconds that running requests have to end."""


def make_app(service: str, settings: dict[str, Any]) -> Any:
    """Return a service as an ASGI application."""
    if service == "user":
        from cqrs.demo.notifications.services import user

        return user.create_app(user.Behaviour(**settings))
    from cqrs.demo.notifications.services import notif
    from cqrs.demo.notifications.services.settings import Settings

    return notif.create_app(Settings(**settings))


async def serve(app: Any, server: str, listening: socket.socket) -> None:
    """Serve until standard input ends."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, daemon=True).start()
    await (_hypercorn if server == "hypercorn" else _uvicorn)(app, listening, stop)


async def _uvicorn(app: Any, listening: socket.socket, stop: asyncio.Event) -> None:
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=GRACE)
    )

    async def end() -> None:
        await stop.wait()
        server.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await server.serve(sockets=[listening])
    finally:
        ending.cancel()


async def _hypercorn(app: Any, listening: socket.socket, stop: asyncio.Event) -> None:
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listening.detach()}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = config.shutdown_timeout = GRACE

    async def stopped() -> None:
        await stop.wait()

    run: Any = import_module("hypercorn.asyncio").serve  # its types are not complete
    await run(app, config, shutdown_trigger=stopped)


def listen() -> socket.socket:
    """Return a socket that listens on a free loopback port: who connects before the server accepts waits."""
    # With the protocol named: asyncio sets TCP_NODELAY for no other, and each answer would take 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, 0))
    listening.listen(128)
    return listening


def main(text: str) -> None:
    """Run a process from its configuration."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    config = json.loads(text)
    app = make_app(config["service"], config["settings"])
    listening = listen()
    os.write(1, f"{listening.getsockname()[1]}\n".encode())
    asyncio.run(serve(app, config["server"], listening))


if __name__ == "__main__":
    main(sys.argv[1])

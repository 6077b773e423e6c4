"""The upstream: an HTTP service in a process of its own that behaves as it is told on standard input.

``python -m cqrs.demo.upstream PORT SLOW_LOW SLOW_HIGH SEED`` prints ``ready`` once it listens. Each line on
standard input is a mode (``healthy``, ``slow``, ``failing``). It ends when standard input ends, so it never
outlives its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import threading
from collections.abc import Iterable

HOST = "127.0.0.1"
PRODUCTS = tuple(f"sku-{number:02d}" for number in range(1, 13))


def price_of(sku: str) -> int:
    """The list price of a product, in cents."""
    return 500 + 137 * (PRODUCTS.index(sku) + 1)


class Upstream:
    """The service: answers every route of the shop's dependencies according to its current mode."""

    def __init__(self, slow: tuple[float, float], seed: int) -> None:
        self.mode = "healthy"
        self._slow = slow
        self._random = random.Random(seed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, in order, until the client leaves."""
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *header_lines = head.split("\r\n")
        _, target, _ = request_line.split(" ", 2)
        length = 0
        for line in header_lines:
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
        await reader.readexactly(length)

        route, _, argument = target.lstrip("/").partition("/")
        if self.mode == "failing":
            return await self._fail(route, writer)
        low, high = self._slow if self.mode == "slow" else (0.002, 0.008)
        await asyncio.sleep(self._random.uniform(low, high))
        if route == "catalogue":
            await self._stream(writer, self._catalogue())
        else:
            self._send(writer, "200 OK", self._document(route, argument))
        await writer.drain()
        return True

    async def _fail(self, route: str, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(self._random.uniform(0.005, 0.030))
        if route == "catalogue":
            # A stream breaks where it hurts: after some items were delivered.
            await self._stream(writer, self._catalogue()[: self._random.randint(1, 6)], complete=False)
            await writer.drain()
        elif self._random.random() < 0.6:
            self._send(writer, "503 Service Unavailable", {"error": "out of order"})
            await writer.drain()
            return True
        writer.transport.abort()
        return False

    def _document(self, route: str, argument: str) -> object:
        if route == "price":
            return {"sku": argument, "cents": price_of(argument)}
        if route == "recommendations":
            return {"skus": self._random.sample(PRODUCTS, 3)}
        return {"accepted": True}

    def _catalogue(self) -> list[object]:
        return [{"sku": sku, "cents": price_of(sku)} for sku in PRODUCTS]

    @staticmethod
    def _send(writer: asyncio.StreamWriter, status: str, document: object) -> None:
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)

    @staticmethod
    async def _stream(writer: asyncio.StreamWriter, items: Iterable[object], complete: bool = True) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for item in items:
            line = json.dumps(item).encode() + b"\n"
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            await writer.drain()
        if complete:
            writer.write(b"0\r\n\r\n")


def _obey(service: Upstream, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Take modes from standard input (in a thread: a pipe cannot be awaited on every platform)."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(setattr, service, "mode", line.strip())
    loop.call_soon_threadsafe(stop.set)


async def main(port: int, slow: tuple[float, float], seed: int) -> None:
    """Serve on the loopback port ``port`` until standard input ends."""
    service = Upstream(slow, seed)
    stop = asyncio.Event()
    # The port may linger for a moment after its last owner was killed.
    for attempt in range(50):
        try:
            await asyncio.start_server(service.serve, HOST, port)
            break
        except OSError:
            if attempt == 49:
                raise
            await asyncio.sleep(0.1)
    threading.Thread(target=_obey, args=(service, asyncio.get_running_loop(), stop), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await stop.wait()
    # Not a clean shutdown on purpose: open connections and the reading thread must not delay the exit.
    os._exit(0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), (float(sys.argv[2]), float(sys.argv[3])), int(sys.argv[4])))

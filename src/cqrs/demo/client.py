"""The shop's HTTP client: a small pool of kept-alive connections on asyncio streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class UpstreamError(Exception):
    """The upstream answered, but not with a success.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        return f"the upstream answered {self.status}"


#: What a call to an upstream in trouble raises: no connection, no answer in time, no success.
UPSTREAM_FAILURES: tuple[type[Exception], ...] = (OSError, TimeoutError, EOFError, UpstreamError)


class UpstreamClient:
    """Calls the upstream over HTTP/1.1.

    Args:
        host: address of the upstream.
        port: its port.
        timeout: seconds that one call may take in all, the wait for a free connection included.
        max_connections: connections in use at once.
        on_call: told the path of each call when it starts.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout: float,
        max_connections: int = 64,
        on_call: Callable[[str], None] = lambda path: None,
    ) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: list[Connection] = []
        self._on_call = on_call

    async def get(self, path: str) -> Any:
        """GET a JSON document."""
        return await self._exchange("GET", path, b"")

    async def post(self, path: str, document: object) -> Any:
        """POST a JSON document and return the one that answers it."""
        return await self._exchange("POST", path, json.dumps(document).encode())

    async def lines(self, path: str) -> AsyncIterator[Any]:
        """GET a chunked stream of JSON lines; the timeout covers each item rather than the whole."""
        self._on_call(path)
        async with self._connection() as (reader, writer):
            async with asyncio.timeout(self._timeout):
                await self._request("GET", path, b"", reader, writer)
            while True:
                async with asyncio.timeout(self._timeout):
                    size = int(await self._line(reader), 16)
                    chunk = await reader.readexactly(size + 2)
                if not size:
                    return
                yield json.loads(chunk)

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._discard(self._idle.pop())
        # Transports close on the loop's next turn.
        await asyncio.sleep(0)

    async def _exchange(self, method: str, path: str, body: bytes) -> Any:
        self._on_call(path)
        async with asyncio.timeout(self._timeout), self._connection() as (reader, writer):
            length = await self._request(method, path, body, reader, writer)
            return json.loads(await reader.readexactly(length))

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection, None]:
        async with self._slots:
            connection = await self._checkout()
            try:
                yield connection
            except BaseException:
                # A half-read answer makes the connection useless.
                self._discard(connection)
                raise
            self._idle.append(connection)

    async def _checkout(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            # A connection that the upstream closed meanwhile must not cost a call.
            if connection[0].at_eof() or connection[1].is_closing():
                self._discard(connection)
            else:
                return connection
        async with asyncio.timeout(self._timeout):
            return await asyncio.open_connection(self._host, self._port)

    @staticmethod
    def _discard(connection: Connection) -> None:
        connection[1].transport.abort()

    async def _request(
        self, method: str, path: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> int:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        status = int((await self._line(reader)).split(b" ")[1])
        length = 0
        while line := (await self._line(reader)).strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if status >= 400:
            await reader.readexactly(length)
            raise UpstreamError(status)
        return length

    @staticmethod
    async def _line(reader: asyncio.StreamReader) -> bytes:
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the upstream closed the connection")
        return line

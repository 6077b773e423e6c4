"""Guarded clients over servers in memory, one rig per library and kind, all with the same face."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import requests
from multidict import CIMultiDict
from yarl import URL

from cqrs.http.guarded.aiohttp import CircuitBreakerMiddleware
from cqrs.http.guarded.httpx import AsyncCircuitBreakerTransport, SyncCircuitBreakerTransport
from cqrs.http.guarded.requests import CircuitBreakerAdapter

Answer = int | BaseException
"""A status, or what is raised instead of an answer."""

DEFAULT_URL = "http://user:8000/v1"


class Rig:
    """One guarded client.

    Attributes:
        answers: what the server does next; 200 once there is nothing left.
        chunks: of streamed bodies; an exception among them is raised there.
        sent: URLs that reached the server.
        never_completed: the library's error for a request that never completed.
        timeout, connection, pool: errors as the library raises them.
    """

    never_completed: type[Exception]
    pool: Callable[[], Exception] | None = None

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.chunks: list[bytes | BaseException] = [b"one", b"two"]
        self.headers: dict[str, str] = {}
        self.sent: list[str] = []
        self.limits: list[Any] = []

    def _next(self, url: str) -> int:
        self.sent.append(url)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def timeout(self) -> Exception:
        raise NotImplementedError

    def connection(self) -> Exception:
        raise NotImplementedError

    def make(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError

    def call(self, url: str = DEFAULT_URL) -> int:
        """Call the server and return the status; the body is in memory."""
        raise NotImplementedError

    def open(self, url: str = DEFAULT_URL) -> Any:
        """Call the server and return the streamed response, unread."""
        raise NotImplementedError

    def read(self, response: Any) -> bytes:
        raise NotImplementedError

    def close(self, response: Any) -> None:
        raise NotImplementedError


class SyncHttpx(Rig):
    def __init__(self, library: Any) -> None:
        super().__init__()
        self.library = library
        self.never_completed = library.ConnectError
        self.streaming = False
        rig = self

        class Stream(library.SyncByteStream):  # type: ignore[misc]
            def __iter__(self) -> Iterator[bytes]:
                for chunk in rig.chunks:
                    if isinstance(chunk, BaseException):
                        raise chunk
                    yield chunk

        class Server(library.BaseTransport):  # type: ignore[misc]
            def handle_request(self, request: Any) -> Any:
                rig.limits.append(request.extensions.get("timeout"))
                status = rig._next(str(request.url))
                body = {"stream": Stream()} if rig.streaming else {"content": b"{}"}
                return library.Response(status, headers=rig.headers, **body)

        self.server = Server()

    def timeout(self) -> Exception:
        return self.library.ReadTimeout("slow")  # type: ignore[no-any-return]

    def connection(self) -> Exception:
        return self.library.ReadError("lost")  # type: ignore[no-any-return]

    def pool(self) -> Exception:
        return self.library.PoolTimeout("used up")  # type: ignore[no-any-return]

    def make(self, *args: Any, **options: Any) -> Any:
        guard = SyncCircuitBreakerTransport(self.server, *args, **options)
        self.client = self.library.Client(transport=guard)
        return guard

    def call(self, url: str = DEFAULT_URL) -> int:
        self.streaming = False
        return int(self.client.get(url).status_code)

    def open(self, url: str = DEFAULT_URL) -> Any:
        self.streaming = True
        return self.client.send(self.client.build_request("GET", url), stream=True)

    def read(self, response: Any) -> bytes:
        return bytes(response.read())

    def close(self, response: Any) -> None:
        response.close()


class AsyncHttpx(SyncHttpx):
    def __init__(self, library: Any) -> None:
        super().__init__(library)
        rig = self

        class Stream(library.AsyncByteStream):  # type: ignore[misc]
            async def __aiter__(self) -> AsyncIterator[bytes]:
                for chunk in rig.chunks:
                    if isinstance(chunk, BaseException):
                        raise chunk
                    yield chunk

        class Server(library.AsyncBaseTransport):  # type: ignore[misc]
            async def handle_async_request(self, request: Any) -> Any:
                rig.limits.append(request.extensions.get("timeout"))
                status = rig._next(str(request.url))
                body = {"stream": Stream()} if rig.streaming else {"content": b"{}"}
                return library.Response(status, headers=rig.headers, **body)

        self.server = Server()

    def make(self, *args: Any, **options: Any) -> Any:
        guard = AsyncCircuitBreakerTransport(self.server, *args, **options)
        self.client = self.library.AsyncClient(transport=guard)
        return guard

    def call(self, url: str = DEFAULT_URL) -> int:
        self.streaming = False
        return int(asyncio.run(self.client.get(url)).status_code)

    def open(self, url: str = DEFAULT_URL) -> Any:
        self.streaming = True
        return asyncio.run(self.client.send(self.client.build_request("GET", url), stream=True))

    def read(self, response: Any) -> bytes:
        return bytes(asyncio.run(response.aread()))

    def close(self, response: Any) -> None:
        asyncio.run(response.aclose())


class Requests(Rig):
    never_completed = requests.exceptions.ConnectionError

    def timeout(self) -> Exception:
        return requests.exceptions.ReadTimeout("slow")

    def connection(self) -> Exception:
        return requests.exceptions.ChunkedEncodingError("lost")

    def make(self, *args: Any, **options: Any) -> Any:
        rig = self

        class Raw(io.RawIOBase):
            def stream(self, size: int, decode_content: bool = True) -> Iterator[bytes]:
                for chunk in rig.chunks:
                    if isinstance(chunk, BaseException):
                        raise chunk
                    yield chunk

        class Server(requests.adapters.BaseAdapter):
            def send(self, request: Any, **given: Any) -> Any:
                rig.limits.append(given["timeout"])
                response = requests.Response()
                response.status_code = rig._next(request.url)
                response.headers.update(rig.headers)
                response.request, response.url = request, request.url
                response.raw = Raw()
                return response

            def close(self) -> None:
                pass

        guard = CircuitBreakerAdapter(Server(), *args, **options)
        self.session = requests.Session()
        self.session.mount("http://", guard)
        self.session.mount("https://", guard)
        return guard

    def call(self, url: str = DEFAULT_URL) -> int:
        return self.session.get(url).status_code

    def open(self, url: str = DEFAULT_URL) -> Any:
        return self.session.get(url, stream=True)

    def read(self, response: Any) -> bytes:
        return bytes(response.content)

    def close(self, response: Any) -> None:
        response.close()


class _Connection:
    """What aiohttp tells when it takes a connection back."""

    def __init__(self) -> None:
        self._told: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> None:
        self._told.append(callback)

    def release(self) -> None:
        told, self._told = self._told, []
        for callback in told:
            callback()


class _Content:
    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.ended = False

    def exception(self) -> BaseException | None:
        return self.error

    def at_eof(self) -> bool:
        return self.ended


class _Response:
    def __init__(self, status: int, headers: dict[str, str], streaming: bool) -> None:
        self.status = status
        self.headers = CIMultiDict(headers)
        self.content = _Content()
        self.connection = _Connection() if streaming else None


class _Request:
    def __init__(self, url: str) -> None:
        self.url = URL(url)


class Aiohttp(Rig):
    """The middleware alone, with the parts of a response that it looks at; real ones: integration tests."""

    never_completed = aiohttp.ClientConnectionError

    def timeout(self) -> Exception:
        return aiohttp.SocketTimeoutError("slow")

    def connection(self) -> Exception:
        return aiohttp.ClientPayloadError("lost")

    def make(self, *args: Any, **options: Any) -> Any:
        self.guard = CircuitBreakerMiddleware(*args, **options)
        return self.guard

    async def _send(self, url: str, streaming: bool) -> Any:
        async def handler(request: Any) -> Any:
            return _Response(self._next(str(request.url)), self.headers, streaming)

        return await self.guard(_Request(url), handler)  # type: ignore[arg-type]

    def call(self, url: str = DEFAULT_URL) -> int:
        return int(asyncio.run(self._send(url, False)).status)

    def open(self, url: str = DEFAULT_URL) -> Any:
        return asyncio.run(self._send(url, True))

    def read(self, response: Any) -> bytes:
        for chunk in self.chunks:
            if isinstance(chunk, BaseException):
                response.content.error = chunk
                response.connection.release()
                raise chunk
        response.content.ended = True
        response.connection.release()
        return b"".join(chunk for chunk in self.chunks if isinstance(chunk, bytes))

    def close(self, response: Any) -> None:
        response.content.error = aiohttp.ClientConnectionError("Connection closed")
        response.connection.release()


RIGS: dict[str, Callable[[], Rig]] = {
    "httpx2-sync": lambda: SyncHttpx(httpx2),
    "httpx2-async": lambda: AsyncHttpx(httpx2),
    "httpx-sync": lambda: SyncHttpx(httpx),
    "httpx-async": lambda: AsyncHttpx(httpx),
    "requests": Requests,
    "aiohttp": Aiohttp,
}

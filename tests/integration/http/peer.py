"""A server that does what a test tells it, byte by byte, and the callers that it is set upon."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.transports.aiohttp import AsyncAiohttpTransport
from cqrs.http.transports.httpx import AsyncHttpxTransport, SyncHttpxTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Exchange:
    """One request, read to the end of its body, and the connection to answer it on."""

    def __init__(self, peer: Peer, sock: socket.socket, head: bytes, body: bytes) -> None:
        self.peer = peer
        self.sock = sock
        self.head = head
        self.body = body

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send a byte now and then, over and over, until the test is over or the client has gone."""
        while not self.peer.stopping.is_set():
            for byte in data:
                self.sock.sendall(bytes([byte]))
                if self.peer.stopping.wait(0.01):
                    return

    def hang(self) -> bool:
        """Do nothing until the client has gone, or the test is over."""
        self.sock.recv(1)
        return True


class Peer:
    """Answers each request of each connection with ``script(exchange)``; leaving the script with an error,
    or with a truthy result, ends the connection."""

    def __init__(
        self,
        script: Callable[[Exchange], object],
        tls: ssl.SSLContext | None = None,
        greeting: bytes = b"",
    ) -> None:
        self.script = script
        self._greeting = greeting
        self.stopping = threading.Event()
        self.connections = 0
        self.requests = 0
        self.ended = threading.Condition()
        self.open = 0
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Peer:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def all_closed(self, timeout: float = 20) -> bool:
        """Wait until every connection has ended."""
        with self.ended:
            return self.ended.wait_for(lambda: self.open == 0, timeout)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open += 1
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            if self._greeting:
                sock.sendall(self._greeting)
                return
            while (exchange := self._read(sock)) is not None:
                self.requests += 1
                if self.script(exchange):
                    return
        except OSError:
            pass
        finally:
            sock.close()
            with self.ended:
                self.open -= 1
                self.ended.notify_all()

    def _read(self, sock: socket.socket) -> Exchange | None:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = sock.recv(65536)
            if not chunk:
                return None
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        chunked = False
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            chunked = chunked or line.lower().replace(b" ", b"") == b"transfer-encoding:chunked"
        while len(body) < length or (chunked and not body.endswith(b"0\r\n\r\n")):
            body += sock.recv(65536)
        return Exchange(self, sock, head, body)


class Caller:
    """A transport that is called and waited for, whatever its kind."""

    def __init__(self, make: Callable[..., Any], asynchronous: bool, **options: Any) -> None:
        self.transport = make(**options)
        self._loop: asyncio.AbstractEventLoop | None = None
        if asynchronous:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()

    def __call__(self, request: HTTPRequest, timeout: HTTPTimeout | None = None) -> HTTPResponse:
        made = self.transport(request, "client", "/", HTTPTimeout(20) if timeout is None else timeout)
        answer: HTTPResponse = made if self._loop is None else self._run(made)
        return answer

    def _run(self, coroutine: Any) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close_transport(self) -> None:
        """Close the transport; its loop goes on."""
        if self._loop is None:
            self.transport.close()
        else:
            self._run(self.transport.aclose())

    def close(self) -> None:
        self.close_transport()
        if self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.run_until_complete(asyncio.sleep(0))  # what was closed last
        self._loop.close()


def _httpx(kind: Callable[..., Any], library: str) -> Callable[..., Any]:
    return lambda **options: kind(library=library, **options)


ASYNCHRONOUS: dict[str, Callable[..., Any]] = {
    "httpx2-async": _httpx(AsyncHttpxTransport, "httpx2"),
    "httpx-async": _httpx(AsyncHttpxTransport, "httpx"),
    "aiohttp": AsyncAiohttpTransport,
}
SYNCHRONOUS: dict[str, Callable[..., Any]] = {
    "httpx2-sync": _httpx(SyncHttpxTransport, "httpx2"),
    "httpx-sync": _httpx(SyncHttpxTransport, "httpx"),
}
ALL = [*ASYNCHRONOUS, *SYNCHRONOUS]


def caller(name: str, **options: Any) -> Caller:
    """Return a caller over the transport of a name."""
    if name in ASYNCHRONOUS:
        return Caller(ASYNCHRONOUS[name], True, **options)
    return Caller(SYNCHRONOUS[name], False, **options)

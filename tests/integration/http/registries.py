"""Small servers that speak the API of Consul and of Nomad, and instances of a service, over real sockets."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = False  # they end with their connections, and are joined after those are closed

    def __init__(self, app: Local, family: socket.AddressFamily, port: int) -> None:
        self.app = app
        self.address_family = family
        super().__init__(("::1" if family is socket.AF_INET6 else "127.0.0.1", port), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self.app.lock:
            self.app.sockets.append(request)
            self.app.threads.append(threading.current_thread())
            self.app.connections += 1
        super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        answer = self.server.app.answer(unquote(url.path), query, self.headers)
        if answer is None:
            self.close_connection = True
            return
        status, value = answer
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Local:
    """A server on a free port of this machine."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.lock = threading.Lock()
        self.sockets: list[Any] = []
        self.threads: list[threading.Thread] = []
        self.connections = 0
        self.port = 0
        self._family = family
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def answer(self, path: str, query: dict[str, str], headers: Any) -> tuple[int, Any] | None:
        """Return status and body, ``None`` to end the connection."""
        raise NotImplementedError

    def start(self) -> Self:
        """Listen; again on the same port."""
        self._server = _Server(self, self._family, self.port)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,))
        self._thread.start()
        return self

    def stop(self) -> None:
        """Refuse connections and end those that are open, as a process that is killed does."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        assert self._thread is not None
        self._thread.join(30)
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Instance(Local):
    """An instance of the service ``user``."""

    calls = 0

    def answer(self, path: str, query: dict[str, str], headers: Any) -> tuple[int, Any] | None:
        self.calls += 1
        return 200, {"username": path.rsplit("/", 1)[1], "port": self.port}


@dataclass
class Entry:
    """An instance as it is registered."""

    name: str
    port: int
    address: str = "127.0.0.1"
    healthy: bool = True


class Registry(Local):
    """What Consul and Nomad have in common.

    Attributes:
        entries: what is registered.
        token: the one that is asked for, ``""``: none.
        mode: ``"ok"``, ``"hang"``, ``"500"``, ``"html"`` or ``"reset"``.
        asked: paths in order.
    """

    token_header = ""

    def __init__(self, *entries: Entry, token: str = "") -> None:
        super().__init__()
        self.entries = list(entries)
        self.token = token
        self.mode = "ok"
        self.asked: list[str] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stop(self) -> None:
        self.released.set()
        super().stop()

    def answer(self, path: str, query: dict[str, str], headers: Any) -> tuple[int, Any] | None:
        with self.lock:
            self.asked.append(path)
        if self.mode == "hang":
            self.released.wait(30)
            return None
        if self.mode != "ok":
            return {"500": (500, b"no cluster leader"), "html": (200, b"<html></html>")}.get(self.mode)
        if self.token and headers.get(self.token_header) != self.token:
            return 403, b"ACL not found"
        return self.listing(path, query)

    def listing(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        raise NotImplementedError


class Consul(Registry):
    """Consul, as far as the health of services goes."""

    token_header = "X-Consul-Token"

    def listing(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        start, _, name = path.rpartition("/")
        if start != "/v1/health/service":
            return 404, b"404 page not found"
        found = [entry for entry in self.entries if entry.name == name]
        if "passing" in query:
            found = [entry for entry in found if entry.healthy]
        return 200, [
            {
                "Node": {"Node": "node", "Address": entry.address},
                "Service": {"Service": name, "Address": "", "Port": entry.port},
                "Checks": [{"Status": "passing" if entry.healthy else "critical"}],
            }
            for entry in found
        ]


class Nomad(Registry):
    """Nomad, as far as its own services go."""

    token_header = "X-Nomad-Token"

    def listing(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        start, _, name = path.rpartition("/")
        found = [entry for entry in self.entries if entry.name == name]
        if start != "/v1/service" or not found:
            return 404, b"service not found"
        return 200, [{"ServiceName": name, "Address": one.address, "Port": one.port} for one in found]

"""Both ends of a connection through a proxy in the hands of a test, which needs no server thread then."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cqrs.testing import ChaosProxy

# Guards against hanging; no test waits for it to pass.
GUARD = 20.0


@contextmanager
def target() -> Iterator[socket.socket]:
    """A listening socket for a proxy to forward to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD)
        yield listener


@contextmanager
def deaf_target() -> Iterator[tuple[str, int]]:
    """An address where nobody listens, and nobody can start to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


@contextmanager
def line(proxy: ChaosProxy, listener: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Connect through ``proxy``; yields the client's and the server's socket."""
    with dial(proxy) as client:
        server, _ = listener.accept()
        with server:
            server.settimeout(GUARD)
            yield client, server


def dial(proxy: ChaosProxy) -> socket.socket:
    """Return the client's socket of a new connection."""
    return socket.create_connection(proxy.address, timeout=GUARD)


def settle(proxy: ChaosProxy) -> None:
    """Return when the proxy has dealt with everything that has reached its sockets before.

    A call runs in the proxy's loop. The first one may run before the loop looks at its sockets, and the
    second before what it saw there is handled; the third comes after that.
    """
    for _ in range(4):
        _ = proxy.open_connections


def take(end: socket.socket, count: int) -> bytes:
    """Receive exactly ``count`` bytes."""
    data = b""
    while len(data) < count:
        piece = end.recv(count - len(data))
        assert piece, f"the stream ended after {data!r}"
        data += piece
    return data


def assert_silent(proxy: ChaosProxy, end: socket.socket) -> None:
    """Assert that nothing has come: no data, no end, no reset."""
    settle(proxy)
    end.setblocking(False)
    try:
        with pytest.raises(BlockingIOError):
            end.recv(1)
    finally:
        end.settimeout(GUARD)


def assert_reset(end: socket.socket) -> None:
    """Assert that the connection ends with a reset, after no more data."""
    with pytest.raises(ConnectionResetError):
        end.recv(1)


def reset(end: socket.socket) -> None:
    """Close with a reset."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()

"""The part of a :class:`~cqrs.testing.ChaosProxy` that lives in its event loop: port, faults, connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import Future

from cqrs.testing.chaos_connection import Address, Connection
from cqrs.testing.chaos_faults import WAYS, Conditions, NetworkFault, Refusal
from cqrs.testing.chaos_network import Network
from cqrs.testing.clock import FakeClock

LOOPBACK = "127.0.0.1"


class Switch:
    """Accepts connections and applies the faults; everything but the constructor runs in the event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, addresses: Sequence[Address], clock: FakeClock | None
    ) -> None:
        self.accepted = 0
        self.network = Network(loop, clock)
        self._addresses = addresses
        self._faults: list[NetworkFault] = []
        self._connections: set[Connection] = set()
        self._waiters: list[tuple[int, Future[None]]] = []
        self._listener: socket.socket | None = None
        # Keeps the port ours while nobody listens on it: where a port is only bound, connections are refused.
        self._reservation = bound_socket(0)
        self.address: tuple[str, int] = self._reservation.getsockname()
        try:
            self._listen()
        except BaseException:
            self._reservation.close()
            raise

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    def count_accepted(self) -> int:
        """Return how many connections were accepted, also those that only the system has accepted."""
        self._accept()
        return self.accepted

    def add(self, fault: NetworkFault) -> None:
        """Put a fault in force."""
        self._faults.append(fault)
        self._apply()

    def remove(self, fault: NetworkFault) -> None:
        """Heal one fault, if it is in force."""
        if fault in self._faults:
            self._faults.remove(fault)
            self._apply()

    def clear(self) -> None:
        """Heal all faults."""
        self._faults.clear()
        self._apply()

    def cut(self) -> None:
        """Reset all connections, also those that the system has accepted and this loop has not seen."""
        self._accept()
        self._hang_up(reset=True)

    def when_accepted(self, count: int) -> Future[None]:
        """Return what is done when ``count`` connections have been accepted."""
        waiter: Future[None] = Future()
        self._waiters.append((count, waiter))
        self._tell_waiters()
        return waiter

    def close(self) -> None:
        """Close the port and all connections, in an orderly way."""
        self._stop_listening()
        self._reservation.close()
        self._hang_up(reset=False)
        for _, waiter in self._waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_exception(RuntimeError("the proxy was closed while a connection was waited for"))
        self._waiters.clear()

    def _apply(self) -> None:
        for way in WAYS:
            self.network.conditions[way] = Conditions.of(self._faults, way)
        refusing = any(isinstance(fault, Refusal) for fault in self._faults)
        if refusing:
            self._stop_listening()
        elif self._listener is None:
            self._listen()
        for connection in tuple(self._connections):
            connection.refresh(self._faults)

    def _hang_up(self, *, reset: bool) -> None:
        for connection in tuple(self._connections):
            connection.close(reset=reset)

    def _listen(self) -> None:
        listener = bound_socket(self.address[1])
        try:
            listener.listen(128)
            self.network.loop.add_reader(listener, self._accept)
        except BaseException:
            listener.close()
            raise
        self._listener = listener

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self.network.loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        while self._listener is not None:
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError:
                # Most likely out of file descriptors: the loop would call again at once, for ever.
                self._stop_listening()
                raise
            self.accepted += 1
            connection = Connection(self.network, client, self._addresses, on_close=self._connections.discard)
            self._connections.add(connection)
            connection.start()
        self._tell_waiters()

    def _tell_waiters(self) -> None:
        for entry in tuple(self._waiters):
            count, waiter = entry
            if count <= self.accepted:
                self._waiters.remove(entry)
                if waiter.set_running_or_notify_cancel():
                    waiter.set_result(None)


def bound_socket(port: int) -> socket.socket:
    """Return a socket bound to ``port`` on loopback; several may be, as long as only one of them listens."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):  # BSD systems ask for it where Linux is content without
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((LOOPBACK, port))
    except BaseException:
        bound.close()
        raise
    return bound

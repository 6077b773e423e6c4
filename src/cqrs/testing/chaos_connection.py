"""One connection through a :class:`~cqrs.testing.ChaosProxy`: dialling, both directions, and its end."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Collection, Sequence

from cqrs.testing.chaos_faults import NetworkFault, Way
from cqrs.testing.chaos_network import Network
from cqrs.testing.chaos_pipe import CHUNK, Pipe

Address = tuple[int, str | tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""Address family and what ``socket.connect`` takes."""

IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK)
# On, with a time-out of 0: close() then sends a reset (RST) instead of an orderly end (FIN).
LINGER_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Connection:
    """Joins an accepted client to the server; calls ``on_close`` with itself at the end."""

    def __init__(
        self,
        network: Network,
        client: socket.socket,
        addresses: Sequence[Address],
        *,
        on_close: Callable[[Connection], None],
    ) -> None:
        self._network = network
        self._client = client
        self._addresses = addresses
        self._on_close = on_close
        self._server: socket.socket | None = None
        self._pipes: tuple[Pipe, ...] = ()
        self._lost_to: NetworkFault | None = None
        self._closed = False

    def start(self) -> None:
        """Dial the server, or wait for the end of the black hole that it is in."""
        set_up(self._client)
        if self._network.conditions["up"].black_hole is None:
            self._dial(list(self._addresses))
        else:
            self._network.loop.add_reader(self._client, self._swallow)

    def refresh(self, active: Collection[NetworkFault]) -> None:
        """Follow a change of the conditions; ``active`` are the faults that are in force now."""
        lost_to = {self._lost_to, *(pipe.lost_to for pipe in self._pipes)} - {None}
        if not lost_to <= set(active):
            # There is a hole in the stream now, and TCP has no such thing: only a new connection can help.
            self.close(reset=True)
        elif self._server is None and self._network.conditions["up"].black_hole is None:
            self._dial(list(self._addresses))
        for pipe in self._pipes:
            pipe.push()

    def close(self, *, reset: bool) -> None:
        """End the connection, with a reset (RST) or in an orderly way (FIN), on both sides."""
        if self._closed:
            return
        self._closed = True
        for pipe in self._pipes:
            pipe.stop()
        for end in (self._client, self._server):
            if end is not None:
                self._network.loop.remove_reader(end)
                self._network.loop.remove_writer(end)
                hang_up(end, reset=reset)
        self._on_close(self)

    def _swallow(self) -> None:
        """Read from a client whose bytes get nowhere, because of a black hole."""
        try:
            data = self._client.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._lost_to = self._lost_to or self._network.conditions["up"].black_hole
        if not data:
            self._network.loop.remove_reader(self._client)

    def _dial(self, addresses: list[Address]) -> None:
        self._network.loop.remove_reader(self._client)
        family, address = addresses.pop(0)
        try:
            self._server = server = socket.socket(family, socket.SOCK_STREAM)
            set_up(server)
            code = server.connect_ex(address)
        except OSError:
            self.close(reset=True)
            raise
        if code in IN_PROGRESS:
            self._network.loop.add_writer(server, self._on_dialled, server, addresses)
        else:
            self._connect(server, code, addresses)

    def _on_dialled(self, server: socket.socket, others: list[Address]) -> None:
        self._network.loop.remove_writer(server)
        self._connect(server, server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), others)

    def _connect(self, server: socket.socket, code: int, others: list[Address]) -> None:
        if code != 0 and others:
            server.close()
            self._dial(others)
            return
        if code != 0:
            # The refusal is news from the server: a black hole on the way down takes it.
            self._lost_to = self._network.conditions["down"].black_hole
            if self._lost_to is None:
                self.close(reset=True)
            else:
                self._network.loop.add_reader(self._client, self._swallow)
            return
        up = self._pipe("up", self._client, server)
        down = self._pipe("down", server, self._client)
        self._pipes = (up, down)
        up.push()
        down.push()

    def _pipe(self, way: Way, source: socket.socket, target: socket.socket) -> Pipe:
        return Pipe(
            self._network, way, source, target, on_end=self._end, on_error=self._fail, on_cut=self._cut
        )

    def _end(self) -> None:
        if all(pipe.ended for pipe in self._pipes):
            self.close(reset=False)

    def _cut(self) -> None:
        self.close(reset=True)

    def _fail(self, end: socket.socket) -> None:
        """The peer behind ``end`` reset its connection: reset the other, unless it cannot hear of it."""
        up, down = self._pipes
        if not (up if end is self._client else down).conceals_errors():
            self.close(reset=True)
            return
        up.stop()
        down.stop()


def set_up(end: socket.socket) -> None:
    """Make a socket ready for use: non-blocking, and what is sent leaves at once."""
    end.setblocking(False)
    if end.family in (socket.AF_INET, socket.AF_INET6):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def hang_up(end: socket.socket, *, reset: bool) -> None:
    """Close a socket with a reset or in an orderly way; unix sockets know the latter only."""
    try:
        if reset and end.family in (socket.AF_INET, socket.AF_INET6):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    except OSError:
        pass  # some systems refuse options of a socket whose peer has reset it already
    finally:
        end.close()

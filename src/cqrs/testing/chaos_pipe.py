"""One direction of a connection through a :class:`~cqrs.testing.ChaosProxy`.

Callbacks of one event loop and no tasks, so that a change of the faults takes effect between two bytes and
a connection can be ended at once, from any state, with nothing left behind.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cqrs.testing.chaos_faults import (
    Bandwidth,
    Conditions,
    CutAfter,
    LatencyFault,
    NetworkFault,
    Way,
)
from cqrs.testing.chaos_network import TOLERANCE, Network

# How much one direction holds before it stops reading, so that a slow reader slows the sender down.
HIGH_WATER = 256 * 1024
CHUNK = 64 * 1024
# A limited line carries portions of this many seconds.
PORTION = 0.05


@dataclass(slots=True)
class Chunk:
    """Data that waits to be passed on; no data means the end of the stream."""

    data: memoryview
    arrived: float
    latency: LatencyFault | None = None
    delay: float = 0.0


class Pipe:
    """Carries bytes from ``source`` to ``target`` under the conditions of its direction.

    Calls ``on_end`` when the end of the stream has been passed on, ``on_error`` with a socket that failed,
    and ``on_cut`` when the connection has to be reset.
    """

    def __init__(
        self,
        network: Network,
        way: Way,
        source: socket.socket,
        target: socket.socket,
        *,
        on_end: Callable[[], None],
        on_error: Callable[[socket.socket], None],
        on_cut: Callable[[], None],
    ) -> None:
        self.lost_to: NetworkFault | None = None
        self.ended = False
        self._network = network
        self._way: Way = way
        self._source = source
        self._target = target
        self._on_end = on_end
        self._on_error = on_error
        self._on_cut = on_cut
        self._chunks: deque[Chunk] = deque()
        self._held = 0
        self._at_end = False
        self._reading = False
        self._stopped = False
        self._cancel_timer: Callable[[], object] | None = None
        self._line: Bandwidth | None = None
        self._paid_until = 0.0
        self._pause_until = 0.0
        self._cut: CutAfter | None = None
        self._until_cut: int = 0

    def push(self) -> None:
        """Pass on what may go now, and see to it that this is called again for the rest."""
        if self._stopped:
            return
        self._disarm()
        while self._chunks:
            chunk = self._chunks[0]
            if self._swallow(chunk):
                continue
            now = self._network.now()
            size, wait = self._allowance(chunk, now)
            if wait > 0:
                self._cancel_timer = self._network.call_at(now + wait, self.push)
                break
            if not chunk.data:
                self._pass_end()
                return
            if not self._send(chunk, size):
                break
        if not self._chunks:
            self._line = None
        self._watch_source()

    def stop(self) -> None:
        """Touch the sockets no more."""
        if not self._stopped:
            self._stopped = True
            self._disarm()
            self._network.loop.remove_reader(self._source)
            self._network.loop.remove_writer(self._target)

    def conceals_errors(self) -> bool:
        """Tell whether not even a reset of the source gets through; that loss is noted."""
        self.lost_to = self.lost_to or self._conditions.black_hole
        return self.lost_to is not None

    @property
    def _conditions(self) -> Conditions:
        return self._network.conditions[self._way]

    def _watch_source(self) -> None:
        if self._stopped:
            return
        wanted = not self._at_end and self._held < HIGH_WATER
        if wanted and not self._reading:
            self._network.loop.add_reader(self._source, self._read)
        elif self._reading and not wanted:
            self._network.loop.remove_reader(self._source)
        self._reading = wanted

    def _read(self) -> None:
        try:
            data = self._source.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._on_error(self._source)
            return
        self._at_end = not data
        self._held += len(data)
        self._chunks.append(Chunk(memoryview(data), self._network.now()))
        self.push()

    def _swallow(self, chunk: Chunk) -> bool:
        dropped = self._conditions.dropped_replies
        if self.lost_to is None:
            self.lost_to = self._conditions.black_hole
        if self.lost_to is None and dropped is not None and chunk.data and dropped.take():
            self.lost_to = dropped
        # After a loss nothing may follow: the receiver would take later bytes for those that it waits for.
        if self.lost_to is None:
            return False
        self._chunks.popleft()
        self._held -= len(chunk.data)
        return True

    def _allowance(self, chunk: Chunk, now: float) -> tuple[int, float]:
        """Return how many bytes may go now and, when none may, in how many seconds to ask again."""
        conditions = self._conditions
        if chunk.latency is not conditions.latency:
            chunk.latency = conditions.latency
            chunk.delay = 0.0 if chunk.latency is None else chunk.latency.draw()
        wait = chunk.arrived + chunk.delay - now
        if conditions.slicing is not None:
            wait = max(wait, self._pause_until - now)
        if wait > TOLERANCE:
            return 0, wait
        size = len(chunk.data)
        if conditions.slicing is not None:
            size = min(size, conditions.slicing.size)
        line = conditions.bandwidth
        if self._line is not line:
            self._line, self._paid_until = line, now
        if line is not None and chunk.data:
            earned = int((now - self._paid_until) * line.bytes_per_second + 1e-6)
            if earned == 0:
                portion = min(size, max(1.0, line.bytes_per_second * PORTION))
                return 0, portion / line.bytes_per_second - (now - self._paid_until)
            size = min(size, earned)
        return size, 0.0

    def _send(self, chunk: Chunk, size: int) -> bool:
        """Pass on up to ``size`` bytes; returns whether more may follow."""
        conditions = self._conditions
        if self._cut is not conditions.cut:
            self._cut = conditions.cut
            self._until_cut = 0 if self._cut is None else self._cut.after_bytes
        if self._cut is not None:
            size = min(size, self._until_cut)
            if size == 0:
                self._on_cut()
                return False
        try:
            sent = self._target.send(chunk.data[:size])
        except (BlockingIOError, InterruptedError):
            self._line = None  # time spent on waiting for the receiver earns no bytes
            self._network.loop.add_writer(self._target, self._on_writable)
            return False
        except OSError:
            self._on_error(self._target)
            return False
        self._network.carried[self._way] += sent
        self._held -= sent
        chunk.data = chunk.data[sent:]
        if not chunk.data:
            self._chunks.popleft()
        if self._line is not None:
            self._paid_until += sent / self._line.bytes_per_second
        if conditions.slicing is not None:
            self._pause_until = self._network.now() + conditions.slicing.pause
        if self._cut is not None:
            self._until_cut -= sent
            if self._until_cut == 0:
                self._on_cut()
                return False
        return True

    def _pass_end(self) -> None:
        try:
            self._target.shutdown(socket.SHUT_WR)
        except OSError:
            self._on_error(self._target)
            return
        self._chunks.clear()
        self.ended = True
        self._watch_source()
        self._on_end()

    def _on_writable(self) -> None:
        self._network.loop.remove_writer(self._target)
        self.push()

    def _disarm(self) -> None:
        if self._cancel_timer is not None:
            self._cancel_timer()
            self._cancel_timer = None

"""Counts of recent outcomes, as differences of running totals.

Successes are counted by whoever finishes a call, without a lock: ``successes`` only ever grows by one, in
code that CPython cannot interrupt, and no window ever writes it back. All else here is written under the
circuit's lock. A window therefore keeps *marks* (totals at some moment) and subtracts.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple, Protocol

from cqrs.circuit_breaker.timing import CountWindow, TimeWindow


class Counts(NamedTuple):
    """Settled calls in the window: all of them, the failures, the slow ones."""

    calls: int
    failures: int
    slow: int


class Window(Protocol):
    """What the state machine needs of a window. All methods require the lock."""

    @property
    def segment_end(self) -> float:
        """The moment from which a success may no longer be counted without the lock."""
        ...

    @property
    def timed(self) -> bool:
        """Whether that moment ever comes."""
        ...

    def advance(self, now: float, successes: int) -> None:
        """Move on to ``now``; ``successes`` is the running total of quick successes."""
        ...

    def add(self, successes: int, *, failed: bool, slow: bool) -> None:
        """Record an outcome that is not a quick success."""
        ...

    def counts(self, successes: int) -> Counts:
        """Return what is in the window."""
        ...

    def counts_at(self, now: float, successes: int) -> Counts:
        """Return what would be in the window at ``now``; changes nothing."""
        ...

    def contents(self, successes: int) -> list[tuple[float, Counts]]:
        """Return the window in pieces, oldest first, each with the moment at which it ended."""
        ...


class TimedCounts:
    """Buckets on the grid of the clock: outcome at t is in bucket floor(t / b) (L1)."""

    __slots__ = ("_failures", "_others", "_segments", "_size", "_slow", "_width", "segment_end")

    timed = True

    def __init__(self, shape: TimeWindow, now: float, successes: int = 0) -> None:
        self._width = shape.bucket_seconds
        self._size = shape.buckets
        self._others = 0  # outcomes beside quick successes
        self._failures = 0
        self._slow = 0
        index = math.floor(now / self._width)
        # (bucket index, totals when it began), oldest first
        self._segments: list[tuple[int, int, int, int, int]] = [(index, successes, 0, 0, 0)]
        self.segment_end = (index + 1) * self._width

    def advance(self, now: float, successes: int) -> None:
        if now < self.segment_end:  # also when the clock stood still or stepped back
            return
        index = max(math.floor(now / self._width), self._segments[-1][0] + 1)
        self._segments.append((index, successes, self._others, self._failures, self._slow))
        self.segment_end = (index + 1) * self._width
        oldest = index - self._size
        expired = 0
        while self._segments[expired][0] <= oldest:
            expired += 1
        if expired:
            del self._segments[:expired]

    def add(self, successes: int, *, failed: bool, slow: bool) -> None:
        self._others += 1
        self._failures += failed
        self._slow += slow

    def counts(self, successes: int) -> Counts:
        _, ok, others, failures, slow = self._segments[0]
        calls = successes - ok + self._others - others
        return Counts(calls, self._failures - failures, self._slow - slow)

    def counts_at(self, now: float, successes: int) -> Counts:
        if now < self.segment_end:
            return self.counts(successes)
        oldest = max(math.floor(now / self._width), self._segments[-1][0] + 1) - self._size
        for index, ok, others, failures, slow in self._segments:
            if index > oldest:
                calls = successes - ok + self._others - others
                return Counts(calls, self._failures - failures, self._slow - slow)
        return Counts(0, 0, 0)

    def load(self, pieces: list[tuple[float, Counts]], now: float) -> None:
        """Take over the pieces of another window; a piece goes where its newest outcome may be."""
        current, successes = self._segments[-1][:2]
        placed: dict[int, list[Counts]] = {}
        for end, counts in pieces:
            index = current if end == -math.inf else min(current, math.ceil(end / self._width) - 1)
            if index > current - self._size:
                placed.setdefault(index, []).append(counts)
        placed.setdefault(current, [])
        self._segments = []
        for index in sorted(placed):
            self._segments.append((index, successes, self._others, self._failures, self._slow))
            for counts in placed[index]:
                self._others += counts.calls
                self._failures += counts.failures
                self._slow += counts.slow

    def contents(self, successes: int) -> list[tuple[float, Counts]]:
        ends = [*self._segments[1:], (0, successes, self._others, self._failures, self._slow)]
        pieces: list[tuple[float, Counts]] = []
        for (index, ok, others, failures, slow), end in zip(self._segments, ends, strict=True):
            counts = Counts(end[1] - ok + end[2] - others, end[3] - failures, end[4] - slow)
            pieces.append(((index + 1) * self._width, counts))
        return pieces


class RingCounts:
    """The last n outcomes: the positions of failures and slow calls in the sequence of all outcomes."""

    __slots__ = ("_base", "_failures", "_others", "_size", "_slow")

    timed = False
    segment_end = math.inf

    def __init__(self, shape: CountWindow, successes: int = 0) -> None:
        self._size = shape.size
        self._base = successes
        self._others = 0
        self._failures: deque[int] | None = None  # a deque is 0.6 KB: none until the first bad outcome
        self._slow: deque[int] | None = None

    def advance(self, now: float, successes: int) -> None:
        first = successes - self._base + self._others - self._size
        for positions in (self._failures, self._slow):
            while positions and positions[0] <= first:
                positions.popleft()

    def add(self, successes: int, *, failed: bool, slow: bool) -> None:
        self._others += 1
        position = successes - self._base + self._others
        if failed:
            if self._failures is None:
                self._failures = deque()
            self._failures.append(position)
        if slow:
            if self._slow is None:
                self._slow = deque()
            self._slow.append(position)
        self.advance(0.0, successes)

    def counts(self, successes: int) -> Counts:
        self.advance(0.0, successes)
        calls = min(self._size, successes - self._base + self._others)
        return Counts(calls, len(self._failures or ()), len(self._slow or ()))

    def counts_at(self, now: float, successes: int) -> Counts:
        return self.counts(successes)  # what it drops can never be counted again

    def load(self, pieces: list[tuple[float, Counts]], now: float) -> None:
        """Take over the pieces of another window; within a piece the bad outcomes count as the newest."""
        for _, counts in pieces:
            self._others += counts.calls
            if counts.failures:
                self._failures = self._failures or deque()
                self._failures.extend(self._newest(counts.failures))
            if counts.slow:
                self._slow = self._slow or deque()
                self._slow.extend(self._newest(counts.slow))

    def _newest(self, number: int) -> range:
        return range(self._others - min(number, self._size) + 1, self._others + 1)

    def resized(self, shape: CountWindow, successes: int) -> RingCounts:
        """Return a ring of another size with the same outcomes in the same order."""
        new = RingCounts(shape, successes)
        known = self.counts(successes).calls
        forgotten = successes - self._base + self._others - known
        new._others = known
        new._failures = deque(at - forgotten for at in self._failures or ())
        new._slow = deque(at - forgotten for at in self._slow or ())
        return new

    def contents(self, successes: int) -> list[tuple[float, Counts]]:
        return [(-math.inf, self.counts(successes))]


class NoCounts:
    """No window: only failures in a row are looked at."""

    __slots__ = ()

    timed = False
    segment_end = math.inf

    def advance(self, now: float, successes: int) -> None:
        pass

    def add(self, successes: int, *, failed: bool, slow: bool) -> None:
        pass

    def counts(self, successes: int) -> Counts:
        return Counts(0, 0, 0)

    def counts_at(self, now: float, successes: int) -> Counts:
        return Counts(0, 0, 0)

    def contents(self, successes: int) -> list[tuple[float, Counts]]:
        return []


def make_window(shape: TimeWindow | CountWindow | None, now: float, successes: int = 0) -> Window:
    """Return an empty window; ``successes`` is the running total that it starts from."""
    if isinstance(shape, TimeWindow):
        return TimedCounts(shape, now, successes)
    if isinstance(shape, CountWindow):
        return RingCounts(shape, successes)
    return NoCounts()


def reshaped(old: Window, shape: TimeWindow | CountWindow | None, now: float, successes: int) -> Window:
    """Return a window of another shape that keeps what both shapes can hold, newest first (L16)."""
    old.advance(now, successes)
    if isinstance(old, RingCounts) and isinstance(shape, CountWindow):
        return old.resized(shape, successes)
    new = make_window(shape, now, successes)
    if isinstance(new, (TimedCounts, RingCounts)):
        new.load(old.contents(successes), now)
    return new

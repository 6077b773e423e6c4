"""Counts of recent outcomes, as differences of running totals.

Successes are counted by whoever finishes a call, without a lock: ``successes`` only ever grows by one, in
code that CPython cannot interrupt, and no window ever writes it back. All else here is written under the
circuit's lock. A window therefore keeps *marks* (totals at some moment) and subtracts.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

from cqrs.circuit_breaker.timing import CountWindow, TimeWindow


class Counts(NamedTuple):
    """Settled calls in the window: all of them, the failures, the slow ones."""

    calls: int
    failures: int
    slow: int


# Half the price of Counts(...), which every failure would pay.
_counts = cast("Callable[[type[Counts], tuple[int, int, int]], Counts]", cast(Any, tuple).__new__)


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


_MARK = 5
"""Numbers per segment: bucket index; totals at its start: successes, other outcomes, failures, slow ones."""


class TimedCounts:
    """Buckets on the grid of the clock: outcome at t is in bucket floor(t / b) (L1)."""

    __slots__ = ("_failures", "_marks", "_others", "_shape", "_slow", "segment_end")

    timed = True

    def __init__(self, shape: TimeWindow, now: float, successes: int = 0) -> None:
        self._shape = shape
        self._others = 0  # outcomes beside quick successes
        self._failures = 0
        self._slow = 0
        index = math.floor(now / shape.bucket_seconds)
        self._marks = array("q", (index, successes, 0, 0, 0))  # segments, oldest first
        self.segment_end = (index + 1) * shape.bucket_seconds

    @property
    def newest(self) -> float:
        """The moment at which the newest bucket began."""
        return self._marks[-_MARK] * self._shape.bucket_seconds

    def advance(self, now: float, successes: int) -> None:
        if now < self.segment_end:  # also when the clock stood still or stepped back
            return
        width = self._shape.bucket_seconds
        marks = self._marks
        index = max(math.floor(now / width), marks[-_MARK] + 1)
        marks.extend((index, successes, self._others, self._failures, self._slow))
        self.segment_end = (index + 1) * width
        del marks[: self._first(index)]

    def _first(self, index: int) -> int:
        """Return where the first segment begins that a window ending with bucket ``index`` holds."""
        at, oldest = 0, index - self._shape.buckets
        while at < len(self._marks) and self._marks[at] <= oldest:
            at += _MARK
        return at

    def add(self, successes: int, *, failed: bool, slow: bool) -> None:
        self._others += 1
        self._failures += failed
        self._slow += slow

    def counts(self, successes: int) -> Counts:
        return self._since(0, successes)

    def counts_at(self, now: float, successes: int) -> Counts:
        if now < self.segment_end:
            return self.counts(successes)
        index = max(math.floor(now / self._shape.bucket_seconds), self._marks[-_MARK] + 1)
        first = self._first(index)
        return Counts(0, 0, 0) if first == len(self._marks) else self._since(first, successes)

    def _since(self, at: int, successes: int) -> Counts:
        marks = self._marks
        calls = successes - marks[at + 1] + self._others - marks[at + 2]
        figures = calls, self._failures - marks[at + 3], self._slow - marks[at + 4]
        return _counts(Counts, figures)

    def load(self, pieces: list[tuple[float, Counts]]) -> None:
        """Take over the pieces of another window; a piece goes where its newest outcome may be."""
        width, marks = self._shape.bucket_seconds, self._marks
        current, successes = marks[-_MARK], marks[-_MARK + 1]
        placed: dict[int, list[Counts]] = {current: []}
        for end, counts in pieces:
            index = current if end == -math.inf else min(current, math.ceil(end / width) - 1)
            if index > current - self._shape.buckets:
                placed.setdefault(index, []).append(counts)
        del marks[:]
        for index in sorted(placed):
            marks.extend((index, successes, self._others, self._failures, self._slow))
            for counts in placed[index]:
                self._others += counts.calls
                self._failures += counts.failures
                self._slow += counts.slow

    def contents(self, successes: int) -> list[tuple[float, Counts]]:
        pieces: list[tuple[float, Counts]] = []
        later = Counts(0, 0, 0)
        for at in range(len(self._marks) - _MARK, -1, -_MARK):
            since = self._since(at, successes)
            counts = Counts(*(mine - theirs for mine, theirs in zip(since, later, strict=True)))
            pieces.insert(0, ((self._marks[at] + 1) * self._shape.bucket_seconds, counts))
            later = since
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
        return _counts(Counts, (calls, len(self._failures or ()), len(self._slow or ())))

    def counts_at(self, now: float, successes: int) -> Counts:
        return self.counts(successes)  # what it drops can never be counted again

    def load(self, pieces: list[tuple[float, Counts]]) -> None:
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
    """No window: only failures in a row are looked at. Holds nothing, so that one serves all."""

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


NO_COUNTS = NoCounts()


def make_window(shape: TimeWindow | CountWindow | None, now: float, successes: int = 0) -> Window:
    """Return an empty window; ``successes`` is the running total that it starts from."""
    if isinstance(shape, TimeWindow):
        return TimedCounts(shape, now, successes)
    if isinstance(shape, CountWindow):
        return RingCounts(shape, successes)
    return NO_COUNTS


def reshaped(old: Window, shape: TimeWindow | CountWindow | None, now: float, successes: int) -> Window:
    """Return a window of another shape that keeps what both shapes can hold, newest first (L16)."""
    if isinstance(old, TimedCounts):
        now = max(now, old.newest)  # the clock may have stepped back
    old.advance(now, successes)
    if isinstance(old, RingCounts) and isinstance(shape, CountWindow):
        return old.resized(shape, successes)
    new = make_window(shape, now, successes)
    if isinstance(new, (TimedCounts, RingCounts)):
        new.load(old.contents(successes))
    return new

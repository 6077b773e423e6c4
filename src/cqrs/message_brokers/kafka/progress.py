"""How far a partition has been handled: Kafka keeps one position for it, not one per message."""

from __future__ import annotations

import collections

__all__ = ["Progress"]


class Progress:
    """What was handed over of one partition, and what was settled, since it was assigned.

    Messages may be settled in any order; the position that may be committed never passes one that is not.

    >>> progress = Progress()
    >>> for offset in (4, 5, 7):
    ...     progress.deliver(offset)
    >>> progress.settle(5)
    >>> progress.position is None
    True
    >>> progress.settle(4)
    >>> progress.position
    6
    """

    __slots__ = ("_committed", "_in_work", "_order", "_resting", "_settled", "is_going", "position")

    def __init__(self) -> None:
        self.is_going = False  # to another member, as soon as nothing is in work
        self.position: int | None = None  # of the next message to be handled, as Kafka counts
        self._order: collections.deque[int] = collections.deque()
        self._in_work: set[int] = set()
        self._settled: set[int] = set()
        self._resting: set[int] = set()
        self._committed: int | None = None

    @property
    def in_work(self) -> int:
        """How many messages are handed over, and neither settled, nor given back, nor resting."""
        return len(self._in_work) - len(self._resting)

    @property
    def due(self) -> int | None:
        """The position that is to be committed; ``None``: it was, or there is none yet."""
        return None if self.position == self._committed else self.position

    def deliver(self, offset: int) -> None:
        """Note that a message is handed over; offsets grow, not always by one."""
        self._order.append(offset)
        self._in_work.add(offset)

    def settle(self, offset: int) -> None:
        """Note that a message is done with."""
        if offset not in self._in_work:
            return
        self.give_back(offset)
        self._settled.add(offset)
        while self._order and self._order[0] in self._settled:
            done = self._order.popleft()
            self._settled.discard(done)
            self.position = done + 1

    def give_back(self, offset: int) -> None:
        """Note that a message will not be handled here: nothing from it on is committed."""
        self._in_work.discard(offset)
        self._resting.discard(offset)

    def rest(self, offset: int, resting: bool) -> None:
        """Note that a message waits for its next attempt, or that this begins."""
        if resting and offset in self._in_work:
            self._resting.add(offset)
        else:
            self._resting.discard(offset)

    def committed(self, position: int) -> None:
        """Note what Kafka has stored."""
        self._committed = position

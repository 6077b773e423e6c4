"""What must be handled in order: lanes, in each of which one item is at work at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Decides what may begin; an item without ordering may begin at once.

    >>> lanes = Lanes[str]()
    >>> lanes.add("a", 1), lanes.add("b", 1), lanes.add("c", None)
    (True, False, True)
    >>> lanes.done(1), lanes.done(1), lanes.done(None)
    ('b', None, None)
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[T]] = {}

    def add(self, item: T, ordering: Hashable | None) -> bool:
        """Take ``item`` in; ``True``: it may begin."""
        if ordering is None:
            return True
        lane = self._waiting.get(ordering)
        if lane is None:
            self._waiting[ordering] = deque()
            return True
        lane.append(item)
        return False

    def done(self, ordering: Hashable | None) -> T | None:
        """Note that the item at work in ``ordering`` has ended; return the next, which may begin."""
        if ordering is None:
            return None
        lane = self._waiting[ordering]
        if lane:
            return lane.popleft()
        del self._waiting[ordering]
        return None

    def waiting(self, ordering: Hashable | None) -> int:
        """Return how many items wait behind the one at work."""
        return 0 if ordering is None else len(self._waiting.get(ordering, ()))

    def clear(self) -> list[T]:
        """Remove and return all items that have not begun, lane by lane in their order."""
        items = [item for lane in self._waiting.values() for item in lane]
        for lane in self._waiting.values():
            lane.clear()
        return items

"""What one group has still to handle of one topic; decides, and never waits."""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import itertools
from collections import deque
from collections.abc import Callable

from cqrs.message_brokers.memory.records import Stored

__all__ = ["Delivery", "Entry", "GroupQueue"]


@dataclasses.dataclass(slots=True, eq=False)
class Entry:
    """A message on its way through a group; ``delivery`` while it is handed over."""

    stored: Stored
    attempt: int = 1
    delivery: Delivery | None = None
    due: float | None = None
    """When a delay, or the lease of the delivery, is over."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One handing over of a message; out of date as soon as the message was settled, or given to another."""

    queue: GroupQueue
    entry: Entry
    owner: object
    attempt: int


class GroupQueue:
    """Messages of one topic for one group, each handed to one of its members at a time.

    Of the messages with the same key only the oldest one is handed over; the next follows when that one is
    settled for good.

    Args:
        topic: name of the topic.
        group: name of the group.
    """

    def __init__(self, topic: str, group: str) -> None:
        self.topic = topic
        self.group = group
        self._ready: deque[Entry] = deque()
        self._keys: dict[str, deque[Entry]] = {}
        self._timers: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()
        self._size = 0
        self._in_flight: set[Entry] = set()
        self._watchers: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        """Return how many messages are not settled."""
        return self._size

    @property
    def in_flight(self) -> int:
        """How many are handed over and not settled."""
        return len(self._in_flight)

    def put(self, stored: Stored) -> None:
        """Take in a new message."""
        entry = Entry(stored)
        self._size += 1
        if stored.key is not None:
            lane = self._keys.setdefault(stored.key, deque())
            lane.append(entry)
            if len(lane) > 1:
                return
        self._ready.append(entry)
        self.notify()

    def take(self, owner: object, now: float, lease: float | None) -> Delivery | None:
        """Hand over the next message for ``lease`` seconds, if there is one."""
        self._let_time_pass(now)
        if not self._ready:
            return None
        entry = self._ready.popleft()
        delivery = entry.delivery = Delivery(self, entry, owner, entry.attempt)
        self._in_flight.add(entry)
        self._set_timer(entry, None if lease is None else now + lease)
        return delivery

    def settle(self, delivery: Delivery) -> bool:
        """Forget the message; ``False``: the delivery is out of date."""
        if not self._end(delivery):
            return False
        self._size -= 1
        key = delivery.entry.stored.key
        if key is not None:
            lane = self._keys[key]
            lane.popleft()
            if lane:
                self._ready.append(lane[0])
            else:
                del self._keys[key]
        self.notify()
        return True

    def put_back(self, delivery: Delivery, *, due: float | None = None, counts: bool = True) -> None:
        """Have the message delivered again, not before ``due``; unless the delivery is out of date."""
        if self._end(delivery):
            self._again(delivery.entry, due, counts)

    def put_back_all(self, owner: object | None = None) -> None:
        """Have everything delivered again that ``owner`` holds; ``None``: that anybody holds."""
        held = [entry.delivery for entry in self._in_flight if entry.delivery is not None]
        for delivery in sorted(held, key=lambda it: it.entry.stored.offset, reverse=True):
            if owner in (None, delivery.owner):
                self.put_back(delivery)

    def extend(self, delivery: Delivery, until: float | None) -> None:
        """Let a lease last until ``until``, unless the delivery is out of date."""
        if delivery.entry.delivery is delivery:
            self._set_timer(delivery.entry, until)

    def next_due(self) -> float | None:
        """Return when something will happen by itself."""
        while self._timers and self._timers[0][2].due != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def watch(self, watcher: asyncio.Future[None]) -> Callable[[], None]:
        """Resolve ``watcher`` at the next change; return what ends the watch."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def notify(self) -> None:
        """Wake everyone who watches."""
        watchers, self._watchers = self._watchers, set()
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    def _end(self, delivery: Delivery) -> bool:
        entry = delivery.entry
        if entry.delivery is not delivery:
            return False
        entry.delivery = entry.due = None
        self._in_flight.discard(entry)
        return True

    def _again(self, entry: Entry, due: float | None, counts: bool) -> None:
        entry.attempt += counts
        if due is None:
            self._ready.appendleft(entry)
        else:
            self._set_timer(entry, due)
        self.notify()

    def _set_timer(self, entry: Entry, due: float | None) -> None:
        entry.due = due
        if due is not None:
            heapq.heappush(self._timers, (due, next(self._order), entry))

    def _let_time_pass(self, now: float) -> None:
        due = self.next_due()
        while due is not None and due <= now:
            entry = heapq.heappop(self._timers)[2]
            entry.due = None
            if entry.delivery is None:
                self._ready.append(entry)
            else:  # a lease that nobody has extended
                self.put_back(entry.delivery)
            due = self.next_due()

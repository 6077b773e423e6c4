"""The way to the store and the store itself: the real coordinator, reached after a latency, or not at all."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING

from cqrs.circuit_breaker.errors import StoreUnavailableError
from cqrs.circuit_breaker.fleet.coordinator import Coordinator
from cqrs.circuit_breaker.fleet.transport import Done, Message
from cqrs.simulation.agenda import Agenda
from cqrs.simulation.store import SharedStore

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.session import Session

_SOON = 1e-6
"""Closer than this, two moments of a tick are one: deadlines are sums of rounded numbers."""


class VirtualStore:
    """One store, one shard, and who is connected to it.

    Attributes:
        commands: sent in each second.
        unanswered: commands without an answer in time.
        messages: published; each goes to every process.
        openings: of the circuit, by the store.
    """

    def __init__(self, shared: SharedStore, agenda: Agenda, duration: float, seed: int) -> None:
        self.shared = shared
        self.agenda = agenda
        self.duration = duration
        self.coordinator = Coordinator()
        self.links: list[Link] = []
        self.commands = [0] * (int(duration) + 1)
        self.unanswered = 0
        self.messages = self.openings = 0
        self._free_at = 0.0
        self._draw = random.Random(f"holdfast store {seed}").expovariate
        if shared.forgets:
            for _, end in shared.outages:
                agenda.plan(end, self.coordinator.clear)

    def one_way(self) -> float:
        """Return the seconds that a message takes in one direction."""
        shared = self.shared
        return shared.latency * (1.0 + shared.jitter * self._draw(1.0)) / 2

    def send(self, link: Link, request: Message, timeout: float, done: Done) -> None:
        """Carry a request to the coordinator and its answer back."""
        agenda, shared = self.agenda, self.shared
        now = agenda.clock.now
        if now < self.duration:
            self.commands[int(now)] += 1
        arrives = now + self.one_way()
        if shared.is_down(arrives):
            self._lose(link, now + timeout, done)
            return
        begins = max(arrives, self._free_at)  # first come, first served
        self._free_at = begins + shared.service_time
        back = self._free_at + self.one_way()
        lost = back > now + timeout or shared.is_down(back)
        if lost:  # it takes effect all the same
            self._lose(link, now + timeout, done)
        agenda.plan(begins, functools.partial(self._arrive, link, request, None if lost else back, done))

    def _arrive(self, link: Link, request: Message, back: float | None, done: Done) -> None:
        agenda, coordinator = self.agenda, self.coordinator
        now = agenda.clock.now
        reply = coordinator.exchange(request, round(now * 1e6))
        if coordinator.published:
            messages, coordinator.published = coordinator.published, []
            self.messages += len(messages)
            audit = coordinator.audit
            self.openings += sum(entry["to"] == "open" for entry in audit)
            audit.clear()
            if self.shared.push:
                agenda.plan(now + self.one_way(), functools.partial(self._publish, messages))
        if back is not None:
            agenda.plan(back, functools.partial(link.answer, done, reply))

    def _lose(self, link: Link, second: float, done: Done) -> None:
        self.unanswered += 1
        self.agenda.plan(second, functools.partial(link.answer, done, None))

    def _publish(self, messages: list[Message]) -> None:
        if self.shared.is_down(self.agenda.clock.now):
            return
        for link in self.links:
            for message in messages:
                link.session.message(message)


class Link:
    """One process's way to the store: a ``Transport`` whose background thread is the agenda."""

    __slots__ = ("_agenda", "_awake", "_broken", "_due", "_instant", "_store", "session")

    def __init__(self, store: VirtualStore, session: Session) -> None:
        self._store = store
        self._agenda = store.agenda
        self.session = session
        self._awake = self._broken = self._instant = False
        self._due = -1.0
        store.links.append(self)

    def meet(self) -> None:
        """Make the acquaintance of the store before the scenario begins, unless it is down by then."""
        store, session = self._store, self.session
        if not store.shared.is_down(0.0):
            self._instant = True
            session.tick()
            self._instant = False

    def submit(self, shard: int, request: Message, timeout: float, done: Done) -> None:
        """Send a request; the simulated store has one shard."""
        if self._instant:
            done(self._store.coordinator.exchange(request, round(self._agenda.clock.now * 1e6)), None)
            return
        self._store.send(self, request, timeout, done)

    def answer(self, done: Done, reply: Message | None) -> None:
        """Bring an answer, or the news that none came in time."""
        if reply is None:
            self._broken = True
            done(None, StoreUnavailableError("the simulated store", "no answer in time"))
            return
        if self._broken:
            self._broken = False
            self.session.connected()  # on a fresh connection: published changes were missed
        done(reply, None)

    def wake(self) -> None:
        """Have the session's ``tick`` called at this moment, after what is going on."""
        if not self._awake:
            self._awake = True
            self._agenda.plan(self._agenda.clock.now, self._tick)

    def tick_at(self, second: float) -> None:
        """Have ``tick`` called at a second, unless it lies after the end of the scenario."""
        if abs(second - self._due) > _SOON and second < self._store.duration:
            self._due = second
            self._agenda.plan(second, functools.partial(self._on_time, second))

    def _on_time(self, second: float) -> None:
        if second == self._due:
            self._due = -1.0
            self._tick()

    def _tick(self) -> None:
        self._awake = False
        wait = self.session.tick()
        self.tick_at(self._agenda.clock.now + max(_SOON, wait))

    def close(self, timeout: float) -> None:
        """A simulated process never stops."""

    def abandon(self) -> None:
        """It never forks either."""

"""One process's part in a fleet: what it tells the store and when, what it makes of the answers.

No I/O, no thread and no timer of its own: a ``Transport`` carries requests, and calls ``tick`` when something
is due. One exchange per interval serves all circuits (F1): it counts the process as living, brings what
others changed, and takes along what there is to report.
"""

from __future__ import annotations

import itertools
import logging
import math
import secrets
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from cqrs.circuit_breaker.fleet import line, wire
from cqrs.circuit_breaker.fleet.announcements import Announcements
from cqrs.circuit_breaker.fleet.candidate import Candidate
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.knowledge import Knowledge
from cqrs.circuit_breaker.fleet.probes import Probes
from cqrs.circuit_breaker.fleet.reports import Report, Reports
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.shard import Shard
from cqrs.circuit_breaker.fleet.transport import Message, Transport
from cqrs.circuit_breaker.interruptions import ForkedLock
from cqrs.circuit_breaker.listeners import ListenerHub
from cqrs.circuit_breaker.permit import Permit
from cqrs.circuit_breaker.verdict import Trip, Verdict
from cqrs.exceptions import ConfigurationError

logger = logging.getLogger(__name__)

Answer = Callable[[Message | None, Exception | None], None]


class Session:
    """Member of a fleet: the circuits of one process that share one store."""

    def __init__(
        self, settings: StoreSettings, clock: Callable[[], float], random: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.random = random
        self.node = secrets.token_hex(6)
        self.transport: Transport | None = None
        self.gates: weakref.WeakValueDictionary[str, FleetGate] = weakref.WeakValueDictionary()
        self.numbers = itertools.count(1)
        self.shards: list[Shard] = [Shard(number) for number in range(settings.shards)]
        self.probes = Probes(self)
        self.knowledge = Knowledge(self)
        self.reports = Reports(self)
        self.announcements = Announcements(settings.namespace, clock)
        self.degraded = False
        self.patience = settings.command_timeout
        self.answered_at = clock()
        self.heard = threading.Event()  # the store has told us all it knows
        self.last_error = "it has not answered yet"
        self.next_sync = self.answered_at
        self.recheck = math.inf  # when to look whether failures in a row still stand
        self.lock = ForkedLock()
        self._turn = 0
        self._rulebook = wire.Rulebook(settings)
        self.breaker = line.line_breaker(settings, clock, random)

    def renew(self) -> None:
        """Begin as another member, in a forked child: what the parent asked for is the parent's (F8)."""
        self.node = secrets.token_hex(6)
        self.transport = None
        self.lock = ForkedLock()
        self.shards = [shard.renewed() for shard in self.shards]
        self.probes = Probes(self)
        self.answered_at = self.next_sync = self.clock()
        self.breaker.reset()
        for gate in self.members():
            self.touch(gate, urgent=False)

    # ------------------------------------------------------------------ members

    def add(self, gate: FleetGate, hubs: Iterable[ListenerHub]) -> None:
        """Take a circuit in; what is known of it already holds from its first call on.

        Raises:
            ConfigurationError: another registry of this process shares a circuit of this name.
        """
        with self.lock.mine():
            known = self.gates.get(gate.identity)
            if known is not None and known is not gate:
                raise ConfigurationError(
                    f"circuit {gate.machine.name!r} is shared through this store by another registry of this"
                    " process already: use one registry, or a store of its own for each"
                )
            self.gates[gate.identity] = gate
            self.announcements.listen(hubs)
        self.knowledge.introduce(gate)

    def members(self) -> list[FleetGate]:
        """Return the circuits that exist now."""
        while True:
            try:
                return list(self.gates.values())
            except RuntimeError:  # one was made or dropped meanwhile
                continue

    def shard_of(self, gate: FleetGate) -> Shard:
        """Return the shard that keeps a circuit."""
        return self.shards[wire.shard_of(gate.identity, self.settings.shards)]

    def rules_of(self, gate: FleetGate) -> Message:
        """Return what the store decides about a circuit by."""
        return self._rulebook.rules_of(gate.machine.policy)

    # ------------------------------------------------------------------ Fleet: what gates ask for

    def touch(self, gate: FleetGate, urgent: bool) -> None:
        """Report on a circuit with the next exchange, or at once."""
        shard = self.shard_of(gate)
        shard.dirty[gate.identity] = gate
        if urgent:
            shard.urgent = True
            self.wake()

    def acquire(self, gate: FleetGate, candidate: Candidate) -> None:
        """Ask for a permit."""
        self.probes.acquire(gate, candidate)

    def settle(self, gate: FleetGate, candidate: Candidate, verdict: Verdict | Trip, slow: bool) -> None:
        """Report the end of a probe."""
        self.probes.settle(gate, candidate, verdict, slow)

    def wake(self) -> None:
        """Have ``tick`` called soon."""
        if self.transport is not None:
            self.transport.wake()

    # ------------------------------------------------------------------ Ticker: what the transport calls

    def tick(self) -> float:
        """Do what is due; return the seconds until something is due again."""
        try:
            return self._tick()
        except Exception:
            logger.exception("the exchange with %s failed in an unforeseen way", self.settings.namespace)
            return self.settings.sync_interval

    def _tick(self) -> float:
        now = self.clock()
        self._look_at_age(now)
        routine = now >= self.next_sync
        if routine:
            spread = 0.9 + 0.2 * self.random()  # processes that start together do not stay in step
            self.next_sync = now + self.settings.sync_interval * spread
        renew = self.probes.due(now)
        if now >= self.recheck:
            self.recheck = math.inf
            for shard in self.shards:
                shard.urgent |= bool(shard.dirty)
        for shard in self._in_turn():
            if (routine or shard.urgent or shard.hungry or renew) and shard.sending is None:
                self._send(shard, now, routine)
        renewal = self.probes.next_renewal(now)
        if renewal <= now:
            renewal = self.next_sync  # an exchange is under way, or failed: no sooner than that
        return max(0.0, min(self.next_sync, renewal, self.recheck) - self.clock())

    def _in_turn(self) -> list[Shard]:
        """Return the shards, beginning with another one while the store is sought: one server may be dead."""
        if line.closed(self.breaker):
            return self.shards
        self._turn = (self._turn + 1) % len(self.shards)
        return self.shards[self._turn :] + self.shards[: self._turn]

    def connected(self) -> None:
        """Note a fresh connection: maybe to a server that was promoted, or that lost everything (F10)."""
        for shard in self.shards:
            shard.hungry = True
        self.wake()

    def message(self, payload: Message) -> None:
        """Take a published change. It only accelerates: the next exchange brings it as well."""
        try:
            view, incarnation = payload["view"], payload["inc"]
            self._message(view, incarnation)
        except (KeyError, TypeError, ValueError):
            logger.debug("a published message is not ours: %r", payload)

    def _message(self, view: Message, incarnation: str) -> None:
        shard = self.shards[
            0 if view["id"] == wire.EVERYWHERE else wire.shard_of(view["id"], self.settings.shards)
        ]
        if incarnation == shard.incarnation:
            self.knowledge.take(shard, view, self.clock())
        else:
            shard.hungry = True
            self.wake()

    # ------------------------------------------------------------------ exchanges

    def exchange(self, shard: Shard, request: Message, timeout: float, answer: Answer) -> None:
        """Send a request, guarded by the store's breaker; ``answer`` gets the reply or the error.

        A store that is away is sought by regular exchanges alone: no call waits for that.
        """
        may = bool(request["beat"]) or line.closed(self.breaker)
        permit, transport = self.breaker.try_acquire() if may else None, self.transport
        if permit is None or transport is None:
            answer(None, ConnectionError("the store is known to be away"))
            return
        sent, heard = self.clock(), (shard.incarnation, shard.heard)

        def done(reply: Message | None, error: Exception | None) -> None:
            if self.transport is not transport:  # this is a forked child, or the store was closed
                permit.drop()
                answer(None, error or ConnectionError("the store was closed"))
                return
            sought = not line.closed(self.breaker)
            self._judge(permit, error, sent, bool(request["beat"]))
            if sought and line.closed(self.breaker):
                self._found(shard)
            if reply is not None:
                self._meet(shard, reply, request)
            answer(reply, error)
            if reply is not None:
                self._look_back(shard, reply, heard)

        transport.submit(shard.number, request, timeout, done)

    def _judge(self, permit: Permit, error: Exception | None, sent: float, beat: bool) -> None:
        if error is not None:
            permit.failure(error)
            self.last_error = str(error)
        elif permit.success() and beat and sent >= self.answered_at:
            # Only what brings news counts: a server without memory may still grant probes, and nothing else.
            silent, self.answered_at = sent - self.answered_at, sent
            self.last_error = ""
            # What was asked before this process was suspended says nothing of now.
            if self.degraded and self.clock() - sent <= self.settings.max_staleness:
                self._recover(silent)

    def _found(self, by: Shard) -> None:
        """Have the other shards asked at once, of which only one was: the store is back (F6)."""
        for shard in self.shards:
            shard.urgent |= shard is not by
        self.wake()

    def request(self, shard: Shard, *, beat: bool = False, full: bool = False) -> Message:
        """Return a request to a shard, still without operations."""
        seen = (shard.incarnation, shard.sequence)
        fresh, stale = secrets.token_hex(6), self.settings.max_staleness
        return wire.request(self.node, fresh, seen, stale, beat=beat, full=full)

    def operation(self, kind: str, gate: FleetGate, **fields: Any) -> dict[str, Any]:
        """Return an operation on a circuit."""
        return {
            "op": kind,
            "id": gate.identity,
            "name": gate.machine.name,
            "seen": list(gate.shared.highest),
            "rnd": self.random(),
            **fields,
        }

    def _send(self, shard: Shard, now: float, routine: bool) -> None:
        full, shard.hungry = shard.hungry or not shard.incarnation, False
        shard.urgent = False
        request = self.request(shard, beat=True, full=full)
        reported = self.reports.add(shard, request, now, routine)
        renewed = self.probes.add(shard, request, now)
        shard.sending = request

        def answer(reply: Message | None, error: Exception | None) -> None:
            shard.sending = None
            if reply is None:
                shard.hungry |= full
                shard.dirty.update((each.gate.identity, each.gate) for each in reported)
                self.probes.failed(renewed)
                self.next_sync = min(self.next_sync, self.clock() + line.pause(self.breaker))
            else:
                self._absorb(shard, reply, reported, renewed)
            left_over = shard.hungry or self.probes.due(self.clock())
            if shard.urgent or (left_over and reply is not None):
                self.wake()

        try:
            self.exchange(shard, request, self.settings.sync_timeout, answer)
        except BaseException:
            shard.sending = None  # or nothing would ever be sent again
            raise

    def take_result(self, gate: FleetGate, result: Message) -> None:
        """Take the result of an operation on a circuit."""
        if "err" in result:
            self.announcements.refused(gate, result["err"])
        else:
            self.knowledge.take(self.shard_of(gate), result["view"], self.clock())

    def take_view(self, shard: Shard, reply: Message, view: Message) -> None:
        """Take a view that was asked for outside of the regular exchange."""
        if reply["inc"] == shard.incarnation:
            self.knowledge.take(shard, view, self.clock())
        else:
            shard.hungry = True
            self.wake()

    def _meet(self, shard: Shard, reply: Message, request: Message) -> None:
        """Note which store answered: one that has lost its state knows nothing of what we saw."""
        if reply["inc"] != shard.incarnation:
            if shard.incarnation and not request["beat"]:
                shard.hungry = True
                self.wake()
                return
            shard.incarnation = reply["inc"]
            shard.sequence = shard.heard = 0
            shard.views.clear()

    def _look_back(self, shard: Shard, reply: Message, heard: tuple[str, int]) -> None:
        """Notice a store that has gone back behind what was heard of when it was asked (F10).

        Said as what we have seen, it makes the store begin anew for everybody.
        """
        incarnation, sequence = heard
        same = reply["inc"] == incarnation == shard.incarnation
        if same and reply["seq"] < sequence and not reply.get("more"):
            shard.sequence, shard.hungry = sequence, True
            self.wake()

    def _absorb(self, shard: Shard, reply: Message, reported: list[Report], renewed: list[Any]) -> None:
        now = self.clock()
        before = shard.full_since
        changed: list[Message] = reply.get("changed", [])
        results: list[Message] = reply.get("results", [])
        for view in changed:
            self.knowledge.take(shard, view, now)
        for report, result in zip(reported, results, strict=False):
            self.reports.taken(shard, report, result, now)
        self.probes.renewed(renewed, results[len(reported) :])
        shard.sequence = reply["seq"]
        shard.living = reply.get("live", shard.living)
        if reply.get("full"):
            before = shard.full_since = set()
        if before is not None:
            before.update(view["id"] for view in changed)
            before.update(result["id"] for result in results)
            if reply.get("more"):
                shard.urgent = True
            else:
                shard.full_since = None
                self.knowledge.forget_all_but(shard, before, reply["seq"])
                self.heard.set()
        elif reply.get("more"):
            shard.urgent = True

    # ------------------------------------------------------------------ health

    def _look_at_age(self, now: float) -> None:
        """Say once that the store is lost, when it has been silent for too long (F6)."""
        if self.degraded or now - self.answered_at <= self.settings.max_staleness:
            return
        self.degraded = True
        why = self.last_error or "this process has not run for so long"
        self.announcements.lost(now - self.answered_at, why)

    def _recover(self, silent: float) -> None:
        self.degraded = False
        for shard in self.shards:
            shard.hungry = True  # F9: adopt what the fleet has decided meanwhile
        self.announcements.found(silent)
        self.wake()

    # ------------------------------------------------------------------ leaving

    def left(self) -> None:
        """Go on alone: the process has said goodbye."""
        self.degraded = True
        self.heard.clear()
        self.probes = Probes(self)
        for shard in self.shards:
            shard.sending = None
            shard.hungry = True

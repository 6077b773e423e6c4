"""The permits of one process: asked for, kept alive while their calls run, given back."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from cqrs.circuit_breaker.fleet import wire
from cqrs.circuit_breaker.fleet.candidate import GONE, GRANTED, REFUSED, Candidate
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.machine import SPREAD
from cqrs.circuit_breaker.fleet.shard import Shard
from cqrs.circuit_breaker.fleet.transport import Message
from cqrs.circuit_breaker.interruptions import generation
from cqrs.circuit_breaker.verdict import CANCELLED, Trip, Verdict

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.session import Session


class Ended(NamedTuple):
    """A probe that has ended; the store has yet to hear of it."""

    gate: FleetGate
    candidate: Candidate
    fields: dict[str, Any]
    until: float
    """Local moment from which the lease is over in any case."""
    seen: tuple[str, int]
    """Incarnation and epoch that granted it."""
    unsure: bool
    """Whether the answer to the acquire was lost: perhaps it was granted, in a later epoch."""


class Running(NamedTuple):
    """A probe whose call runs."""

    gate: FleetGate
    candidate: Candidate


class Spare(NamedTuple):
    """A permit that came too late for the call that asked; the next call of this process may have it."""

    gate: FleetGate
    candidate: Candidate
    since: float


class Probes:
    """What one process has asked of its store for half-open circuits."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._running: dict[str, Running] = {}
        self._ended: deque[Ended] = deque()
        self._telling: dict[str, Ended] = {}  # what was said of an end, and not answered yet
        self._spare: dict[str, Spare] = {}

    # ------------------------------------------------------------------ asked for by gates

    def acquire(self, gate: FleetGate, candidate: Candidate) -> None:
        """Ask for a permit; the answer goes to the candidate.

        The candidate waits ``command_timeout``, the request may take longer: a store that is a bit slow would
        otherwise grant every permit in vain, and the fleet could never recover.
        """
        if self._take_spare(gate, candidate):
            return
        session = self._session
        shard = session.shard_of(gate)
        request = session.request(shard)
        wire.add(request, session.operation("acquire", gate, permit=candidate.permit), session.rules_of(gate))

        def answer(reply: Message | None, error: Exception | None) -> None:
            result = None if reply is None else reply["results"][0]
            granted = result is not None and result.get("granted") == 1
            if result is not None and "view" in result:
                candidate.seen = (result["view"]["inc"], result["view"]["ep"])
            if granted:
                self._running[candidate.permit] = Running(gate, candidate)
            waited_for = self._answer(gate, candidate, result)
            if granted and not waited_for:
                if candidate.verdict is REFUSED:
                    self._keep_spare(gate, candidate)
                else:
                    self.settle(gate, candidate, CANCELLED, False)
            elif granted:
                session.wake()  # the next renewal may be due before the next exchange
            elif result is None:
                # It may have been granted, and only the answer was lost: give it back, as well as one can.
                self._remember(gate, candidate, _fields(CANCELLED, False), unsure=True)

        session.exchange(shard, request, max(session.patience, session.settings.sync_timeout), answer)

    def _keep_spare(self, gate: FleetGate, candidate: Candidate) -> None:
        self._running.pop(candidate.permit, None)
        self._spare[gate.identity] = Spare(gate, candidate, self._session.clock())
        gate.next_may_ask(candidate)

    def _take_spare(self, gate: FleetGate, candidate: Candidate) -> bool:
        """Let a candidate have the permit that the one before it did not wait for, if its lease is young."""
        spare = self._spare.pop(gate.identity, None)
        if spare is None:
            return False
        fresh = self._session.clock() - spare.since < gate.machine.policy.permit_lease / 2
        if not fresh or spare.candidate.seen != gate.shared.view.seen:
            self._give_back_spare(spare)
            return False
        candidate.permit, candidate.seen = spare.candidate.permit, spare.candidate.seen
        candidate.renewed = spare.candidate.renewed
        self._running[candidate.permit] = Running(gate, candidate)
        if self._granted(gate, candidate):
            self._session.wake()  # its renewal may be due
        else:
            self.settle(gate, candidate, CANCELLED, False)
        return True

    def _give_back_spare(self, spare: Spare) -> None:
        self._remember(spare.gate, spare.candidate, _fields(CANCELLED, False))

    def _granted(self, gate: FleetGate, candidate: Candidate) -> bool:
        policy = gate.machine.policy
        alone = policy.max_concurrent_probes == 1
        return gate.answer(candidate, GRANTED, policy.permit_lease if alone else SPREAD)

    def _answer(self, gate: FleetGate, candidate: Candidate, result: Message | None) -> bool:
        """Bring the store's answer to a candidate; ``False`` when a granted permit must be given back."""
        session = self._session
        if result is None or "err" in result:
            if result is not None:
                session.announcements.refused(gate, result["err"])
                gate.lose()  # the store cannot keep it: this process decides alone
                return gate.answer(candidate, GONE, 0.0)
            pause = max(SPREAD, session.patience)
            return gate.answer(candidate, REFUSED, pause * (1.0 + session.random()))
        session.take_result(gate, result)
        granted = result["granted"]
        if granted == 1:
            return self._granted(gate, candidate)
        wait = max(SPREAD, result["retry_us"] / 1e6) + SPREAD * session.random()
        return gate.answer(candidate, GONE if granted == 2 else REFUSED, wait)

    def settle(self, gate: FleetGate, candidate: Candidate, verdict: Verdict | Trip, slow: bool) -> None:
        """Tell the store how a probe ended; again with later exchanges, if it does not hear (F3)."""
        if candidate.generation != generation():
            return  # a copy: the call goes on in the process that has forked this one
        session = self._session
        self._running.pop(candidate.permit, None)
        shard = session.shard_of(gate)
        request = session.request(shard)
        fields = _fields(verdict, slow)
        wire.add(request, self._settlement(gate, candidate, fields, candidate.seen), session.rules_of(gate))

        self._telling[candidate.permit] = self._end(gate, candidate, fields)

        def answer(reply: Message | None, error: Exception | None) -> None:
            self._telling.pop(candidate.permit, None)
            if reply is None:
                self._remember(gate, candidate, fields)
            else:
                session.take_result(gate, reply["results"][0])

        session.exchange(shard, request, session.settings.sync_timeout, answer)

    def _settlement(
        self, gate: FleetGate, candidate: Candidate, fields: dict[str, Any], seen: tuple[str, int]
    ) -> dict[str, Any]:
        operation = self._session.operation("settle", gate, permit=candidate.permit, **fields)
        operation["seen"] = list(seen)
        return operation

    def _remember(
        self, gate: FleetGate, candidate: Candidate, fields: dict[str, Any], unsure: bool = False
    ) -> None:
        self._ended.append(self._end(gate, candidate, fields, unsure))

    def _end(
        self, gate: FleetGate, candidate: Candidate, fields: dict[str, Any], unsure: bool = False
    ) -> Ended:
        until = self._session.clock() + gate.machine.policy.permit_lease
        return Ended(gate, candidate, fields, until, candidate.seen, unsure)

    # ------------------------------------------------------------------ with the regular exchange

    def next_renewal(self, now: float) -> float:
        """Return the moment at which a permit has to be renewed; infinite without one."""
        if not self._running:  # asked several times per tick, and nearly always so
            return math.inf
        return min((_renewal(running) for running in list(self._running.values())), default=math.inf)

    def due(self, now: float) -> bool:
        """Whether a permit has to be renewed now."""
        return now >= self.next_renewal(now)

    def add(self, shard: Shard, request: Message, now: float) -> list[Running | Ended]:
        """Add renewals and late settlements to a request; return whose results will come, in order."""
        session = self._session
        added: list[Running | Ended] = []
        for identity, spare in list(self._spare.items()):
            if now - spare.since >= session.settings.sync_interval:
                unused = self._spare.pop(identity, None)
                if unused is not None:
                    self._give_back_spare(unused)  # no call came for it
        for running in list(self._running.values()):
            gate, candidate = running
            if session.shard_of(gate) is not shard:
                continue
            if now - candidate.started >= gate.machine.policy.max_probe_duration:
                self._running.pop(candidate.permit, None)  # L7: it hangs; the lease may run out
            elif now >= _renewal(running):
                candidate.renewed = now
                renewal = session.operation("renew", gate, permit=candidate.permit)
                renewal["seen"] = list(candidate.seen)
                wire.add(request, renewal, session.rules_of(gate))
                added.append(running)
        for _ in range(len(self._ended)):
            ended = self._ended.popleft()
            if session.shard_of(ended.gate) is not shard:
                self._ended.append(ended)
            elif now < ended.until:
                settlement = self._settlement(ended.gate, ended.candidate, ended.fields, ended.seen)
                wire.add(request, settlement, session.rules_of(ended.gate))
                added.append(ended)
        return added

    def failed(self, added: list[Running | Ended]) -> None:
        """Take back what a lost exchange carried."""
        for each in added:
            if isinstance(each, Ended):
                self._ended.append(each)
            else:
                lease = each.gate.machine.policy.permit_lease
                pause = min(self._session.settings.sync_interval, lease / 6)
                each.candidate.renewed = self._session.clock() + pause - lease / 3  # then try again

    def renewed(self, added: list[Running | Ended], results: list[Message]) -> None:
        """Take the results of ``add``."""
        for each, result in zip(added, results, strict=False):
            self._session.take_result(each.gate, result)
            if isinstance(each, Running):
                if not result.get("live", 1):
                    self._running.pop(each.candidate.permit, None)  # lost: what it brings will be late
            elif each.unsure and not result.get("applied", 1):
                self._try_as_of(result["view"], each)

    def _try_as_of(self, view: Message, ended: Ended) -> None:
        """Give a permit back anew: if it was granted, then in a round that we had not heard of."""
        now = view["inc"], view["ep"]
        if view["st"] == "half_open" and ended.seen != now:
            self._ended.append(ended._replace(seen=now))

    def give_back(self, shard: Shard, request: Message) -> None:
        """Add the return of all permits to a request, when the process leaves.

        Also what was said of ended probes without an answer: nobody will say it again; twice does no harm.
        """
        for ended in [*list(self._ended), *list(self._telling.values())]:
            if self._session.shard_of(ended.gate) is shard:
                settlement = self._settlement(ended.gate, ended.candidate, ended.fields, ended.seen)
                wire.add(request, settlement, self._session.rules_of(ended.gate))
        spare = [Running(each.gate, each.candidate) for each in list(self._spare.values())]
        for gate, candidate in [*list(self._running.values()), *spare]:
            if self._session.shard_of(gate) is shard:
                settlement = self._settlement(gate, candidate, _fields(CANCELLED, False), candidate.seen)
                wire.add(request, settlement, self._session.rules_of(gate))


def _renewal(running: Running) -> float:
    return running.candidate.renewed + running.gate.machine.policy.permit_lease / 3


def _fields(verdict: Verdict | Trip, slow: bool) -> dict[str, Any]:
    trip = isinstance(verdict, Trip)
    asked = verdict.for_ if isinstance(verdict, Trip) else None
    return {
        "verdict": "failure" if isinstance(verdict, Trip) else verdict.value,
        "slow": int(slow),
        "trip": int(trip),
        "trip_us": -1 if asked is None else wire.microseconds(asked),
    }

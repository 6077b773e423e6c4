"""What operators tell and ask a store, about one circuit or all of them (F11)."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import timedelta
from typing import Any

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.errors import StoreError, StoreUnavailableError
from cqrs.circuit_breaker.fleet import wire
from cqrs.circuit_breaker.fleet.audit import AuditEntry
from cqrs.circuit_breaker.fleet.session import Session
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.shard import Shard
from cqrs.circuit_breaker.fleet.transport import Done, Message
from cqrs.circuit_breaker.fleet.view import FleetView
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.states import Mode
from cqrs.exceptions import ConfigurationTypeError


class Orders:
    """Base of stores. Each order waits for the store; its ``a…`` form does so without blocking the loop.

    Raises, all of them:
        StoreUnavailableError: the store did not confirm; the order may be in force or not.
        StoreError: the store cannot keep the circuit.
    """

    settings: StoreSettings
    session: Session

    def open(self) -> None:
        """Begin to exchange, unless that has happened."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return which store this is, for errors; without a password."""
        raise NotImplementedError

    def override(
        self,
        name: str | None,
        mode: Mode,
        policy: CircuitBreakerPolicy,
        *,
        ttl: float | timedelta | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Put a mode in force in all processes; see ``CircuitBreakers.override``."""
        self._wait(self._override(name, mode, policy, ttl, actor, reason))

    async def aoverride(
        self,
        name: str | None,
        mode: Mode,
        policy: CircuitBreakerPolicy,
        *,
        ttl: float | timedelta | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Like ``override``, without blocking the event loop."""
        await self._wait_async(self._override(name, mode, policy, ttl, actor, reason))

    def _override(
        self,
        name: str | None,
        mode: Mode,
        policy: CircuitBreakerPolicy,
        ttl: float | timedelta | None,
        actor: str | None,
        reason: str | None,
    ) -> list[Future[Message]]:
        if not isinstance(mode, Mode):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"mode must be one of {', '.join(map(str, Mode))}, got {mode!r}")
        lasts = -1 if ttl is None else wire.microseconds(validation.seconds("ttl", ttl))
        return self._order(
            name, policy, op="override", mode=mode.value, ttl_us=lasts, by=actor or "", why=reason or ""
        )

    def clear_override(
        self,
        name: str | None,
        policy: CircuitBreakerPolicy,
        *,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Take the fleet's override of a circuit (or of all, ``None``) back."""
        self._wait(self._clear(name, policy, actor, reason))

    async def aclear_override(
        self,
        name: str | None,
        policy: CircuitBreakerPolicy,
        *,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Like ``clear_override``, without blocking the event loop."""
        await self._wait_async(self._clear(name, policy, actor, reason))

    def _clear(
        self, name: str | None, policy: CircuitBreakerPolicy, actor: str | None, reason: str | None
    ) -> list[Future[Message]]:
        return self._order(name, policy, op="override", mode="", ttl_us=-1, by=actor or "", why=reason or "")

    def reset(self, name: str, policy: CircuitBreakerPolicy) -> None:
        """Close a circuit in all processes and forget its past openings."""
        self._wait(self._order(name, policy, op="reset"))

    async def areset(self, name: str, policy: CircuitBreakerPolicy) -> None:
        """Like ``reset``, without blocking the event loop."""
        await self._wait_async(self._order(name, policy, op="reset"))

    def view(self, name: str, policy: CircuitBreakerPolicy) -> FleetView:
        """Ask the store what the fleet's side of a circuit is at this moment.

        Raises:
            StoreUnavailableError: the store does not answer.
            StoreError: it cannot keep the circuit.
        """
        (reply,) = self._wait(self._order(name, policy, op="view"))
        return FleetView.of(reply["results"][0]["view"], reply["inc"], self.session.clock())

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        """Return the latest transitions and overrides of all circuits, newest first.

        Args:
            limit: entries at most; 1 to 10 000, which is what a store keeps of each shard.

        Raises:
            PolicyError: ``limit`` is out of range.
            StoreUnavailableError: the store does not answer.
        """
        return _latest(self._wait(self._audit(limit)), limit)

    async def aaudit(self, limit: int = 100) -> list[AuditEntry]:
        """Like ``audit``, without blocking the event loop."""
        return _latest(await self._wait_async(self._audit(limit)), limit)

    def _audit(self, limit: int) -> list[Future[Message]]:
        validation.count("limit", limit, high=10_000)
        self.open()
        answers: list[Future[Message]] = []
        for shard in self.session.shards:
            answer: Future[Message] = Future()
            self._send(shard, {**self.session.request(shard), "audit": limit}, into(answer))
            answers.append(answer)
        return answers

    def _order(self, name: str | None, policy: CircuitBreakerPolicy, **fields: Any) -> list[Future[Message]]:
        """Send an operation on one circuit, or on all: then to every shard."""
        self.open()
        session, settings = self.session, self.settings
        identity = wire.EVERYWHERE if name is None else wire.circuit_id(name)
        if name is None:
            shards = session.shards
        else:
            shards = [session.shards[wire.shard_of(identity, settings.shards)]]
        return [self._submit(shard, identity, name or "all circuits", policy, fields) for shard in shards]

    def _submit(
        self, shard: Shard, identity: str, name: str, policy: CircuitBreakerPolicy, fields: dict[str, Any]
    ) -> Future[Message]:
        session = self.session
        request = session.request(shard)
        gate, known = session.gates.get(identity), shard.views.get(identity)
        seen = ("", 0) if known is None else known.seen
        if gate is not None:
            seen = gate.shared.highest  # a store that was set back must not give an epoch out twice
        operation = {"id": identity, "name": name, "seen": list(seen), "rnd": session.random(), **fields}
        wire.add(request, operation, wire.rules_of(policy, self.settings))
        answer: Future[Message] = Future()

        def done(reply: Message | None, error: Exception | None) -> None:
            if reply is not None:
                (result,) = reply["results"]
                if "err" in result:
                    error = StoreError(f"{self.describe()}: circuit {name!r}: {result['err']}")
                else:
                    session.take_view(shard, reply, result["view"])
            into(answer)(None if error is not None else reply, error)

        self._send(shard, request, done)
        return answer

    def _send(self, shard: Shard, request: Message, done: Done) -> None:
        settings, transport = self.settings, self.session.transport
        if transport is None:
            done(None, StoreUnavailableError(self.describe(), "it was closed"))
        else:
            transport.submit(shard.number, request, settings.connect_timeout + settings.sync_timeout, done)

    def _wait(self, answers: list[Future[Message]]) -> list[Message]:
        limit = 2 * (self.settings.connect_timeout + self.settings.sync_timeout)
        try:
            return [answer.result(limit) for answer in answers]
        except FutureTimeout:
            raise StoreUnavailableError(self.describe(), f"no answer within {limit:g} s") from None

    @staticmethod
    async def _wait_async(answers: list[Future[Message]]) -> list[Message]:
        return list(await asyncio.gather(*map(asyncio.wrap_future, answers)))


def _latest(replies: list[Message], limit: int) -> list[AuditEntry]:
    entries = [AuditEntry.of(said) for reply in replies for said in reply.get("audit", [])]
    return sorted(entries, key=lambda entry: entry.ago)[:limit]


def into(answer: Future[Message]) -> Done:
    """Return what puts a reply or an error into a future."""

    def done(reply: Message | None, error: Exception | None) -> None:
        if answer.done():
            return
        if reply is not None:
            answer.set_result(reply)
        else:
            answer.set_exception(error or StoreError("no answer"))

    return done

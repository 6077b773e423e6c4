"""What operators do to the circuits of a registry: in all processes if they are shared, else in this one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.protocol import circuit_name
from cqrs.circuit_breaker.states import Mode

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.store import Store


class Steering:
    """Base of registries: overrides and resets, by the name of a circuit or its handler class.

    Each has an ``a…`` form for event loops. With a store both wait until it has confirmed; all processes
    follow within moments, at the latest with their next exchange.
    """

    _store: Store | None

    def __getitem__(self, name: type[Any] | str) -> CircuitBreaker:
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def policy_for(self, name: type[Any] | str) -> CircuitBreakerPolicy:
        """Return the policy of a circuit, made already or not."""
        raise NotImplementedError

    @property
    def store(self) -> Store | None:
        """What shares the circuits with other processes."""
        return self._store

    def override(
        self,
        name: type[Any] | str | None,
        mode: Mode,
        *,
        ttl: float | timedelta | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Put an operating mode in force, with empty counts; it survives this process if there is a store.

        Args:
            name: the circuit; ``None``: all circuits (without a store: all that exist in this process).
            mode: ``FORCED_OPEN``, ``DISABLED``, ``METRICS_ONLY`` or ``ENABLED``.
            ttl: seconds (or ``timedelta``) until it ends by itself; > 0; ``None``: never.
            actor: who does it; kept in the store's audit and told to listeners.
            reason: why; also the reason of rejections.

        Raises:
            ConfigurationTypeError: ``mode`` is not a ``Mode``.
            PolicyError: ``ttl`` is out of range.
            StoreUnavailableError: the store did not confirm: the override may be in force or not.
            StoreError: the store cannot keep this circuit.
        """
        if self._store is None:
            for breaker in self._meant(name):
                breaker.override(mode, ttl=ttl, actor=actor, reason=reason)
            return
        policy, key = self._addressed(name)
        self._store.override(key, mode, policy, ttl=ttl, actor=actor, reason=reason)

    async def aoverride(
        self,
        name: type[Any] | str | None,
        mode: Mode,
        *,
        ttl: float | timedelta | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Like ``override``, without blocking the event loop."""
        if self._store is None:
            self.override(name, mode, ttl=ttl, actor=actor, reason=reason)
            return
        policy, key = self._addressed(name)
        await self._store.aoverride(key, mode, policy, ttl=ttl, actor=actor, reason=reason)

    def clear_override(
        self, name: type[Any] | str | None, *, actor: str | None = None, reason: str | None = None
    ) -> None:
        """Take an override back: the one of a circuit, or the one of all circuits (``None``).

        Raises:
            StoreUnavailableError: the store did not confirm.
        """
        if self._store is None:
            for breaker in self._meant(name):
                breaker.clear_override(actor=actor, reason=reason)
            return
        policy, key = self._addressed(name)
        self._store.clear_override(key, policy, actor=actor, reason=reason)

    async def aclear_override(
        self, name: type[Any] | str | None, *, actor: str | None = None, reason: str | None = None
    ) -> None:
        """Like ``clear_override``, without blocking the event loop."""
        if self._store is None:
            self.clear_override(name, actor=actor, reason=reason)
            return
        policy, key = self._addressed(name)
        await self._store.aclear_override(key, policy, actor=actor, reason=reason)

    def reset(self, name: type[Any] | str) -> None:
        """Start a circuit afresh: closed, empty counts, no override, no memory of past openings.

        Raises:
            StoreUnavailableError: the store did not confirm.
        """
        if self._store is not None:
            self._store.reset(circuit_name(name), self.policy_for(name))
        self[name].reset()

    async def areset(self, name: type[Any] | str) -> None:
        """Like ``reset``, without blocking the event loop."""
        if self._store is not None:
            await self._store.areset(circuit_name(name), self.policy_for(name))
        self[name].reset()

    def close(self) -> None:
        """Leave the fleet; circuits go on alone. Without a store there is nothing to do."""
        if self._store is not None:
            self._store.close()

    async def aclose(self) -> None:
        """Like ``close``, without blocking the event loop."""
        if self._store is not None:
            await self._store.aclose()

    def _meant(self, name: type[Any] | str | None) -> list[CircuitBreaker]:
        return [self[each] for each in self] if name is None else [self[name]]

    def _addressed(self, name: type[Any] | str | None) -> tuple[CircuitBreakerPolicy, str | None]:
        if name is None:
            return CircuitBreakerPolicy(), None
        return self.policy_for(name), circuit_name(name)

"""Every breaker that can guard a handler, under one handle for tests.

A rig knows what the tests of all breakers need: how many failures open a circuit, how to make its open
time pass without waiting, and what the library does on the failure that opens it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from cqrs.adapters.circuit_breaker import AioBreakerAdapter, InterlockAdapter, PurgatoryAdapter
from cqrs.circuit_breaker.protocol import ICircuitBreaker, circuit_name

P = ParamSpec("P")
R = TypeVar("R")

THRESHOLD = 3


class ExcludedByType(Exception):
    """A business error that the rigs' breakers do not count."""


class ExcludedByPredicate(Exception):
    """Another one, which a predicate recognises."""


def is_excluded(error: BaseException) -> bool:
    return isinstance(error, ExcludedByPredicate)


EXCLUDE: list[Any] = [ExcludedByType, is_excluded]


@dataclass
class Rig:
    """One breaker whose circuits open after ``threshold`` failures.

    Attributes:
        pass_open_time: makes every open circuit ready for a probe.
        own_error_when_opening: the call that opens the circuit raises its own error; else the breaker's.
        keeps_last_failure: the library holds on to the latest error of a circuit, frames and all.
    """

    name: str
    breaker: ICircuitBreaker | None
    pass_open_time: Callable[[], None]
    threshold: int = THRESHOLD
    own_error_when_opening: bool = True
    keeps_last_failure: bool = False

    async def trip(self, identifier: type[Any] | str) -> None:
        """Open the circuit of ``identifier``."""
        assert self.breaker is not None

        async def fail() -> None:
            raise ConnectionError("tripping")

        for _ in range(self.threshold):
            try:
                await self.breaker.call(identifier, fail)
            except Exception:
                continue
        assert await self.rejects(identifier), f"{self.name}: the circuit did not open"

    async def rejects(self, identifier: type[Any] | str) -> bool:
        """Tell whether a call is rejected; an admitted one is recorded as cancelled, that is, not at all."""
        assert self.breaker is not None

        class Stop(BaseException):
            pass

        async def stop() -> None:
            raise Stop

        try:
            await self.breaker.call(identifier, stop)
        except Stop:
            return False
        except Exception as error:
            if self.breaker.is_circuit_breaker_error(error):
                return True
            raise
        raise AssertionError("the call vanished")


class Storages:
    """A storage factory for aiobreaker whose open circuits can be aged."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make
        self._made: dict[str, Any] = {}

    def __call__(self, name: str) -> Any:
        return self._made.setdefault(name, self._make(name))

    def age(self, by: timedelta) -> None:
        for storage in self._made.values():
            if storage.opened_at is not None:
                self._set_back(storage, by)

    def _set_back(self, storage: Any, by: timedelta) -> None:
        storage.opened_at = storage.opened_at - by


class RedisStorages(Storages):
    """The same over Redis, whose storage refuses to set an earlier time."""

    def __init__(self, client: Any, namespace: str) -> None:
        from aiobreaker.state import CircuitBreakerState
        from aiobreaker.storage.redis import CircuitRedisStorage

        super().__init__(
            lambda name: CircuitRedisStorage(
                CircuitBreakerState.CLOSED, client, namespace=f"{namespace}:{name}"
            )
        )
        self._client = client

    def _set_back(self, storage: Any, by: timedelta) -> None:
        key = storage._namespace("opened_at")
        self._client.set(key, int(self._client.get(key)) - int(by.total_seconds()))


def aiobreaker_rig() -> Rig:
    from aiobreaker.state import CircuitBreakerState
    from aiobreaker.storage.memory import CircuitMemoryStorage

    # Through a factory only so that the test can reach the storages.
    storages = Storages(lambda name: CircuitMemoryStorage(CircuitBreakerState.CLOSED))
    breaker = AioBreakerAdapter(THRESHOLD, 60, EXCLUDE, storages)
    return Rig(
        "aiobreaker", breaker, lambda: storages.age(timedelta(seconds=61)), own_error_when_opening=False
    )


def aiobreaker_redis_rig(client: Any, namespace: str) -> Rig:
    storages = RedisStorages(client, namespace)
    breaker = AioBreakerAdapter(THRESHOLD, 60, EXCLUDE, storages)
    return Rig(
        "aiobreaker-redis", breaker, lambda: storages.age(timedelta(seconds=61)), own_error_when_opening=False
    )


def purgatory_rig() -> Rig:
    from purgatory import AsyncInMemoryUnitOfWork

    work = AsyncInMemoryUnitOfWork()
    contexts: Any = work.contexts

    def pass_open_time() -> None:
        for context in contexts.breakers.values():
            if context.opened_at is not None:
                context._state.opened_at -= 61

    return Rig("purgatory", PurgatoryAdapter(THRESHOLD, 60, EXCLUDE, work), pass_open_time)


class InterlockClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def interlock_rig() -> Rig:
    from interlock import Config

    clock = InterlockClock()
    config = Config(
        minimum_number_of_calls=THRESHOLD,
        failure_rate_threshold=0.5,
        permitted_calls_in_half_open=1,
        wait_duration_in_open=60.0,
    )

    def pass_open_time() -> None:
        clock.now += 61

    return Rig(
        "interlock", InterlockAdapter(config, EXCLUDE, clock=clock), pass_open_time, keeps_last_failure=True
    )


class BreakerOpen(Exception):
    """The rejection of ``MinimalBreaker``."""


@dataclass
class MinimalBreaker:
    """A user's own breaker: the two methods of the protocol and nothing else."""

    threshold: int = THRESHOLD
    failures: dict[str, int] = field(default_factory=dict)
    probing: bool = False

    async def call(
        self, identifier: type[Any] | str, func: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        name = circuit_name(identifier)
        if self.failures.get(name, 0) >= self.threshold and not self.probing:
            raise BreakerOpen(name)
        try:
            result = await func(*args, **kwargs)
        except Exception as error:
            if not isinstance(error, ExcludedByType) and not is_excluded(error):
                self.failures[name] = self.failures.get(name, 0) + 1
                self.probing = False
            raise
        self.failures[name] = 0
        self.probing = False
        return result

    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        return isinstance(exc, BreakerOpen)


def minimal_rig() -> Rig:
    breaker = MinimalBreaker()

    def pass_open_time() -> None:
        breaker.probing = True

    return Rig("minimal", breaker, pass_open_time)


def no_breaker() -> Rig:
    return Rig("none", None, lambda: None)


def native_rig(name: str, policy: Any) -> Rig:
    from cqrs.circuit_breaker import CircuitBreakers
    from cqrs.testing import FakeClock

    clock = FakeClock()
    return Rig(name, CircuitBreakers(policy, clock=clock), lambda: clock.advance(61))


def _is_business_error(error: Exception) -> bool:
    return isinstance(error, ExcludedByType) or is_excluded(error)


def native_window_rig() -> Rig:
    from cqrs.circuit_breaker import CircuitBreakerPolicy

    policy = CircuitBreakerPolicy(
        minimum_number_of_calls=THRESHOLD,
        wait_duration_in_open=60.0,
        permitted_calls_in_half_open=1,
        recovery_ramp=None,
        ignore=_is_business_error,
    )
    return native_rig("native-window", policy)


def native_consecutive_rig() -> Rig:
    from cqrs.circuit_breaker import CircuitBreakerPolicy

    policy = CircuitBreakerPolicy.consecutive(THRESHOLD, 60.0, ignore=_is_business_error)
    return native_rig("native-consecutive", policy)

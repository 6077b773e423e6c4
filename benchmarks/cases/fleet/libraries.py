"""Each library with its circuits in Redis, as its documentation sets it up, with the same numbers."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

NAMESPACE = "bench"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a circuit goes by, in the words of no library."""

    failures: int = 5
    """Consecutive failures that open it; where a library knows none, half of as many calls."""
    wait: float = 3600.0
    """Seconds in the open state."""
    probes: int = 3
    """Probes that decide, where a library lets the user choose; one at a time likewise."""
    lease: float = 10.0
    """Seconds after which the probe of a dead process is given up, where a library does that."""
    interval: float = 1.0
    """Seconds between two looks at the store, where a library has its own rhythm."""
    window: bool = False
    """The full window policy instead of consecutive failures; Holdfast and interlock-cb only."""
    push: bool = True
    """Whether published changes are listened to, where a library can."""
    every_probe: bool = False
    """All probes must succeed; otherwise the library's own share."""


class Library:
    """One library in one process: makes circuits that are shared through the server at a URL."""

    label = ""
    rejections: tuple[type[BaseException], ...] = ()

    def __init__(self, url: str, rules: Rules) -> None:
        self.url = url
        self.rules = rules
        self.circuits: dict[Any, Any] = {}
        """One object for each circuit, as an application has it."""

    async def start(self) -> None:
        """Connect, where that is a step of its own."""

    async def close(self) -> None:
        """Let go of connections and threads, where that is a step of its own."""

    def guard(self, name: str, function: F) -> F:
        """Return ``function``, plain or a coroutine function, guarded by the circuit of a name."""
        raise NotImplementedError

    async def use(self, name: str, function: Callable[[int], Any]) -> Any:
        """Call a coroutine function once through a circuit; returns what keeps the circuit alive."""
        raise NotImplementedError


class Bare(Library):
    """No breaker at all."""

    label = "floor: no breaker"

    def guard(self, name: str, function: F) -> F:
        return function


class Holdfast(Library):
    """This checkout, shared."""

    label = "Holdfast"

    def __init__(self, url: str, rules: Rules) -> None:
        super().__init__(url, rules)
        from cqrs.circuit_breaker import CircuitBreakers, CircuitOpenError

        self.events: list[str] = []
        self.rejections = (CircuitOpenError,)
        self.store = self.make_store()
        self.breakers = CircuitBreakers(policy(rules), store=self.store, max_circuits=1_000_000)

    def make_store(self) -> Any:
        """The store, or none."""
        from cqrs.circuit_breaker import RedisStore

        # One process is enough to open a circuit, as with every other library here.
        return RedisStore(
            self.url,
            namespace=NAMESPACE,
            sync_interval=self.rules.interval,
            push=self.rules.push,
            quorum=0.0,
        )

    def listen(self, heard: Callable[[str], None]) -> None:
        """Note the names of events from now on, and pass them on."""

        def note(event: Any) -> None:
            name = type(event).__name__
            self.events.append(name)
            heard(name)

        self.breakers.add_listener(note)

    async def start(self) -> None:
        assert await self.store.astart(5.0), "the store does not answer"

    async def close(self) -> None:
        await self.store.aclose()

    def guard(self, name: str, function: F) -> F:
        guarded: F = self.breakers[name](function)
        return guarded

    async def use(self, name: str, function: Callable[[int], Any]) -> Any:
        await self.breakers[name].call(function, 1)
        return None  # the registry keeps it


class HoldfastLocal(Holdfast):
    """This checkout, in memory: the local engine."""

    label = "Holdfast, local"

    def make_store(self) -> Any:
        return None

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


def policy(rules: Rules) -> Any:
    """Holdfast's policy for the rules."""
    from cqrs.circuit_breaker import CircuitBreakerPolicy

    recovery: dict[str, Any] = {
        "permitted_calls_in_half_open": rules.probes,
        "max_concurrent_probes": 1,
        "permit_lease": rules.lease,
        "recovery_ramp": None,
    }
    if rules.every_probe:
        recovery["failure_rate_threshold"] = 1 / rules.probes
    if rules.window:
        return CircuitBreakerPolicy(
            wait_duration_in_open=rules.wait, slow_call_duration_threshold=2.0, **recovery
        )
    return CircuitBreakerPolicy.consecutive(threshold=rules.failures, ttl=rules.wait, **recovery)


class Interlock(Library):
    """interlock-cb with its Redis storage: the async one, or the sync one for plain functions."""

    label = "interlock-cb"

    def __init__(self, url: str, rules: Rules) -> None:
        super().__init__(url, rules)
        import redis
        import redis.asyncio
        from interlock import CircuitBreaker, CircuitOpenError, Config
        from interlock.integrations.redis import AsyncRedisStorage, RedisStorage
        from interlock.window import WindowType

        self.rejections = (CircuitOpenError,)
        self._breaker = CircuitBreaker
        # Between two polls it may believe in a state from before its own decision: as long as by default.
        options = {"key_prefix": f"{NAMESPACE}:", "poll_interval": min(1.0, rules.interval)}
        # Hundreds of tasks ask at once; a pool that refuses them, as by default, would make it go on alone.
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=50, timeout=20)
        self._client = redis.asyncio.Redis(connection_pool=pool)
        self._async = AsyncRedisStorage(self._client, **options)
        self._sync = RedisStorage(redis.Redis.from_url(url), **options)
        fields: dict[str, Any] = {
            "window_type": WindowType.COUNT_BASED,
            "window_size": rules.failures,
            "minimum_number_of_calls": rules.failures,
        }
        if rules.window:
            fields = {
                "window_type": WindowType.TIME_BASED,
                "window_size": 30,
                "minimum_number_of_calls": 20,
                "slow_call_duration_threshold": 2.0,
                "slow_call_rate_threshold": 0.8,
            }
        self._config = Config(
            wait_duration_in_open=rules.wait,
            permitted_calls_in_half_open=rules.probes,
            max_concurrent_probes=1,
            failure_rate_threshold=1 / rules.probes if rules.every_probe else 0.5,
            **fields,
        )

    def guard(self, name: str, function: F) -> F:
        is_async = inspect.iscoroutinefunction(function)
        guarded: F = self._circuit(name, is_async)(function)
        return guarded

    def _circuit(self, name: str, is_async: bool) -> Any:
        if (name, is_async) not in self.circuits:
            storage = self._async if is_async else self._sync
            made = self._breaker(name=name, config=self._config, storage=storage)
            self.circuits[name, is_async] = made
        return self.circuits[name, is_async]

    async def use(self, name: str, function: Callable[[int], Any]) -> Any:
        breaker = self._circuit(name, True)
        await breaker.call(function, 1)
        return breaker

    async def close(self) -> None:
        for (_, is_async), breaker in self.circuits.items():
            if is_async:
                await breaker.aclose()
            else:
                breaker.close()
        await self._client.aclose()


class AioBreaker(Library):
    """aiobreaker with its Redis storage: a synchronous client, also in an event loop."""

    label = "aiobreaker"

    def __init__(self, url: str, rules: Rules) -> None:
        super().__init__(url, rules)
        import redis
        from aiobreaker import CircuitBreakerError

        self.rejections = (CircuitBreakerError,)
        self._client = redis.StrictRedis.from_url(url)

    def guard(self, name: str, function: F) -> F:
        guarded: F = self._circuit(name)(function)
        return guarded

    async def use(self, name: str, function: Callable[[int], Any]) -> Any:
        breaker = self._circuit(name)
        await breaker.call_async(function, 1)
        return breaker

    def _circuit(self, name: str) -> Any:
        from aiobreaker import CircuitBreaker
        from aiobreaker.state import CircuitBreakerState
        from aiobreaker.storage.redis import CircuitRedisStorage

        if name not in self.circuits:
            storage = CircuitRedisStorage(CircuitBreakerState.CLOSED, self._client, namespace=name)
            self.circuits[name] = CircuitBreaker(
                fail_max=self.rules.failures,
                timeout_duration=datetime.timedelta(seconds=self.rules.wait),
                state_storage=storage,
                name=name,
            )
        return self.circuits[name]


class PyBreaker(Library):
    """pybreaker with its Redis storage: a synchronous client; coroutines in its ``calling()`` block."""

    label = "pybreaker"

    def __init__(self, url: str, rules: Rules) -> None:
        super().__init__(url, rules)
        import redis
        from pybreaker import CircuitBreakerError

        self.rejections = (CircuitBreakerError,)
        self._client = redis.StrictRedis.from_url(url)

    def _circuit(self, name: str) -> Any:
        import pybreaker

        if name not in self.circuits:
            storage = pybreaker.CircuitRedisStorage(pybreaker.STATE_CLOSED, self._client, namespace=name)
            self.circuits[name] = pybreaker.CircuitBreaker(
                fail_max=self.rules.failures, reset_timeout=self.rules.wait, state_storage=storage, name=name
            )
        return self.circuits[name]

    async def use(self, name: str, function: Callable[[int], Any]) -> Any:
        breaker = self._circuit(name)
        with breaker.calling():
            await function(1)
        return breaker

    def guard(self, name: str, function: F) -> F:
        breaker = self._circuit(name)
        if not inspect.iscoroutinefunction(function):
            guarded: F = breaker(function)
            return guarded

        @wraps(function)
        async def in_a_block(*arguments: Any) -> Any:
            with breaker.calling():
                return await function(*arguments)

        return in_a_block  # type: ignore[return-value]  # the same signature


class Purgatory(Library):
    """purgatory with its Redis units of work."""

    label = "purgatory"

    def __init__(self, url: str, rules: Rules) -> None:
        super().__init__(url, rules)
        from purgatory import AsyncCircuitBreakerFactory, AsyncRedisUnitOfWork
        from purgatory.domain.model import OpenedState

        self.rejections = (OpenedState,)
        self._numbers: dict[str, Any] = {"default_threshold": rules.failures, "default_ttl": rules.wait}
        self._async = AsyncCircuitBreakerFactory(uow=AsyncRedisUnitOfWork(url), **self._numbers)

    async def start(self) -> None:
        await self._async.initialize()

    def guard(self, name: str, function: F) -> F:
        factory: Any = self._async
        if not inspect.iscoroutinefunction(function):
            from purgatory import SyncCircuitBreakerFactory, SyncRedisUnitOfWork

            # Its client is an asyncio one, whose coroutines it does not await: the first call fails.
            factory = SyncCircuitBreakerFactory(uow=SyncRedisUnitOfWork(self.url), **self._numbers)
        guarded: F = factory(name)(function)
        return guarded

    async def use(self, name: str, function: Callable[[int], Any]) -> Any:
        async with await self._async.get_breaker(name) as breaker:
            await function(1)
        return breaker


LIBRARIES: dict[str, type[Library]] = {
    each.label: each for each in (Bare, HoldfastLocal, Holdfast, Interlock, AioBreaker, PyBreaker, Purgatory)
}
PEERS = (Interlock.label, AioBreaker.label, PyBreaker.label, Purgatory.label)

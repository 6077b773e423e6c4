"""What an idle circuit and a rejection leave in memory."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

from harness.environments import HOLDFAST
from harness.model import Builder, Case, Prepared, Target, settings

from . import breaker_makers as make
from .breakers import SYNC_MAKERS, reject_loop

MANY = 1_000_000
"""Rejections that must leave nothing behind."""

IDLE = Case(
    key="idle-memory",
    title="memory of an idle circuit",
    what=(
        "5 000 circuits of one policy, each made under its own name and called once with success, then left "
        "alone; the growth of `tracemalloc`'s total per circuit, names and registries included. Policy "
        "objects are shared where the library lets them be."
    ),
    unit="bytes",
    rounds=3,
    targets=(
        Target("Holdfast, window policy", "value", 1024),
        Target("Holdfast, consecutive preset", "value", 1024),
    ),
)
IDLE_ACTIVITY = Case(
    key="idle-activity",
    title="threads and timers of 1 000 idle circuits",
    what=(
        "Threads started plus timers scheduled in the event loop by making 1 000 circuits inside a running "
        "loop and calling each once."
    ),
    unit="threads and timers",
    rounds=1,
    targets=(
        Target("Holdfast, window policy", "value", 0.0),
        Target("Holdfast, consecutive preset", "value", 0.0),
    ),
)
REJECTIONS = Case(
    key="open-memory",
    title="memory growth, rejections of one open circuit",
    what=(
        "Rejections through one open circuit; growth of `tracemalloc`'s total over 20 000 of them, in bytes "
        "for a thousand. For Holdfast a million more are made before that, and checked to leave fewer than "
        "a thousand memory blocks behind in all."
    ),
    unit="bytes",
    rounds=1,
    targets=(
        Target("Holdfast, window policy", "value", 1.0),
        Target("Holdfast, consecutive preset", "value", 1.0),
    ),
)
CASES = (IDLE, IDLE_ACTIVITY, REJECTIONS)


# -- idle circuits ---------------------------------------------------------------------------------


def succeed() -> int:
    """What each circuit guards once."""
    return 1


def _holdfast_circuits(policy_of: Callable[[], Any]) -> Callable[[int], Iterator[Any]]:
    def circuits(amount: int) -> Iterator[Any]:
        from cqrs.circuit_breaker import CircuitBreakers

        registry = CircuitBreakers(policy_of(), max_circuits=1_000_000)
        for number in range(amount):
            registry[f"tenant-{number}"].call(succeed)
        yield registry

    return circuits


def _window_policy() -> Any:
    return make.holdfast_window().policy


def _consecutive_policy() -> Any:
    return make.holdfast_consecutive().policy


def _interlock_circuits(amount: int) -> Iterator[Any]:
    from interlock import CircuitBreaker, Config
    from interlock.window import WindowType

    config = Config(window_type=WindowType.TIME_BASED, window_size=30, slow_call_duration_threshold=2.0)
    for number in range(amount):
        breaker = CircuitBreaker(name=f"tenant-{number}", config=config)
        breaker.call(succeed)
        yield breaker


def _purgatory_circuits(amount: int) -> Iterator[Any]:
    from purgatory import SyncCircuitBreakerFactory

    factory = SyncCircuitBreakerFactory(default_threshold=5, default_ttl=30)
    for number in range(amount):
        with factory.get_breaker(f"tenant-{number}"):
            succeed()
    yield factory


def _called(make_one: Callable[[str], Any]) -> Callable[[int], Iterator[Any]]:
    def circuits(amount: int) -> Iterator[Any]:
        for number in range(amount):
            breaker = make_one(f"tenant-{number}")
            breaker.call(succeed)
            yield breaker

    return circuits


def _aiobreaker(name: str) -> Any:
    from aiobreaker import CircuitBreaker

    return CircuitBreaker(name=name)


def _pybreaker(name: str) -> Any:
    from pybreaker import CircuitBreaker

    return CircuitBreaker(name=name)


def _circuitbreaker(name: str) -> Any:
    from circuitbreaker import CircuitBreaker

    return CircuitBreaker(name=name)


CIRCUITS: dict[str, Callable[[int], Iterator[Any]]] = {
    "Holdfast, window policy": _holdfast_circuits(_window_policy),
    "Holdfast, consecutive preset": _holdfast_circuits(_consecutive_policy),
    "interlock-cb": _interlock_circuits,
    "circuitbreaker": _called(_circuitbreaker),
    "aiobreaker": _called(_aiobreaker),
    "purgatory": _purgatory_circuits,
    "pybreaker": _called(_pybreaker),
}


def _bytes_each(circuits: Callable[[int], Iterator[Any]]) -> Builder:
    def measure() -> float:
        amount = 5_000 if settings.seconds >= 0.02 else 500
        list(circuits(10))
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        kept = list(circuits(amount))
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert kept
        return (after - before) / amount

    def build() -> Prepared:
        list(circuits(1))
        return Prepared(measure=measure)

    return build


def _activity(circuits: Callable[[int], Iterator[Any]]) -> Builder:
    def measure() -> float:
        async def run() -> float:
            threads = threading.active_count()
            timers = len(getattr(asyncio.get_running_loop(), "_scheduled", ()))
            kept = list(circuits(1_000))
            assert kept
            more_timers = len(getattr(asyncio.get_running_loop(), "_scheduled", ())) - timers
            return float(threading.active_count() - threads + more_timers)

        return asyncio.run(run())

    def build() -> Prepared:
        list(circuits(1))
        return Prepared(measure=measure)

    return build


def _growth(maker: Callable[[], Any], amount: int) -> Builder:
    def build() -> Prepared:
        loop = reject_loop(maker)

        def measure() -> float:
            full = settings.seconds >= 0.02
            loop(1_000)
            gc.collect()
            blocks = sys.getallocatedblocks()
            loop(amount if full else 2_000)
            gc.collect()
            grown = sys.getallocatedblocks() - blocks
            if amount == MANY:
                assert grown < 1_000, f"{grown} memory blocks more after {MANY} rejections"
            return _traced(loop, 20_000 if full else 2_000)

        return Prepared(measure=measure)

    return build


def _traced(loop: Callable[[int], None], count: int) -> float:
    """Bytes that a thousand rejections leave behind."""
    tracemalloc.start()
    loop(1_000)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    loop(count)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / count * 1_000


for _label, _circuits in CIRCUITS.items():
    IDLE.add(_label, _bytes_each(_circuits), [HOLDFAST])
    IDLE_ACTIVITY.add(_label, _activity(_circuits), [HOLDFAST])
for _label, _maker in SYNC_MAKERS.items():
    _amount = MANY if _label.startswith("Holdfast") else 10_000
    REJECTIONS.add(_label, _growth(_maker, _amount), [HOLDFAST])

"""L14: one transition table, run through every form in which a circuit can guard a call."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from cqrs.circuit_breaker import (
    Backoff,
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitOpenError,
    CountWindow,
    Ramp,
)
from cqrs.testing import FakeClock

from .support import Boom, Missing, breaker, count_policy, time_policy


class Dependency:
    """Does what the step says; takes the step's time on the fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def run(self, step: str) -> str:
        self.clock.advance({"slow": 3.0, "late": 3.0}.get(step, 0.0))
        if step in ("fail", "late"):
            raise Boom
        if step == "miss":
            raise Missing
        if step == "cancel":
            raise asyncio.CancelledError
        return step


Form = Callable[[CircuitBreaker, Dependency, str], Awaitable[Any]]


async def call_sync(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    return circuit.call(dependency.run, step)


async def call_async(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    async def run() -> str:
        return dependency.run(step)

    return await circuit.call(run)


async def call_partial(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    async def run(step: str) -> str:
        return dependency.run(step)

    return await circuit.call(partial(run, step))


async def decorated_def(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    @circuit
    def run() -> str:
        return dependency.run(step)

    return run()


async def decorated_async_def(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    @circuit
    async def run() -> str:
        return dependency.run(step)

    return await run()


async def decorated_generator(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    @circuit
    def run() -> Iterator[str]:
        yield dependency.run(step)

    return list(run())


async def decorated_async_generator(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    @circuit
    async def run() -> AsyncIterator[str]:
        yield dependency.run(step)

    return [item async for item in run()]


async def called_generator(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    def run() -> Iterator[str]:
        yield dependency.run(step)

    return list(circuit.call(run))


async def with_block(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    with circuit.permit():
        return dependency.run(step)


async def async_with_block(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    async with circuit.permit():
        return dependency.run(step)


async def async_with_block_classified(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    async with circuit.permit() as permit:
        permit.classify(dependency.run(step))


async def manual_permit(circuit: CircuitBreaker, dependency: Dependency, step: str) -> Any:
    permit = circuit.acquire()
    try:
        result = dependency.run(step)
    except BaseException as error:
        permit.fail(error)
        raise
    permit.classify(result)
    return result


FORMS: list[Form] = [
    call_sync,
    call_async,
    call_partial,
    decorated_def,
    decorated_async_def,
    decorated_generator,
    decorated_async_generator,
    called_generator,
    with_block,
    async_with_block,
    async_with_block_classified,
    manual_permit,
]


@dataclass(frozen=True)
class Row:
    """A policy and what happens, step by step: ``"step -> outcome, state"``; a number lets time pass."""

    name: str
    policy: CircuitBreakerPolicy
    script: str


CLASSICAL = CircuitBreakerPolicy.consecutive(2, 5.0, ignore=(Missing,))
SLOW = {"slow_call_duration_threshold": 2.0, "slow_call_rate_threshold": 0.75, "ignore": (Missing,)}

TABLE = [
    Row(
        "classical: opens, rejects, probes, reopens, recovers",
        CLASSICAL,
        """fail raised closed | ok returned closed | fail raised closed | fail raised open
        ok rejected open | 4.875 open | ok rejected open | 0.125 half_open | fail raised open
        5 half_open | ok returned closed | fail raised closed | fail raised open""",
    ),
    Row(
        "classical: neutral outcomes count for nothing",
        CLASSICAL,
        """fail raised closed | miss raised closed | cancel cancelled closed | fail raised open
        5 half_open | miss raised half_open | cancel cancelled half_open | ok returned closed""",
    ),
    Row(
        "count window: opens at the rate, a success may complete the minimum",
        count_policy(4),
        "fail raised closed | fail raised closed | ok returned closed | ok returned open | ok rejected open",
    ),
    Row(
        "count window: only the newest count",
        count_policy(2, sliding_window=CountWindow(3), failure_rate_threshold=0.6),
        """ok returned closed | ok returned closed | fail raised closed | ok returned closed
        ok returned closed | fail raised closed | fail raised open""",
    ),
    Row(
        "time window: old failures are forgotten",
        time_policy(8.0, buckets=4, minimum=3),
        """fail raised closed | fail raised closed | 8 closed | fail raised closed | fail raised closed
        fail raised open""",
    ),
    Row(
        "slow calls: slow answers and slow failures both count",
        count_policy(4, **SLOW, failure_rate_threshold=1.0),
        "ok returned closed | slow returned closed | late raised closed | slow returned open",
    ),
    Row(
        "half-open: three probes agree early",
        count_policy(1, permitted_calls_in_half_open=3),
        """fail raised open | 5 half_open | ok returned half_open | fail raised half_open | ok returned closed
        fail raised open | 5 half_open | fail raised half_open | fail raised open""",
    ),
    Row(
        "half-open: slow probes reopen",
        count_policy(1, permitted_calls_in_half_open=1, **SLOW, minimum_number_of_calls=1),
        "fail raised open | 5 half_open | slow returned open | 5 half_open | ok returned closed",
    ),
    Row(
        "backoff: each reopening waits longer",
        count_policy(1, wait_duration_in_open=Backoff(2.0, 2.0, 6.0, jitter=0.0)),
        """fail raised open | 2 half_open | fail raised open | 3.875 open | 0.125 half_open
        fail raised open | 5.875 open | 0.125 half_open | ok returned closed | fail raised open
        5.875 open | 0.125 half_open""",
    ),
    Row(
        "ramp: every second call passes, then every call",
        count_policy(4, recovery_ramp=Ramp(8.0, 0.5), minimum_number_of_calls=1),
        """fail raised open | 5 half_open | ok returned half_open | ok rejected half_open
        ok returned half_open | ok rejected half_open | ok returned half_open
        8 closed | ok returned closed | ok returned closed""",
    ),
]


def steps(script: str) -> list[list[str]]:
    return [step.split() for line in script.splitlines() for step in line.split("|")]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_l14_every_form_makes_the_same_transitions(row: Row, form: Form, clock: FakeClock) -> None:
    circuit, dependency = breaker(row.policy, clock), Dependency(clock)
    for position, step in enumerate(steps(row.script)):
        where = f"step {position}: {' '.join(step)}"
        if len(step) == 2:
            clock.advance(float(step[0]))
        else:
            outcome = "returned"
            try:
                await form(circuit, dependency, step[0])
            except CircuitOpenError:
                outcome = "rejected"
            except (Boom, Missing):
                outcome = "raised"
            except asyncio.CancelledError:
                outcome = "cancelled"
            assert outcome == step[1], where
        assert circuit.state.value == step[-1], where
        assert circuit.snapshot().in_flight == 0, where


async def test_l14_all_forms_share_one_state(clock: FakeClock) -> None:
    circuit, dependency = breaker(CircuitBreakerPolicy.consecutive(len(FORMS)), clock), Dependency(clock)
    for form in FORMS:
        assert circuit.state.value == "closed"
        with pytest.raises(Boom):
            await form(circuit, dependency, "fail")
    assert circuit.state.value == "open"
    for form in FORMS:
        with pytest.raises(CircuitOpenError):
            await form(circuit, dependency, "ok")
    assert circuit.snapshot().rejected == len(FORMS)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
async def test_l14_every_form_counts_each_call_once(form: Form, clock: FakeClock) -> None:
    circuit, dependency = breaker(count_policy(100, ignore=(Missing,)), clock), Dependency(clock)
    for step in ["ok", "ok", "ok", "fail", "fail", "miss", "cancel"]:
        try:
            await form(circuit, dependency, step)
        except (Boom, Missing, asyncio.CancelledError):
            pass
    seen = circuit.snapshot()
    assert (seen.admitted, seen.succeeded, seen.failed) == (7, 3, 2)
    assert (seen.ignored, seen.cancelled, seen.inconclusive, seen.in_flight) == (1, 1, 0, 0)
    assert (seen.window_calls, seen.window_failures) == (5, 2)


def test_l14_decorating_keeps_name_documentation_and_signature() -> None:
    circuit = breaker()

    def charge(order: int, *, currency: str = "EUR") -> str:
        """Charge an order."""
        return f"{order} {currency}"

    guarded = circuit(charge)
    assert (guarded.__name__, guarded.__doc__) == ("charge", "Charge an order.")
    assert inspect.signature(guarded) == inspect.signature(charge)
    assert guarded(7, currency="USD") == "7 USD"


def test_l14_methods_static_methods_and_class_methods_can_be_guarded() -> None:
    circuit = breaker()

    class Client:
        @circuit
        def method(self, value: int) -> tuple[Any, int]:
            return self, value

        @staticmethod
        @circuit
        def static(value: int) -> int:
            return value

        @classmethod
        @circuit
        def klass(cls, value: int) -> tuple[Any, int]:
            return cls, value

    client = Client()
    assert client.method(1) == (client, 1)
    assert client.static(2) == 2
    assert Client.klass(3) == (Client, 3)
    assert circuit.snapshot().succeeded == 3


async def test_l14_callable_objects_can_be_guarded() -> None:
    circuit = breaker()

    class Plain:
        def __call__(self, value: int) -> int:
            return value

    class Asynchronous:
        async def __call__(self, value: int) -> int:
            return value

    assert circuit.call(Plain(), 1) == 1
    assert await circuit.call(Asynchronous(), 2) == 2
    assert circuit.snapshot().succeeded == 2


async def test_l14_a_plain_function_that_returns_a_coroutine_is_guarded_while_it_is_awaited() -> None:
    circuit = breaker(count_policy(1))

    async def fails() -> None:
        raise Boom

    with pytest.raises(Boom):
        await circuit.call(lambda: fails())
    assert circuit.state.value == "open"


@pytest.mark.parametrize("on_cancel", ["slow_if_exceeded", "ignore", "failure"])
async def test_l14_making_a_coroutine_counts_for_nothing(on_cancel: str) -> None:
    circuit = breaker(count_policy(1, consecutive_failures=1, on_cancel=on_cancel))

    async def works() -> int:
        return 7

    assert await circuit.call(lambda: works()) == 7
    seen = circuit.snapshot()
    assert (seen.state.value, seen.failed, seen.succeeded, seen.in_flight) == ("closed", 0, 1, 0)


def test_l14_nested_guards_of_two_circuits_both_see_the_failure() -> None:
    inner, outer = breaker(count_policy(1), name="inner"), breaker(count_policy(1), name="outer")

    @outer
    @inner
    def fails() -> None:
        raise Boom

    with pytest.raises(Boom):
        fails()
    assert (inner.state.value, outer.state.value) == ("open", "open")


def test_l14_a_call_may_make_further_calls_through_its_own_circuit() -> None:
    circuit = breaker()

    def outer() -> int:
        return circuit.call(lambda: 7)

    assert circuit.call(outer) == 7
    assert circuit.snapshot().succeeded == 2

"""L15: circuits by name and by key."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from cqrs.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitBreakers,
    CircuitOpenError,
    ICircuitBreaker,
    Mode,
    State,
    Verdict,
)
from cqrs.testing import FakeClock

from .support import (
    Boom,
    breaker,
    count_policy,
    do_nothing,
    fail,
    is_rejected,
    rejection,
    succeed,
    time_policy,
    trip,
)
from .test_equivalence import FORMS, Dependency, Form


def registry(clock: FakeClock, **kwargs: object) -> CircuitBreakers:
    defaults: dict[str, object] = {"clock": clock, "random": lambda: 0.0}
    return CircuitBreakers(count_policy(2), **(defaults | kwargs))  # type: ignore[arg-type]


def test_l15_one_name_is_one_circuit(clock: FakeClock) -> None:
    breakers = registry(clock)
    assert breakers["payments"] is breakers["payments"]
    assert breakers["payments"] is not breakers["orders"]
    assert breakers["payments"].name == "payments"
    assert (len(breakers), set(breakers)) == (2, {"payments", "orders"})


def test_l15_get_creates_nothing(clock: FakeClock) -> None:
    breakers = registry(clock)
    assert breakers.get("payments") is None
    assert len(breakers) == 0
    created = breakers["payments"]
    assert breakers.get("payments") is created


def test_l15_circuits_are_isolated(clock: FakeClock) -> None:
    breakers = registry(clock)
    trip(breakers["payments"])
    assert breakers["orders"].state is State.CLOSED
    succeed(breakers["orders"])


def test_l15_a_name_may_have_its_own_policy(clock: FakeClock) -> None:
    breakers = registry(clock, policies={"flaky": count_policy(5)})
    fail(breakers["normal"], 2)
    fail(breakers["flaky"], 2)
    assert breakers["normal"].state is State.OPEN
    assert breakers["flaky"].state is State.CLOSED
    fail(breakers["flaky"], 3)
    assert breakers["flaky"].state is State.OPEN


def test_l15_threads_that_create_one_circuit_at_once_get_one(clock: FakeClock) -> None:
    breakers = registry(clock)
    barrier, got = threading.Barrier(16), list[CircuitBreaker]()

    def create() -> None:
        barrier.wait(30)
        for number in range(50):
            got.append(breakers[f"circuit {number}"])

    threads = [threading.Thread(target=create) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 16 * 50
    assert len({id(circuit) for circuit in got}) == 50


def first_scope() -> type:
    class Handler:
        pass

    return Handler


def second_scope() -> type:
    class Handler:
        pass

    return Handler


async def test_l15_classes_of_one_name_in_different_scopes_have_different_circuits(clock: FakeClock) -> None:
    breakers = registry(clock)
    first, second = first_scope(), second_scope()

    async def fails() -> None:
        raise Boom

    for _ in range(2):
        with pytest.raises(Boom):
            await breakers.call(first, fails)
    with pytest.raises(CircuitOpenError) as rejected:
        await breakers.call(first, fails)
    assert rejected.value.name == f"{__name__}.first_scope.<locals>.Handler"
    with pytest.raises(Boom):
        await breakers.call(second, fails)
    assert len(breakers) == 2


async def test_l15_the_registry_is_a_circuit_breaker_for_handlers(clock: FakeClock) -> None:
    breakers = registry(clock)
    assert isinstance(breakers, ICircuitBreaker)

    async def answer(value: int, *, times: int) -> int:
        return value * times

    assert await breakers.call("payments", answer, 3, times=2) == 6
    assert breakers["payments"].snapshot().succeeded == 1
    trip(breakers["payments"])
    with pytest.raises(CircuitOpenError) as rejected:
        await breakers.call("payments", answer, 3, times=2)
    assert breakers.is_circuit_breaker_error(rejected.value) is True
    assert breakers.is_circuit_breaker_error(Boom()) is False


async def test_l15_guard_keeps_the_kind(clock: FakeClock) -> None:
    breakers = registry(clock)

    async def answer(value: int) -> int:
        return value

    async def answers(count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    assert await breakers.guard("payments", answer)(7) == 7
    assert [item async for item in breakers.guard("payments", answers)(3)] == [0, 1, 2]
    assert breakers["payments"].snapshot().succeeded == 2
    trip(breakers["payments"])
    with pytest.raises(CircuitOpenError):
        await breakers.guard("payments", answer)(7)
    with pytest.raises(CircuitOpenError):
        await anext(breakers.guard("payments", answers)(3))


async def test_l15_a_circuit_that_a_guard_holds_is_not_evicted(clock: FakeClock) -> None:
    """A scrape of the registry must see the circuit of every guarded function."""
    breakers = CircuitBreakers(time_policy(8.0, minimum=2), idle_ttl=10.0, max_circuits=2, clock=clock)
    healthy = True

    async def dependency() -> None:
        if not healthy:
            raise Boom

    guarded = breakers.guard("payments", dependency)
    await guarded()
    clock.advance(3600)
    for number in range(10):
        succeed(breakers[f"other {number}"])
    assert breakers.get("payments") is not None
    healthy = False
    for _ in range(2):
        with pytest.raises(Boom):
            await guarded()
    with pytest.raises(CircuitOpenError):
        await guarded()
    assert breakers["payments"].state is State.OPEN


def test_l15_a_key_has_its_own_circuit_and_the_policy_of_its_parent(clock: FakeClock) -> None:
    breakers = registry(clock, policies={"llm": count_policy(3)})
    child = breakers.key("llm", "tenant-1")
    assert child.name == "llm:tenant-1"
    assert breakers.key("llm", "tenant-1") is child
    assert breakers.key("llm", "tenant-2") is not child
    assert child.policy == breakers["llm"].policy
    fail(child, 3)
    assert child.state is State.OPEN
    assert breakers["llm"].state is State.CLOSED
    assert breakers.key("llm", "tenant-2").state is State.CLOSED


def test_l15_an_open_parent_vetoes(clock: FakeClock) -> None:
    breakers = registry(clock)
    child = breakers.key("llm", "tenant-1")
    succeed(child)
    breakers["llm"].override(Mode.FORCED_OPEN)
    error = rejection(child)
    assert error.source == "parent"
    assert child.snapshot().in_flight == 0
    breakers["llm"].clear_override()
    succeed(child)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize(
    "policy", [CircuitBreakerPolicy.consecutive(2), CircuitBreakerPolicy()], ids=["row", "rate"]
)
async def test_l15_an_open_parent_vetoes_every_form(
    clock: FakeClock, form: Form, policy: CircuitBreakerPolicy
) -> None:
    breakers = CircuitBreakers(policy, clock=clock)
    child, dependency = breakers.key("llm", "tenant-1"), Dependency(clock)
    await form(child, dependency, "ok")
    breakers["llm"].override(Mode.FORCED_OPEN)
    with pytest.raises(CircuitOpenError) as rejected:
        await form(child, dependency, "ok")
    assert rejected.value.source == "parent"
    breakers["llm"].clear_override()
    await form(child, dependency, "ok")
    assert (child.snapshot().succeeded, child.snapshot().rejected, child.snapshot().in_flight) == (2, 1, 0)


def test_l15_a_veto_consumes_no_probe_of_the_child(clock: FakeClock) -> None:
    breakers = registry(clock)
    child = breakers.key("llm", "tenant-1")
    trip(child)
    clock.advance(5)
    breakers["llm"].override(Mode.FORCED_OPEN)
    for _ in range(5):
        assert is_rejected(child)
    breakers["llm"].clear_override()
    assert not is_rejected(child)
    succeed(child)
    assert child.state is State.CLOSED


def test_l15_idle_circuits_are_evicted_at_the_cap(clock: FakeClock) -> None:
    breakers = registry(clock, max_circuits=10, idle_ttl=60.0)
    for number in range(10):
        succeed(breakers[f"old {number}"])
    clock.advance(61)
    for number in range(10):
        succeed(breakers[f"new {number}"])
    assert len(breakers) <= 10
    assert all(breakers.get(f"new {number}") is not None for number in range(10))


def test_l15_a_churn_of_keys_stays_within_the_cap(clock: FakeClock) -> None:
    breakers = registry(clock, max_circuits=100, idle_ttl=1.0)
    for number in range(5000):
        succeed(breakers.key("llm", str(number)))
        clock.advance(0.125)
    assert len(breakers) <= 101


@pytest.mark.parametrize(
    "reason", ["open", "half_open", "forced_open", "disabled", "metrics_only", "in_flight"]
)
def test_l15_eviction_never_forgets_a_circuit_that_knows_something(clock: FakeClock, reason: str) -> None:
    breakers = registry(clock, max_circuits=4, idle_ttl=1.0)
    precious = breakers["precious"]
    pending = None
    if reason in ("open", "half_open"):
        trip(precious)
        if reason == "half_open":
            clock.advance(5)
            pending = precious.acquire()
    elif reason == "in_flight":
        pending = precious.acquire()
    else:
        precious.override(Mode(reason))
    state = precious.state
    for number in range(50):
        succeed(breakers[f"other {number}"])
        clock.advance(0.0625)
    assert breakers.get("precious") is precious
    assert breakers["precious"] is precious
    assert precious.state is state
    if pending is not None:
        assert pending.settle(Verdict.IGNORED) is True


def test_l15_evicted_and_made_again_is_indistinguishable(clock: FakeClock) -> None:
    breakers = registry(clock, max_circuits=2, idle_ttl=10.0)
    succeed(breakers["payments"])
    clock.advance(3600)
    for number in range(10):
        succeed(breakers[f"other {number}"])
    again = breakers["payments"]
    fail(again)
    assert again.state is State.CLOSED
    fail(again)
    assert again.state is State.OPEN


def test_l15_a_recently_used_circuit_outlives_an_idle_one(clock: FakeClock) -> None:
    breakers = registry(clock, max_circuits=2, idle_ttl=60.0)
    succeed(breakers["idle"])
    succeed(breakers["busy"])
    clock.advance(100)
    succeed(breakers["busy"])
    succeed(breakers["new"])
    assert breakers.get("busy") is not None
    assert breakers.get("idle") is None


def test_l15_no_threads_and_no_timers_per_circuit(clock: FakeClock) -> None:
    before = threading.active_count()
    breakers = registry(clock)
    for number in range(1000):
        succeed(breakers[str(number)])
    trip(breakers["0"])
    assert threading.active_count() == before


def test_l15_reload_reaches_every_circuit_and_those_to_come(clock: FakeClock) -> None:
    breakers = registry(clock)
    old = breakers["old"]
    breakers.reload(count_policy(3))
    for circuit in [old, breakers["new"]]:
        fail(circuit, 2)
        assert circuit.state is State.CLOSED
        fail(circuit)
        assert circuit.state is State.OPEN


def test_l15_reload_may_name_one_circuit(clock: FakeClock) -> None:
    breakers = registry(clock)
    one, other = breakers["one"], breakers["other"]
    breakers.reload(count_policy(3), name="one")
    fail(one, 2)
    fail(other, 2)
    assert (one.state, other.state) == (State.CLOSED, State.OPEN)


@pytest.mark.parametrize(
    "arguments",
    [{"max_circuits": 0}, {"max_circuits": -1}, {"idle_ttl": 0}, {"idle_ttl": -1.0}, {"idle_ttl": "x"}],
)
def test_l15_senseless_limits_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        CircuitBreakers(count_policy(), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [None, 7, b"payments"])
def test_l15_a_name_that_is_no_text_is_refused(clock: FakeClock, name: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        registry(clock)[name]  # type: ignore[index]
    with pytest.raises((TypeError, ValueError)):
        CircuitBreaker(name)  # type: ignore[arg-type]


def test_a_circuit_used_from_two_event_loops_in_turn_works() -> None:
    circuit = breaker()

    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    async def main() -> int:
        result = await asyncio.gather(*[circuit.call(answer) for _ in range(3)])
        return sum(result)

    assert [asyncio.run(main()), asyncio.run(main())] == [21, 21]
    circuit.call(do_nothing)
    assert circuit.snapshot().succeeded == 7

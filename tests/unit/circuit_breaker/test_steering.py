"""Overrides and resets through a registry, without a store: they are of this process."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, Mode, State
from cqrs.exceptions import ConfigurationTypeError, PolicyError
from cqrs.testing import FakeClock


@pytest.fixture
def breakers(clock: FakeClock) -> CircuitBreakers:
    return CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=1), clock=clock)


def test_an_override_makes_the_circuit_it_is_for(breakers: CircuitBreakers, clock: FakeClock) -> None:
    breakers.override("payments", Mode.FORCED_OPEN, ttl=10.0, actor="ann", reason="migration")
    assert breakers["payments"].state is State.FORCED_OPEN
    clock.advance(10.0)
    assert breakers["payments"].state is State.CLOSED


def test_an_override_of_all_reaches_those_that_exist(breakers: CircuitBreakers) -> None:
    first, second = breakers["a"], breakers["b"]
    breakers.override(None, Mode.DISABLED)
    assert (first.state, second.state) == (State.DISABLED, State.DISABLED)
    breakers.clear_override(None)
    assert (first.state, second.state) == (State.CLOSED, State.CLOSED)


def test_a_reset_closes(breakers: CircuitBreakers) -> None:
    def down() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        breakers["payments"].call(down)
    assert breakers["payments"].state is State.OPEN
    breakers.reset("payments")
    assert breakers["payments"].state is State.CLOSED


async def test_event_loops_have_forms_of_their_own(breakers: CircuitBreakers) -> None:
    await breakers.aoverride("payments", Mode.FORCED_OPEN)
    assert breakers["payments"].state is State.FORCED_OPEN
    await breakers.aclear_override("payments")
    assert breakers["payments"].state is State.CLOSED
    await breakers.areset("payments")
    assert breakers["payments"].state is State.CLOSED


async def test_closing_has_nothing_to_do(breakers: CircuitBreakers) -> None:
    breakers.close()
    await breakers.aclose()
    assert breakers.store is None
    assert breakers["payments"].call(int) == 0


def test_nonsense_is_refused(breakers: CircuitBreakers) -> None:
    with pytest.raises(ConfigurationTypeError, match="mode"):
        breakers.override("payments", "open")  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="ttl"):
        breakers.override("payments", Mode.DISABLED, ttl=-1)
    with pytest.raises(ConfigurationTypeError, match="store must be a store"):
        CircuitBreakers(store="redis://localhost")  # type: ignore[arg-type]


def test_the_policy_of_a_circuit_is_known_before_it_is_made() -> None:
    own = CircuitBreakerPolicy.consecutive(threshold=3)
    breakers = CircuitBreakers(policies={"payments": own})
    assert breakers.policy_for("payments") is own
    assert breakers.policy_for("others") == CircuitBreakerPolicy()

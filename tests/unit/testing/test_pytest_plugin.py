"""The fixtures that users enable with ``pytest_plugins``."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitBreakers,
    CircuitOpenError,
    State,
)
from cqrs.testing import FakeClock
from cqrs.testing.pytest_plugin import OpenCircuit

POLICY = CircuitBreakerPolicy.consecutive(1)
module_circuit = CircuitBreaker("of the module", POLICY)
module_breakers = CircuitBreakers(POLICY)


@pytest.fixture
def circuit_breakers() -> CircuitBreakers:
    return module_breakers


def boom() -> None:
    raise ConnectionError("down")


def test_fake_clock_is_a_fake_clock(fake_clock: FakeClock) -> None:
    assert isinstance(fake_clock, FakeClock)


def test_open_circuit_opens_a_circuit_of_the_registry(open_circuit: OpenCircuit) -> None:
    for identifier in ("payments", dict):
        circuit = open_circuit(identifier)
        assert circuit is module_breakers[identifier]
        with pytest.raises(CircuitOpenError):
            circuit.call(print)


def test_open_circuit_opens_a_circuit_that_it_is_given(open_circuit: OpenCircuit) -> None:
    assert open_circuit(module_circuit) is module_circuit
    with pytest.raises(CircuitOpenError, match="opened by a test"):
        module_circuit.call(print)


def test_afterwards_the_circuits_are_closed_again() -> None:
    """Runs after the tests above, in the order of the file."""
    assert module_circuit.state is State.CLOSED
    assert module_breakers["payments"].state is State.CLOSED


def test_disabled_circuits_let_everything_through(all_circuits_disabled: None) -> None:
    module_breakers["made in the test"]
    for circuit in [
        module_circuit,
        CircuitBreaker("new", POLICY),
        *map(module_breakers.__getitem__, module_breakers),
    ]:
        for _ in range(3):
            with pytest.raises(ConnectionError):
                circuit.call(boom)
        assert circuit.state is State.DISABLED


def test_after_that_circuits_work_again() -> None:
    """Runs after the test above, in the order of the file."""
    for circuit in [module_circuit, module_breakers["made in the test"], CircuitBreaker("new", POLICY)]:
        assert circuit.state is State.CLOSED
        with pytest.raises(ConnectionError):
            circuit.call(boom)
        assert circuit.state is State.OPEN
        circuit.reset()


def test_without_a_registry_the_error_says_what_to_do(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["cqrs.testing.pytest_plugin"]')
    pytester.makepyfile("def test_it(open_circuit):\n    open_circuit('payments')")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.stdout.fnmatch_lines(["*define a fixture circuit_breakers that returns your CircuitBreakers*"])
    result.assert_outcomes(failed=1)

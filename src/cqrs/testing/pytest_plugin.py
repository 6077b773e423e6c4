"""Pytest fixtures.

Enable them in the top-level ``conftest.py``: ``pytest_plugins = ["cqrs.testing.pytest_plugin"]``.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakers, Mode
from cqrs.circuit_breaker.gate import Gate
from cqrs.testing.clock import FakeClock

OpenCircuit: TypeAlias = Callable[[CircuitBreaker | type[Any] | str], CircuitBreaker]
"""Type of the fixture :func:`open_circuit`."""


@pytest.fixture
def fake_clock() -> FakeClock:
    """Return a clock that stands still until the test advances it."""
    return FakeClock()


@pytest.fixture
def circuit_breakers() -> CircuitBreakers:
    """Return the registry in which :func:`open_circuit` finds circuits by name; a project overrides this.

    Raises:
        pytest.UsageError: the project has not.
    """
    raise pytest.UsageError(
        "define a fixture circuit_breakers that returns your CircuitBreakers,"
        " or give open_circuit a CircuitBreaker"
    )


@pytest.fixture
def open_circuit(request: pytest.FixtureRequest) -> Iterator[OpenCircuit]:
    """Return a function that forces a circuit open until the end of the test, and returns it.

    It takes a ``CircuitBreaker``, or the name or handler class of a circuit in the registry that the
    fixture ``circuit_breakers`` returns.
    """
    forced: list[CircuitBreaker] = []

    def force(circuit: CircuitBreaker | type[Any] | str) -> CircuitBreaker:
        if not isinstance(circuit, CircuitBreaker):
            breakers: CircuitBreakers = request.getfixturevalue("circuit_breakers")
            circuit = breakers[circuit]
        circuit.override(Mode.FORCED_OPEN, actor="pytest", reason="opened by a test")
        forced.append(circuit)
        return circuit

    yield force
    for circuit in forced:
        circuit.clear_override()


@pytest.fixture
def all_circuits_disabled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every call of the test through, in all circuits of the process, also those that it makes.

    Afterwards they are in their initial mode, with empty counts.
    """
    disabled: list[CircuitBreaker] = []

    def disable(gate: Gate) -> None:
        circuit = CircuitBreaker.around(gate)
        circuit.override(Mode.DISABLED, actor="pytest", reason="all circuits are disabled")
        disabled.append(circuit)

    initialise = Gate.__init__

    def initialise_disabled(gate: Gate, *args: Any, **kwargs: Any) -> None:
        initialise(gate, *args, **kwargs)
        disable(gate)

    for candidate in gc.get_objects():
        if issubclass(type(candidate), Gate):
            disable(candidate)
    with monkeypatch.context() as patched:
        patched.setattr(Gate, "__init__", initialise_disabled)
        yield
    for circuit in disabled:
        circuit.clear_override()

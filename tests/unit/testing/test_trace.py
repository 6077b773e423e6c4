"""TransitionRecorder and assert_trace: state a circuit's life in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy, CircuitBreakers, Verdict
from cqrs.testing import FakeClock, TransitionRecorder, assert_trace

POLICY = CircuitBreakerPolicy.consecutive(1, 5.0)


def recorded(clock: FakeClock) -> tuple[CircuitBreaker, TransitionRecorder]:
    circuit, recorder = CircuitBreaker("payments", POLICY, clock=clock), TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    return circuit, recorder


def test_every_change_is_recorded_in_order(clock: FakeClock) -> None:
    circuit, recorder = recorded(clock)
    assert_trace(recorder, [])
    circuit.acquire().settle(Verdict.FAILURE)
    clock.advance(5)
    circuit.acquire().settle(Verdict.SUCCESS)
    assert_trace(recorder, ["closed -> open", "open -> half_open", "half_open -> closed"])
    assert [change.at for change in recorder.changes] == [1000.0, 1005.0, 1005.0]


@pytest.mark.parametrize(
    "wrong",
    [[], ["closed -> open", "open -> half_open"], ["closed -> forced_open"], ["open -> closed"]],
)
def test_a_trace_that_differs_is_refused_and_shown_with_its_reason(
    clock: FakeClock, wrong: list[str]
) -> None:
    circuit, recorder = recorded(clock)
    circuit.acquire().settle(Verdict.FAILURE)
    with pytest.raises(AssertionError) as refused:
        assert_trace(recorder, wrong)
    assert "payments: closed -> open (" in str(refused.value)
    assert recorder.changes[0].reason in str(refused.value)


def test_a_missing_trace_says_that_there_was_nothing(clock: FakeClock) -> None:
    with pytest.raises(AssertionError, match="nothing"):
        assert_trace(TransitionRecorder(), ["closed -> open"])


def test_one_circuit_of_many_can_be_looked_at(clock: FakeClock) -> None:
    recorder = TransitionRecorder()
    breakers = CircuitBreakers(POLICY, clock=clock)
    breakers.add_listener(recorder, inline=True)
    for name in ("a", "b"):
        breakers[name].acquire().settle(Verdict.FAILURE)
    breakers["b"].reset()
    assert_trace(recorder, ["closed -> open"], name="a")
    assert_trace(recorder, ["closed -> open", "open -> closed"], name="b")
    with pytest.raises(AssertionError, match="b: open -> closed"):
        assert_trace(recorder, [], name="b")


def test_a_recorder_can_forget(clock: FakeClock) -> None:
    circuit, recorder = recorded(clock)
    circuit.acquire().settle(Verdict.FAILURE)
    recorder.clear()
    assert_trace(recorder, [])


def test_other_events_pass_by() -> None:
    recorder = TransitionRecorder()
    recorder("no event at all")
    assert recorder.changes == []


def test_importing_the_kit_does_not_import_pytest() -> None:
    code = "import sys, cqrs.testing; sys.exit('pytest' in sys.modules or '_pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

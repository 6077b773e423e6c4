"""L12: what the protected call returns or raises comes out unchanged, and what counts as a failure."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitOpenError, Outcome, State, Trip, Verdict
from cqrs.exceptions import ResolutionError
from cqrs.testing import FakeClock

from .support import Boom, Missing, boom, breaker, count_policy, do_nothing, trip

UNCOUNTED = [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]


def raiser(error: BaseException) -> Any:
    def raises() -> None:
        raise error

    return raises


def test_l12_the_result_is_the_same_object() -> None:
    result = object()
    assert breaker().call(lambda: result) is result


def test_l12_the_exception_is_the_same_object_without_context_or_notes() -> None:
    circuit, error = breaker(), Boom("mine")
    with pytest.raises(Boom) as caught:
        circuit.call(raiser(error))
    assert caught.value is error
    assert (error.__context__, error.__cause__) == (None, None)
    assert not hasattr(error, "__notes__")


async def test_l12_async_result_and_exception_are_the_same_objects() -> None:
    circuit, error, result = breaker(), Boom("mine"), object()

    async def fails() -> None:
        raise error

    async def works() -> object:
        return result

    assert await circuit.call(works) is result
    with pytest.raises(Boom) as caught:
        await circuit.call(fails)
    assert caught.value is error
    assert error.__context__ is None


def test_l12_a_broken_listener_does_not_mask_the_result() -> None:
    circuit, error = breaker(count_policy(1)), Boom("mine")

    def broken(event: object) -> None:
        raise RuntimeError("bug in the listener")

    circuit.add_listener(broken, inline=True)
    circuit.add_listener(broken)
    with pytest.raises(Boom) as caught:
        circuit.call(raiser(error))
    assert caught.value is error
    assert circuit.state is State.OPEN
    assert circuit.flush_listeners(10)


@pytest.mark.parametrize("rule", ["classify", "record", "ignore", "record_result"])
def test_l12_a_broken_rule_does_not_mask_the_result(rule: str, caplog: pytest.LogCaptureFixture) -> None:
    def broken(subject: object) -> bool:
        raise RuntimeError("bug in the rule")

    circuit, error = breaker(count_policy(100, **{rule: broken})), Boom("mine")
    for _ in range(3):
        with pytest.raises(Boom) as caught:
            circuit.call(raiser(error))
        assert caught.value is error
        assert circuit.call(lambda: 7) == 7
    assert circuit.snapshot().failed == {"classify": 6, "record": 3, "ignore": 3, "record_result": 6}[rule]
    records = [record for record in caplog.records if record.name.startswith("cqrs.circuit_breaker")]
    assert len(records) == 1
    assert records[0].exc_info is not None


@pytest.mark.parametrize("error", UNCOUNTED)
def test_l12_what_is_no_exception_passes_through_and_never_counts(error: type[BaseException]) -> None:
    circuit = breaker(count_policy(1, consecutive_failures=1))
    raised = error()
    for _ in range(5):
        with pytest.raises(error) as caught:
            circuit.call(raiser(raised))
        assert caught.value is raised
    seen = circuit.snapshot()
    assert (seen.state, seen.failed, seen.window_calls, seen.in_flight) == (State.CLOSED, 0, 0, 0)


@pytest.mark.parametrize("error", UNCOUNTED)
@pytest.mark.parametrize("rule", ["classify", "record", "ignore"])
def test_l12_what_is_no_exception_is_shown_to_no_rule(error: type[BaseException], rule: str) -> None:
    shown: list[object] = []

    def look(subject: object) -> Any:
        shown.append(subject)
        return Verdict.FAILURE if rule == "classify" else True

    circuit = breaker(count_policy(1, **{rule: look}))
    with pytest.raises(error):
        circuit.call(raiser(error()))
    assert shown == []
    assert circuit.state is State.CLOSED


def test_l12_only_recorded_types_are_failures() -> None:
    circuit = breaker(count_policy(2, record=(ConnectionError, TimeoutError)))
    for error in [ValueError(), ConnectionRefusedError(), ValueError()]:
        with pytest.raises(type(error)):
            circuit.call(raiser(error))
    seen = circuit.snapshot()
    assert (seen.failed, seen.ignored, seen.state) == (1, 2, State.CLOSED)


def test_l12_ignore_wins_over_record() -> None:
    circuit = breaker(count_policy(1, record=(OSError,), ignore=(FileNotFoundError,)))
    with pytest.raises(FileNotFoundError):
        circuit.call(raiser(FileNotFoundError()))
    assert circuit.state is State.CLOSED
    with pytest.raises(PermissionError):
        circuit.call(raiser(PermissionError()))
    assert circuit.state is State.OPEN


class Picky(type):
    """A metaclass that answers isinstance and equality in its own way."""

    def __instancecheck__(cls, instance: object) -> bool:
        return getattr(instance, "picked", False)

    def __eq__(cls, other: object) -> bool:
        raise TypeError("not comparable")

    __hash__ = type.__hash__


class Picked(Exception, metaclass=Picky):
    """An exception class whose metaclass is not ``type``."""


class Marked(Exception):
    picked = True


def test_l12_classes_with_a_metaclass_can_be_ignored() -> None:
    circuit = breaker(count_policy(1, ignore=(Picked,)))
    with pytest.raises(Marked):
        circuit.call(raiser(Marked()))
    assert circuit.state is State.CLOSED
    with pytest.raises(Boom):
        circuit.call(boom)
    assert circuit.state is State.OPEN


@pytest.mark.parametrize("form", ["type", "tuple", "predicate"])
def test_l12_filters_may_be_a_type_types_or_a_predicate(form: str) -> None:
    filters: dict[str, Any] = {
        "type": Missing,
        "tuple": (Missing, KeyError),
        "predicate": lambda error: isinstance(error, Missing),
    }
    circuit = breaker(count_policy(1, ignore=filters[form]))
    with pytest.raises(Missing):
        circuit.call(raiser(Missing()))
    assert circuit.state is State.CLOSED
    with pytest.raises(Boom):
        circuit.call(boom)
    assert circuit.state is State.OPEN


def test_l12_an_ignored_outcome_of_a_probe_neither_closes_nor_consumes_it(clock: FakeClock) -> None:
    circuit = breaker(count_policy(1, ignore=(Missing,)), clock)
    trip(circuit)
    clock.advance(5)
    for _ in range(5):
        with pytest.raises(Missing):
            circuit.call(raiser(Missing()))
        assert circuit.state is State.HALF_OPEN
    circuit.call(do_nothing)
    assert circuit.state is State.CLOSED


def test_l12_results_can_be_failures() -> None:
    circuit = breaker(count_policy(2, record_result=lambda status: status >= 500))
    assert [circuit.call(lambda: 503), circuit.call(lambda: 503)] == [503, 503]
    assert circuit.state is State.OPEN
    assert circuit.snapshot().failed == 2


@pytest.mark.parametrize(
    ("verdict", "counter"),
    [
        (Verdict.SUCCESS, "succeeded"),
        (Verdict.FAILURE, "failed"),
        (Verdict.IGNORED, "ignored"),
        (Verdict.INCONCLUSIVE, "inconclusive"),
        (Verdict.CANCELLED, "cancelled"),
        (Trip(), "failed"),
    ],
)
def test_l12_classify_wins_over_every_other_rule(verdict: Verdict | Trip, counter: str) -> None:
    seen: list[Outcome] = []

    def classify(outcome: Outcome) -> Verdict | Trip:
        seen.append(outcome)
        return verdict

    policy = count_policy(
        100, classify=classify, record=(KeyError,), ignore=(Boom,), record_result=lambda result: result == 1
    )
    circuit = breaker(policy)
    with pytest.raises(Boom):
        circuit.call(boom)
    circuit.reset()
    assert circuit.call(lambda: 1) == 1
    assert getattr(circuit.snapshot(), counter) == 2
    assert isinstance(seen[0].exception, Boom)
    assert (seen[1].result, seen[1].exception) == (1, None)


def test_l12_classify_may_leave_it_to_the_other_rules() -> None:
    circuit = breaker(count_policy(100, classify=lambda outcome: None, ignore=(Missing,)))
    for error in [Missing(), Boom()]:
        with pytest.raises(type(error)):
            circuit.call(raiser(error))
    circuit.call(do_nothing)
    seen = circuit.snapshot()
    assert (seen.ignored, seen.failed, seen.succeeded) == (1, 1, 1)


def test_l12_classify_is_told_the_duration(clock: FakeClock) -> None:
    seen: list[float | None] = []

    def classify(outcome: Outcome) -> None:
        seen.append(outcome.duration)

    circuit = breaker(count_policy(classify=classify, slow_call_duration_threshold=60.0), clock)
    circuit.call(clock.advance, 1.5)
    assert seen == [1.5]


@pytest.mark.parametrize("record", [None, (Exception,), (ConnectionError,)])
def test_l12_a_rejection_further_in_is_no_failure_of_this_dependency(record: Any) -> None:
    inner = breaker(count_policy(1), name="inner")
    outer = breaker(count_policy(1, record=record), name="outer")
    trip(inner)
    with pytest.raises(CircuitOpenError) as caught:
        outer.call(inner.call, do_nothing)
    assert caught.value.name == "inner"
    assert outer.state is State.CLOSED
    assert (outer.snapshot().failed, outer.snapshot().inconclusive) == (0, 1)


def test_l12_user_code_never_runs_under_the_lock() -> None:
    """Whatever user code runs, it can use the same circuit from another thread."""
    import threading

    entered: list[str] = []

    def from_elsewhere(where: str) -> None:
        entered.append(where)
        thread = threading.Thread(target=lambda: (circuit.snapshot(), circuit.explain(), circuit.state))
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), f"{where} runs while the lock is held"

    def classify(outcome: Outcome) -> None:
        from_elsewhere("classify")

    def ignore(error: Exception) -> bool:
        from_elsewhere("ignore")
        return False

    def record_result(result: object) -> bool:
        from_elsewhere("record_result")
        return False

    policy = count_policy(2, classify=classify, ignore=ignore, record_result=record_result)
    circuit = breaker(policy)
    circuit.add_listener(lambda event: from_elsewhere("listener"), inline=True)
    circuit.call(from_elsewhere, "call")
    with pytest.raises(Boom):
        circuit.call(boom)
    assert set(entered) == {"classify", "ignore", "record_result", "listener", "call"}


def test_l12_the_last_failure_kept_for_display_retains_no_frames() -> None:
    class Heavy:
        pass

    circuit = breaker(count_policy(1))

    def fails() -> weakref.ref[Heavy]:
        heavy = Heavy()
        local = weakref.ref(heavy)
        references.append(local)
        raise Boom("with a heavy frame")

    references: list[weakref.ref[Heavy]] = []
    with pytest.raises(Boom):
        circuit.call(fails)
    error = None
    try:
        circuit.acquire()
    except CircuitOpenError as rejected:
        error = rejected
    assert error is not None
    assert error.last_failure == "Boom: with a heavy frame"
    gc.collect()
    assert sys.exception() is None
    assert references[0]() is None


def test_l12_an_exception_that_cannot_be_rendered_is_summarised_all_the_same() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    circuit, error = breaker(count_policy(1)), Unprintable()
    with pytest.raises(Unprintable) as caught:
        circuit.call(raiser(error))
    assert caught.value is error
    assert circuit.state is State.OPEN


@pytest.mark.parametrize("record", [None, (Exception,)])
def test_l12_a_wrong_declaration_says_nothing_about_the_dependency(
    record: tuple[type[Exception], ...] | None,
) -> None:
    circuit = breaker(CircuitBreakerPolicy.consecutive(threshold=1, record=record))

    @circuit
    def unresolvable() -> None:
        raise ResolutionError("nobody told me how to build a Repository")

    with pytest.raises(ResolutionError):
        unresolvable()
    assert circuit.state is State.CLOSED
    assert circuit.snapshot().ignored == 1

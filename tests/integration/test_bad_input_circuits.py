"""Circuit breakers and policies that are given wrong values, names, functions, clocks or rules."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cqrs.circuit_breaker import (
    Backoff,
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitBreakers,
    CountWindow,
    Mode,
    Outcome,
    Ramp,
    State,
    TimeWindow,
    Trip,
    Verdict,
)
from cqrs.exceptions import ConfigurationError, PolicyError
from cqrs.testing import FakeClock

WRONG: dict[str, Any] = {
    "text": "5",
    "nan": math.nan,
    "inf": math.inf,
    "minus infinity": -math.inf,
    "negative": -1,
    "object": object(),
    "list": [1],
    "negative timedelta": timedelta(seconds=-2),
    "complex": 1j,
}
NO_NUMBERS = {**WRONG, "bool": True, "zero": 0}
SECONDS = (
    "slow_call_duration_threshold",
    "wait_duration_in_open",
    "probe_timeout",
    "max_probe_duration",
    "permit_lease",
    "max_wait_duration_in_half_open",
)
COUNTS = (
    "minimum_number_of_calls",
    "consecutive_failures",
    "permitted_calls_in_half_open",
    "max_concurrent_probes",
)
RATIOS = ("failure_rate_threshold", "slow_call_rate_threshold")
CALLABLES = ("record_result", "classify")
OTHERS = tuple(
    field.name
    for field in dataclasses.fields(CircuitBreakerPolicy)
    if field.init and field.name not in (*SECONDS, *COUNTS, *RATIOS, *CALLABLES)
)


def cases() -> list[Any]:
    found: list[tuple[str, str, Any]] = []
    for field in SECONDS:
        found += [(field, kind, value) for kind, value in NO_NUMBERS.items()]
    for field in COUNTS:
        found += [(field, kind, value) for kind, value in {**NO_NUMBERS, "fraction": 1.5}.items()]
    for field in RATIOS:
        found += [(field, kind, value) for kind, value in {**NO_NUMBERS, "above one": 1.01}.items()]
    for field in (*CALLABLES, *OTHERS):
        wrong = {**NO_NUMBERS, "fraction": 1.5}
        if field == "count_in_flight_slow":
            del wrong["bool"]
        found += [(field, kind, value) for kind, value in wrong.items()]
    return [pytest.param(field, value, id=f"{field}-{kind}") for field, kind, value in found]


@pytest.mark.parametrize(("field", "value"), cases())
def test_each_field_refuses_what_it_cannot_mean(field: str, value: Any) -> None:
    with pytest.raises(PolicyError) as refusal:
        CircuitBreakerPolicy(**{field: value})

    assert refusal.value.field == field
    assert f"{field}=" in str(refusal.value)
    assert "it must be" in str(refusal.value)
    assert isinstance(refusal.value, ValueError)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (part, field.name)
        for part in (TimeWindow, CountWindow, Backoff, Ramp, Trip)
        for field in dataclasses.fields(part)
    ],
)
@pytest.mark.parametrize("kind", [*WRONG, "bool"])
def test_each_part_refuses_what_it_cannot_mean(part: Any, field: str, kind: str) -> None:
    with pytest.raises(PolicyError, match=rf"{part.__name__}\.{field}=.* is not allowed"):
        part(**{field: {**WRONG, "bool": True}[kind]})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sliding_window": None}, "or nothing opens it"),
        ({"sliding_window": CountWindow(10)}, "or no rate is ever evaluated"),
        ({"record": ()}, "nothing would count"),
        ({"record": []}, "nothing would count"),
        ({"max_concurrent_probes": 4}, "at most permitted_calls_in_half_open"),
        ({"record": "ValueError"}, "exception type"),
        ({"record": ValueError()}, "exception type"),
        ({"record": (KeyboardInterrupt,)}, "exception type"),
        ({"ignore": BaseException}, "exception type"),
        ({"ignore": None}, "exception type"),
        ({"initial_mode": "disabled"}, "a Mode"),
        ({"on_cancel": "never"}, "one of 'slow_if_exceeded'"),
        ({"on_half_open_timeout": "half"}, "one of 'open'"),
        ({"recovery_ramp": 10.0}, "a Ramp or None"),
        ({"wait_duration_in_open": (5, 2)}, "finite number of seconds"),
        ({"sliding_window": 30}, "a TimeWindow, a CountWindow or None"),
    ],
)
def test_a_policy_that_could_never_do_its_work_says_why(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyError) as refusal:
        CircuitBreakerPolicy(**fields)

    assert words in str(refusal.value)


def test_a_slow_threshold_without_a_window_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"slow_call_duration_threshold=1 .*without a sliding_window"):
        CircuitBreakerPolicy.consecutive(3, slow_call_duration_threshold=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CircuitBreakerPolicy(failure_rate=0.5),
        lambda: CircuitBreakerPolicy.consecutive(3, failure_rate=0.5),
        lambda: CircuitBreakerPolicy().replace(failure_rate=0.5),
        lambda: CircuitBreaker("a", failure_rate=0.5),
        lambda: CircuitBreakers(failure_rate=0.5),
        lambda: CircuitBreaker("a").override(Mode.DISABLED, failure_rate=0.5),
    ],
)
def test_a_misspelled_argument_is_named(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="failure_rate"):
        make()


# ---------------------------------------------------------------------- circuits and registries


@pytest.mark.parametrize("name", ["", None, 3, True, b"payments", ["payments"], object()])
@pytest.mark.parametrize(
    "make",
    [
        CircuitBreaker,
        lambda name: CircuitBreakers()[name],
        lambda name: CircuitBreakers().guard(name, len),
    ],
)
def test_a_circuit_needs_a_name(make: Callable[[Any], object], name: Any) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        make(name)

    assert isinstance(refusal.value, TypeError)
    assert repr(name) in str(refusal.value)
    assert "circuit" in str(refusal.value)


@pytest.mark.parametrize("policy", [CircuitBreakerPolicy, {}, "default", 3, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda policy: CircuitBreaker("a", policy),
        CircuitBreakers,
        lambda policy: CircuitBreakers(policies={"a": policy}),
        lambda policy: CircuitBreaker("a").reload(policy),
        lambda policy: CircuitBreakers().reload(policy),
    ],
)
def test_what_is_no_policy_is_refused(make: Callable[[Any], object], policy: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a CircuitBreakerPolicy") as refusal:
        make(policy)

    assert isinstance(refusal.value, TypeError)


class Methods:
    @classmethod
    def of_class(cls) -> None: ...

    @staticmethod
    def static() -> None: ...

    @property
    def value(self) -> None: ...


@pytest.mark.parametrize(
    "func", [None, 3, "charge", Methods.__dict__["of_class"], Methods.__dict__["static"], Methods.value]
)
def test_only_functions_are_guarded(func: Any) -> None:
    with pytest.raises(ConfigurationError, match="a circuit breaker guards functions, not") as refusal:
        CircuitBreaker("payments")(func)

    assert isinstance(refusal.value, TypeError)


@pytest.mark.parametrize("mode", ["forced_open", State.FORCED_OPEN, None, True, Mode])
def test_an_override_needs_a_mode(mode: Any) -> None:
    breaker = CircuitBreaker("payments")

    with pytest.raises(ConfigurationError, match=r"mode must be one of enabled, forced_open, .* as a Mode"):
        breaker.override(mode)

    assert breaker.state == "closed"


@pytest.mark.parametrize("ttl", [0, -1, True, "60", math.nan, math.inf, timedelta(seconds=-1), [60]])
def test_an_override_needs_a_time_to_live_that_passes(ttl: Any) -> None:
    breaker = CircuitBreaker("payments")

    with pytest.raises(ConfigurationError, match=r"ttl=.* is not allowed"):
        breaker.override(Mode.FORCED_OPEN, ttl=ttl)

    assert breaker.state == "closed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("idle_ttl", value) for value in NO_NUMBERS.values()],
        *[("max_circuits", value) for value in (*NO_NUMBERS.values(), 1.5)],
    ],
)
def test_a_registry_refuses_figures_out_of_range(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{field}=.* is not allowed"):
        CircuitBreakers(**{field: value})


@pytest.mark.parametrize("listener", [None, 3, "print"])
def test_a_listener_must_be_callable(listener: Any) -> None:
    for add in (CircuitBreaker("a").add_listener, CircuitBreakers().add_listener):
        with pytest.raises(ConfigurationError, match="a listener must be callable"):
            add(listener)


def test_an_async_listener_is_refused_because_nobody_would_await_it() -> None:
    async def listener(event: object) -> None: ...

    with pytest.raises(ConfigurationError, match="coroutine function; nobody would await it"):
        CircuitBreaker("a", listeners=[listener])


# ---------------------------------------------------------------------- rules and listeners that raise


def broken(*_: object) -> Any:
    raise RuntimeError("broken rule")


@pytest.mark.parametrize(
    ("rule", "call"),
    [
        ({"classify": broken}, len),
        ({"classify": lambda outcome: "failure"}, len),
        ({"classify": broken}, int),
        ({"record": broken}, int),
        ({"ignore": broken}, int),
        ({"record_result": broken}, len),
    ],
)
@pytest.mark.parametrize("counts_as", ["failure", "ignore"])
def test_a_rule_that_raises_changes_neither_result_nor_error_of_the_call(
    rule: dict[str, Any],
    call: Callable[[str], object],
    counts_as: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    breaker = CircuitBreaker(
        "payments", CircuitBreakerPolicy.consecutive(2, on_classifier_error=counts_as, **rule)
    )

    for _ in range(2):
        if call is len:
            assert breaker.call(call, "abc") == 3
        else:
            with pytest.raises(ValueError, match="invalid literal"):
                breaker.call(call, "abc")

    assert breaker.state == ("open" if counts_as == "failure" else "closed")
    assert len(caplog.records) == 1
    assert "classification rule" in caplog.text
    assert breaker.snapshot().in_flight == 0


def test_a_listener_that_raises_disturbs_neither_call_nor_other_listeners(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[object] = []
    breaker = CircuitBreaker("payments", CircuitBreakerPolicy.consecutive(1), clock=clock)
    breaker.add_listener(broken, inline=True)
    breaker.add_listener(heard.append, inline=True)

    with pytest.raises(ValueError, match="invalid literal"):
        breaker.call(int, "abc")

    assert breaker.state == "open"
    assert heard
    assert "broken rule" in caplog.text


def test_a_classifier_sees_the_outcome_once(clock: FakeClock) -> None:
    outcomes: list[Outcome] = []

    def classify(outcome: Outcome) -> Verdict | None:
        outcomes.append(outcome)
        return None

    breaker = CircuitBreaker("payments", CircuitBreakerPolicy.consecutive(1, classify=classify), clock=clock)

    assert breaker.call(len, "abc") == 3
    with pytest.raises(ValueError, match="invalid literal") as raised:
        breaker.call(int, "abc")

    assert [outcome.result for outcome in outcomes] == [3, None]
    assert outcomes[1].exception is raised.value


def test_a_permit_block_is_entered_once() -> None:
    block = CircuitBreaker("payments").permit()

    with block, pytest.raises(RuntimeError, match="entered once"):
        block.__enter__()

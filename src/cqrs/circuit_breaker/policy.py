"""The policy of a circuit: when it opens, how it recovers, what counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.judge import Judge, JudgeRules
from cqrs.circuit_breaker.states import Mode
from cqrs.circuit_breaker.timing import Backoff, CountWindow, Ramp, TimeWindow
from cqrs.circuit_breaker.verdict import Outcome, Trip, Verdict
from cqrs.exceptions import PolicyError

ExceptionFilter: TypeAlias = "type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]"
"""Which exceptions are meant: a type, types, or a predicate on the exception."""


@dataclass(frozen=True, kw_only=True)
class CircuitBreakerPolicy:
    """When a circuit opens, how it recovers, and what counts as a failure. Immutable.

    Durations are seconds (``float``) or ``timedelta``. Terms follow resilience4j.

    Args:
        sliding_window: ``TimeWindow``, ``CountWindow`` or ``None`` (no rates, consecutive failures only).
        minimum_number_of_calls: calls in the window before a rate means anything; >= 1, at most the size of a
            ``CountWindow``.
        failure_rate_threshold: share of failures in the window that opens the circuit; in (0, 1].
        consecutive_failures: failures in a row that open the circuit, beside the rates; >= 1 or ``None``.
        slow_call_duration_threshold: seconds from which a call is slow; > 0 or ``None`` (not timed).
        slow_call_rate_threshold: share of slow calls that opens the circuit; in (0, 1].
        count_in_flight_slow: count calls still running past the slow threshold as slow.
        wait_duration_in_open: ``Backoff``, or a fixed number of seconds > 0.
        permitted_calls_in_half_open: probes that decide; >= 1.
        max_concurrent_probes: probes running at once; from 1 to ``permitted_calls_in_half_open``.
        probe_timeout: seconds after which an ``async`` probe is cancelled and fails with ``TimeoutError``;
            > 0 and below ``max_probe_duration``, or ``None``: twice the slow threshold when there is one
            and that is below it, else no limit. A synchronous call cannot be cancelled.
        max_probe_duration: seconds after which a probe that did not finish is given up as lost; > 0.
        permit_lease: seconds after which the probe of a process that has died is given up, where a store is
            shared; > 0. While the process lives it is renewed, up to ``max_probe_duration``.
        max_wait_duration_in_half_open: seconds after which a half-open circuit decides by itself; > 0.
        on_half_open_timeout: that decision, ``"open"`` or ``"closed"``.
        recovery_ramp: ``Ramp`` for the return of traffic after the probes agreed, or ``None``: all at once.
        record: exceptions that are failures; ``None``: every ``Exception``. Others are ignored.
        ignore: exceptions that say nothing about health; wins over ``record``.
        record_result: predicate on a returned value, true when it is a failure.
        classify: ``Outcome -> Verdict | Trip | None``, before the rules above; ``None`` leaves it to them.
        on_cancel: what a cancelled call is: ``"slow_if_exceeded"`` (past the slow threshold a slow call, or a
            failed probe; before it neutral), ``"ignore"`` (always neutral), ``"failure"``.
        on_classifier_error: what a call is whose ``classify``, ``record``, ``ignore`` or ``record_result``
            raised: ``"failure"`` or ``"ignore"``; the error is logged once per circuit.
        initial_mode: ``Mode`` from the start; ``METRICS_ONLY`` is a safe roll-out.

    Raises:
        PolicyError: a field is out of range; it names the field, the value and the legal range.

    >>> CircuitBreakerPolicy(failure_rate_threshold=1.5)
    Traceback (most recent call last):
        ...
    cqrs.exceptions.PolicyError: failure_rate_threshold=1.5 is not allowed: it must be a number in (0, 1]
    """

    sliding_window: TimeWindow | CountWindow | None = field(default_factory=TimeWindow)
    minimum_number_of_calls: int = 20
    failure_rate_threshold: float = 0.5
    consecutive_failures: int | None = None
    slow_call_duration_threshold: float | None = None
    slow_call_rate_threshold: float = 0.8
    count_in_flight_slow: bool = True
    wait_duration_in_open: Backoff | float = field(default_factory=Backoff)
    permitted_calls_in_half_open: int = 3
    max_concurrent_probes: int = 1
    probe_timeout: float | None = None
    max_probe_duration: float = 60.0
    permit_lease: float = 10.0
    max_wait_duration_in_half_open: float = 60.0
    on_half_open_timeout: Literal["open", "closed"] = "open"
    recovery_ramp: Ramp | None = field(default_factory=Ramp)
    record: ExceptionFilter | None = None
    ignore: ExceptionFilter = ()
    record_result: Callable[[Any], bool] | None = None
    classify: Callable[[Outcome], Verdict | Trip | None] | None = None
    on_cancel: Literal["slow_if_exceeded", "ignore", "failure"] = "slow_if_exceeded"
    on_classifier_error: Literal["failure", "ignore"] = "failure"
    initial_mode: Mode = Mode.ENABLED
    judge: Judge = field(init=False, repr=False, compare=False)

    @classmethod
    def consecutive(cls, threshold: int = 5, ttl: float = 30.0, **fields: Any) -> CircuitBreakerPolicy:
        """Return the classical breaker: open after ``threshold`` failures in a row, for ``ttl`` seconds.

        Then one probe decides. No window, no ramp, no growing wait; any field may still be given.

        >>> CircuitBreakerPolicy.consecutive(3, ttl=10).consecutive_failures
        3
        """
        preset: dict[str, Any] = {
            "sliding_window": None,
            "consecutive_failures": threshold,
            "wait_duration_in_open": ttl,
            "permitted_calls_in_half_open": 1,
            "max_concurrent_probes": 1,
            "recovery_ramp": None,
        }
        return cls(**(preset | fields))

    def replace(self, **fields: Any) -> CircuitBreakerPolicy:
        """Return a copy with some fields changed, validated again."""
        return dataclasses.replace(self, **fields)

    @property
    def backoff(self) -> Backoff:
        """The wait in the open state as a ``Backoff``; a fixed number neither grows nor jitters."""
        wait = self.wait_duration_in_open
        return wait if isinstance(wait, Backoff) else Backoff(wait, 1.0, wait, 0.0)

    @property
    def effective_probe_timeout(self) -> float | None:
        """Seconds granted to an ``async`` probe, or ``None``."""
        if self.probe_timeout is not None:
            return self.probe_timeout
        slow = self.slow_call_duration_threshold
        return 2.0 * slow if slow is not None and 2.0 * slow < self.max_probe_duration else None

    def __post_init__(self) -> None:
        self._check_detection()
        self._check_recovery()
        validation.choice("on_cancel", self.on_cancel, ("slow_if_exceeded", "ignore", "failure"))
        validation.choice("on_classifier_error", self.on_classifier_error, ("failure", "ignore"))
        if not isinstance(self.initial_mode, Mode):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PolicyError("initial_mode", self.initial_mode, "a Mode")
        rules = JudgeRules(
            record=self.record,
            ignore=self.ignore,
            record_result=self.record_result,
            classify=self.classify,
            on_error=Verdict.FAILURE if self.on_classifier_error == "failure" else Verdict.IGNORED,
        )
        self._set("judge", Judge(rules))
        if not self.judge.can_fail:
            raise PolicyError("ignore", self.ignore, "not all that is recorded: nothing would ever count")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen; only construction may do this

    def _check_detection(self) -> None:
        window = self.sliding_window
        if window is not None and not isinstance(window, (TimeWindow, CountWindow)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PolicyError("sliding_window", window, "a TimeWindow, a CountWindow or None")
        validation.count("minimum_number_of_calls", self.minimum_number_of_calls)
        if isinstance(window, CountWindow) and self.minimum_number_of_calls > window.size:
            legal = f"at most the size of the CountWindow ({window.size}), or no rate is ever evaluated"
            raise PolicyError("minimum_number_of_calls", self.minimum_number_of_calls, legal)
        self._set(
            "failure_rate_threshold", validation.ratio("failure_rate_threshold", self.failure_rate_threshold)
        )
        if self.consecutive_failures is not None:
            validation.count("consecutive_failures", self.consecutive_failures)
        elif window is None:
            raise PolicyError(
                "sliding_window", None, "given unless consecutive_failures is, or nothing opens it"
            )
        slow = self.slow_call_duration_threshold
        if slow is not None:
            if window is None:
                legal = "None without a sliding_window: there is no window to take the slow rate from"
                raise PolicyError("slow_call_duration_threshold", slow, legal)
            name = "slow_call_duration_threshold"
            self._set(name, validation.seconds(name, slow))
        name = "slow_call_rate_threshold"
        self._set(name, validation.ratio(name, self.slow_call_rate_threshold))
        if not isinstance(self.count_in_flight_slow, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PolicyError("count_in_flight_slow", self.count_in_flight_slow, "True or False")

    def _check_recovery(self) -> None:
        if not isinstance(self.wait_duration_in_open, Backoff):
            name = "wait_duration_in_open"
            self._set(name, validation.seconds(name, self.wait_duration_in_open))
        permitted = validation.count("permitted_calls_in_half_open", self.permitted_calls_in_half_open)
        probes = self.max_concurrent_probes
        validation.count("max_concurrent_probes", probes)
        if probes > permitted:
            legal = f"at most permitted_calls_in_half_open ({permitted})"
            raise PolicyError("max_concurrent_probes", probes, legal)
        for name in ("max_probe_duration", "permit_lease", "max_wait_duration_in_half_open"):
            self._set(name, validation.seconds(name, getattr(self, name)))
        if self.probe_timeout is not None:
            self._set("probe_timeout", validation.seconds("probe_timeout", self.probe_timeout))
            if self.probe_timeout >= self.max_probe_duration:
                legal = f"below max_probe_duration ({self.max_probe_duration:g} s), which gives a probe up"
                raise PolicyError("probe_timeout", self.probe_timeout, legal)
        validation.choice("on_half_open_timeout", self.on_half_open_timeout, ("open", "closed"))
        if self.recovery_ramp is not None and not isinstance(self.recovery_ramp, Ramp):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PolicyError("recovery_ramp", self.recovery_ramp, "a Ramp or None")

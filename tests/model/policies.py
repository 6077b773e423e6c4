"""Policies of every kind, small enough for their limits to be met often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cqrs.circuit_breaker import Backoff, CircuitBreakerPolicy, CountWindow, Mode, Ramp, TimeWindow

TICK = 0.125

Choose = Callable[[Sequence[Any]], Any]
"""Picks one of several options: by chance, or as Hypothesis likes."""


def draw_policy(choose: Choose) -> CircuitBreakerPolicy:
    """Return any policy that makes sense; all durations and shares are dyadic."""
    shares = [0.25, 0.5, 0.75, 1.0]
    window: CountWindow | TimeWindow | None = None
    kind = choose(["count", "count", "time", "time", "none"])
    minimum = choose([1, 2, 3, 4, 5])
    if kind == "count":
        window = CountWindow(minimum + choose([0, 0, 1, 3]))
    elif kind == "time":
        buckets = choose([1, 2, 5])
        window = TimeWindow(choose([0.25, 0.5, 2.0]) * buckets, buckets=buckets)
    wait: Backoff | float = choose([0.5, 2.0])
    if choose([True, False]):
        wait = Backoff(
            choose([0.5, 1.0]), choose([1.0, 2.0]), choose([1.0, 4.0, 16.0]), jitter=choose([0.0, 0.5])
        )
    permitted = choose([1, 2, 3, 4])
    return CircuitBreakerPolicy(
        sliding_window=window,
        minimum_number_of_calls=minimum,
        failure_rate_threshold=choose(shares),
        consecutive_failures=choose([1, 2, 3, 4]) if window is None else choose([None, None, 2, 3]),
        slow_call_duration_threshold=None if window is None else choose([None, 0.5, 1.5]),
        slow_call_rate_threshold=choose(shares),
        count_in_flight_slow=choose([True, True, False]),
        wait_duration_in_open=wait,
        permitted_calls_in_half_open=permitted,
        max_concurrent_probes=choose(range(1, permitted + 1)),
        probe_timeout=TICK,  # synchronous calls are not cut off
        max_probe_duration=choose([0.5, 0.5, 2.0, 8.0]),
        max_wait_duration_in_half_open=choose([1.0, 4.0, 16.0]),
        on_half_open_timeout=choose(["open", "closed"]),
        recovery_ramp=choose([None, Ramp(choose([1.0, 4.0, 32.0]), choose([0.125, 0.25, 0.5, 1.0]))]),
        on_cancel=choose(["slow_if_exceeded", "ignore", "failure"]),
        initial_mode=choose([Mode.ENABLED] * 7 + [Mode.METRICS_ONLY]),
    )


def for_reload(old: CircuitBreakerPolicy, new: CircuitBreakerPolicy) -> CircuitBreakerPolicy:
    """Return ``new`` with what a reload in the model may not change taken from ``old``."""
    kept: dict[str, Any] = {
        "slow_call_duration_threshold": old.slow_call_duration_threshold,
        "count_in_flight_slow": old.count_in_flight_slow,
        "initial_mode": old.initial_mode,
    }
    window, wanted = old.sliding_window, new.sliding_window
    if isinstance(window, TimeWindow) and isinstance(wanted, TimeWindow):
        kept["sliding_window"] = TimeWindow(window.bucket_seconds * wanted.buckets, buckets=wanted.buckets)
    elif type(window) is not type(wanted):
        kept["sliding_window"] = window
        kept["minimum_number_of_calls"] = old.minimum_number_of_calls
        kept["consecutive_failures"] = old.consecutive_failures
    return replace(new, **kept)

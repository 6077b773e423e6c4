from __future__ import annotations

import pytest

from cqrs.circuit_breaker import Backoff, CircuitBreakerPolicy, CountWindow, Ramp, TimeWindow
from cqrs.exceptions import ConfigurationError
from cqrs.simulation.policies import parse_policy

consecutive = CircuitBreakerPolicy.consecutive


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("none", None),
        ("default", CircuitBreakerPolicy()),
        ("consecutive", consecutive()),
        ("consecutive:3", consecutive(3)),
        ("consecutive:3:10.5", consecutive(3, ttl=10.5)),
        ("consecutive:3,recovery_ramp=20:0.2", consecutive(3, recovery_ramp=Ramp(20, 0.2))),
        ("default,recovery_ramp=none", CircuitBreakerPolicy(recovery_ramp=None)),
        ("default,sliding_window=60:12", CircuitBreakerPolicy(sliding_window=TimeWindow(60, 12))),
        ("default,sliding_window=50calls", CircuitBreakerPolicy(sliding_window=CountWindow(50))),
        ("default,wait_duration_in_open=7", CircuitBreakerPolicy(wait_duration_in_open=7)),
        (
            "default,wait_duration_in_open=2:3:40:0.5",
            CircuitBreakerPolicy(wait_duration_in_open=Backoff(2, 3, 40, 0.5)),
        ),
        (
            "default,slow_call_duration_threshold=1,on_cancel=ignore,count_in_flight_slow=false",
            CircuitBreakerPolicy(
                slow_call_duration_threshold=1, on_cancel="ignore", count_in_flight_slow=False
            ),
        ),
    ],
)
def test_text_describes_a_policy(text: str, policy: CircuitBreakerPolicy | None) -> None:
    assert parse_policy(text) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no policy"),
        ("classical", "is no policy"),
        ("default:3", "is no policy"),
        ("none,recovery_ramp=none", "is no policy"),
        ("consecutive:1:2:3", "is no policy"),
        ("consecutive:five", "'five'"),
        ("default,ramp=none", "FIELD=VALUE"),
        ("default,recovery_ramp", "FIELD=VALUE"),
        ("default,record=OSError", "FIELD=VALUE"),
        ("default,recovery_ramp=1:0.1:3", "3 parts"),
        ("default,failure_rate_threshold=2", "failure_rate_threshold=2"),
        ("default,failure_rate_threshold=nan", "failure_rate_threshold=nan"),
        ("consecutive,consecutive_failures=none", "sliding_window"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_policy(text)

"""Circuit breakers: one state machine, guarding any kind of call; knows nothing of messages or HTTP."""

from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.conditions import Condition
from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.events import (
    CallFailed,
    CallRejected,
    CircuitEvent,
    OverrideChanged,
    PolicyReloaded,
    ProbesLost,
    StateChanged,
    WouldOpen,
)
from cqrs.circuit_breaker.permit import Permit
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.protocol import (
    ICircuitBreaker,
    IGuardingCircuitBreaker,
    circuit_name,
    should_use_fallback,
)
from cqrs.circuit_breaker.registry import CircuitBreakers
from cqrs.circuit_breaker.report import Explanation, Snapshot
from cqrs.circuit_breaker.states import Mode, State
from cqrs.circuit_breaker.timing import Backoff, CountWindow, Ramp, TimeWindow
from cqrs.circuit_breaker.verdict import Outcome, Trip, Verdict

__all__ = [
    "Backoff",
    "CallFailed",
    "CallRejected",
    "CircuitBreaker",
    "CircuitBreakerPolicy",
    "CircuitBreakers",
    "CircuitEvent",
    "CircuitOpenError",
    "Condition",
    "CountWindow",
    "Explanation",
    "ICircuitBreaker",
    "IGuardingCircuitBreaker",
    "Mode",
    "Outcome",
    "OverrideChanged",
    "Permit",
    "PolicyReloaded",
    "ProbesLost",
    "Ramp",
    "Snapshot",
    "State",
    "StateChanged",
    "TimeWindow",
    "Trip",
    "Verdict",
    "WouldOpen",
    "circuit_name",
    "should_use_fallback",
]

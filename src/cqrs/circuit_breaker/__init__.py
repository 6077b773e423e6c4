"""Circuit breakers: one state machine, guarding any kind of call; knows nothing of messages or HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports
from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.conditions import Condition
from cqrs.circuit_breaker.errors import CircuitOpenError, StoreError, StoreUnavailableError
from cqrs.circuit_breaker.events import (
    CallFailed,
    CallRejected,
    CircuitEvent,
    OverrideChanged,
    PolicyReloaded,
    ProbesLost,
    SettingsDiffer,
    StateChanged,
    StoreDegraded,
    StoreRecovered,
    StoreRefused,
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

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.audit import AuditEntry as AuditEntry
    from cqrs.circuit_breaker.fleet.store import Store as Store
    from cqrs.circuit_breaker.fleet.store import StoreHealth as StoreHealth
    from cqrs.circuit_breaker.fleet.view import FleetView as FleetView
    from cqrs.circuit_breaker.redis.store import RedisStore as RedisStore
    from cqrs.circuit_breaker.redis.unit_of_work import AsyncRedisUnitOfWork as AsyncRedisUnitOfWork
    from cqrs.circuit_breaker.redis.unit_of_work import SyncRedisUnitOfWork as SyncRedisUnitOfWork

# What only shared circuits need is imported when it is first used.
__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "AuditEntry": "cqrs.circuit_breaker.fleet.audit",
        "AsyncRedisUnitOfWork": "cqrs.circuit_breaker.redis.unit_of_work",
        "FleetView": "cqrs.circuit_breaker.fleet.view",
        "RedisStore": "cqrs.circuit_breaker.redis.store",
        "SyncRedisUnitOfWork": "cqrs.circuit_breaker.redis.unit_of_work",
        "Store": "cqrs.circuit_breaker.fleet.store",
        "StoreHealth": "cqrs.circuit_breaker.fleet.store",
    },
)

__all__ = [
    "AsyncRedisUnitOfWork",
    "AuditEntry",
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
    "FleetView",
    "ICircuitBreaker",
    "IGuardingCircuitBreaker",
    "Mode",
    "Outcome",
    "OverrideChanged",
    "Permit",
    "PolicyReloaded",
    "ProbesLost",
    "Ramp",
    "RedisStore",
    "SettingsDiffer",
    "Snapshot",
    "State",
    "StateChanged",
    "Store",
    "StoreDegraded",
    "StoreError",
    "StoreHealth",
    "StoreRecovered",
    "StoreRefused",
    "StoreUnavailableError",
    "SyncRedisUnitOfWork",
    "TimeWindow",
    "Trip",
    "Verdict",
    "WouldOpen",
    "circuit_name",
    "should_use_fallback",
]

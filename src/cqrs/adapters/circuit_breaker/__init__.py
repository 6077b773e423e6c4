"""Other libraries' circuit breakers behind ``ICircuitBreaker``; each needs its extra when constructed."""

from cqrs.adapters.circuit_breaker.aiobreaker import AioBreakerAdapter
from cqrs.adapters.circuit_breaker.interlock import InterlockAdapter
from cqrs.adapters.circuit_breaker.purgatory import PurgatoryAdapter

__all__ = ["AioBreakerAdapter", "InterlockAdapter", "PurgatoryAdapter"]

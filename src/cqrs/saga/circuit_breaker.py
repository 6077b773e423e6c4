"""Circuit breakers of steps: any that guards handlers."""

from __future__ import annotations

from cqrs.circuit_breaker.protocol import ICircuitBreaker

__all__ = ["ISagaStepCircuitBreaker"]

ISagaStepCircuitBreaker = ICircuitBreaker
"""What ``Fallback(circuit_breaker=...)`` takes; one isolated circuit per step class."""

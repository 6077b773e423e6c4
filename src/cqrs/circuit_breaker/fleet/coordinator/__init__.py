"""The store's side of a fleet, in Python; ``redis/fleet.lua`` decides the same in Redis."""

from cqrs.circuit_breaker.fleet.coordinator.exchange import Coordinator

__all__ = ["Coordinator"]

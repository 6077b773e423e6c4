"""Circuits that processes share through Redis, Valkey, or what speaks their protocol."""

from cqrs.circuit_breaker.redis.store import RedisStore

__all__ = ["RedisStore"]

"""What a store keeps in the server, as tests look at it."""

from __future__ import annotations

from typing import Any

from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.wire import circuit_id
from cqrs.circuit_breaker.redis import script
from tests.servers.redis_server import RedisServer


def prefix(namespace: str) -> str:
    """Return what keys of a namespace begin with."""
    return StoreSettings(namespace=namespace).prefix(0)


def record(server: RedisServer, namespace: str, name: str) -> dict[str, str]:
    """Return the record of a circuit, empty if there is none."""
    found = server.admin.hgetall(f"{prefix(namespace)}s:{circuit_id(name)}")
    return {key.decode(): value.decode() for key, value in found.items()}


def permits(server: RedisServer, namespace: str, name: str) -> list[str]:
    """Return the permits that the server knows of."""
    return [each.decode() for each in server.admin.zrange(f"{prefix(namespace)}p:{circuit_id(name)}", 0, -1)]


def exchange(server: RedisServer, namespace: str, *operations: dict[str, Any]) -> dict[str, Any]:
    """Send operations as some process would, with the script that is there."""
    request = {
        "node": "somebody",
        "inc": "elsewhere",
        "stale_us": 1_000_000,
        "seen": ["", 0],
        "rules": [],
        "ops": list(operations),
    }
    reply = server.admin.evalsha(script.sha1(), 1, prefix(namespace), script.encode(request))
    return script.decode(reply)

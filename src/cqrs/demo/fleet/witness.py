"""The server's own account of what it decided for the fleet: its audit stream, read from outside."""

from __future__ import annotations

import time
from typing import Any

from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.redis.clients import source
from cqrs.demo.fleet.facts import Decision, Facts
from cqrs.demo.fleet.plan import NAMESPACE


class Witness:
    """Reads the audit; takes no part in the fleet.

    Args:
        url: the server.
    """

    def __init__(self, url: str, facts: Facts) -> None:
        self._facts = facts
        self._client: Any = source(url, 1.0).make()
        self._stream = StoreSettings(namespace=NAMESPACE).prefix(0) + "audit"
        self._last = "-"

    def start_over(self) -> None:
        """Begin with the first entry again: the server was emptied."""
        self._last = "-"

    async def read(self) -> None:
        """Note what is new; a server that is away has nothing new."""
        try:
            entries = await self._client.xrange(self._stream, min=self._last)
        except Exception:
            return  # it was killed on purpose, or is being
        # The stream's ids are the server's wall clock in milliseconds; it runs on this machine.
        begun = time.time() - self._facts.now()
        for id_, raw in entries:
            id_text = _text(id_)
            self._last = f"({id_text}"
            said = {_text(key): _text(value) for key, value in raw.items()}
            at = int(id_text.partition("-")[0]) / 1000 - begun
            probes = int(said.get("ok", 0)) + int(said.get("bad", 0))
            self._facts.decisions.append(Decision(at, said["from"], said["to"], said["why"], probes))

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose(close_connection_pool=True)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

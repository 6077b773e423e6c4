"""Requests whose grants replicas must confirm, so that a failover does not grant a probe twice (F2)."""

from __future__ import annotations

import asyncio
from typing import Any

from cqrs.circuit_breaker.redis import script


class UnconfirmedError(Exception):
    """Too few replicas have what the server has granted."""


class Confirmed:
    """A connection for such requests: WAIT is about the writes of the connection that it is sent on.

    Args:
        wanted: replicas that must confirm.
        longest: seconds that a reply may take, by the connection's own limit.
    """

    def __init__(self, wanted: int, longest: float) -> None:
        self._wanted = wanted
        self._longest = longest
        self._connection: Any = None
        self._lock = asyncio.Lock()

    async def run(self, client: Any, deadline: float, *command: Any) -> Any:
        """Run a command of the script; return its reply if nothing was granted, or when that is confirmed."""
        async with self._lock:
            if self._connection is None:
                self._connection = client.connection_pool.make_connection()
            connection = self._connection
            used = connection.is_connected
            try:
                reply = await _command(connection, *command)
            except Exception as error:
                # A server may close what is idle. The same permit asked for twice is granted once.
                if not used or "ConnectionError" not in (base.__name__ for base in type(error).__mro__):
                    raise
                await connection.disconnect(nowait=True)
                reply = await _command(connection, *command)
            if any(result.get("granted") == 1 for result in script.decode(reply)["results"]):
                await self._confirm(connection, deadline)
            return reply

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.disconnect()

    async def _confirm(self, connection: Any, deadline: float) -> None:
        left = min(self._longest, deadline - asyncio.get_running_loop().time())
        limit = max(1, int(left * 800))  # ms; the answer must have time to arrive, and 0 would mean: for ever
        confirmed = await _command(connection, "WAIT", self._wanted, limit)
        if confirmed < self._wanted:
            raise UnconfirmedError(f"{confirmed} of {self._wanted} replicas have confirmed the probe")


async def _command(connection: Any, *command: Any) -> Any:
    await connection.connect()
    await connection.send_command(*command)
    return await connection.read_response()

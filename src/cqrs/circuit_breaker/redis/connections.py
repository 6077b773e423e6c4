"""Connections that tell when they are made, and are made in peace.

A command may have 50 ms, but a new connection over TLS to another region needs more. So making one goes on
when the command that wanted it has given up, and the next command finds it made. A command that has too
little time left then is not sent at all: giving up on its reply would cost the new connection.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

logger = logging.getLogger(__name__)

deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""Loop time at which the command of the running task is given up."""


def watch(client: Any, opened: Callable[[], object], limit: float) -> None:
    """Have ``opened`` called for each connection that a client makes from now on.

    Args:
        client: an asyncio client that is the store's own and has not connected yet.
        opened: called in the loop, after the handshake.
        limit: seconds that a connection may take.
    """
    pool = getattr(client, "connection_pool", None)
    if pool is not None:
        pool.connection_class = watched(pool.connection_class, opened, limit)
        return
    arguments: dict[str, Any] = client.connection_kwargs
    arguments["connection_class"] = chosen = watched(arguments["connection_class"], opened, limit)
    for node in client.nodes_manager.startup_nodes.values():
        node.connection_class = chosen


async def close(client: Any) -> None:
    """Close a client, the pool that it was given, and what asks sentinels for the server."""
    await client.aclose()
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        await _close_nodes(client)
        return
    await pool.disconnect()
    for sentinel in getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()):
        await sentinel.aclose()
        await sentinel.connection_pool.disconnect()


async def _close_nodes(cluster: Any) -> None:
    """Close what a cluster's client leaves open when it is closed in the middle of beginning anew."""
    manager = cluster.nodes_manager
    nodes = {id(node): node for node in (*manager.nodes_cache.values(), *manager.startup_nodes.values())}
    await asyncio.gather(*(node.disconnect() for node in nodes.values()), return_exceptions=True)


def watched(base: type[Any], opened: Callable[[], object], limit: float) -> type[Any]:
    """Return a connection class derived from ``base`` that behaves so.

    Since redis-py 5.3 or so ``connect`` is made of ``connect_check_health``, which some callers use directly;
    ``connect`` alone looks for the server that sentinels name.
    """
    names = [name for name in ("connect", "connect_check_health") if hasattr(base, name)]
    methods = {name: _in_peace(base, name, opened if name == names[-1] else None, limit) for name in names}
    return type(base.__name__, (base,), methods)


def _in_peace(base: type[Any], name: str, opened: Callable[[], object] | None, limit: float) -> Any:
    original = getattr(base, name)

    async def make(connection: Any, *arguments: Any, **options: Any) -> None:
        await original(connection, *arguments, **options)
        if opened is not None:
            opened()

    async def connect(self: Any, *arguments: Any, **options: Any) -> None:
        opening: _Opening | None = getattr(self, _ATTRIBUTE, None)
        if opening is not None and opening.task is asyncio.current_task():  # one method is made of the other
            await make(self, *arguments, **options)
            return
        if opening is None:  # while there is one, the connection looks connected before it is ready
            if self.is_connected:
                return
            opening = _Opening(self, make(self, *arguments, **options), limit)
        await opening.wait()

    connect.__name__ = name
    return connect


_ATTRIBUTE = "_holdfast_opening"


class _Opening:
    """The making of a connection, for whoever waits for it."""

    def __init__(self, connection: Any, work: Coroutine[Any, Any, None], limit: float) -> None:
        self._connection = connection
        self._began = asyncio.get_running_loop().time()
        setattr(connection, _ATTRIBUTE, self)
        self.task = asyncio.ensure_future(self._run(work, limit))
        self.task.add_done_callback(self._end)

    async def wait(self) -> None:
        """Wait for the connection, and check that it was not too long for the task that waits."""
        await asyncio.shield(self.task)
        now = asyncio.get_running_loop().time()
        # A command takes one round trip, a handshake no fewer.
        if now + (now - self._began) > deadline.get():
            raise ConnectionError("connected, but too late for this request")

    async def _run(self, work: Coroutine[Any, Any, None], limit: float) -> None:
        deadline.set(math.inf)  # in this task
        try:
            async with asyncio.timeout(limit):
                await work
        except TimeoutError:
            raise ConnectionError(f"no connection within {limit:g} s") from None

    def _end(self, task: asyncio.Task[None]) -> None:
        setattr(self._connection, _ATTRIBUTE, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("no connection: %r", error)

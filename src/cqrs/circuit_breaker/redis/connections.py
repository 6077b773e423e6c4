"""Connections that tell when they are made, and are made in peace.

A command may have 50 ms, but a new connection over TLS to another region needs more. So making one goes on
when the command that wanted it has given up, and the next command finds it made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


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
    attribute = f"_holdfast_{name}"

    async def make(connection: Any, *arguments: Any, **options: Any) -> None:
        try:
            async with asyncio.timeout(limit):
                await original(connection, *arguments, **options)
        except TimeoutError:
            raise ConnectionError(f"no connection within {limit:g} s") from None
        if opened is not None:
            opened()

    def forget(connection: Any, task: asyncio.Task[None]) -> None:
        setattr(connection, attribute, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("no connection: %r", error)

    async def connect(self: Any, *arguments: Any, **options: Any) -> None:
        if self.is_connected:
            return
        task: asyncio.Task[None] | None = getattr(self, attribute, None)
        if task is None:
            task = asyncio.ensure_future(make(self, *arguments, **options))
            setattr(self, attribute, task)
            task.add_done_callback(lambda done: forget(self, done))
        await asyncio.shield(task)

    connect.__name__ = name
    return connect

"""Requests to the script, one command each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.transport import Message
from cqrs.circuit_breaker.redis import connections, script
from cqrs.circuit_breaker.redis.clients import Source
from cqrs.circuit_breaker.redis.replicas import Confirmed

AT_ONCE = 8
"""Commands under way at most, and with it connections: shards of one server must not need one each."""


class Commands:
    """What a store sends, through a client of its own. Everything happens in the store's loop.

    Args:
        source: where the client comes from; made with the first request.
        settings: of the store.
        opened: called for each new connection.
    """

    def __init__(self, source: Source, settings: StoreSettings, opened: Callable[[], object]) -> None:
        self._source = source
        self._settings = settings
        self._opened = opened
        self._client: Any = None
        self._initializing: asyncio.Task[Any] | None = None
        self._places = asyncio.Semaphore(AT_ONCE)
        self._confirmed = Confirmed(settings.replicas, settings.connect_timeout)

    async def client(self) -> Any:
        """Return the client, ready for use."""
        if self._client is None:
            client = self._source.make()
            connections.watch(client, self._opened, self._settings.connect_timeout)
            self._client = client
        if hasattr(self._client, "nodes_manager"):
            await self._initialize()
        return self._client

    async def exchange(self, shard: int, request: Message, deadline: float) -> Message:
        """Run the script and return its reply.

        Args:
            shard: number of the shard.
            request: what to ask.
            deadline: loop time at which the caller gives up.

        Raises:
            Exception: whatever the client raises; ``UnconfirmedError``: see ``replicas``.
        """
        connections.deadline.set(deadline)  # in this task
        arguments = (1, self._settings.prefix(shard), script.encode(request))
        probing = self._settings.replicas > 0 and any(op["op"] == "acquire" for op in request["ops"])
        run = self._confirmed.run if probing else self._run
        async with self._places:
            client = await self.client()
            try:
                try:
                    reply = await run(client, deadline, "EVALSHA", script.sha1(), *arguments)
                except Exception as error:
                    if type(error).__name__ != "NoScriptError":
                        raise
                    reply = await run(client, deadline, "EVAL", script.source(), *arguments)
            except Exception as error:
                if type(error).__name__ == "ReadOnlyError":
                    await self._look_again(client)
                raise
        return script.decode(reply)

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is None:
            return
        await self._confirmed.close()
        await connections.close(client)

    async def _run(self, client: Any, deadline: float, *command: Any) -> Any:
        return await client.execute_command(*command)

    async def _initialize(self) -> None:
        """Learn which node has which slot; as with connections, a command's timeout does not end that."""
        if self._initializing is None or self._initializing.done():
            limit = self._settings.connect_timeout
            self._initializing = asyncio.ensure_future(_initialize(self._client, limit))
            self._initializing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._initializing)

    async def _look_again(self, client: Any) -> None:
        """Give up connections to a server that is a replica now: its name may lead to the new primary."""
        pool = getattr(client, "connection_pool", None)
        if pool is None:
            await client.aclose()  # a cluster client begins anew with its next command
        else:
            await pool.disconnect(inuse_connections=False)


async def _initialize(client: Any, limit: float) -> None:
    try:
        async with asyncio.timeout(limit):
            await client.initialize()
    except TimeoutError:
        raise ConnectionError(f"no connection within {limit:g} s") from None

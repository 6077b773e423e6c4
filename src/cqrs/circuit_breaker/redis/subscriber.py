"""Hearing of changes as they are published: a shortcut, correctness rests on the exchanges."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.transport import Message
from cqrs.circuit_breaker.redis import clients, script
from cqrs.circuit_breaker.redis.commands import Commands
from cqrs.circuit_breaker.redis.connections import close

logger = logging.getLogger(__name__)

FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
SILENCE = 30.0
"""Seconds without a message after which the connection is asked whether it still lives."""


class Subscriber:
    """Listens to the channels of all shards on a connection of its own, and gets a new one after a loss.

    Args:
        source: where clients come from.
        settings: of the store.
        commands: knows the nodes of a cluster.
        heard: called with each message.
        resumed: called when it listens again after a loss: something may have been missed.
    """

    def __init__(
        self,
        source: clients.Source,
        settings: StoreSettings,
        commands: Commands,
        heard: Callable[[Message], object],
        resumed: Callable[[], object],
    ) -> None:
        self._source = source
        self._settings = settings
        self._commands = commands
        self._heard = heard
        self._resumed = resumed
        self._wait = FIRST_WAIT
        self._lost = False
        self._complained = False

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except Exception as error:
                logger.debug("no push for now: %r", error)
            self._lost = True
            await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # a fleet must not return in step
            self._wait = min(LONGEST_WAIT, 2 * self._wait)

    async def _listen(self) -> None:
        client = await self._client()
        connection = client.connection_pool.make_connection()
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await self._subscribe(connection)
            self._wait = FIRST_WAIT
            if self._lost:
                self._resumed()
            await self._read(connection)
        finally:
            await connection.disconnect(nowait=True)
            await close(client)

    async def _subscribe(self, connection: Any) -> None:
        channels = [self._settings.channel(shard) for shard in range(self._settings.shards)]
        await connection.connect()
        await connection.send_command("SUBSCRIBE", *channels)
        for _ in channels:
            await connection.read_response(push_request=True)

    async def _read(self, connection: Any) -> None:
        asked = False
        while True:
            limit = self._settings.connect_timeout if asked else SILENCE
            message: list[Any] | None = await connection.read_response(timeout=limit, push_request=True)
            if message is not None:
                asked = False
                self._take(message)
            elif asked:
                raise ConnectionError(f"no answer within {limit:g} s")
            else:  # a peer that vanished without a word would be waited for in vain
                await connection.send_command("PING")
                asked = True

    def _take(self, message: list[Any]) -> None:
        if message[0] not in (b"message", "message"):  # a confirmation, or the answer to PING
            return
        payload = message[-1]
        try:
            decoded = script.decode(payload)
        except ValueError as error:
            if not self._complained:
                self._complained = True
                logger.debug("somebody publishes what is no message of a fleet: %s", error)
            return
        self._heard(decoded)

    async def _client(self) -> Any:
        """Return a client for one server; of a cluster, any node: all of them pass on what is published."""
        if not self._source.cluster:
            client = self._source.make()
            if hasattr(client, "connection_pool"):
                return client
        cluster = await self._commands.client()
        nodes = list(cluster.get_nodes())
        return clients.subscriber(
            cluster, random.choice(nodes), self._source.library, self._settings.connect_timeout
        )

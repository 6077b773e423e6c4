"""What a consumer group does with entries of streams, one method per command."""

from __future__ import annotations

import logging
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cqrs.exceptions import MessageBrokerError
from cqrs.message_brokers.redis.server import StreamServer

__all__ = ["Entry", "Group"]

LONG_DEAD = 10
"""Times ``min_idle`` after which the name of a silent consumer is taken away."""

# In one step: entries that are pending for a consumer are lost with its name.
_FORGET = """
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local known = {}
  for place = 1, #row, 2 do known[row[place]] = row[place + 1] end
  if known.pending == 0 and known.idle >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], known.name)
  end
end
"""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery of an entry.

    Attributes:
        stream: its key.
        number: its identity in the stream.
        fields: what it holds.
        attempt: which delivery it is.
        since: when it was delivered, by the monotonic clock.
    """

    stream: str
    number: bytes
    fields: Mapping[bytes, bytes]
    attempt: int
    since: float


class Group:
    """A consumer of a group."""

    def __init__(
        self, server: StreamServer, streams: list[str], group: str, consumer: str, min_idle: float
    ) -> None:
        self._server = server
        self._streams = streams
        self._group = group
        self._consumer = consumer
        self._min_idle = round(min_idle * 1000)
        self._cursor = dict.fromkeys(streams, b"0-0")
        self.shown = ",".join(streams)

    async def create(self, from_beginning: bool) -> None:
        """Make the group, and empty streams, where they are missing."""
        for stream in self._streams:

            async def create(client: Any, stream: str = stream) -> None:
                try:
                    await client.xgroup_create(
                        stream, self._group, id="0" if from_beginning else "$", mkstream=True
                    )
                except Exception as error:
                    if "BUSYGROUP" not in str(error):
                        raise

            await self._server.call(stream, create)

    async def read(self, count: int, block: float) -> list[Entry]:
        """Return entries that were never delivered; wait for ``block`` seconds if there is none."""

        async def read(client: Any) -> Any:
            begin = dict.fromkeys(self._streams, ">")
            return await client.xreadgroup(
                self._group, self._consumer, begin, count=count, block=max(1, round(block * 1000))
            )

        since = time.monotonic()
        answer: Any = await self._server.call(self.shown, read, extra=block)
        return [
            Entry(stream.decode(), number, fields or {}, 1, since)
            for stream, entries in answer or ()
            for number, fields in entries
        ]

    async def take_over(self, count: int, in_work: Container[tuple[str, bytes]]) -> list[Entry]:
        """Return entries that nobody has settled or extended in time, and make them this consumer's.

        Those that it has in work itself only become younger.
        """
        found: list[Entry] = []
        for stream in self._streams:
            since = time.monotonic()
            claimed = dict(await self._claim(stream, count))
            fresh = {number: fields for number, fields in claimed.items() if (stream, number) not in in_work}
            if not fresh:
                continue
            numbers = list(fresh)  # in the order of the stream, which is not that of text
            attempts = await self._attempts(stream, numbers[0], numbers[-1], len(claimed))
            for number, fields in fresh.items():
                found.append(Entry(stream, number, fields, attempts.get(number, 1), since))
        return found

    async def acknowledge(self, entry: Entry, *, delete: bool) -> None:
        """Settle an entry."""
        await self._server.call(
            entry.stream, lambda client: client.xack(entry.stream, self._group, entry.number)
        )
        if delete:
            await self._server.call(entry.stream, lambda client: client.xdel(entry.stream, entry.number))

    async def set_idle(self, entry: Entry, idle: float, attempts: int) -> None:
        """Let an entry, unless it is settled, have been delivered ``idle`` seconds ago."""
        await self._server.call(
            entry.stream,
            lambda client: client.xclaim(
                entry.stream,
                self._group,
                self._consumer,
                0,
                [entry.number],
                idle=round(idle * 1000),
                retrycount=max(0, attempts),
                justid=True,
            ),
        )

    async def leave(self) -> None:
        """Give up the consumer's name in streams where nothing is pending for it: that would be lost."""
        for stream in self._streams:

            async def leave(client: Any, stream: str = stream) -> None:
                if not await client.xpending_range(
                    stream, self._group, min="-", max="+", count=1, consumername=self._consumer
                ):
                    await client.xgroup_delconsumer(stream, self._group, self._consumer)

            await self._server.call(stream, leave)

    async def forget_dead(self) -> None:
        """Take the names of consumers away that are silent for long and have nothing pending."""
        limit = self._min_idle * LONG_DEAD
        try:
            for stream in self._streams:

                async def forget(client: Any, stream: str = stream) -> None:
                    await client.eval(_FORGET, 1, stream, self._group, limit)

                await self._server.call(stream, forget)
        except MessageBrokerError as error:
            _logger.debug("the names of dead consumers stay: %s", error)  # they only take up room

    async def _claim(self, stream: str, count: int) -> Iterator[tuple[bytes, Mapping[bytes, bytes]]]:
        answer = await self._server.call(
            stream,
            lambda client: client.xautoclaim(
                stream,
                self._group,
                self._consumer,
                self._min_idle,
                start_id=self._cursor[stream],
                count=count,
            ),
        )
        self._cursor[stream] = answer[0]
        gone = [number for number, fields in answer[1] if fields is None]  # deleted; since 7.0 not told
        if gone:
            await self._server.call(stream, lambda client: client.xack(stream, self._group, *gone))
        return ((number, fields) for number, fields in answer[1] if fields is not None)

    async def _attempts(self, stream: str, first: bytes, last: bytes, count: int) -> dict[bytes, int]:
        """Return how often entries were delivered."""
        rows = await self._server.call(
            stream,
            lambda client: client.xpending_range(
                stream, self._group, min=first, max=last, count=count * 10, consumername=self._consumer
            ),
        )
        return {row["message_id"]: int(row["times_delivered"]) for row in rows}

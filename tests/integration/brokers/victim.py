"""A process that takes messages and is killed while it handles them: ``victim PLACE URL TOPIC GROUP``."""

from __future__ import annotations

import asyncio
import sys

from tests.integration.brokers.places import reading
from tests.integration.brokers.table import make_place


async def main(name: str, url: str, topic: str, group: str) -> None:
    place = make_place(name, url)
    place.topic, place.group = topic, group
    async with reading(place.source()) as reader:
        first, second = await reader.take(2)
        await reader.source.ack(first)
        await reader.source.stop()  # what is settled is told to the broker; nothing more is taken
        print(second.body.decode(), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

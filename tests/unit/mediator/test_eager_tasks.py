"""Event loops whose tasks begin at once instead of at the next turn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.dispatcher.driven import Pump, driven
from cqrs.dispatcher.startup import Startup
from cqrs.events import EventEmitter, EventMap, EventProcessor

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")


class Happened:
    def __init__(self, waits: bool) -> None:
        self.waits = waits


class Track(cqrs.EventHandler[Happened]):
    running = 0
    peak = 0
    handled = 0

    async def handle(self, event: Happened) -> None:
        Track.running += 1
        Track.peak = max(Track.peak, Track.running)
        if event.waits:
            await asyncio.sleep(0)
        Track.running -= 1
        Track.handled += 1


def run_eagerly(main: Any) -> Any:
    async def with_eager_tasks() -> Any:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        async with asyncio.timeout(30):
            return await main

    return asyncio.run(with_eager_tasks())


def test_a_driven_stream_loses_no_item() -> None:
    async def items() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    async def call(pump: Pump) -> None:
        await pump()

    async def main() -> list[int]:
        return [item async for item in driven(call, items)]

    assert run_eagerly(main()) == [0, 1, 2, 3, 4]


def test_no_more_workers_run_than_allowed() -> None:
    events = EventMap({Happened: [Track]})
    processor = EventProcessor(events, EventEmitter(events, BuiltinContainer()), 3)
    waits = [number % 3 != 0 for number in range(50)]
    run_eagerly(processor.emit_events([Happened(wait) for wait in waits]))
    assert (Track.handled, Track.peak) == (50, 3)


def test_startup_does_not_lock_itself_out() -> None:
    ran: list[int] = []

    async def start() -> None:
        ran.append(1)

    startup = Startup([start])
    run_eagerly(startup.ensure())
    assert ran == [1]

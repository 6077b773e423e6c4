"""Five ways in which a caller goes away, each at the moment that the test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio

Call = Callable[[], Awaitable[Any]]
Way = Callable[[Call, asyncio.Event], Awaitable[None]]


async def by_cancelling_the_task(call: Call, now: asyncio.Event) -> None:
    task = asyncio.ensure_future(call())
    await now.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def by_a_timeout(call: Call, now: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as deadline:
            trigger = asyncio.create_task(now.wait())
            trigger.add_done_callback(lambda _: deadline.reschedule(loop.time() - 1))
            await call()


async def by_a_sibling_that_fails(call: Call, now: asyncio.Event) -> None:
    class SiblingFailed(Exception):
        pass

    async def sibling() -> None:
        await now.wait()
        raise SiblingFailed

    with suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(awaited(call))
            group.create_task(sibling())


async def by_an_anyio_scope(call: Call, now: asyncio.Event) -> None:
    async def cancel() -> None:
        await now.wait()
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(cancel)
        with anyio.CancelScope() as scope:
            await call()


async def by_closing_the_loop_of_the_consumer(call: Call, now: asyncio.Event) -> None:
    """As a server does with a request whose client has disconnected: the generator in between is closed."""

    async def stream() -> Any:
        yield await call()

    items = stream()
    first = asyncio.ensure_future(anext(items))
    await now.wait()
    first.cancel()
    with suppress(asyncio.CancelledError, StopAsyncIteration):
        await first
    await items.aclose()


async def awaited(call: Call) -> Any:
    return await call()


WAYS: list[Way] = [
    by_cancelling_the_task,
    by_a_timeout,
    by_a_sibling_that_fails,
    by_an_anyio_scope,
    by_closing_the_loop_of_the_consumer,
]

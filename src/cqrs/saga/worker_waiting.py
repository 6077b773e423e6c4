"""Waiting for the first of several things, and how that may end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

__all__ = ["Overdue", "unless_cancelled", "until_first", "within"]


class Overdue(TimeoutError):
    """Work that took too long was cancelled."""


async def until_first(own: Iterable[Awaitable[Any]], watched: Iterable[asyncio.Task[Any]] = ()) -> None:
    """Return when one of all these has ended.

    Args:
        own: begun here, and cancelled at the end.
        watched: left alone, whatever happens.

    Raises:
        Exception: what one of ``own`` has raised.
    """
    begun = [asyncio.ensure_future(each) for each in own]
    try:
        await asyncio.wait([*begun, *watched], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [each for each in begun if each.done()]
        for each in begun:
            each.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
    for each in ended:
        each.result()


async def within(
    seconds: float | None, work: Coroutine[Any, Any, None], sleep: Callable[[float], Awaitable[object]]
) -> None:
    """Await ``work``, and cancel it when it takes too long; it is waited for until it has ended.

    Args:
        seconds: how long it may take; ``None``: as long as it likes.
        work: what is awaited.
        sleep: waits for so many seconds.

    Raises:
        Overdue: it took longer, and has ended as it was told.
        Exception: what it raised.
    """
    if seconds is None:
        return await work
    task = asyncio.ensure_future(work)
    is_overdue = False
    try:
        await until_first([sleep(seconds)], [task])
        is_overdue = not task.done()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    if is_overdue and task.cancelled():
        raise Overdue(f"it took longer than {seconds:g} s, and was cancelled")
    return task.result()


def unless_cancelled(raised: Exception | asyncio.CancelledError, text: str) -> Exception:
    """Return an error; of a ``CancelledError`` that something let out by itself, one that says so.

    Args:
        raised: what the current task has caught.
        text: says what has happened when it is not this task that was cancelled.

    Raises:
        CancelledError: this task was.
    """
    if isinstance(raised, Exception):
        return raised
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise raised
    error = RuntimeError(text)
    error.__cause__ = raised
    return error

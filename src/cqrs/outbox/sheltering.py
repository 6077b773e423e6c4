"""Finishing what must not be left half done when a task is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

__all__ = ["sheltered"]


async def sheltered(work: Coroutine[Any, Any, T], grace: float) -> T:
    """Await ``work``; if this task is cancelled, let it end first, then raise ``CancelledError``.

    Args:
        work: a statement of the database, say, whose effect would otherwise be unknown.
        grace: seconds that it gets after a cancellation; a second cancellation ends it at once.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            try:
                await asyncio.wait({task}, timeout=grace)
            finally:
                task.cancel()
        task.add_done_callback(_seen)
        raise


def _seen(task: asyncio.Future[Any]) -> None:
    """Ask for the error of a task that nobody awaits any more; asyncio would complain."""
    if not task.cancelled():
        task.exception()

"""A middleware that gives each message so much time and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from cqrs.deadlines import checked_seconds, deadline, now, remaining
from cqrs.middlewares.base import Handle, Middleware, StreamHandle


class DeadlineMiddleware(Middleware):
    """Ends the handling of a message after some seconds with ``TimeoutError``.

    What is called meanwhile can ask ``cqrs.deadlines.remaining()`` how much is left; service clients do so
    with their own ``DeadlineMiddleware``. An outer deadline that is nearer stays in force. For a stream it is
    the time until its last item, that of its consumer included.

    Args:
        seconds: a number >= 0 or a ``timedelta``.

    Raises:
        PolicyError: not a number of seconds >= 0.
    """

    def __init__(self, seconds: float | timedelta) -> None:
        self._seconds = checked_seconds(seconds)

    async def __call__(self, request: Any, handle: Handle) -> Any:
        """Return the response to ``request``.

        Raises:
            TimeoutError: it took too long.
        """
        with deadline(self._seconds):
            async with asyncio.timeout(_left(request)):
                return await handle(request)

    async def stream(self, request: Any, handle: StreamHandle) -> AsyncIterator[Any]:
        """Pass on the items of a stream until the time is over."""
        until = now() + self._seconds
        items = handle(request)
        try:
            while True:
                # Set for each item anew: between two items the context and the task are the consumer's.
                with deadline(max(0.0, until - now())):
                    async with asyncio.timeout(_left(request)):
                        try:
                            item = await anext(items)
                        except StopAsyncIteration:
                            return
                yield item
        finally:
            aclose = getattr(items, "aclose", None)
            if aclose is not None:
                await aclose()


def _left(request: Any) -> float | None:
    left = remaining()
    if left is not None and left <= 0:
        raise TimeoutError(f"no time is left for {type(request).__qualname__}: its deadline has passed")
    return left

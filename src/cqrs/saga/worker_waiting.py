"""Waiting for the first of several things."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

__all__ = ["until_first"]


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

"""How long the work in hand may still take: set at the edge, heeded by whatever it leads to.

A deadline is a moment of the monotonic clock in a context variable: it goes where the context goes, into
awaited functions, tasks and ``asyncio.to_thread``, but not into threads that are started otherwise. It ends
nothing by itself; who waits for something asks ``remaining()`` how long that is worth while.
"""

from __future__ import annotations

import sys
import time
from contextvars import ContextVar, Token
from datetime import timedelta
from types import TracebackType

from cqrs.exceptions import PolicyError

_until: ContextVar[float | None] = ContextVar("holdfast_deadline", default=None)


def now() -> float:
    """Return the reading of the clock that deadlines go by, in seconds."""
    return time.monotonic()


def remaining() -> float | None:
    """Return the seconds that are left, at least 0; ``None`` without a deadline.

    >>> remaining() is None
    True
    """
    until = _until.get()
    return None if until is None else max(0.0, until - now())


class deadline:
    """Set a deadline for a block, ``with deadline(2.5):`` or ``async with``; a nearer one stays in force.

    Args:
        seconds: from the beginning of the block; a number >= 0 or a ``timedelta``.

    Raises:
        PolicyError: not a number of seconds >= 0.
        RuntimeError: the object is in use already; each block needs its own.

    >>> with deadline(60):
    ...     with deadline(3600):
    ...         remaining() <= 60
    True
    """

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float | timedelta) -> None:
        self._seconds = checked_seconds(seconds)
        self._token: Token[float | None] | None = None

    def __enter__(self) -> None:
        if self._token is not None:
            raise RuntimeError("this deadline is in use already: make one for each block")
        until, outer = now() + self._seconds, _until.get()
        self._token = _until.set(until if outer is None else min(until, outer))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            _until.reset(token)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def checked_seconds(seconds: object) -> float:
    """Return a number of seconds >= 0.

    Raises:
        PolicyError: it is none.
    """
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if (
        isinstance(seconds, (int, float))
        and not isinstance(seconds, bool)
        and 0 <= seconds <= sys.float_info.max
    ):
        return float(seconds)
    raise PolicyError("seconds", seconds, "a finite number of seconds >= 0, or a timedelta")

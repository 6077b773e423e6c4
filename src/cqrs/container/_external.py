"""What the adapters of other dependency injection libraries have in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
StateT = TypeVar("StateT")
_logger = logging.getLogger(__name__)


def missing_extra(library: str, extra: str) -> ImportError:
    """Return the error for a library that is not installed."""
    return ImportError(f"{library} is not installed; run: pip install 'holdfast[{extra}]'")


class ExternalScope(Generic[StateT]):
    """A scope of another library; resolves one type at a time and never hides the error that ends it."""

    __slots__ = ("_context", "_get", "_lock", "_state")

    def __init__(
        self,
        context: AbstractAsyncContextManager[StateT],
        get: Callable[[StateT, Any], Awaitable[Any]],
    ) -> None:
        self._context = context
        self._get = get
        # Without it, parallel event handlers could each build their own instance of a scoped dependency.
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> ExternalScope[StateT]:
        self._state = await self._context.__aenter__()
        return self

    async def resolve(self, type_: type[T]) -> T:
        """Return an instance of ``type_``.

        Raises:
            ResolutionError: there is no way to build it.
        """
        async with self._lock:
            return cast("T", await self._get(self._state, type_))

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._context.__aexit__(exc_type, exc, traceback)
        except BaseException as error:
            interrupted = not isinstance(error, Exception) and isinstance(exc, Exception)
            if error is exc:
                return
            if exc is None or interrupted:
                raise
            _logger.error("a dependency failed to close after an error", exc_info=error)

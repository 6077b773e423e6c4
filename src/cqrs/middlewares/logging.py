"""A middleware that logs requests and responses for debugging."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Any

from cqrs.middlewares.base import Handle, Middleware, MiddlewareChain, MiddlewareFunction, StreamHandle

_logger = logging.getLogger(__name__)


class LoggingMiddleware(Middleware):
    """Logs each message and its response at DEBUG, as the fields ``request`` and ``response`` of the records.

    Nothing is built while DEBUG is off. A message that cannot be rendered never disturbs its handling: the
    record holds the object, and rendering is the log handler's.

    Args:
        logger: where to log; by default the logger of this module.
    """

    def __init__(self, logger: logging.Logger = _logger) -> None:
        self._enabled = logger.isEnabledFor
        self._logger = logger

    def __call__(self, request: Any, handle: Handle) -> Awaitable[Any]:
        """Log around ``handle(request)`` when DEBUG is on; else return it untouched."""
        if self._enabled(logging.DEBUG):
            return self._logged(request, handle)
        return handle(request)

    def is_idle(self) -> bool:
        """Tell whether DEBUG is off."""
        return not self._enabled(logging.DEBUG)

    def stream(self, request: Any, handle: StreamHandle) -> AsyncIterator[Any]:
        """Log around the stream when DEBUG is on; else return it untouched."""
        if self._enabled(logging.DEBUG):
            return self._logged_stream(request, handle)
        return handle(request)

    async def _logged(self, request: Any, handle: Handle) -> Any:
        self._log("handle %s", request)
        response = await handle(request)
        self._log("handled %s", request, response=response)
        return response

    async def _logged_stream(self, request: Any, handle: StreamHandle) -> AsyncIterator[Any]:
        self._log("stream %s", request)
        items = handle(request)
        count = 0
        try:
            async for item in items:
                count += 1
                yield item
        finally:
            aclose = getattr(items, "aclose", None)
            if aclose is not None:
                await aclose()
        self._log("streamed %s", request, items=count)

    def _log(self, message: str, request: Any, **fields: Any) -> None:
        try:
            self._logger.debug(message, type(request).__qualname__, extra={"request": request, **fields})
        except Exception:
            # A log handler or filter that raises is no reason to undo what the handler has done.
            self._logger.error("a log record about %s could not be written", type(request).__qualname__)


def chain_with_logging(middlewares: Iterable[MiddlewareFunction | type[Any]] | None) -> MiddlewareChain:
    """Return a chain of ``middlewares`` with a ``LoggingMiddleware`` around them, unless they hold one.

    Raises:
        TypeError: one of them is not callable, or a class that cannot be made without arguments.
    """
    chain = MiddlewareChain(middlewares or ())
    if not any(isinstance(middleware, LoggingMiddleware) for middleware in chain.middlewares):
        chain.set((LoggingMiddleware(), *chain.middlewares))
    return chain

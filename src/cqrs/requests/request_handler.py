"""Handlers of commands and queries, and of requests that are answered by a stream."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from typing import Generic

from cqrs.dispatcher.handlers import HandlesRequests, HandlesStreams
from cqrs.types import ReqT, ResT


class RequestHandler(HandlesRequests, abc.ABC, Generic[ReqT, ResT]):
    """Answers a request with one response.

    >>> class Double(RequestHandler[int, int]):
    ...     async def handle(self, request: int) -> int:
    ...         return 2 * request
    >>> Double().events
    ()
    """

    @abc.abstractmethod
    async def handle(self, request: ReqT) -> ResT:
        """Return the response to ``request``."""
        raise NotImplementedError


class StreamingRequestHandler(HandlesStreams, abc.ABC, Generic[ReqT, ResT]):
    """Answers a request with a stream of responses; ``handle`` is an async generator.

    After each item its ``events`` are read and processed, and ``clear_events`` is called once.
    """

    @abc.abstractmethod
    def handle(self, request: ReqT) -> AsyncIterator[ResT]:
        """Yield the responses to ``request``."""
        raise NotImplementedError

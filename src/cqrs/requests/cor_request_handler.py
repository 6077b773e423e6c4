"""Chains of responsibility: handlers that answer a request or pass it on."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from cqrs.dispatcher.handlers import ChainLink
from cqrs.types import ReqT, ResT

HandlerT = TypeVar("HandlerT", bound="CORRequestHandler[Any, Any]")


class CORRequestHandler(ChainLink, abc.ABC, Generic[ReqT, ResT]):
    """One link of a chain: answers a request, or returns ``await self.next(request)``."""

    _next_handler: Any = None

    def set_next(self, handler: HandlerT) -> HandlerT:
        """Pass requests on to ``handler``, and return it so that calls can be chained."""
        self._next_handler = handler
        return handler

    async def next(self, request: ReqT) -> ResT | None:
        """Return what the rest of the chain answers; ``None`` at its end."""
        if self._next_handler is None:
            return None
        response: ResT | None = await self._next_handler.handle(request)
        return response

    @abc.abstractmethod
    async def handle(self, request: ReqT) -> ResT | None:
        """Return the response to ``request``, or what ``next`` returns."""
        raise NotImplementedError


def build_chain(handlers: Sequence[HandlerT]) -> HandlerT:
    """Link ``handlers`` from left to right and return the first.

    Raises:
        ValueError: there are no handlers.
    """
    if not handlers:
        raise ValueError("a chain needs at least one handler")
    for handler, following in itertools.pairwise(handlers):
        handler.set_next(following)
    return handlers[0]

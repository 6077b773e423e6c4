"""Dispatchers: from a message to its handler, through the guarded step."""

from __future__ import annotations

from cqrs.dispatcher.answers import current_fallback
from cqrs.dispatcher.event import EventDispatcher
from cqrs.dispatcher.exceptions import RequestHandlerDoesNotExist, RequestHandlerTypeError
from cqrs.dispatcher.models import EventDispatchResult, FallbackAnswer, RequestDispatchResult
from cqrs.dispatcher.request import RequestDispatcher
from cqrs.dispatcher.streaming import StreamingRequestDispatcher

__all__ = [
    "EventDispatchResult",
    "EventDispatcher",
    "FallbackAnswer",
    "RequestDispatchResult",
    "RequestDispatcher",
    "RequestHandlerDoesNotExist",
    "RequestHandlerTypeError",
    "StreamingRequestDispatcher",
    "current_fallback",
]

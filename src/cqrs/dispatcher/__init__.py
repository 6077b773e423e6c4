"""Dispatchers: from a message to its handler, through the guarded step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.dispatcher.answers import current_fallback as current_fallback
    from cqrs.dispatcher.event import EventDispatcher as EventDispatcher
    from cqrs.dispatcher.models import EventDispatchResult as EventDispatchResult
    from cqrs.dispatcher.models import FallbackAnswer as FallbackAnswer
    from cqrs.dispatcher.models import RequestDispatchResult as RequestDispatchResult
    from cqrs.dispatcher.models import SagaDispatchResult as SagaDispatchResult
    from cqrs.dispatcher.request import RequestDispatcher as RequestDispatcher
    from cqrs.dispatcher.saga import SagaDispatcher as SagaDispatcher
    from cqrs.dispatcher.saga_map import SagaMap as SagaMap
    from cqrs.dispatcher.streaming import StreamingRequestDispatcher as StreamingRequestDispatcher
    from cqrs.exceptions import RequestHandlerDoesNotExist as RequestHandlerDoesNotExist
    from cqrs.exceptions import RequestHandlerTypeError as RequestHandlerTypeError
    from cqrs.exceptions import SagaConcurrencyError as SagaConcurrencyError
    from cqrs.exceptions import SagaDoesNotExist as SagaDoesNotExist

_EXPORTS = {
    "EventDispatchResult": "cqrs.dispatcher.models",
    "EventDispatcher": "cqrs.dispatcher.event",
    "FallbackAnswer": "cqrs.dispatcher.models",
    "RequestDispatchResult": "cqrs.dispatcher.models",
    "RequestDispatcher": "cqrs.dispatcher.request",
    "RequestHandlerDoesNotExist": "cqrs.exceptions",
    "RequestHandlerTypeError": "cqrs.exceptions",
    "SagaConcurrencyError": "cqrs.exceptions",
    "SagaDispatchResult": "cqrs.dispatcher.models",
    "SagaDispatcher": "cqrs.dispatcher.saga",
    "SagaDoesNotExist": "cqrs.exceptions",
    "SagaMap": "cqrs.dispatcher.saga_map",
    "StreamingRequestDispatcher": "cqrs.dispatcher.streaming",
    "current_fallback": "cqrs.dispatcher.answers",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

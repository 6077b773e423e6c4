"""Mediators: the one object through which an application sends requests, streams and events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.mediator.event import EventMediator as EventMediator
    from cqrs.mediator.request import RequestMediator as RequestMediator
    from cqrs.mediator.saga import SagaMediator as SagaMediator
    from cqrs.mediator.streaming import StreamingRequestMediator as StreamingRequestMediator

_EXPORTS = {
    "EventMediator": "cqrs.mediator.event",
    "RequestMediator": "cqrs.mediator.request",
    "SagaMediator": "cqrs.mediator.saga",
    "StreamingRequestMediator": "cqrs.mediator.streaming",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

"""Mediators: the one object through which an application sends requests, streams and events."""

from __future__ import annotations

from cqrs.mediator.event import EventMediator
from cqrs.mediator.request import RequestMediator
from cqrs.mediator.streaming import StreamingRequestMediator

__all__ = ["EventMediator", "RequestMediator", "StreamingRequestMediator"]

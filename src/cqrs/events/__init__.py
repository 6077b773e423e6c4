"""Events, their handlers and what delivers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.events.event import DCDomainEvent as DCDomainEvent
    from cqrs.events.event import DCEvent as DCEvent
    from cqrs.events.event import DCNotificationEvent as DCNotificationEvent
    from cqrs.events.event import DomainEvent as DomainEvent
    from cqrs.events.event import Event as Event
    from cqrs.events.event import IDomainEvent as IDomainEvent
    from cqrs.events.event import IEvent as IEvent
    from cqrs.events.event import INotificationEvent as INotificationEvent
    from cqrs.events.event import NotificationEvent as NotificationEvent
    from cqrs.events.event import PydanticDomainEvent as PydanticDomainEvent
    from cqrs.events.event import PydanticEvent as PydanticEvent
    from cqrs.events.event import PydanticNotificationEvent as PydanticNotificationEvent
    from cqrs.events.event_emitter import EventEmitter as EventEmitter
    from cqrs.events.event_handler import EventHandler as EventHandler
    from cqrs.events.event_processor import EventProcessor as EventProcessor
    from cqrs.events.fallback import EventHandlerFallback as EventHandlerFallback
    from cqrs.events.map import EventMap as EventMap

_EXPORTS = {
    "DCDomainEvent": "cqrs.events.event",
    "DCEvent": "cqrs.events.event",
    "DCNotificationEvent": "cqrs.events.event",
    "DomainEvent": "cqrs.events.event",
    "Event": "cqrs.events.event",
    "EventEmitter": "cqrs.events.event_emitter",
    "EventHandler": "cqrs.events.event_handler",
    "EventHandlerFallback": "cqrs.events.fallback",
    "EventMap": "cqrs.events.map",
    "EventProcessor": "cqrs.events.event_processor",
    "IDomainEvent": "cqrs.events.event",
    "IEvent": "cqrs.events.event",
    "INotificationEvent": "cqrs.events.event",
    "NotificationEvent": "cqrs.events.event",
    "PydanticDomainEvent": "cqrs.events.event",
    "PydanticEvent": "cqrs.events.event",
    "PydanticNotificationEvent": "cqrs.events.event",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

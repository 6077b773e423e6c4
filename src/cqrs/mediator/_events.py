"""The part that mediators share: what becomes of the events of a handler."""

from __future__ import annotations

from typing import Any

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.events.event_emitter import EventEmitter
from cqrs.events.event_processor import EventErrors, EventProcessor
from cqrs.events.map import EventMap


def event_processor(
    container: Resolver,
    event_emitter: EventEmitter | None,
    event_map: BindingMap[Any] | None,
    max_concurrent_event_handlers: int,
    concurrent_event_handle_enable: bool,
    event_errors: EventErrors,
    max_event_depth: int,
) -> EventProcessor:
    """Return the processor of a mediator; a map without an emitter gets one without a message broker."""
    if event_emitter is None and event_map is not None:
        event_emitter = EventEmitter(event_map, container)
    return EventProcessor(
        EventMap() if event_map is None else event_map,
        event_emitter,
        max_concurrent_event_handlers,
        concurrent_event_handle_enable,
        event_errors=event_errors,
        max_event_depth=max_event_depth,
    )

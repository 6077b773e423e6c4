"""The mediator of events that come from outside, such as a message bus."""

from __future__ import annotations

from typing import Any

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.answers import announce, announced
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.event import EventDispatcher
from cqrs.dispatcher.models import FallbackAnswer, Outcome
from cqrs.dispatcher.scope import DispatchScope
from cqrs.dispatcher.startup import Startup
from cqrs.events.event_emitter import EventEmitter
from cqrs.events.event_processor import EventErrors
from cqrs.mediator._events import event_processor
from cqrs.middlewares.base import MiddlewareChain


class EventMediator:
    """Sends events to all handlers bound to their type, then processes the follow-ups.

    Args:
        event_map: binds event types to handlers; bindings may be added later.
        container: builds the handlers.
        middleware_chain: runs once around all handlers of an event.
        dispatcher_type: makes the dispatcher from map, container and chain.
        event_emitter: delivers follow-ups; made from ``event_map``, without a message broker, when not given.
        event_errors: what an error of a follow-up's handler does: ``"raise"``, ``"collect"`` or ``"log"``.
        max_event_depth: how deep follow-up events may nest, at least 1.
        startup: runs before the first event is handled.

    Raises:
        ConfigurationError: an argument has the wrong type, or is outside its range.
    """

    def __init__(
        self,
        event_map: BindingMap[Any],
        container: Resolver,
        middleware_chain: MiddlewareChain | None = None,
        *,
        dispatcher_type: type[EventDispatcher] = EventDispatcher,
        event_emitter: EventEmitter | None = None,
        event_errors: EventErrors = "raise",
        max_event_depth: int = 100,
        startup: Startup | None = None,
    ) -> None:
        self._container = container
        self._dispatcher = dispatcher_type(event_map, container, middleware_chain)
        self._processor = event_processor(
            container, event_emitter, event_map, 1, False, event_errors, max_event_depth
        )
        self._startup = startup
        self._is_plain = type(self._dispatcher).dispatch is EventDispatcher.dispatch

    async def send(self, event: Any) -> None:
        """Handle ``event``, then its follow-ups; an event that nothing is bound to is logged as a warning.

        Raises:
            ResolutionError: the container cannot build a handler.
            Exception: what a handler or a middleware raised; the handlers after it do not run.
        """
        if self._startup is not None and not self._startup.is_done:
            await self._startup.ensure()
        if announced() is not None:
            announce(None)
        if not self._is_plain:
            # A dispatcher with a way of its own.
            result = await self._dispatcher.dispatch(event)
            await self._processor.emit_events(result.events)
            return
        plan = self._dispatcher.plan_of(event)
        if plan is None:
            return
        if plan.direct is not None and not self._dispatcher.has_middlewares:
            for create in plan.direct:
                await create().handle(event)
            if announced() is not None:  # a handler sent a request itself
                announce(None)
            return
        if plan.needs_scope:
            async with DispatchScope(self._container) as scope:
                fallbacks = await self._handle(event, scope)
        else:
            fallbacks = await self._handle(event, None)
        if fallbacks or announced() is not None:
            announce(fallbacks[-1] if fallbacks else None)

    async def _handle(self, event: Any, scope: DispatchScope | None) -> tuple[FallbackAnswer, ...]:
        outcome = await self._dispatcher.step(event, scope)
        if type(outcome) is not Outcome:
            return ()
        if outcome.events:
            await self._processor.process(outcome.events, scope)
        return outcome.fallbacks

"""The mediator of commands and queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.answers import announce, announced
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.guarded import Step
from cqrs.dispatcher.models import Outcome
from cqrs.dispatcher.plans import Plans
from cqrs.dispatcher.request import RequestDispatcher
from cqrs.dispatcher.startup import Startup
from cqrs.events.event_emitter import EventEmitter
from cqrs.events.event_processor import EventErrors
from cqrs.mediator._events import event_processor
from cqrs.middlewares.base import MiddlewareChain
from cqrs.types import ResponseT, Returns


class RequestMediator:
    """Sends requests to their handlers and processes the events that these record.

    Args:
        request_map: binds request types to handlers; bindings may be added later.
        container: builds the handlers.
        event_emitter: delivers events; made from ``event_map`` when it is not given.
        middleware_chain: runs around each request.
        event_map: binds event types to handlers; without it and an emitter, events are dropped.
        max_concurrent_event_handlers: how many events of a request are handled at once, at least 1.
        concurrent_event_handle_enable: ``False`` is the same as a maximum of 1.
        dispatcher_type: makes the dispatcher from map, container and chain.
        event_errors: what an error of an event handler does: ``"raise"``, ``"collect"`` or ``"log"``.
        max_event_depth: how deep follow-up events may nest, at least 1.
        startup: runs before the first request is handled.

    Raises:
        ConfigurationError: an argument has the wrong type, or is outside its range.
    """

    def __init__(
        self,
        request_map: BindingMap[Any],
        container: Resolver,
        event_emitter: EventEmitter | None = None,
        middleware_chain: MiddlewareChain | None = None,
        event_map: BindingMap[Any] | None = None,
        max_concurrent_event_handlers: int = 1,
        concurrent_event_handle_enable: bool = True,
        *,
        dispatcher_type: type[RequestDispatcher] = RequestDispatcher,
        event_errors: EventErrors = "raise",
        max_event_depth: int = 100,
        startup: Startup | None = None,
    ) -> None:
        self._processor = event_processor(
            container,
            event_emitter,
            event_map,
            max_concurrent_event_handlers,
            concurrent_event_handle_enable,
            event_errors,
            max_event_depth,
        )
        self._dispatcher = dispatcher_type(request_map, container, middleware_chain)
        self._startup = startup
        self._ready_steps = self._all_steps()
        self._steps = self._ready_steps
        if startup is not None and not startup.is_done:
            self._steps = Plans(lambda _: self._start_and_step)

    @overload
    async def send(self, request: Returns[ResponseT]) -> ResponseT: ...
    @overload
    async def send(self, request: object) -> Any: ...
    async def send(self, request: Any) -> Any:
        """Handle ``request``, then its events, and return the response.

        Raises:
            RequestHandlerDoesNotExist: nothing is bound to the type of ``request``.
            RequestHandlerTypeError: what is bound to it is a streaming handler.
            ResolutionError: the container cannot build the handler.
            Exception: what the handler or a middleware raised, or an event handler with
                ``event_errors="raise"``.
        """
        if announced() is not None:
            announce(None)
        result = await self._steps[type(request)](request, None)
        if type(result) is Outcome:
            response, events, fallbacks = result
            if events:
                await self._processor.process(events, None)
            if fallbacks:
                announce(fallbacks[-1])
            elif announced() is not None:  # a handler sent a request itself
                announce(None)
            return response
        if announced() is not None:  # the handler sent a request itself
            announce(None)
        return result

    def _all_steps(self) -> Mapping[type[Any], Step]:
        if type(self._dispatcher).dispatch is RequestDispatcher.dispatch:
            return self._dispatcher.steps(self._processor.process)
        # A dispatcher with a way of its own is asked each time.
        return Plans(lambda _: self._dispatch)

    async def _dispatch(self, request: Any, _: Any) -> Any:
        result = await self._dispatcher.dispatch(request)
        return Outcome(result.response, tuple(result.events), tuple(getattr(result, "fallbacks", ())))

    async def _start_and_step(self, request: Any, _: Any) -> Any:
        if self._startup is not None:
            await self._startup.ensure()
            if self._startup.is_done:
                self._steps = self._ready_steps
        return await self._ready_steps[type(request)](request, None)

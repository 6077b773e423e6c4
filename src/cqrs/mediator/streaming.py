"""The mediator of requests that are answered by a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, overload

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.driven import close
from cqrs.dispatcher.plans import Plans
from cqrs.dispatcher.startup import Startup
from cqrs.dispatcher.streaming import OpenStream, StreamingRequestDispatcher
from cqrs.events.event_emitter import EventEmitter
from cqrs.events.event_processor import EventErrors
from cqrs.mediator._events import event_processor
from cqrs.middlewares.base import MiddlewareChain
from cqrs.types import ResponseT, Returns


class StreamingRequestMediator:
    """Streams the responses to requests; the events of an item are processed before it is yielded.

    Args:
        request_map: binds request types to handlers; bindings may be added later.
        container: builds the handlers.
        event_emitter: delivers events; made from ``event_map`` when it is not given.
        middleware_chain: runs once around each stream.
        event_map: binds event types to handlers; without it and an emitter, events are dropped.
        max_concurrent_event_handlers: how many events of an item are handled at once, at least 1.
        concurrent_event_handle_enable: ``False`` is the same as a maximum of 1.
        dispatcher_type: makes the dispatcher from map, container and chain.
        event_errors: what an error of an event handler does: ``"raise"``, ``"collect"`` or ``"log"``.
        max_event_depth: how deep follow-up events may nest, at least 1.
        startup: runs before the first item is made.

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
        dispatcher_type: type[StreamingRequestDispatcher] = StreamingRequestDispatcher,
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
        self._streams = self._all_streams()

    @overload
    def stream(self, request: Returns[ResponseT]) -> AsyncIterator[ResponseT]: ...
    @overload
    def stream(self, request: object) -> AsyncIterator[Any]: ...
    def stream(self, request: Any) -> AsyncIterator[Any]:
        """Return the stream that answers ``request``; leave it early only by closing it.

        Use ``contextlib.aclosing`` around an iteration that may end early: then everything behind the stream
        is closed at once. Errors of handlers and middlewares are raised by the iteration.

        Raises:
            RequestHandlerDoesNotExist: nothing is bound to the type of ``request``.
            RequestHandlerTypeError: what is bound to it does not stream.
            ResolutionError: the container cannot build the handler.
        """
        items = self._streams[type(request)](request)
        if self._startup is not None and not self._startup.is_done:
            return self._startup.before(items)
        return items

    def _all_streams(self) -> Mapping[type[Any], OpenStream]:
        if type(self._dispatcher).dispatch is StreamingRequestDispatcher.dispatch:
            return self._dispatcher.streams(self._processor.process)
        # A dispatcher with a way of its own is asked each time.
        return Plans(lambda _: self._dispatch_and_process)

    async def _dispatch_and_process(self, request: Any) -> AsyncGenerator[Any, None]:
        results = self._dispatcher.dispatch(request)
        try:
            async for result in results:
                if result.events:
                    await self._processor.emit_events(result.events)
                yield result.response
        finally:
            await close(results)

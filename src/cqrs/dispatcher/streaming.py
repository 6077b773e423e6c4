"""Dispatching requests to streaming handlers: one compiled plan per request type."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, TypeAlias

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.answers import announce, announced
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.collecting import check_chain
from cqrs.dispatcher.driven import close, driven
from cqrs.dispatcher.guarded_stream import StreamRecord, StreamStep, compile_stream_attempts, guarded_stream
from cqrs.dispatcher.handlers import HandlesRequests
from cqrs.dispatcher.models import RequestDispatchResult
from cqrs.dispatcher.plans import Plans
from cqrs.dispatcher.recorded import clear_events, discard_events, take_events
from cqrs.dispatcher.request import Deliver, bound_to, check_map, refuse_kind
from cqrs.dispatcher.scope import DispatchScope, check_container
from cqrs.exceptions import RequestHandlerTypeError
from cqrs.middlewares.base import MiddlewareChain, StreamHandle, optional_method

OpenStream: TypeAlias = Callable[[Any], AsyncIterator[Any]]
"""``open_stream(request)``: the items, each after its events were delivered."""


class StreamingRequestDispatcher:
    """Finds the streaming handler of a request and runs it as one guarded step.

    Args:
        request_map: binds request types to handlers; bindings may be added later.
        container: builds the handlers.
        middleware_chain: runs once around each stream.
    """

    def __init__(
        self,
        request_map: BindingMap[Any],
        container: Resolver,
        middleware_chain: MiddlewareChain | None = None,
    ) -> None:
        check_map("request_map", request_map)
        check_container(container)
        self._request_map = request_map
        self._container = container
        self._chain = check_chain(middleware_chain)
        self._steps: Plans[StreamStep] = Plans(self._step)
        if self._chain is not None:
            self._chain.on_change(self._steps.clear)

    def dispatch(self, request: Any) -> AsyncIterator[RequestDispatchResult]:
        """Return the stream that answers ``request``: each item with its events, which are not processed.

        What a handler records after its last item belongs to no item: only a mediator processes it.

        Raises:
            RequestHandlerDoesNotExist: nothing is bound to the type of ``request``.
            RequestHandlerTypeError: what is bound to it does not stream.
            ResolutionError: the container cannot build the handler.
        """
        return self._dispatch(self._steps[type(request)], request)

    def streams(self, deliver: Deliver) -> Plans[OpenStream]:
        """Return, by request type, functions that open a stream and give its events to ``deliver``."""
        plans: Plans[OpenStream] = Plans(lambda request_type: self._compile_stream(request_type, deliver))
        if self._chain is not None:
            self._chain.on_change(plans.clear)
        return plans

    async def _dispatch(self, step: StreamStep, request: Any) -> AsyncGenerator[RequestDispatchResult, None]:
        record = StreamRecord()
        announce(None)
        async with DispatchScope(self._container) as scope:
            items = step(request, scope, record)
            try:
                async for item in items:
                    if record.fallbacks:
                        announce(record.fallbacks[-1])
                    yield RequestDispatchResult(item, record.take_events(), record.fallbacks)
            finally:
                await close(items)

    def _step(self, request_type: type[Any]) -> StreamStep:
        step = guarded_stream(compile_stream_attempts(self._container, self._binding(request_type)))
        if self._chain is not None and self._chain.middlewares:
            step = stream_through_middlewares(self._chain, step)
        return step

    def _binding(self, request_type: type[Any]) -> Any:
        binding = bound_to(self._request_map, request_type)
        if isinstance(binding, list):
            raise RequestHandlerTypeError(
                f"the chain bound to {request_type.__qualname__} does not stream: "
                "ask RequestMediator.send for it"
            )
        refuse_kind(
            request_type, binding, HandlesRequests, "does not stream: ask RequestMediator.send for it"
        )
        return binding

    def _compile_stream(self, request_type: type[Any], deliver: Deliver) -> OpenStream:
        binding = self._binding(request_type)
        attempts = compile_stream_attempts(self._container, binding)
        tells = len(attempts) > 1 or attempts[0].direct is None
        if self._chain is not None and self._chain.middlewares:
            step = stream_through_middlewares(self._chain, guarded_stream(attempts))
        elif tells and isinstance(binding, type) and attempts[0].create is not None:
            return _recording_stream(attempts[0].create, deliver)
        else:
            step = guarded_stream(attempts)
        return _step_stream(step, self._container, deliver) if tells else _plain_stream(step)


def _plain_stream(step: StreamStep) -> OpenStream:
    """No breaker, no fallback, no scope, no events: the items, and the promise to close."""

    async def stream(request: Any) -> AsyncGenerator[Any, None]:
        if announced() is not None:
            announce(None)
        items = step(request, None, _NOTHING)
        try:
            async for item in items:
                if announced() is not None:
                    announce(None)
                yield item
        finally:
            await close(items)

    return stream


_NOTHING = StreamRecord()


def _recording_stream(create: Callable[[], Any], deliver: Deliver) -> OpenStream:
    """Like ``_plain_stream``, for a handler that may record events."""

    async def stream(request: Any) -> AsyncGenerator[Any, None]:
        if announced() is not None:
            announce(None)
        handler = create()
        items = handler.handle(request)
        try:
            async for item in items:
                if handler.events:
                    events = take_events(handler)
                    clear_events(handler)
                    await deliver(events, None)
                else:
                    handler.clear_events()
                if announced() is not None:
                    announce(None)
                yield item
            await deliver(take_events(handler), None)
        finally:
            await close(items)
            discard_events([handler])

    return stream


def _step_stream(step: StreamStep, container: Resolver, deliver: Deliver) -> OpenStream:
    async def stream(request: Any) -> AsyncGenerator[Any, None]:
        record = StreamRecord()
        answer = None
        if announced() is not None:
            announce(None)
        async with DispatchScope(container) as scope:
            items = step(request, scope, record)
            try:
                async for item in items:
                    if record.events:
                        await deliver(record.take_events(), scope)
                    if record.fallbacks:
                        answer = record.fallbacks[-1]
                    if announced() is not answer:
                        announce(answer)
                    yield item
                if record.events:
                    await deliver(record.take_events(), scope)
            finally:
                await close(items)
        announce(record.fallbacks[-1] if record.fallbacks else None)

    return stream


def stream_through_middlewares(chain: MiddlewareChain, step: StreamStep) -> StreamStep:
    """Each middleware in its streaming form; one that has none sees the stream as one long call."""

    def wrapped(message: Any, resolver: Any, record: StreamRecord) -> AsyncIterator[Any]:
        handle: StreamHandle = lambda request: step(request, resolver, record)  # noqa: E731
        for middleware in reversed(chain.middlewares):
            handle = _around(middleware, handle)
        return handle(message)

    return wrapped


def _around(middleware: Any, handle: StreamHandle) -> StreamHandle:
    stream = optional_method(middleware, "stream")
    if stream is not None:
        return lambda request: stream(request, handle)
    return lambda request: driven(lambda pump: middleware(request, pump), handle)

"""Dispatching requests to their handlers: one compiled plan per request type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from cqrs.container.protocol import Resolver
from cqrs.container.scoping import plain_factory
from cqrs.dispatcher.answers import announce, announced
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.chain import chain_step
from cqrs.dispatcher.collecting import check_chain, through_middlewares
from cqrs.dispatcher.declarations import type_name
from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.dispatcher.guarded import Step, compile_attempts, guarded_step
from cqrs.dispatcher.handlers import HandlesStreams, overrides_events
from cqrs.dispatcher.models import FallbackAnswer, Outcome, RequestDispatchResult
from cqrs.dispatcher.plans import Plans
from cqrs.dispatcher.recorded import discard_events, take_events
from cqrs.dispatcher.scope import DispatchScope, check_container
from cqrs.exceptions import HandlerTypeError, RequestHandlerDoesNotExist, RequestHandlerTypeError
from cqrs.middlewares.base import MiddlewareChain

Answer: TypeAlias = Callable[[Any], Awaitable[Any]]
"""``await answer(request)``: the response, after the events of the handler were delivered."""

Deliver: TypeAlias = Callable[[Sequence[object], "DispatchScope | None"], Awaitable[None]]
"""``await deliver(events, scope)``: process the events of one request, in its scope if it has one."""


class RequestDispatcher:
    """Finds the handler of a request, runs it as one guarded step, and returns what came of it.

    Args:
        request_map: binds request types to handlers; bindings may be added later.
        container: builds the handlers.
        middleware_chain: runs around each request.
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
        self._results = self._plans(self._compile_result)

    async def dispatch(self, request: Any) -> RequestDispatchResult:
        """Handle ``request``; its events are returned, not processed.

        Raises:
            RequestHandlerDoesNotExist: nothing is bound to the type of ``request``.
            RequestHandlerTypeError: what is bound to it is a streaming handler.
            ResolutionError: the container cannot build the handler.
            Exception: what the handler raised and no fallback took.
        """
        return await self._results[type(request)](request)

    def answers(self, deliver: Deliver) -> Plans[Answer]:
        """Return, by request type, functions that handle a request and give its events to ``deliver``."""
        return self._plans(lambda request_type: self._compile_answer(request_type, deliver))

    def _plans(self, compile_plan: Callable[[type[Any]], Any]) -> Plans[Any]:
        plans: Plans[Any] = Plans(compile_plan)
        if self._chain is not None:
            self._chain.on_change(plans.clear)
        return plans

    def _step(self, request_type: type[Any]) -> tuple[Step, bool]:
        """Return the step of a request type, and whether it needs a scope."""
        binding = bound_to(self._request_map, request_type)
        if isinstance(binding, list):
            step, needs_scope = chain_step(self._container, binding)
        else:
            refuse_kind(
                request_type,
                binding,
                HandlesStreams,
                "is a stream: ask StreamingRequestMediator.stream for it",
            )
            attempts = compile_attempts(self._container, binding)
            step, needs_scope = guarded_step(attempts), any(attempt.needs_scope for attempt in attempts)
        if self._chain is not None and self._chain.middlewares:
            step = through_middlewares(self._chain, step)
        return step, needs_scope

    def _compile_result(self, request_type: type[Any]) -> Callable[[Any], Awaitable[RequestDispatchResult]]:
        step, _ = self._step(request_type)
        container = self._container

        async def dispatch(request: Any) -> RequestDispatchResult:
            if announced() is not None:
                announce(None)
            async with DispatchScope(container) as scope:
                result = await step(request, scope)
            if type(result) is not Outcome:
                return RequestDispatchResult(result)
            if result.fallbacks:
                announce(result.fallbacks[-1])
            return RequestDispatchResult(*result)

        return dispatch

    def _compile_answer(self, request_type: type[Any], deliver: Deliver) -> Answer:
        binding = bound_to(self._request_map, request_type)
        has_middleware = self._chain is not None and self._chain.middlewares
        if isinstance(binding, type) and not issubclass(binding, HandlesStreams) and not has_middleware:
            create = plain_factory(self._container, binding)
            if create is not None:
                records_events = create is not binding or overrides_events(binding)
                return _recording_answer(create, deliver) if records_events else _plain_answer(create)
        step, needs_scope = self._step(request_type)
        return _scoped_answer(step, self._container, deliver) if needs_scope else _step_answer(step, deliver)


def check_map(name: str, bindings: Any) -> None:
    """Refuse what is not a map of bindings.

    Raises:
        HandlerTypeError: ``bindings`` is of another type.
    """
    if not isinstance(bindings, BindingMap):
        raise HandlerTypeError(
            f"{name} must be a map such as cqrs.RequestMap or cqrs.EventMap, not {bindings!r}"
        )


def bound_to(request_map: BindingMap[Any], request_type: type[Any]) -> type[Any] | FallbackPair | list[Any]:
    """Return what is bound to a request type.

    Raises:
        RequestHandlerDoesNotExist: nothing is.
    """
    try:
        binding: type[Any] | FallbackPair | list[Any] = request_map[request_type]
    except KeyError:
        raise RequestHandlerDoesNotExist(
            f"no handler is bound to {type_name(request_type)} ({request_type.__module__}); "
            f"bind one: request_map.bind({request_type.__name__}, ...)"
        ) from None
    return binding


def refuse_kind(
    request_type: type[Any], binding: type[Any] | FallbackPair, kind: type[Any], reason: str
) -> None:
    """Refuse a binding whose handlers are of a ``kind`` that the dispatcher does not run.

    Raises:
        RequestHandlerTypeError: they are.
    """
    handler = binding.primary if isinstance(binding, FallbackPair) else binding
    if issubclass(handler, kind):
        raise RequestHandlerTypeError(f"{type_name(handler)}, bound to {type_name(request_type)}, {reason}")


def _plain_answer(create: Callable[[], Any]) -> Answer:
    """No breaker, no fallback, no middleware, no scope, no events: nothing stands before the handler."""

    async def answer(request: Any) -> Any:
        if announced() is not None:
            announce(None)
        response = await create().handle(request)
        if announced() is not None:  # the handler sent a request itself
            announce(None)
        return response

    return answer


def _recording_answer(create: Callable[[], Any], deliver: Deliver) -> Answer:
    """Like ``_plain_answer``, for a handler that may record events."""

    async def answer(request: Any) -> Any:
        if announced() is not None:
            announce(None)
        handler = create()
        try:
            response = await handler.handle(request)
        except BaseException:
            discard_events([handler])
            raise
        if handler.events and (events := take_events(handler)):
            await deliver(events, None)
        if announced() is not None:
            announce(None)
        return response

    return answer


def _step_answer(step: Step, deliver: Deliver) -> Answer:
    async def answer(request: Any) -> Any:
        if announced() is not None:
            announce(None)
        result = await step(request, None)
        if type(result) is Outcome:
            if result.events:
                await deliver(result.events, None)
            announce(result.fallbacks[-1] if result.fallbacks else None)
            return result.response
        if announced() is not None:
            announce(None)
        return result

    return answer


def _scoped_answer(step: Step, container: Resolver, deliver: Deliver) -> Answer:
    """The scope of the request stays open until its events are done."""

    async def answer(request: Any) -> Any:
        announce(None)
        fallbacks: tuple[FallbackAnswer, ...] = ()
        async with DispatchScope(container) as scope:
            result = await step(request, scope)
            if type(result) is Outcome:
                result, events, fallbacks = result
                if events:
                    await deliver(events, scope)
        announce(fallbacks[-1] if fallbacks else None)
        return result

    return answer

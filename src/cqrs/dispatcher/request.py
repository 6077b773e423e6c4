"""Dispatching requests to their handlers: one compiled plan per request type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.answers import announce
from cqrs.dispatcher.attempts import compile_attempts
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.chain import chain_step
from cqrs.dispatcher.collecting import check_chain, through_middlewares
from cqrs.dispatcher.declarations import type_name
from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.dispatcher.guarded import Step, guarded_step
from cqrs.dispatcher.handlers import HandlesStreams
from cqrs.dispatcher.models import Outcome, RequestDispatchResult
from cqrs.dispatcher.plans import Plans
from cqrs.dispatcher.scope import DispatchScope, check_container
from cqrs.exceptions import HandlerTypeError, RequestHandlerDoesNotExist, RequestHandlerTypeError
from cqrs.middlewares.base import MiddlewareChain

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
        self._steps = self._plans(lambda request_type: self._compile(request_type)[0])

    async def dispatch(self, request: Any) -> RequestDispatchResult:
        """Handle ``request``; its events are returned, not processed.

        Raises:
            RequestHandlerDoesNotExist: nothing is bound to the type of ``request``.
            RequestHandlerTypeError: what is bound to it is a streaming handler.
            ResolutionError: the container cannot build the handler.
            Exception: what the handler raised and no fallback took.
        """
        step = self._steps[type(request)]
        announce(None)
        async with DispatchScope(self._container) as scope:
            result = await step(request, scope)
        if type(result) is not Outcome:
            announce(None)
            return RequestDispatchResult(result)
        announce(result.fallbacks[-1] if result.fallbacks else None)
        return RequestDispatchResult(*result)

    def steps(self, deliver: Deliver) -> Plans[Step]:
        """Return the steps by request type; one that needs a scope opens it and delivers its events in it."""
        return self._plans(lambda request_type: self._compile_delivering(request_type, deliver))

    def _plans(self, compile_step: Callable[[type[Any]], Step]) -> Plans[Step]:
        plans = Plans(compile_step)
        if self._chain is not None:
            self._chain.on_change(plans.clear)
        return plans

    def _compile_delivering(self, request_type: type[Any], deliver: Deliver) -> Step:
        step, needs_scope = self._compile(request_type)
        return _scoped(step, self._container, deliver) if needs_scope else step

    def _compile(self, request_type: type[Any]) -> tuple[Step, bool]:
        """Return the step of a request type, and whether it needs a scope."""
        binding = bound_to(self._request_map, request_type)
        tells = True
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
            tells = len(attempts) > 1 or attempts[0].direct is None
        if self._chain is not None and self._chain.middlewares:
            step = through_middlewares(self._chain, step, tells=tells)
        return step, needs_scope


def _scoped(step: Step, container: Resolver, deliver: Deliver) -> Step:
    """Return ``step`` with a scope around it, which stays open until its events are done."""

    async def scoped(request: Any, _: Any) -> Any:
        async with DispatchScope(container) as scope:
            result = await step(request, scope)
            if type(result) is Outcome and result.events:
                await deliver(result.events, scope)
                result = Outcome(result.response, (), result.fallbacks)
        return result

    return scoped


def check_map(name: str, bindings: Any) -> None:
    """Refuse what is not a map of bindings.

    Raises:
        HandlerTypeError: ``bindings`` is of another type.
    """
    kind = name.removesuffix("_map")
    if not isinstance(bindings, BindingMap) or bindings.binds not in ("", kind):
        raise HandlerTypeError(
            f"{name} must be a map of {kind}s such as cqrs.{kind.title()}Map(), "
            f"not {cast('Any', bindings)!r} ({type_name(type(cast('Any', bindings)))})"
        )


def bound_to(request_map: BindingMap[Any], request_type: type[Any]) -> type[Any] | FallbackPair | list[Any]:
    """Return what is bound to a request type.

    Raises:
        RequestHandlerDoesNotExist: nothing is.
    """
    try:
        binding: type[Any] | FallbackPair | list[Any] = request_map[request_type]
    except KeyError:
        raise RequestHandlerDoesNotExist(nothing_bound("request_map", request_map, request_type)) from None
    return binding


def nothing_bound(
    name: str, bindings: BindingMap[Any], message_type: type[Any], handler: str = "handler"
) -> str:
    """Return what is said when nothing is bound to a type: why that may be, and what to do."""
    if issubclass(message_type, type):
        return f"no {handler} is bound to classes: what was sent is a class, send an instance of it"
    text = f"no {handler} is bound to {type_name(message_type)} ({message_type.__module__}); "
    for base in message_type.__mro__[1:]:
        if base in bindings:
            text += f"the one of its base {type_name(base)} does not answer for it; "
    return text + f"bind one: {name}.bind({message_type.__name__}, ...)"


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

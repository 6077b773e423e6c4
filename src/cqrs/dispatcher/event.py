"""Dispatching events to their handlers, in the order in which they were bound."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.answers import announce
from cqrs.dispatcher.attempts import compile_attempts
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.collecting import check_chain, through_middlewares
from cqrs.dispatcher.declarations import type_name
from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.dispatcher.guarded import Step, guarded_step
from cqrs.dispatcher.models import EventDispatchResult, FallbackAnswer, Outcome
from cqrs.dispatcher.request import check_map
from cqrs.dispatcher.scope import DispatchScope, check_container
from cqrs.exceptions import HandlerTypeError
from cqrs.middlewares.base import MiddlewareChain

_logger = logging.getLogger(__name__)


class _Reaction(NamedTuple):
    """One binding of an event type, ready to run."""

    create: Callable[[], Any] | None
    """Builds the handler, if building and calling it is all there is to do; else the step runs."""
    step: Step
    handler: type[Any]


class EventFailure(NamedTuple):
    """An error of one handler of an event, kept while the others go on."""

    event: object
    handler: type[Any]
    error: Exception


class EventPlan:
    """All handlers of one event type.

    Attributes:
        bound: number of bindings.
        needs_scope: whether a handler must be resolved in a scope.
        direct: what builds the handlers, if building and calling them is all there is to do; else ``None``.
    """

    __slots__ = ("_reactions", "bound", "direct", "needs_scope")

    def __init__(self, container: Resolver, bindings: Sequence[type[Any] | FallbackPair]) -> None:
        self.bound = len(bindings)
        self.needs_scope = False
        reactions: list[_Reaction] = []
        direct: list[Callable[[], Any]] = []
        for binding in bindings:
            attempts = compile_attempts(container, binding)
            primary = attempts[0]
            self.needs_scope |= any(attempt.needs_scope for attempt in attempts)
            create = primary.direct if len(attempts) == 1 else None
            if create is not None:
                direct.append(create)
            reactions.append(_Reaction(create, guarded_step(attempts), primary.handler))
        self._reactions = tuple(reactions)
        self.direct = tuple(direct) if len(direct) == len(bindings) else None

    async def handle(
        self,
        event: object,
        scope: DispatchScope | None,
        follow_ups: list[object],
        *,
        fallbacks: list[FallbackAnswer] | None = None,
        failures: list[EventFailure] | None = None,
    ) -> None:
        """Run all handlers in turn and append what they recorded to ``follow_ups``.

        An error ends it, or, with ``failures``, is kept there while the handlers after it run.
        """
        if self.direct is not None and failures is None:
            for direct in self.direct:
                await direct().handle(event)
            return
        for create, step, handler_type in self._reactions:
            try:
                if create is not None:
                    await create().handle(event)
                    continue
                result = await step(event, scope)
            except Exception as error:
                if failures is None:
                    raise
                failures.append(EventFailure(event, handler_type, error))
            else:
                if type(result) is Outcome:
                    follow_ups += result.events
                    if fallbacks is not None:
                        fallbacks += result.fallbacks


class EventPlans:
    """The plans of all event types of a map; a handler that is bound later is noticed."""

    def __init__(self, event_map: BindingMap[Any], container: Resolver) -> None:
        check_map("event_map", event_map)
        check_container(container)
        self._event_map = event_map
        self._plans: dict[type[Any], EventPlan] = {}
        self.container = container

    def of(self, event_type: type[Any]) -> EventPlan | None:
        """Return the plan of an event type; ``None`` when nothing is bound to it.

        Raises:
            ResolutionError: the container cannot build a handler.
        """
        bindings = self._event_map.get(event_type)
        if not bindings:
            return None
        plan = self._plans.get(event_type)
        if plan is None or plan.bound != len(bindings):
            plan = self._plans[event_type] = EventPlan(self.container, bindings)
        return plan


def check_event(event: object) -> None:
    """Refuse what no handler can be bound to; not noticing it would lose an event.

    Raises:
        HandlerTypeError: ``event`` is a class, or ``None``.
    """
    if event is None or isinstance(event, type):
        raise HandlerTypeError(f"{event!r} is not an event: give an instance of an event class")


class EventDispatcher:
    """Hands events that came from outside to all handlers bound to their type.

    Args:
        event_map: binds event types to handlers; bindings may be added later.
        container: builds the handlers.
        middleware_chain: runs once around all handlers of an event.
    """

    def __init__(
        self,
        event_map: BindingMap[Any],
        container: Resolver,
        middleware_chain: MiddlewareChain | None = None,
    ) -> None:
        self._plans = EventPlans(event_map, container)
        self._container = container
        self._chain = check_chain(middleware_chain)
        self._compose()
        if self._chain is not None:
            self._chain.on_change(self._compose)

    async def dispatch(self, event: Any) -> EventDispatchResult:
        """Run the handlers of ``event`` in the order in which they were bound, and return their follow-ups.

        An event that nothing is bound to is logged as a warning.

        Raises:
            HandlerTypeError: ``event`` is a class, or ``None``.
            ResolutionError: the container cannot build a handler.
            Exception: what a handler raised and no fallback took; the handlers after it do not run.
        """
        plan = self.plan_of(event)
        if plan is None:
            return EventDispatchResult()
        announce(None)
        async with DispatchScope(self._container) as scope:
            outcome = await self.step(event, scope)
        if type(outcome) is not Outcome:
            return EventDispatchResult(handled=plan.bound)
        announce(outcome.fallbacks[-1] if outcome.fallbacks else None)
        return EventDispatchResult(outcome.events, outcome.fallbacks, plan.bound)

    def plan_of(self, event: Any) -> EventPlan | None:
        """Return the handlers of ``event``; ``None``, and a warning in the log, when there are none.

        Raises:
            HandlerTypeError: ``event`` is a class, or ``None``.
            ResolutionError: the container cannot build a handler.
        """
        plan = self._plans.of(event.__class__)
        if plan is None:
            check_event(event)
            _logger.warning(
                "no handler is bound to event type %s",
                type_name(type(event)),
                extra={"event_type": type_name(type(event))},
            )
        return plan

    async def _handle(self, event: Any, scope: Any) -> Any:
        plan = self._plans.of(event.__class__)
        follow_ups: list[object] = []
        fallbacks: list[FallbackAnswer] = []
        if plan is not None:
            await plan.handle(event, scope, follow_ups, fallbacks=fallbacks)
        return Outcome(None, tuple(follow_ups), tuple(fallbacks)) if follow_ups or fallbacks else None

    def _compose(self) -> None:
        step: Step = self._handle
        self.has_middlewares = self._chain is not None and bool(self._chain.middlewares)
        """Whether anything is around the handlers of an event."""
        if self._chain is not None and self.has_middlewares:
            step = through_middlewares(self._chain, step)
        self.step = step
        """Handles an event within the middlewares."""

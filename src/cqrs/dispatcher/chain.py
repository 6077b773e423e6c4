"""Chains of responsibility as steps: every link is a guarded step, built when the request reaches it."""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.attempts import compile_attempts, is_misconfigured
from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.dispatcher.guarded import Step, guarded_step
from cqrs.dispatcher.handlers import makes_new_instances, may_record_events
from cqrs.dispatcher.models import FallbackAnswer, Outcome, make_tuple
from cqrs.dispatcher.scope import factory_of_fallback


class _Passage:
    """One request on its way through a chain."""

    __slots__ = ("events", "fallbacks", "foreign", "resolver", "steps")

    def __init__(self, steps: Sequence[Step], resolver: Any) -> None:
        self.steps = steps
        self.resolver = resolver
        self.events: list[tuple[object, ...]] = [()] * len(steps)
        self.fallbacks: tuple[FallbackAnswer, ...] = ()
        self.foreign: Exception | None = None
        """The last error that left a link: for the links before it, it is not their own."""

    def all_events(self) -> tuple[object, ...]:
        """Return the events of all links, in the order of the links."""
        return tuple(itertools.chain.from_iterable(self.events))


class _Place(NamedTuple):
    """Where a request is: at the link before ``next_position``."""

    passage: _Passage
    next_position: int


# Not an attribute of a link: it may be shared by requests and by chains, as a singleton of its container is.
_place: contextvars.ContextVar[_Place] = contextvars.ContextVar("cqrs_chain_place")


class _Onward:
    """What every link sees as the next handler: the link after the place where the request is."""

    __slots__ = ()

    async def handle(self, request: Any) -> Any:
        place = _place.get(None)
        if place is None:
            raise RuntimeError(
                "a link of a chain called next() outside of a request: what follows it is known only in the "
                "context of the request, or in a copy"
            )
        passage, position = place
        if position == len(passage.steps):
            return None
        token = _place.set(make_tuple(_Place, (passage, position + 1)))
        try:
            result = await passage.steps[position](request, passage.resolver)
        except Exception as error:
            passage.foreign = error
            raise
        finally:
            _place.reset(token)
        if type(result) is not Outcome:
            return result
        # A link may be passed twice, when one before it failed later on: what it did, it did twice.
        passage.events[position] += result.events
        passage.fallbacks += result.fallbacks
        return result.response


_ONWARD = _Onward()


def _lead_onward(handler: Any) -> None:
    handler.set_next(_ONWARD)


def _is_not_own(error: Exception) -> bool:
    return is_misconfigured(error) or error is _place.get().passage.foreign


def chain_step(container: Resolver, links: Sequence[type[Any] | FallbackPair]) -> tuple[Step, bool]:
    """Return the step of a chain of responsibility, and whether it needs a scope.

    The events are those of every link that ran, in the order of the links. An error that comes from further
    down the chain is neither counted nor answered by the links it passes.
    """
    head = _plain_chain(container, links)
    if head is not None:
        return (lambda request, _: head.handle(request)), False
    compiled = [
        compile_attempts(container, link, prepare=_lead_onward, escapes=_is_not_own) for link in links
    ]
    needs_scope = any(attempt.needs_scope for attempts in compiled for attempt in attempts)
    return _passing([guarded_step(attempts) for attempts in compiled]), needs_scope


def _passing(steps: Sequence[Step]) -> Step:
    async def step(request: Any, resolver: Any) -> Any:
        passage = _Passage(steps, resolver)
        token = _place.set(_Place(passage, 0))
        try:
            response = await _ONWARD.handle(request)
        finally:
            passage.foreign = None  # its traceback holds this frame
            _place.reset(token)
        events = passage.all_events()
        return Outcome(response, events, passage.fallbacks) if events or passage.fallbacks else response

    return step


class _PlainLink:
    """The next handler in a chain where none is shared, guarded or records events: it is built and called."""

    __slots__ = ("_following", "_handler_type")

    def __init__(self, handler_type: type[Any], following: _PlainLink | None) -> None:
        self._handler_type = handler_type
        self._following = following

    def handle(self, request: Any) -> Awaitable[Any]:
        handler = self._handler_type()
        if self._following is not None:
            handler.set_next(self._following)
        response: Awaitable[Any] = handler.handle(request)
        return response


def _plain_chain(container: Resolver, links: Sequence[type[Any] | FallbackPair]) -> _PlainLink | None:
    """Return the first link, if each of them is a new instance of its class that is only called."""
    head: _PlainLink | None = None
    for link in reversed(links):
        if isinstance(link, FallbackPair) or not makes_new_instances(link):
            return None
        # A link that cannot be built is refused with the others, in the order of the chain.
        if may_record_events(factory_of_fallback(container, link), link):
            return None
        head = _PlainLink(link, head)
    return head

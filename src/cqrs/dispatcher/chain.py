"""Chains of responsibility as steps: every link is a guarded step, built when the request reaches it."""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.attempts import Attempt, Run, compile_attempts, is_misconfigured
from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.dispatcher.guarded import Step, guarded_step
from cqrs.dispatcher.models import FallbackAnswer, Outcome


class _Passage:
    """One request on its way through a chain."""

    __slots__ = ("events", "fallbacks", "foreign", "resolver")

    def __init__(self, resolver: Any, links: int) -> None:
        self.resolver = resolver
        self.events: list[tuple[object, ...]] = [()] * links
        self.fallbacks: tuple[FallbackAnswer, ...] = ()
        self.foreign: Exception | None = None
        """The last error that left a link: for the links before it, it is not their own."""

    def all_events(self) -> tuple[object, ...]:
        """Return the events of all links, in the order of the links."""
        return tuple(itertools.chain.from_iterable(self.events))


# The nodes of a chain are shared by all requests, since a link may be: a singleton of its container.
_passage: contextvars.ContextVar[_Passage] = contextvars.ContextVar("cqrs_chain_passage")


def _is_not_own(error: Exception) -> bool:
    return is_misconfigured(error) or error is _passage.get().foreign


class _Link:
    """What a link sees as the next handler of its chain."""

    __slots__ = ("_position", "_step")

    def __init__(self, position: int, attempts: Sequence[Attempt[Run]]) -> None:
        self._position = position
        self._step = guarded_step(attempts)

    async def handle(self, request: Any) -> Any:
        passage = _passage.get()
        try:
            result = await self._step(request, passage.resolver)
        except Exception as error:
            passage.foreign = error
            raise
        if type(result) is not Outcome:
            return result
        # A link may be passed twice, when one before it failed later on: what it did, it did twice.
        passage.events[self._position] += result.events
        passage.fallbacks += result.fallbacks
        return result.response


class _PlainLink:
    """The same for a link without guard or events, in a chain where no link has any."""

    __slots__ = ("_create",)

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create

    def handle(self, request: Any) -> Awaitable[Any]:
        response: Awaitable[Any] = self._create().handle(request)
        return response


def chain_step(container: Resolver, links: Sequence[type[Any] | FallbackPair]) -> tuple[Step, bool]:
    """Return the step of a chain of responsibility, and whether it needs a scope.

    The events are those of every link that ran, in the order of the links. An error that comes from further
    down the chain is neither counted nor answered by the links it passes.
    """
    following: list[_Link | _PlainLink | None] = [None] * len(links)

    def linked(position: int) -> Callable[[Any], object] | None:
        if position == len(links) - 1:
            return None
        return lambda handler: handler.set_next(following[position])

    compiled = [
        compile_attempts(container, link, prepare=linked(position), escapes=_is_not_own)
        for position, link in enumerate(links)
    ]
    creates = [attempts[0].direct for attempts in compiled if len(attempts) == 1]
    plain = [create for create in creates if create is not None]
    if len(plain) == len(links):
        nodes = [_PlainLink(create) for create in plain]
        following[:-1] = nodes[1:]
        return (lambda request, _: nodes[0].handle(request)), False
    guarded = [_Link(position, attempts) for position, attempts in enumerate(compiled)]
    following[:-1] = guarded[1:]
    needs_scope = any(attempt.needs_scope for attempts in compiled for attempt in attempts)
    return _passing(guarded[0], len(links)), needs_scope


def _passing(head: _Link, count: int) -> Step:
    async def step(request: Any, resolver: Any) -> Any:
        passage = _Passage(resolver, count)
        token = _passage.set(passage)
        try:
            response = await head.handle(request)
        finally:
            passage.foreign = None  # its traceback holds this frame
            _passage.reset(token)
        events = passage.all_events()
        return Outcome(response, events, passage.fallbacks) if events or passage.fallbacks else response

    return step

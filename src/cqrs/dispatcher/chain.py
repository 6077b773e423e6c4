"""Chains of responsibility as steps: every link is a guarded step, built when the request reaches it."""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Sequence
from typing import Any

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.dispatcher.guarded import Step, compile_attempts, guarded_step, is_misconfigured
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


class _Node:
    """What a link sees as the next handler of its chain."""

    __slots__ = ("_create", "_position", "_step", "needs_scope")

    def __init__(
        self, container: Resolver, link: type[Any] | FallbackPair, position: int, following: _Node | None
    ) -> None:
        def prepare(handler: Any) -> None:
            handler.set_next(following)

        attempts = compile_attempts(
            container, link, prepare=None if following is None else prepare, escapes=_is_not_own
        )
        self._position = position
        self._step = guarded_step(attempts)
        self._create = attempts[0].direct if len(attempts) == 1 else None
        self.needs_scope = any(attempt.needs_scope for attempt in attempts)

    async def handle(self, request: Any) -> Any:
        try:
            if self._create is not None:
                return await self._create().handle(request)
            passage = _passage.get()
            result = await self._step(request, passage.resolver)
        except Exception as error:
            _passage.get().foreign = error
            raise
        if type(result) is not Outcome:
            return result
        # A link may be passed twice, when one before it failed later on: what it did, it did twice.
        passage.events[self._position] += result.events
        passage.fallbacks += result.fallbacks
        return result.response


def chain_step(container: Resolver, links: Sequence[type[Any] | FallbackPair]) -> tuple[Step, bool]:
    """Return the step of a chain of responsibility, and whether it needs a scope.

    The events are those of every link that ran, in the order of the links. An error that comes from further
    down the chain is neither counted nor answered by the links it passes.
    """
    nodes: list[_Node] = []
    for position in reversed(range(len(links))):
        nodes.insert(0, _Node(container, links[position], position, nodes[0] if nodes else None))
    handle, count = nodes[0].handle, len(nodes)

    async def step(request: Any, resolver: Any) -> Any:
        passage = _Passage(resolver, count)
        token = _passage.set(passage)
        try:
            response = await handle(request)
        finally:
            passage.foreign = None  # its traceback holds this frame
            _passage.reset(token)
        events = passage.all_events()
        return Outcome(response, events, passage.fallbacks) if events or passage.fallbacks else response

    return step, any(node.needs_scope for node in nodes)

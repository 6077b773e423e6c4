"""Middleware around a step: what the step has to tell beside the response is collected behind its back."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable
from typing import Any

from cqrs.dispatcher.answers import announce
from cqrs.dispatcher.guarded import Step
from cqrs.dispatcher.models import FallbackAnswer, Outcome
from cqrs.exceptions import HandlerTypeError
from cqrs.middlewares.base import MiddlewareChain


class _Collector:
    __slots__ = ("events", "fallbacks", "resolver")

    def __init__(self, resolver: Any) -> None:
        self.resolver = resolver
        self.events: tuple[object, ...] = ()
        self.fallbacks: tuple[FallbackAnswer, ...] = ()


_collector: contextvars.ContextVar[_Collector | None] = contextvars.ContextVar("cqrs_collector", default=None)


def through_middlewares(chain: MiddlewareChain, step: Step, *, tells: bool = True) -> Step:
    """Return ``step`` with the middlewares around it, composed once; each call runs them once.

    Args:
        chain: the middlewares.
        step: what they are put around.
        tells: whether the step ever returns an ``Outcome``.
    """
    wrapped = _collecting(chain, step) if tells else _passing(chain, step)
    is_idle = chain.idleness()
    if is_idle is None:
        return wrapped
    return lambda message, resolver: (step if is_idle() else wrapped)(message, resolver)


def _passing(chain: MiddlewareChain, step: Step) -> Step:
    def handle(message: Any) -> Awaitable[Any]:
        return step(message, None)

    composed = chain.wrap(handle)

    def wrapped(message: Any, _: Any) -> Awaitable[Any]:
        return composed(message)

    return wrapped


def _collecting(chain: MiddlewareChain, step: Step) -> Step:
    async def handle(message: Any) -> Any:
        collector = _collector.get()
        if collector is None:
            raise RuntimeError(
                "a middleware called handle() in an empty context: the events of the request would be lost; "
                "run it in the context of the request, or in a copy"
            )
        result = await step(message, collector.resolver)
        if type(result) is not Outcome:
            collector.fallbacks = ()
            return result
        # A middleware may call ``handle`` again: the events of every success are due, the last answer counts.
        collector.events += result.events
        collector.fallbacks = result.fallbacks
        if result.fallbacks:
            announce(result.fallbacks[-1])
        return result.response

    composed = chain.wrap(handle)

    async def wrapped(message: Any, resolver: Any) -> Any:
        collector = _Collector(resolver)
        token = _collector.set(collector)
        try:
            response = await composed(message)
        finally:
            _collector.reset(token)
        if collector.events or collector.fallbacks:
            return Outcome(response, collector.events, collector.fallbacks)
        return response

    return wrapped


def check_chain(chain: Any) -> MiddlewareChain | None:
    """Refuse what is not a chain of middlewares.

    Raises:
        HandlerTypeError: ``chain`` is neither ``None`` nor a ``MiddlewareChain``.
    """
    if chain is not None and not isinstance(chain, MiddlewareChain):
        raise HandlerTypeError(f"middleware_chain must be a MiddlewareChain or None, not {chain!r}")
    return chain

"""The handlers of a binding, each ready to run: built by the container, guarded by its breaker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeAlias, TypeVar

from cqrs.circuit_breaker.protocol import ICircuitBreaker, should_use_fallback
from cqrs.container.protocol import Resolver
from cqrs.dispatcher.fallback_pair import FallbackPair, declared_attempts
from cqrs.dispatcher.handlers import may_record_events
from cqrs.dispatcher.scope import check_resolved, factory_of, factory_of_fallback, has_scopes
from cqrs.exceptions import ResolutionError

Ask: TypeAlias = Callable[[Any], Awaitable[Any]]
"""``await ask(message)``: one guarded handler, which needs no scope and records no events."""

Run: TypeAlias = Callable[[Any, Any, list[Any]], Awaitable[Any]]
"""``await run(message, resolver, ran)``: one handler, guarded; appends it to ``ran`` once it is built."""

RunT = TypeVar("RunT")


class Bypass(BaseException):
    """Carries an error that is not the handler's past its breaker and its fallbacks.

    Not an ``Exception``, so that breakers take it for an abandoned call, not for a failure.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error


def is_misconfigured(error: Exception) -> bool:
    """Tell whether ``error`` says that something was never declared: no fallback makes up for that."""
    return isinstance(error, ResolutionError)


class Attempt(Generic[RunT]):
    """One handler of a step, ready to run.

    Attributes:
        handler: the handler class.
        create: builds it, when that needs neither a scope nor waiting.
        needs_scope: whether it must be resolved in a scope instead.
        records_events: whether it may record events.
        run: runs it through its breaker, if it has one.
        known_as_rejected: whether its breaker has rejected it since it was called last.
        direct: ``create``, if calling it and its ``handle`` is all there is to do; else ``None``.
        ask: asks a guarded handler that would be ``direct`` otherwise, where the breaker allows that.
    """

    __slots__ = (
        "ask",
        "breaker",
        "create",
        "direct",
        "escapes",
        "failure_exceptions",
        "handler",
        "known_as_rejected",
        "needs_scope",
        "records_events",
        "run",
    )

    def __init__(
        self,
        handler: type[Any],
        pair: FallbackPair | None,
        create: Callable[[], Any] | None,
        run: RunT,
        *,
        needs_scope: bool,
        records_events: bool,
        escapes: Callable[[Exception], bool] = is_misconfigured,
        ask: Ask | None = None,
    ) -> None:
        self.ask = ask
        self.handler = handler
        self.create = create
        self.needs_scope = needs_scope
        self.records_events = records_events
        self.failure_exceptions = () if pair is None else pair.failure_exceptions
        self.breaker = None if pair is None else pair.circuit_breaker
        self.run = run
        self.direct = create if self.breaker is None and not records_events else None
        self.escapes = escapes
        self.known_as_rejected = False

    def leads_to_fallback(self, error: Exception) -> bool:
        """Tell whether the next handler answers in place of this one, which raised ``error``."""
        return not self.escapes(error) and should_use_fallback(error, self.breaker, self.failure_exceptions)


def compile_attempts(
    container: Resolver,
    binding: type[Any] | FallbackPair,
    *,
    prepare: Callable[[Any], object] | None = None,
    escapes: Callable[[Exception], bool] = is_misconfigured,
) -> list[Attempt[Run]]:
    """Return the handlers of ``binding`` in the order in which they are asked.

    Args:
        container: builds the handlers.
        binding: a handler class or a declared fallback.
        prepare: called with each handler before it is asked.
        escapes: tells which errors are neither counted nor answered by a fallback.

    Raises:
        ResolutionError: the container cannot build the primary.
    """
    attempts: list[Attempt[Run]] = []
    for position, (handler, pair) in enumerate(declared_attempts(binding)):
        create = (factory_of_fallback if position else factory_of)(container, handler)
        records_events = may_record_events(create, handler)
        if create is not None and prepare is not None:
            create = _prepared(create, prepare)
        direct = None if records_events else create
        run = _resolving(container, handler, prepare) if create is None else _creating(create)
        ask: Ask | None = None
        if pair is not None and (breaker := pair.circuit_breaker) is not None:
            if direct is not None and escapes is is_misconfigured and _needs_no_shield(breaker):
                ask = _guarded_asking(breaker, handler, direct)
                run = _running(ask)
            else:
                run = _through_breaker(breaker, handler, _shielded(run, direct, escapes))
        attempt = Attempt(
            handler,
            pair,
            create,
            run,
            needs_scope=create is None and has_scopes(container),
            records_events=records_events,
            escapes=escapes,
            ask=ask,
        )
        attempts.append(attempt)
    return attempts


def _prepared(create: Callable[[], Any], prepare: Callable[[Any], object]) -> Callable[[], Any]:
    def create_prepared() -> Any:
        handler = create()
        prepare(handler)
        return handler

    return create_prepared


def _running(ask: Ask) -> Run:
    return lambda message, _, __: ask(message)


def _creating(create: Callable[[], Any]) -> Run:
    async def run(message: Any, _: Any, ran: list[Any]) -> Any:
        handler = create()
        ran.append(handler)
        return await handler.handle(message)

    return run


def _resolving(container: Resolver, handler_type: type[Any], prepare: Callable[[Any], object] | None) -> Run:
    async def run(message: Any, resolver: Any, ran: list[Any]) -> Any:
        handler = await (container if resolver is None else resolver).resolve(handler_type)
        check_resolved(handler, handler_type)
        ran.append(handler)
        if prepare is not None:
            prepare(handler)
        return await handler.handle(message)

    return run


def _shielded(run: Run, direct: Callable[[], Any] | None, escapes: Callable[[Exception], bool]) -> Run:
    """Return what runs inside a breaker: what says nothing about the handler is hidden from it."""

    async def shielded(message: Any, resolver: Any, ran: list[Any]) -> Any:
        try:
            if direct is not None:
                return await direct().handle(message)
            return await run(message, resolver, ran)
        except Exception as error:
            if escapes(error):
                raise Bypass(error) from None
            raise

    return shielded


def guarding_function(breaker: ICircuitBreaker) -> Callable[[type[Any], Any], Any] | None:
    """Return the breaker's ``guard`` method if its class has one."""
    # Looked up on the class: an object that makes up attributes when asked has no ``guard``.
    return breaker.guard if callable(getattr(type(breaker), "guard", None)) else None  # type: ignore[attr-defined]  # just tested


def _needs_no_shield(breaker: ICircuitBreaker) -> bool:
    """Tell whether the breaker says of itself that it never counts a missing registration."""
    # See ``IGuardingCircuitBreaker``.
    return (
        guarding_function(breaker) is not None
        and getattr(type(breaker), "ignores_resolution_errors", False) is True
    )


def _guarded_asking(breaker: Any, handler: type[Any], create: Callable[[], Any]) -> Ask:
    async def ask(message: Any) -> Any:
        return await create().handle(message)

    guarded: Ask = breaker.guard(handler, ask)
    return guarded


def _through_breaker(breaker: ICircuitBreaker, handler: type[Any], run: Run) -> Run:
    guard = guarding_function(breaker)
    if guard is not None:
        guarded: Run = guard(handler, run)
        return guarded

    async def carrying(message: Any, resolver: Any, ran: list[Any]) -> Any:
        try:
            return await run(message, resolver, ran)
        except Bypass as bypass:
            # As a value: a breaker that has only ``call`` may count whatever is raised.
            return bypass

    async def call(message: Any, resolver: Any, ran: list[Any]) -> Any:
        response = await breaker.call(handler, carrying, message, resolver, ran)
        if type(response) is Bypass:
            raise response
        return response

    return call

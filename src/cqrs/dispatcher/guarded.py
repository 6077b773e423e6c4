"""The guarded step: primary, circuit breaker, fallbacks. Everything that handles a message goes through it.

=============================================  ====================================================
what happens in the primary                    what the step does
=============================================  ====================================================
returns                                        its response and its events
the breaker rejects                            next fallback; the primary is neither built nor called
raises an error that ``failure_exceptions``    next fallback; the primary's events are dropped
covers (empty: any ``Exception``)
raises another error                           the same error; no fallback is even built
raises what is not an ``Exception``            the same; no fallback, nothing is counted
cannot be built by the container               ``ResolutionError``; no fallback, nothing is counted
the last fallback raises                       its error; each error's cause is the one before it
=============================================  ====================================================
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from cqrs.circuit_breaker.protocol import ICircuitBreaker, should_use_fallback
from cqrs.container.protocol import Resolver
from cqrs.container.scoping import plain_factory
from cqrs.dispatcher.answers import describe
from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.dispatcher.handlers import overrides_events
from cqrs.dispatcher.models import FallbackAnswer, FallbackReason, Outcome
from cqrs.dispatcher.recorded import discard_events, take_events
from cqrs.dispatcher.scope import factory_of_fallback
from cqrs.exceptions import ResolutionError

Run: TypeAlias = Callable[[Any, Any, list[Any]], Awaitable[Any]]
"""``await run(message, resolver, ran)``: one handler, guarded; appends it to ``ran`` once it is built."""

Step: TypeAlias = Callable[[Any, Any], Awaitable[Any]]
"""``await step(message, resolver)``: the response, or an ``Outcome`` when there is more to tell."""


class Bypass(BaseException):
    """Carries an error that is not the handler's past its breaker and its fallbacks.

    Not an ``Exception``, so that breakers take it for an abandoned call, not for a failure.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error


RunT = TypeVar("RunT")


class Attempt(Generic[RunT]):
    """One handler of a step, ready to run."""

    __slots__ = ("breaker", "create", "failure_exceptions", "handler", "needs_scope", "records_events", "run")

    def __init__(
        self,
        handler: type[Any],
        pair: FallbackPair | None,
        create: Callable[[], Any] | None,
        run: RunT,
    ) -> None:
        self.handler = handler
        self.create = create
        self.needs_scope = create is None
        # What builds the handler may build a subclass that records events, unless it is the class itself.
        self.records_events = create is not handler or overrides_events(handler)
        self.failure_exceptions = () if pair is None else pair.failure_exceptions
        self.breaker = None if pair is None else pair.circuit_breaker
        self.run = run


def is_misconfigured(error: Exception) -> bool:
    """Tell whether ``error`` says that something was never declared: no fallback makes up for that."""
    return isinstance(error, ResolutionError)


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
        factory_of = factory_of_fallback if position else plain_factory
        create = factory_of(container, handler)
        if create is None:
            run = _run_resolved(handler, prepare, escapes)
        else:
            run = _run_created(create, prepare, escapes)
        if pair is not None and pair.circuit_breaker is not None:
            run = _through_breaker(pair.circuit_breaker, handler, run)
        attempts.append(Attempt(handler, pair, create, run))
    return attempts


def declared_attempts(binding: type[Any] | FallbackPair) -> list[tuple[type[Any], FallbackPair | None]]:
    """Return each handler of ``binding`` with the declaration whose primary it is."""
    return list(binding.attempts()) if isinstance(binding, FallbackPair) else [(binding, None)]


def _run_created(
    create: Callable[[], Any],
    prepare: Callable[[Any], object] | None,
    escapes: Callable[[Exception], bool],
) -> Run:
    async def run(message: Any, _: Any, ran: list[Any]) -> Any:
        try:
            handler = create()
            ran.append(handler)
            if prepare is not None:
                prepare(handler)
            return await handler.handle(message)
        except Exception as error:
            if escapes(error):
                raise Bypass(error) from None
            raise

    return run


def _run_resolved(
    handler_type: type[Any],
    prepare: Callable[[Any], object] | None,
    escapes: Callable[[Exception], bool],
) -> Run:
    async def run(message: Any, resolver: Any, ran: list[Any]) -> Any:
        try:
            handler = await resolver.resolve(handler_type)
            ran.append(handler)
            if prepare is not None:
                prepare(handler)
            return await handler.handle(message)
        except Exception as error:
            if escapes(error):
                raise Bypass(error) from None
            raise

    return run


def guarding_function(breaker: ICircuitBreaker) -> Callable[[type[Any], Any], Any] | None:
    """Return the breaker's ``guard`` method if its class has one."""
    # Looked up on the class: an object that makes up attributes when asked has no ``guard``.
    return breaker.guard if callable(getattr(type(breaker), "guard", None)) else None  # type: ignore[attr-defined]  # just tested


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


def guarded_step(attempts: Sequence[Attempt[Run]]) -> Step:
    """Return the step that asks the handlers of ``attempts`` in turn."""
    primary = attempts[0]
    run, records_events = primary.run, primary.records_events
    has_fallback = len(attempts) > 1

    async def step(message: Any, resolver: Any) -> Any:
        ran: list[Any] = []
        escaped = False
        try:
            response = await run(message, resolver, ran)
        except Bypass as bypass:
            failure, escaped = bypass.error, True
        except Exception as error:
            discard_events(ran)
            if not has_fallback or not takes_over(primary, error):
                raise
            failure = error
        except BaseException:
            discard_events(ran)
            raise
        else:
            if records_events and ran and (events := take_events(ran[-1])):
                return Outcome(response, events, ())
            return response
        try:
            if escaped:
                discard_events(ran)
                raise failure
            return await _ask_fallbacks(attempts, message, resolver, failure)
        finally:
            del failure  # its traceback holds this frame

    return step


def takes_over(attempt: Attempt[Any], error: Exception) -> bool:
    """Tell whether the next handler answers in place of ``attempt``, which raised ``error``."""
    return should_use_fallback(error, attempt.breaker, attempt.failure_exceptions)


async def _ask_fallbacks(
    attempts: Sequence[Attempt[Run]], message: Any, resolver: Any, failure: Exception
) -> Outcome:
    latest = failure
    try:
        for position in range(1, len(attempts)):
            attempt = attempts[position]
            ran: list[Any] = []
            try:
                response = await attempt.run(message, resolver, ran)
            except Bypass as bypass:
                error, final = bypass.error, True
                if is_misconfigured(error) and error.__cause__ is None:
                    chain_errors(error, latest)
            except Exception as raised:
                error, final = raised, position == len(attempts) - 1 or not takes_over(attempt, raised)
                chain_errors(error, latest)
            except BaseException:
                discard_events(ran)
                raise
            else:
                events = take_events(ran[-1]) if attempt.records_events and ran else ()
                return Outcome(response, events, (answer_of(attempts, position, message, failure),))
            discard_events(ran)
            if final:
                raise error
            latest = error
        raise AssertionError("a step has at least one fallback when it asks for one")
    finally:
        failure = latest = error = None  # type: ignore[assignment]  # their tracebacks hold this frame


def answer_of(
    attempts: Sequence[Attempt[Any]], position: int, message: Any, failure: Exception
) -> FallbackAnswer:
    """Return (and log) that the handler at ``position`` answered after the primary raised ``failure``."""
    primary = attempts[0]
    rejected = primary.breaker is not None and primary.breaker.is_circuit_breaker_error(failure)
    reason: FallbackReason = "circuit_open" if rejected else "error"
    return describe(message, primary.handler, attempts[position].handler, position, reason, failure)


def chain_errors(error: Exception, cause: Exception) -> None:
    """Make ``cause`` the cause of ``error``, unless they are the same or that would make a circle."""
    link: BaseException | None = cause
    while link is not None:
        if link is error:
            return
        link = link.__cause__
    error.__cause__ = cause

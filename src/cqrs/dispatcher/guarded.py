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
from typing import Any, TypeAlias

from cqrs.dispatcher.answers import answer_of
from cqrs.dispatcher.attempts import Attempt, Bypass, Run, is_misconfigured
from cqrs.dispatcher.models import Outcome, make_tuple
from cqrs.dispatcher.recorded import discard_events, take_events
from cqrs.exceptions import ResolutionError

Step: TypeAlias = Callable[[Any, Any], Awaitable[Any]]
"""``await step(message, resolver)``: the response, or an ``Outcome`` when there is more to tell."""


def guarded_step(attempts: Sequence[Attempt[Run]]) -> Step:
    """Return the step that asks the handlers of ``attempts`` in turn."""
    primary = attempts[0]
    if len(attempts) == 1 and primary.breaker is None and primary.create is not None:
        return _recording_step(primary.create) if primary.records_events else _direct_step(primary.create)
    if len(attempts) == 2 and primary.escapes is is_misconfigured:
        create_fallback = attempts[1].direct
        if create_fallback is not None and (primary.direct is not None or primary.ask is not None):
            return _pair_step(attempts, create_fallback)
    return _general_step(attempts)


def _general_step(attempts: Sequence[Attempt[Run]]) -> Step:
    """Any number of fallbacks, scopes, events."""
    primary = attempts[0]
    run, direct, records_events = primary.run, primary.direct, primary.records_events
    has_fallback = len(attempts) > 1

    async def step(message: Any, resolver: Any) -> Any:
        ran: list[Any] = [] if records_events else _NOBODY
        try:
            if direct is not None:
                return await direct().handle(message)
            response = await run(message, resolver, ran)
        except Bypass as bypass:
            failure, final = bypass.error, True
        except Exception as error:
            if not has_fallback or not primary.leads_to_fallback(error):
                discard_events(ran)
                raise
            failure, final = error, False
        except BaseException:
            discard_events(ran)
            raise
        else:
            if records_events and ran and (events := take_events(ran[-1])):
                return make_tuple(Outcome, (response, events, ()))
            return response
        try:
            if ran:
                discard_events(ran)
            if final:
                raise failure
            return await _ask_fallbacks(attempts, message, resolver, failure)
        finally:
            del failure  # its traceback holds this frame

    return step


def _pair_step(attempts: Sequence[Attempt[Run]], create_fallback: Callable[[], Any]) -> Step:
    """One fallback, no scopes, no events: the same table in one frame, as there is nothing to discard."""
    primary, fallback = attempts
    direct, ask, covered = primary.direct, primary.ask, primary.failure_exceptions

    async def step(message: Any, _: Any) -> Any:
        try:
            if ask is not None:
                return await ask(message)
            return await direct().handle(message)  # type: ignore[misc]  # one of them there is
        except ResolutionError:
            raise
        except Exception as error:
            # Without a breaker, ``leads_to_fallback`` comes to the second condition.
            if ask is not None:
                if not primary.leads_to_fallback(error):
                    raise
            elif covered and not isinstance(error, covered):
                raise
            failure = error
        try:
            response = await create_fallback().handle(message)
        except Exception as error:
            link_fallback_error(fallback, error, failure)
            raise
        else:
            return make_tuple(Outcome, (response, (), (answer_of(attempts, 1, message, failure),)))
        finally:
            del failure  # its traceback holds this frame

    return step


# A handler that records no events is not noted in the list of those that ran.
_NOBODY: list[Any] = []


def _direct_step(create: Callable[[], Any]) -> Step:
    """Nothing to guard and nothing to tell: nothing stands between the caller and the handler."""

    async def step(message: Any, _: Any) -> Any:
        return await create().handle(message)

    return step


def _recording_step(create: Callable[[], Any]) -> Step:
    async def step(message: Any, _: Any) -> Any:
        handler = create()
        try:
            response = await handler.handle(message)
        except BaseException:
            discard_events([handler])
            raise
        if handler.events and (events := take_events(handler)):
            return make_tuple(Outcome, (response, events, ()))
        return response

    return step


async def _ask_fallbacks(
    attempts: Sequence[Attempt[Run]], message: Any, resolver: Any, failure: Exception
) -> Outcome:
    latest = failure
    error: Exception | None = None
    last = len(attempts) - 1
    try:
        for position in range(1, last + 1):
            attempt = attempts[position]
            ran: list[Any] = []
            try:
                if attempt.direct is not None:
                    response = await attempt.direct().handle(message)
                else:
                    response = await attempt.run(message, resolver, ran)
            except Bypass as bypass:
                error, final = bypass.error, True
            except Exception as raised:
                error, final = raised, position == last or not attempt.leads_to_fallback(raised)
            except BaseException:
                discard_events(ran)
                raise
            else:
                events = take_events(ran[-1]) if attempt.records_events and ran else ()
                answer = answer_of(attempts, position, message, failure)
                return make_tuple(Outcome, (response, events, (answer,)))
            discard_events(ran)
            link_fallback_error(attempt, error, latest)
            if final:
                raise error
            latest = error
        raise AssertionError("the last fallback answers or raises")
    finally:
        del failure, latest, error  # their tracebacks hold this frame


def link_fallback_error(attempt: Attempt[Any], error: Exception, cause: Exception) -> None:
    """Make ``cause`` the cause of ``error``, which ``attempt`` raised when it was asked because of ``cause``.

    An error that is not the handler's own is left alone, and so is one that would make a circle.
    """
    if attempt.escapes(error) and (error.__cause__ is not None or not is_misconfigured(error)):
        return
    link: BaseException | None = cause
    while link is not None:
        if link is error:
            return
        link = link.__cause__
    error.__cause__ = cause

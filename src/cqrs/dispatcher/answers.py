"""How it becomes visible that a fallback answered: a context variable for code, a log record for people."""

from __future__ import annotations

import contextvars
import logging
from typing import cast

from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.dispatcher.models import FallbackAnswer, FallbackReason, make_tuple

_logger = logging.getLogger(__name__)

_answer: contextvars.ContextVar[FallbackAnswer | None] = contextvars.ContextVar("cqrs_fallback", default=None)

announced = _answer.get
"""Return what ``announce`` said last in this context."""

announce = _answer.set
"""Make ``current_fallback`` return this in the current context."""


def current_fallback() -> FallbackAnswer | None:
    """Return the fallback that answered the latest request of this task; ``None`` when the primary did.

    After ``await mediator.send(request)`` it speaks of that request, in a middleware after
    ``await handle(request)`` too, and between two items of a stream of the latest of them. The next request
    starts anew.
    """
    return _answer.get()


def describe(
    message: object,
    primary: type,
    handler: type,
    position: int,
    reason: FallbackReason,
    error: Exception,
    is_news: bool,
) -> FallbackAnswer:
    """Return the answer of ``handler`` as data, and log it: a warning if it is news, else for debugging."""
    kind = type(error)
    text, rejection = "", None
    if kind is CircuitOpenError:
        rejection = cast("CircuitOpenError", error)
    else:
        try:
            text = str(error)
        except Exception as unprintable:
            text = f"<text of the error cannot be had: {type(unprintable).__name__}>"
    fields = (type(message), primary, handler, position, reason, kind, text, rejection)
    answer = make_tuple(FallbackAnswer, fields)
    level = logging.WARNING if is_news else logging.DEBUG
    if _logger.isEnabledFor(level):
        _log(level, answer, error)
    if rejection is not None:
        # Made for this request alone, and rendered only for those who ask.
        rejection.__traceback__ = rejection.__context__ = None
    return answer


def _log(level: int, answer: FallbackAnswer, error: Exception) -> None:
    _logger.log(
        level,
        "fallback %s answered %s in place of %s (%s: %s)",
        answer.handler.__qualname__,
        answer.message_type.__qualname__,
        answer.primary.__qualname__,
        answer.reason,
        answer.error_type.__qualname__,
        # The text of an error may hold data of the request: it is for those who ask for details.
        exc_info=error if _logger.isEnabledFor(logging.DEBUG) else None,
        extra={
            "message_type": answer.message_type.__qualname__,
            "primary_handler": answer.primary.__qualname__,
            "fallback_handler": answer.handler.__qualname__,
            "fallback_position": answer.position,
            "fallback_reason": answer.reason,
            "error_type": answer.error_type.__qualname__,
        },
    )

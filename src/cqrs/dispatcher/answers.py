"""How it becomes visible that a fallback answered: a context variable for code, a log record for people."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Sequence
from typing import Any

from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.protocol import is_rejection
from cqrs.dispatcher.attempts import Attempt
from cqrs.dispatcher.models import Carrier, FallbackAnswer, FallbackReason, make_tuple

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


def answer_of(
    attempts: Sequence[Attempt[Any]], position: int, message: object, failure: Exception
) -> FallbackAnswer:
    """Return (and log) that the handler at ``position`` answered after the primary raised ``failure``.

    The record is a warning; but an open circuit is news once: until the primary was called again, the next
    answers are the same news, and logged for debugging.
    """
    primary = attempts[0]
    level = logging.WARNING
    reason: FallbackReason = "error"
    rejected = is_rejection(failure, primary.breaker)
    if rejected:
        reason = "circuit_open"
        if primary.known_as_rejected:
            level = logging.DEBUG
    primary.known_as_rejected = rejected
    kind = failure.__class__
    text, rejection = "", None
    if isinstance(failure, CircuitOpenError):
        rejection = failure
    else:
        try:
            text = str(failure)
        except Exception as unprintable:
            text = f"<text of the error cannot be had: {type(unprintable).__name__}>"
    handler = attempts[position].handler
    about = message.message_type if isinstance(message, Carrier) else message.__class__
    fields = (about, primary.handler, handler, position, reason, kind, text, rejection)
    answer = make_tuple(FallbackAnswer, fields)
    if _is_enabled(level):
        _log(level, answer, failure)
    if rejection is not None:
        # Made for this request alone, and rendered only for those who ask.
        rejection.__traceback__ = rejection.__context__ = None
    return answer


_is_enabled = _logger.isEnabledFor


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
        exc_info=error if _is_enabled(logging.DEBUG) else None,
        extra={
            "message_type": answer.message_type.__qualname__,
            "primary_handler": answer.primary.__qualname__,
            "fallback_handler": answer.handler.__qualname__,
            "fallback_position": answer.position,
            "fallback_reason": answer.reason,
            "error_type": answer.error_type.__qualname__,
        },
    )

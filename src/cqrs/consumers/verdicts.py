"""What becomes of a message after an attempt to handle it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Literal, TypeAlias, cast

from cqrs.circuit_breaker import Backoff, CircuitOpenError
from cqrs.consumers.reading import UnknownEventError
from cqrs.exceptions import DeserializationError
from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["ErrorAction", "OnError", "Verdict"]

_logger = logging.getLogger(__name__)

ErrorAction: TypeAlias = Literal["retry", "dead_letter", "ignore"]
"""Try again as long as attempts are left; put aside at once; acknowledge though it was not handled."""

OnError: TypeAlias = Callable[[ReceivedMessage, Exception, int], ErrorAction | None]
"""Called with the message, the error and the number of the attempt; ``None`` stands for ``"retry"``."""

REASON_LIMIT = 1000
"""Characters of a reason."""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What to do.

    Args:
        kind: acknowledge; acknowledge unhandled; try again after ``delay``; the same without counting the
            attempt; put aside.
        delay: seconds.
        reason: why.
        attempts: how many were made, where that is not the number of the present one.
    """

    kind: Literal["ack", "ignore", "retry", "wait", "dead_letter"]
    delay: float = 0.0
    reason: str = ""
    attempts: int | None = None


class Judge:
    """Decides by error and attempt; see ``Consumer`` for the arguments."""

    def __init__(
        self,
        max_attempts: int,
        backoff: Backoff,
        unknown: Literal["dead_letter", "ignore"],
        on_error: OnError | None,
        random: Callable[[], float],
    ) -> None:
        self._max_attempts = max_attempts
        self._backoff = backoff
        self._unknown: Literal["dead_letter", "ignore"] = unknown
        self._on_error = on_error
        self._random = random

    def before(self, attempt: int) -> Verdict | None:
        """Refuse a message that came back so often that handling it must end the process each time.

        Not at the first delivery beyond ``max_attempts``: lost connections and restarts are counted too.
        """
        if attempt <= 2 * self._max_attempts:
            return None
        made = attempt - 1
        return Verdict("dead_letter", reason=f"delivered {made} times, and never settled", attempts=made)

    def unreadable(self, error: DeserializationError) -> Verdict:
        """Decide about a message of which no event can be made."""
        kind = self._unknown if isinstance(error, UnknownEventError) else "dead_letter"
        return Verdict(kind, reason=str(error))

    def after(self, message: ReceivedMessage, error: BaseException, attempt: int, rejections: int) -> Verdict:
        """Decide about an attempt that failed; ``rejections``: by circuits, in a row, this one included."""
        reason = told(error)
        rejection = rejection_of(error)
        if rejection is not None:
            # Longer from one to the next: the handlers before the rejected one run again each time.
            pause = self._backoff.duration(max(1, rejections), self._random())
            return Verdict("wait", max(pause, rejection.retry_after or 0.0), reason)
        action = self._ask(message, error, attempt) if isinstance(error, Exception) else "retry"
        if action == "ignore":
            return Verdict("ignore", reason=reason)
        if action == "dead_letter" or attempt >= self._max_attempts:
            return Verdict("dead_letter", reason=reason)
        return Verdict("retry", self.pause(attempt), reason)

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait after the ``attempt``-th failure."""
        return self._backoff.duration(attempt, self._random())

    def _ask(self, message: ReceivedMessage, error: Exception, attempt: int) -> ErrorAction:
        if self._on_error is None:
            return "retry"
        try:
            action = self._on_error(message, error, attempt)
        except Exception:
            _logger.exception("on_error failed; the message is tried again", extra=fields(message))
            return "retry"
        if action not in (None, "retry", "dead_letter", "ignore"):
            _logger.error("on_error returned %r; the message is tried again", action, extra=fields(message))
            return "retry"
        return action or "retry"


def rejection_of(error: BaseException) -> CircuitOpenError | None:
    """Return the rejection that ``error`` is, or, of a group of nothing else, the one that lasts longest."""
    if isinstance(error, CircuitOpenError):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    members = cast("BaseExceptionGroup[BaseException]", error).exceptions
    found = [rejection_of(member) for member in members]
    rejections = [rejection for rejection in found if rejection is not None]
    if len(rejections) < len(found):
        return None
    return max(rejections, key=lambda rejection: rejection.retry_after or 0.0)


def told(error: BaseException) -> str:
    """Return an error in one line of limited length."""
    kind = type(error)
    text = f"{kind.__module__}.{kind.__qualname__}: {error}".removeprefix("builtins.")
    line = " ".join(text.split())
    return line if len(line) <= REASON_LIMIT else f"{line[: REASON_LIMIT - 1]}…"


def fields(message: ReceivedMessage) -> dict[str, object]:
    """Return what log records tell of a message."""
    return {
        "topic": message.topic,
        "message_name": message.message_name,
        "message_id": None if message.message_id is None else str(message.message_id),
        "position": message.position,
    }

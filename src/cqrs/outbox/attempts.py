"""What follows from a failed attempt to publish: wait, or give up. Pure rules."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable

from cqrs.circuit_breaker.protocol import ICircuitBreaker, is_rejection
from cqrs.circuit_breaker.timing import Backoff
from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.outbox.repository import EventStatus

__all__ = [
    "DEFAULT_BACKOFF",
    "DEFAULT_MAX_ATTEMPTS",
    "UNAVAILABLE_DELAY",
    "UNCOUNTED",
    "FailureKind",
    "Setback",
    "classify",
    "reason",
    "setback",
    "storable",
]

DEFAULT_MAX_ATTEMPTS = 5
DEFAULT_BACKOFF = Backoff(initial=5.0, multiplier=4.0, max=900.0, jitter=0.2)
"""5, 20, 80 and 320 seconds between five attempts, less up to a fifth."""

UNAVAILABLE_DELAY = 5.0
"""Seconds after which a row is due again whose broker could not be reached, where nobody waits for that."""

_LONGEST_REASON = 2000


class FailureKind(enum.Enum):
    """What a failure to send says, and about whom."""

    REJECTED = "rejected"
    """The circuit breaker did not let it through; the broker was not asked."""
    UNAVAILABLE = "unavailable"
    """The broker cannot be reached, or does not answer: about the broker, not about the message."""
    REFUSED = "refused"
    """The broker will never take this message."""
    OTHER = "other"


def classify(error: Exception, circuit_breaker: ICircuitBreaker | None = None) -> FailureKind:
    """Tell what a failure says.

    >>> classify(ConnectionResetError()), classify(ValueError())
    (<FailureKind.UNAVAILABLE: 'unavailable'>, <FailureKind.OTHER: 'other'>)
    """
    if is_rejection(error, circuit_breaker):
        return FailureKind.REJECTED
    if isinstance(error, MessageRefusedError):
        return FailureKind.REFUSED
    if isinstance(error, (BrokerUnavailableError, OSError)):  # OSError: also TimeoutError and ConnectionError
        return FailureKind.UNAVAILABLE
    return FailureKind.OTHER


UNCOUNTED = (FailureKind.REJECTED, FailureKind.UNAVAILABLE)
"""Failures that are no fault of the message."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setback:
    """What a row becomes after a failed attempt.

    Attributes:
        status: ``NOT_PRODUCED`` or ``DEAD_LETTER``; ``NEW`` if a program wants so.
        attempts: failed attempts so far, this one included.
        delay: seconds until the next one.
        reason: text for ``error``.
    """

    status: EventStatus
    attempts: int
    delay: float
    reason: str


def setback(
    error: Exception,
    attempts: int,
    *,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    backoff: Backoff = DEFAULT_BACKOFF,
    random: Callable[[], float],
) -> Setback:
    """Decide what becomes of a row after one more failed attempt.

    >>> found = setback(ValueError("no"), 1, random=lambda: 0.0)
    >>> found.attempts, found.delay, found.reason
    (2, 20.0, 'ValueError: no')
    """
    made = attempts + 1
    if made >= max_attempts or classify(error) is FailureKind.REFUSED:
        return Setback(EventStatus.DEAD_LETTER, made, 0.0, reason(error))
    return Setback(EventStatus.NOT_PRODUCED, made, backoff.duration(made, random()), reason(error))


def reason(error: BaseException) -> str:
    """Return what is kept of an error: its type and text, 2000 characters at most."""
    try:
        text = str(error)
    except Exception as broken:
        text = f"(it has no text: its __str__ raised {type(broken).__qualname__})"
    return storable(f"{type(error).__qualname__}: {text}")


def storable(text: str) -> str:
    """Return a text that any database takes, as ASCII without NUL: else it would spoil the whole batch."""
    ascii_only = text.encode("ascii", "backslashreplace").decode("ascii")
    return ascii_only.replace("\0", "\\x00")[:_LONGEST_REASON]

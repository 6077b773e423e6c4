"""What a finished call says about the dependency."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cqrs.circuit_breaker import validation


class Verdict(StrEnum):
    """The judgement on one finished call.

    ``SUCCESS`` and ``FAILURE`` count. The others are neutral: they neither count nor reset anything, and a
    probe gives its permit back. ``IGNORED``: an answer that says nothing about health (a business error).
    ``INCONCLUSIVE``: the dependency was never reached; as many in a row as there are permitted probes reopen
    a half-open circuit. ``CANCELLED``: the caller went away.
    """

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    INCONCLUSIVE = "inconclusive"
    CANCELLED = "cancelled"


# Looking up a member of an Enum class costs as much as a call on CPython 3.11.
SUCCESS = Verdict.SUCCESS
FAILURE = Verdict.FAILURE
IGNORED = Verdict.IGNORED
INCONCLUSIVE = Verdict.INCONCLUSIVE
CANCELLED = Verdict.CANCELLED


@dataclass(frozen=True, slots=True)
class Trip:
    """A failure that opens the circuit at once, whatever the rates are.

    Args:
        for_: seconds to stay open (say, from a ``Retry-After`` header), clamped to the range of the policy's
            ``wait_duration_in_open``; ``None`` takes the policy's next wait. Finite, at least 0.

    Raises:
        PolicyError: ``for_`` is negative or not a finite number.
    """

    for_: float | None = None

    def __post_init__(self) -> None:
        if self.for_ is not None:
            object.__setattr__(self, "for_", validation.seconds("Trip.for_", self.for_, strict=False))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished call as a classifier sees it.

    Attributes:
        result: what the call returned; ``None`` when it raised.
        exception: what the call raised; ``None`` when it returned.
        duration: seconds the call took, or ``None`` when the policy does not time calls.
    """

    result: Any = None
    exception: BaseException | None = None
    duration: float | None = None

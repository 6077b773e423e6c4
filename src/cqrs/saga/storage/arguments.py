"""Arguments that all storages check in the same way, and questions that they all answer from a log."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Iterable

from cqrs.circuit_breaker import validation
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError, SagaConcurrencyError
from cqrs.saga.storage.enums import SagaStatus, SagaStepStatus
from cqrs.saga.storage.models import SagaLogEntry

__all__ = [
    "already_exists",
    "checked_limit",
    "checked_seconds",
    "checked_version",
    "checked_write",
    "has_failed_compensation",
    "names_of",
    "status_of",
    "stored_details",
    "taken_over",
]

_STATUSES = {text: status for status in SagaStatus for text in (status.value, status.name)}

MOST_DETAILS = 16_000
"""Characters of details that are kept: a column of type TEXT holds 64 KiB on MySQL."""


def status_of(text: str) -> SagaStatus:
    """Return the status that is written as its value or its name, in upper or lower case.

    >>> status_of("RUNNING") is status_of("running") is SagaStatus.RUNNING
    True
    """
    return _STATUSES.get(text) or SagaStatus(text.lower())


def names_of(saga_name: str | Collection[str] | None) -> list[str] | None:
    """Return the names that a saga must have one of; ``None``: any.

    Raises:
        ConfigurationTypeError: it is neither a name nor a collection of names.
    """
    if saga_name is None:
        return None
    names = [saga_name] if isinstance(saga_name, str) else list(saga_name)
    for name in names:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"saga_name must be a name or a collection of names, not {name!r}")
    return names


def checked_limit(limit: int, field: str = "limit") -> int:
    """Return a number of rows, at least 1.

    Raises:
        PolicyError: it is out of range.
    """
    return validation.count(field, limit)


def checked_seconds(field: str, value: float | datetime.timedelta) -> float:
    """Return a duration in seconds, at least 0.

    Raises:
        PolicyError: it is out of range.
    """
    return validation.seconds(field, value, strict=False)


def has_failed_compensation(log: Iterable[SagaLogEntry]) -> bool:
    """Tell whether the compensation of a step was given up, and has not been completed since."""
    failed: set[tuple[str, int | None]] = set()
    for line in log:
        if line.action == "compensate":
            step = (line.step_name, line.position)
            if line.status is SagaStepStatus.FAILED:
                failed.add(step)
            elif line.status is SagaStepStatus.COMPLETED:
                failed.discard(step)
    return bool(failed)


def checked_write(held: uuid.UUID | None, saga_id: uuid.UUID) -> None:
    """Refuse a write of a run to a saga that it does not hold.

    Raises:
        ConfigurationError: neither ``create_saga`` nor ``acquire`` of that saga came before.
    """
    if held != saga_id:
        has = "none" if held is None else f"saga {held}"
        raise ConfigurationError(
            f"this run holds {has} and cannot write to saga {saga_id}: call create_saga or acquire first "
            "(after a final status or release, in a run of its own)"
        )


def checked_version(saga_id: uuid.UUID, version: int, expected: int | None) -> None:
    """Refuse a write of who has seen another version of the saga; ``None``: any will do.

    Raises:
        SagaConcurrencyError: the version is not the expected one.
    """
    if expected is not None and version != expected:
        raise SagaConcurrencyError(saga_id, f"its version is {version}, not {expected}")


def already_exists(saga_id: uuid.UUID) -> SagaConcurrencyError:
    """Return the error of a creation that found a saga of the same id."""
    return SagaConcurrencyError(saga_id, "a saga of this id exists already")


def taken_over(saga_id: uuid.UUID) -> SagaConcurrencyError:
    """Return the error of a commit that came after another run has taken the saga over."""
    return SagaConcurrencyError(saga_id, "another run has taken over")


def stored_details(details: str | None) -> str | None:
    """Return a text that every database takes: without NUL and lone surrogates, and not too long."""
    if details is None:
        return None
    cut = details if len(details) <= MOST_DETAILS else details[: MOST_DETAILS - 1] + "…"
    return cut.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")

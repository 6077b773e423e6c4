"""What a ``RecoveryWorker`` tells of its work."""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections.abc import Callable, Collection
from typing import Any, Generic, Literal, TypeAlias, TypeVar

__all__ = ["RecoveryEvent", "RecoveryKind", "RecoveryListener", "RecoveryResult", "Telling"]

_logger = logging.getLogger("cqrs.saga.worker")

ItemT = TypeVar("ItemT")

RecoveryKind: TypeAlias = Literal[
    "completed",
    "compensated",
    "busy",
    "failed",
    "exhausted",
    "failed_compensation",
    "unknown_name",
    "storage_error",
]
"""What can be told:

- ``completed``: a saga went forward to its end, or another worker has seen to that since it was found;
  ``compensated``: it was undone, which is an end as well. Both may be told by two workers of one saga.
- ``busy``: somebody else executes it, or it is gone.
- ``failed``: it could not be ended now and is tried again.
- ``exhausted``: it was tried too often and is left alone.
- ``failed_compensation``: a step could not be undone.
- ``unknown_name``: sagas of this name are unfinished, and this worker does not know their class.
- ``storage_error``: the storage could not be asked.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class RecoveryEvent:
    """Something that a recovery worker has done or noticed.

    Attributes:
        kind: what it is.
        saga_id: the saga, if it is about one.
        saga_name: the name of the saga, if it is known.
        error: what was raised, if anything was.
        retry_after: seconds until it is tried again, for ``failed`` and ``storage_error``.
    """

    kind: RecoveryKind
    saga_id: uuid.UUID | None = None
    saga_name: str | None = None
    error: Exception | None = None
    retry_after: float | None = None


RecoveryListener: TypeAlias = Callable[[RecoveryEvent], object]
"""A plain function; what it raises is logged."""


@dataclasses.dataclass(slots=True)
class RecoveryResult:
    """What one round of a recovery worker came to.

    Attributes:
        completed: sagas that went forward to their end, here or meanwhile elsewhere.
        compensated: sagas that were undone, here or meanwhile elsewhere.
        busy: sagas that somebody else executes, or that are gone.
        failed: sagas that are tried again, and what was raised.
        exhausted: sagas that were tried too often; told once.
        failed_compensations: ``failed`` sagas of which a step could not be undone; told once.
        unknown_names: names of unfinished sagas that no class is known for; told once.
    """

    completed: list[uuid.UUID] = dataclasses.field(default_factory=list[uuid.UUID])
    compensated: list[uuid.UUID] = dataclasses.field(default_factory=list[uuid.UUID])
    busy: list[uuid.UUID] = dataclasses.field(default_factory=list[uuid.UUID])
    failed: dict[uuid.UUID, Exception] = dataclasses.field(default_factory=dict[uuid.UUID, Exception])
    exhausted: list[uuid.UUID] = dataclasses.field(default_factory=list[uuid.UUID])
    failed_compensations: list[uuid.UUID] = dataclasses.field(default_factory=list[uuid.UUID])
    unknown_names: list[str] = dataclasses.field(default_factory=list[str])

    def add(self, event: RecoveryEvent) -> None:
        """Note what has become of a saga."""
        saga_id = event.saga_id
        if saga_id is None:
            return
        if event.kind == "failed" and event.error is not None:
            self.failed[saga_id] = event.error
        elif event.kind == "completed":
            self.completed.append(saga_id)
        elif event.kind == "compensated":
            self.compensated.append(saga_id)
        elif event.kind == "busy":
            self.busy.append(saga_id)


class Once(Generic[ItemT]):
    """Tells what is new since the last time; what is gone in between is new when it comes back."""

    def __init__(self) -> None:
        self._known: frozenset[ItemT] = frozenset()

    def fresh(self, items: Collection[ItemT]) -> list[ItemT]:
        """Return those of ``items`` that were not among those of the last call."""
        new = [item for item in items if item not in self._known]
        self._known = frozenset(items)
        return new


class Telling:
    """Logs what happens, and tells a listener.

    Args:
        listener: called with each event.
    """

    def __init__(self, listener: RecoveryListener | None) -> None:
        self._listener = listener
        self._broken = False
        self._exhausted = Once[uuid.UUID]()
        self._given_up = Once[uuid.UUID]()
        self._unknown = Once[str]()

    def ended(self, event: RecoveryEvent) -> None:
        """Tell how a recovery has ended."""
        extra = {"saga_id": str(event.saga_id), "saga_name": event.saga_name}
        if event.kind == "completed":
            _logger.info("saga %s (%s) was recovered", event.saga_id, event.saga_name, extra=extra)
        elif event.kind == "compensated":
            text = "saga %s (%s) was recovered by compensating it: %s"
            _logger.warning(text, event.saga_id, event.saga_name, _named(event.error), extra=extra)
        elif event.kind == "busy":
            _logger.debug("saga %s is taken care of: %s", event.saga_id, event.error, extra=extra)
        else:
            text = "saga %s (%s) could not be recovered; it is tried again in %.1f s"
            values = (event.saga_id, event.saga_name, event.retry_after or 0.0)
            _logger.error(text, *values, exc_info=event.error, extra=extra)
        self._tell(event)

    def storage_failed(self, error: Exception, retry_after: float, times: int) -> None:
        """Tell that the storage could not be asked; the traceback is logged the first time."""
        text = "the storage of sagas could not be asked (%s); trying again in %.1f s"
        _logger.error(text, _named(error), retry_after, exc_info=error if times == 1 else None)
        self._tell(RecoveryEvent("storage_error", error=error, retry_after=retry_after))

    def exhausted(self, ids: Collection[uuid.UUID], attempts: int) -> list[uuid.UUID]:
        """Tell of sagas that are left alone; return those that are new."""
        fresh = self._exhausted.fresh(ids)
        for saga_id in fresh:
            _logger.error(
                "saga %s was recovered %d times in vain and is left alone now: look for the errors logged "
                "with its id, mend their cause, and call storage.set_recovery_attempts(saga_id, 0)",
                saga_id,
                attempts,
                extra={"saga_id": str(saga_id)},
            )
            self._tell(RecoveryEvent("exhausted", saga_id))
        return fresh

    def given_up(self, ids: Collection[uuid.UUID]) -> list[uuid.UUID]:
        """Tell of sagas with a step that could not be undone; return those that are new."""
        fresh = self._given_up.fresh(ids)
        for saga_id in fresh:
            _logger.error(
                "saga %s failed, and a step of it could not be compensated: get_step_history(saga_id) of the "
                "storage tells which and why; undo it by hand, or call recover_saga to try it again",
                saga_id,
                extra={"saga_id": str(saga_id)},
            )
            self._tell(RecoveryEvent("failed_compensation", saga_id))
        return fresh

    def unknown(self, names: Collection[str]) -> list[str]:
        """Tell of names that no class is known for; return those that are new."""
        fresh = self._unknown.fresh(sorted(names))
        for name in fresh:
            _logger.warning(
                "there are unfinished sagas named %r, which this worker does not know: give it their class, "
                "or see that another worker recovers them",
                name,
                extra={"saga_name": name},
            )
            self._tell(RecoveryEvent("unknown_name", saga_name=name))
        return fresh

    def _tell(self, event: RecoveryEvent) -> None:
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception:
            level = logging.DEBUG if self._broken else logging.ERROR
            self._broken = True
            _logger.log(level, "the listener %r raised for %s", self._listener, event.kind, exc_info=True)


def _named(error: Any) -> str:
    return f"{type(error).__name__}: {error}" if error is not None else "no error"

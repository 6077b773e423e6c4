"""What the memory storage keeps: raw values, from which what is asked for is made."""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

from cqrs.exceptions import SagaNotFoundError
from cqrs.saga.storage.arguments import already_exists
from cqrs.saga.storage.contexts import copy_context
from cqrs.saga.storage.enums import SagaAction, SagaStatus, SagaStepStatus
from cqrs.saga.storage.protocol import SagaState

__all__ = ["Line", "MemorySaga", "MemoryTable"]

Line: TypeAlias = tuple[str, SagaAction, SagaStepStatus, str | None, int | None]
"""Step name, action, status, details and position."""

_COMPLETED = SagaStatus.COMPLETED  # asking the enumeration costs more than comparing
_FAILED = SagaStatus.FAILED

FREE = -math.inf
"""The end of a lease that nobody has."""


class MemorySaga:
    """One saga; ``context`` is never changed, only replaced."""

    __slots__ = (
        "context",
        "lease_expires_at",
        "lease_owner",
        "log",
        "name",
        "recovery_attempts",
        "saga_id",
        "status",
        "updated_at",
        "version",
    )

    def __init__(self, saga_id: uuid.UUID, name: str, context: dict[str, Any], now: float) -> None:
        self.saga_id = saga_id
        self.name = name
        self.context = context
        self.status = SagaStatus.PENDING
        self.version = 1
        self.recovery_attempts = 0
        self.updated_at = now
        self.lease_owner: object = None
        self.lease_expires_at = FREE
        self.log: list[tuple[float, list[Line]]] = []

    def state(self) -> SagaState:
        """Return status, context and version."""
        return self.status, copy_context(self.saga_id, self.context), self.version

    def append(self, lines: list[Line], now: float) -> None:
        """Add lines to the log; a completed ``act`` is progress."""
        self.log.append((now, lines))
        if self.recovery_attempts:
            for _, action, status, _, _ in lines:
                if status is SagaStepStatus.COMPLETED and action == "act":
                    self.recovery_attempts = 0


class MemoryTable:
    """All sagas, by how far they have come and by their id as a number, of which the hash is cheaper.

    Each method requires ``lock`` to be held.
    """

    def __init__(self, clock: Callable[[], float], lease_seconds: float, keep_completed: int | None) -> None:
        self.lock = threading.Lock()
        self.clock = clock
        self.lease_seconds = lease_seconds
        self.unfinished: dict[int, MemorySaga] = {}
        self.completed: dict[int, MemorySaga] = {}
        self.failed: dict[int, MemorySaga] = {}
        self._keep_completed = keep_completed

    def find(self, saga_id: uuid.UUID) -> MemorySaga | None:
        """Return a saga, if there is one."""
        key = saga_id.int
        return self.unfinished.get(key) or self.completed.get(key) or self.failed.get(key)

    def get(self, saga_id: uuid.UUID) -> MemorySaga:
        """Return a saga.

        Raises:
            SagaNotFoundError: there is none of this id.
        """
        saga = self.find(saga_id)
        if saga is None:
            raise SagaNotFoundError(saga_id)
        return saga

    def add(self, saga: MemorySaga) -> None:
        """Add a new saga.

        Raises:
            SagaConcurrencyError: there is one of this id.
        """
        if self.find(saga.saga_id) is not None:
            raise already_exists(saga.saga_id)
        self.unfinished[saga.saga_id.int] = saga

    def move(self, saga: MemorySaga, status: SagaStatus) -> None:
        """Give a saga another status; a final one ends its lease."""
        key = saga.saga_id.int
        self._place_of(saga.status).pop(key, None)
        saga.status = status
        self._place_of(status)[key] = saga
        if status is _COMPLETED or status is _FAILED:
            saga.lease_owner = None
            saga.lease_expires_at = FREE
        if status is _COMPLETED and self._keep_completed is not None:
            while len(self.completed) > self._keep_completed:
                del self.completed[next(iter(self.completed))]

    def remove(self, saga: MemorySaga) -> None:
        """Forget a saga."""
        self._place_of(saga.status).pop(saga.saga_id.int, None)

    def _place_of(self, status: SagaStatus) -> dict[int, MemorySaga]:
        if status is _COMPLETED:
            return self.completed
        return self.failed if status is _FAILED else self.unfinished

"""The writes of one executor of a saga in memory."""

from __future__ import annotations

import uuid
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cqrs.exceptions import SagaConcurrencyError
from cqrs.saga.storage.arguments import checked_seconds, checked_version, checked_write, taken_over
from cqrs.saga.storage.contexts import take_context
from cqrs.saga.storage.enums import SagaAction, SagaStatus, SagaStepStatus
from cqrs.saga.storage.memory_table import FREE, Line, MemorySaga, MemoryTable
from cqrs.saga.storage.models import SagaLogEntry
from cqrs.saga.storage.protocol import SagaState

if TYPE_CHECKING:
    from cqrs.saga.storage.memory import MemorySagaStorage

__all__ = ["MemorySagaRun"]

_COMPLETED = SagaStatus.COMPLETED
_FAILED = SagaStatus.FAILED


class MemorySagaRun:
    """A ``SagaStorageRun`` of a ``MemorySagaStorage``, and the context manager around it."""

    __slots__ = (
        "_context",
        "_created",
        "_lines",
        "_saga",
        "_saga_id",
        "_status",
        "_storage",
        "_table",
        "_version",
    )

    def __init__(self, storage: MemorySagaStorage, table: MemoryTable) -> None:
        self._storage = storage
        self._table = table
        self._saga_id: uuid.UUID | None = None
        self._saga: MemorySaga | None = None
        self._created = False
        """Whether the saga exists for this run alone, until the next commit."""
        self._version = 0
        self._context: dict[str, Any] | None = None
        self._status: SagaStatus | None = None
        self._lines: list[Line] = []

    async def __aenter__(self) -> MemorySagaRun:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._forget()

    async def create_saga(self, saga_id: uuid.UUID, name: str, context: dict[str, Any]) -> None:
        self._saga = MemorySaga(saga_id, name, take_context(saga_id, context), 0.0)
        self._saga_id = saga_id
        self._created = True

    async def acquire(self, saga_id: uuid.UUID, *, recovering: bool = False) -> SagaState:
        table = self._table
        with table.lock:
            saga = table.get(saga_id)
            if saga.status is _COMPLETED or (saga.status is _FAILED and not recovering):
                return saga.state()
            now = table.clock()
            owner = saga.lease_owner
            if saga.lease_expires_at > now and owner is not self and (owner is not None or recovering):
                reason = "another run executes it" if owner is not None else "its recovery is put off"
                raise SagaConcurrencyError(saga_id, reason, saga.lease_expires_at - now)
            saga.lease_owner = self
            saga.lease_expires_at = now + table.lease_seconds
            saga.version += 1
            saga.updated_at = now
            if recovering:
                saga.recovery_attempts += 1
            self._forget()
            self._saga, self._saga_id, self._version = saga, saga_id, saga.version
            return saga.state()

    async def update_context(
        self, saga_id: uuid.UUID, context: dict[str, Any], current_version: int | None = None
    ) -> None:
        if saga_id is not self._saga_id:
            checked_write(self._saga_id, saga_id)
        if current_version is not None:
            checked_version(saga_id, self._version, current_version)
        self._context = take_context(saga_id, context)

    async def update_status(self, saga_id: uuid.UUID, status: SagaStatus) -> None:
        if saga_id is not self._saga_id:
            checked_write(self._saga_id, saga_id)
        self._status = status if status.__class__ is SagaStatus else SagaStatus(status)

    async def log_step(
        self,
        saga_id: uuid.UUID,
        step_name: str,
        action: SagaAction,
        status: SagaStepStatus,
        details: str | None = None,
        *,
        position: int | None = None,
    ) -> None:
        if saga_id is not self._saga_id:
            checked_write(self._saga_id, saga_id)
        self._lines.append((step_name, action, status, details, position))

    async def load_saga_state(self, saga_id: uuid.UUID, *, read_for_update: bool = False) -> SagaState:
        return await self._storage.load_saga_state(saga_id)

    async def get_step_history(self, saga_id: uuid.UUID) -> list[SagaLogEntry]:
        return await self._storage.get_step_history(saga_id)

    async def commit(self) -> None:
        saga = self._saga
        if saga is None:
            return
        lines, context, status, table = self._lines, self._context, self._status, self._table
        if not (lines or self._created or context is not None or status is not None):
            return
        with table.lock:
            if self._created:
                self._create(saga)
            elif saga.version != self._version:
                self._forget()
                raise taken_over(saga.saga_id)
            now = saga.updated_at = table.clock()
            saga.version += 1
            self._version = saga.version
            if context is not None:
                saga.context = context
                self._context = None
            if lines:
                saga.append(lines, now)
                self._lines = []
            saga.lease_expires_at = now + table.lease_seconds
            if status is not None:
                self._status = None
                if status is _COMPLETED or status is _FAILED:
                    table.move(saga, status)
                    self._let_go()
                elif saga.status is _FAILED:
                    table.move(saga, status)
                else:
                    saga.status = status

    async def rollback(self) -> None:
        self._forget()

    async def renew(self) -> bool:
        saga, table = self._saga, self._table
        if saga is None or self._created:
            return True
        with table.lock:
            if saga.version != self._version:
                return False
            saga.lease_expires_at = table.clock() + table.lease_seconds
            return True

    async def release(self, *, not_before: float = 0.0) -> None:
        wait = checked_seconds("not_before", not_before)
        saga, table = self._saga, self._table
        if saga is None:
            return
        created = self._created
        self._forget()
        self._let_go()
        with table.lock:
            if not created and saga.version == self._version:
                saga.lease_owner = None
                saga.lease_expires_at = table.clock() + wait if wait else FREE

    # Requires lock: self._table.lock
    def _create(self, saga: MemorySaga) -> None:
        try:
            self._table.add(saga)
        except SagaConcurrencyError:
            self._forget()
            raise
        saga.lease_owner = self
        saga.version = 0
        self._created = False

    def _let_go(self) -> None:
        self._saga = self._saga_id = None

    def _forget(self) -> None:
        if self._created:
            self._created = False
            self._let_go()
        self._context = self._status = None
        self._lines = []

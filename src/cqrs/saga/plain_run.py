"""A run over a storage that has none: for one process at a time."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from cqrs.saga.storage.enums import SagaAction, SagaStatus, SagaStepStatus
from cqrs.saga.storage.models import SagaLogEntry
from cqrs.saga.storage.protocol import ISagaStorage, SagaState


class PlainRun:
    """Collects writes and makes them one by one at ``commit``: not all or none, and without a lease.

    After an error, ``commit`` goes on with the write that failed; it may then be made twice.
    """

    __slots__ = ("_storage", "_writes")

    def __init__(self, storage: ISagaStorage) -> None:
        self._storage = storage
        self._writes: list[Callable[[], Awaitable[None]]] = []

    async def __aenter__(self) -> PlainRun:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writes.clear()

    async def create_saga(self, saga_id: uuid.UUID, name: str, context: dict[str, Any]) -> None:
        """See ``SagaStorageRun``."""
        self._writes.append(lambda: self._storage.create_saga(saga_id, name, context))

    async def acquire(self, saga_id: uuid.UUID, *, recovering: bool = False) -> SagaState:
        """See ``SagaStorageRun``; nothing is leased."""
        status, context, version = await self._storage.load_saga_state(saga_id, read_for_update=True)
        if recovering and status is not SagaStatus.COMPLETED:
            await self._storage.increment_recovery_attempts(saga_id)
        return SagaStatus(status), context, version

    async def update_context(
        self, saga_id: uuid.UUID, context: dict[str, Any], current_version: int | None = None
    ) -> None:
        """See ``SagaStorageRun``."""
        self._writes.append(lambda: self._storage.update_context(saga_id, context, current_version))

    async def update_status(self, saga_id: uuid.UUID, status: SagaStatus) -> None:
        """See ``SagaStorageRun``."""
        self._writes.append(lambda: self._storage.update_status(saga_id, status))

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
        """See ``SagaStorageRun``."""
        self._writes.append(
            lambda: self._storage.log_step(saga_id, step_name, action, status, details, position=position)
        )

    async def load_saga_state(self, saga_id: uuid.UUID, *, read_for_update: bool = False) -> SagaState:
        """See ``SagaStorageRun``."""
        return await self._storage.load_saga_state(saga_id, read_for_update=read_for_update)

    async def get_step_history(self, saga_id: uuid.UUID) -> list[SagaLogEntry]:
        """See ``SagaStorageRun``."""
        return await self._storage.get_step_history(saga_id)

    async def commit(self) -> None:
        """Make the collected writes, oldest first."""
        while self._writes:
            await self._writes[0]()
            del self._writes[0]

    async def rollback(self) -> None:
        """Forget the writes that were not made."""
        self._writes.clear()

    async def renew(self) -> bool:
        """Return ``True``: there is no lease to lose."""
        return True

    async def release(self, *, not_before: float = 0.0) -> None:
        """Forget the writes that were not made: there is no lease to give back."""
        self._writes.clear()

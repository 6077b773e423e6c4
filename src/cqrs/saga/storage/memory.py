"""Sagas in the memory of one process: for tests, and where a crash may lose them."""

from __future__ import annotations

import datetime
import itertools
import math
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from cqrs.circuit_breaker import validation
from cqrs.saga.storage.arguments import (
    checked_limit,
    checked_seconds,
    checked_version,
    has_failed_compensation,
    names_of,
)
from cqrs.saga.storage.contexts import take_context
from cqrs.saga.storage.enums import SagaAction, SagaStatus, SagaStepStatus
from cqrs.saga.storage.memory_run import MemorySagaRun
from cqrs.saga.storage.memory_table import MemorySaga, MemoryTable
from cqrs.saga.storage.models import SagaLogEntry
from cqrs.saga.storage.protocol import DEFAULT_LEASE_SECONDS, ISagaStorage, SagaState

__all__ = ["MemorySagaStorage"]


class MemorySagaStorage(ISagaStorage):
    """Keeps sagas in memory; may be shared by tasks, threads and event loops.

    Everything is kept until ``purge_finished`` is called or ``keep_completed`` is exceeded: about 1 kB per
    saga and 100 bytes per line of its log.

    Args:
        lease_seconds: how long a run may be silent before another one may take its saga over; > 0.
        clock: monotonic seconds, by which leases end and sagas grow old.
        keep_completed: so many ``completed`` sagas are kept, the oldest are dropped; ``None``: all. Sagas
            in any other status are never dropped.

    Raises:
        PolicyError: a number is out of range.
        ConfigurationTypeError: ``clock`` is no function that gives a number.

    >>> import asyncio, uuid
    >>> storage, saga_id = MemorySagaStorage(), uuid.uuid4()
    >>> asyncio.run(storage.create_saga(saga_id, "Order", {"orderId": 7}))
    >>> asyncio.run(storage.load_saga_state(saga_id))
    (<SagaStatus.PENDING: 'pending'>, {'orderId': 7}, 1)
    """

    def __init__(
        self,
        *,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        keep_completed: int | None = None,
    ) -> None:
        self.lease_seconds = validation.seconds("lease_seconds", lease_seconds)
        if keep_completed is not None:
            validation.count("keep_completed", keep_completed, low=0)
        now = validation.clock_and_random(clock, time.monotonic)
        self._table = MemoryTable(clock, self.lease_seconds, keep_completed)
        self._epoch = time.time() - now

    def create_run(self) -> MemorySagaRun:
        return MemorySagaRun(self, self._table)

    async def create_saga(self, saga_id: uuid.UUID, name: str, context: dict[str, Any]) -> None:
        table = self._table
        with table.lock:
            table.add(MemorySaga(saga_id, name, take_context(saga_id, context), table.clock()))

    async def update_context(
        self, saga_id: uuid.UUID, context: dict[str, Any], current_version: int | None = None
    ) -> None:
        copied = take_context(saga_id, context)
        with self._table.lock:
            saga = self._table.get(saga_id)
            checked_version(saga_id, saga.version, current_version)
            saga.context = copied
            self._touch(saga)

    async def update_status(self, saga_id: uuid.UUID, status: SagaStatus) -> None:
        with self._table.lock:
            saga = self._table.get(saga_id)
            self._touch(saga)
            self._table.move(saga, SagaStatus(status))

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
        with self._table.lock:
            self._table.get(saga_id).append(
                [(step_name, action, status, details, position)], self._table.clock()
            )

    async def load_saga_state(self, saga_id: uuid.UUID, *, read_for_update: bool = False) -> SagaState:
        with self._table.lock:
            return self._table.get(saga_id).state()

    async def get_step_history(self, saga_id: uuid.UUID) -> list[SagaLogEntry]:
        with self._table.lock:
            saga = self._table.find(saga_id)
            return [] if saga is None else self._log(saga)

    async def get_sagas_for_recovery(
        self,
        limit: int,
        max_recovery_attempts: int = 5,
        stale_after_seconds: float | None = None,
        saga_name: str | Collection[str] | None = None,
    ) -> list[uuid.UUID]:
        found = self._recoverable(max_recovery_attempts, stale_after_seconds, saga_name)
        return [saga.saga_id for saga in _oldest(found, limit)]

    async def get_named_sagas_for_recovery(
        self,
        limit: int,
        max_recovery_attempts: int = 5,
        stale_after_seconds: float | None = None,
        saga_name: str | Collection[str] | None = None,
    ) -> list[tuple[uuid.UUID, str]]:
        found = self._recoverable(max_recovery_attempts, stale_after_seconds, saga_name)
        return [(saga.saga_id, saga.name) for saga in _oldest(found, limit)]

    async def increment_recovery_attempts(
        self, saga_id: uuid.UUID, new_status: SagaStatus | None = None
    ) -> None:
        with self._table.lock:
            saga = self._table.get(saga_id)
            saga.recovery_attempts += 1
            if new_status is not None:
                self._touch(saga)
                self._table.move(saga, SagaStatus(new_status))

    async def set_recovery_attempts(self, saga_id: uuid.UUID, attempts: int) -> None:
        validation.count("attempts", attempts, low=0)
        with self._table.lock:
            self._table.get(saga_id).recovery_attempts = attempts

    async def get_exhausted_sagas(
        self, limit: int, max_recovery_attempts: int = 5, saga_name: str | Collection[str] | None = None
    ) -> list[uuid.UUID]:
        attempts = validation.count("max_recovery_attempts", max_recovery_attempts)
        with self._table.lock:
            now = self._table.clock()
            found = [
                saga
                for saga in _named(self._table.unfinished.values(), saga_name)
                if saga.recovery_attempts >= attempts and saga.lease_expires_at <= now
            ]
        return [saga.saga_id for saga in _oldest(found, limit)]

    async def get_unfinished_names(self) -> set[str]:
        with self._table.lock:
            return {saga.name for saga in self._table.unfinished.values()}

    async def get_sagas_with_failed_compensation(
        self, limit: int, saga_name: str | Collection[str] | None = None
    ) -> list[uuid.UUID]:
        with self._table.lock:
            failed = _named(self._table.failed.values(), saga_name)
            found = [saga for saga in failed if has_failed_compensation(self._log(saga))]
        return [saga.saga_id for saga in _oldest(found, limit)]

    async def purge_finished(
        self,
        older_than: float | datetime.timedelta,
        *,
        limit: int | None = None,
        with_failed_compensation: bool = False,
    ) -> int:
        age = checked_seconds("older_than", older_than)
        most = None if limit is None else checked_limit(limit)
        table = self._table
        with table.lock:
            now = table.clock()
            finished = itertools.chain(table.completed.values(), table.failed.values())
            old = [
                saga
                for saga in finished
                if saga.updated_at <= now - age
                and saga.lease_expires_at <= now
                and (with_failed_compensation or not has_failed_compensation(self._log(saga)))
            ]
            old.sort(key=_age)
            for saga in old[:most]:
                table.remove(saga)
        return len(old[:most])

    def _recoverable(
        self, attempts: int, stale_after: float | None, saga_name: str | Collection[str] | None
    ) -> list[MemorySaga]:
        validation.count("max_recovery_attempts", attempts)
        stale = 0.0 if stale_after is None else checked_seconds("stale_after_seconds", stale_after)
        with self._table.lock:
            now = self._table.clock()
            before = now - stale if stale else math.inf
            return [
                saga
                for saga in _named(self._table.unfinished.values(), saga_name)
                if saga.lease_expires_at <= now
                and saga.recovery_attempts < attempts
                and saga.updated_at <= before
            ]

    # Requires lock: self._table.lock
    def _touch(self, saga: MemorySaga) -> None:
        saga.version += 1
        saga.updated_at = self._table.clock()

    def _log(self, saga: MemorySaga) -> list[SagaLogEntry]:
        return [
            SagaLogEntry(saga.saga_id, step_name, action, status, moment, details, position)
            for written_at, lines in saga.log
            for moment in (datetime.datetime.fromtimestamp(self._epoch + written_at, datetime.UTC),)
            for step_name, action, status, details, position in lines
        ]


def _named(sagas: Iterable[MemorySaga], saga_name: str | Collection[str] | None) -> Iterator[MemorySaga]:
    names = names_of(saga_name)
    return (saga for saga in sagas if names is None or saga.name in names)


def _oldest(sagas: list[MemorySaga], limit: int) -> list[MemorySaga]:
    return sorted(sagas, key=_age)[: checked_limit(limit)]


def _age(saga: MemorySaga) -> float:
    return saga.updated_at

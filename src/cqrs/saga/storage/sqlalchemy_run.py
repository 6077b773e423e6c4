"""The writes of one executor of a saga in a database."""

from __future__ import annotations

import os
import socket
import uuid
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cqrs._sql.library import aio, exc
from cqrs.exceptions import SagaConcurrencyError, SagaNotFoundError
from cqrs.saga.storage.arguments import (
    already_exists,
    checked_seconds,
    checked_version,
    checked_write,
    stored_details,
    taken_over,
)
from cqrs.saga.storage.contexts import encode_context
from cqrs.saga.storage.enums import SagaAction, SagaStatus, SagaStepStatus
from cqrs.saga.storage.models import SagaLogEntry
from cqrs.saga.storage.protocol import SagaState
from cqrs.saga.storage.sqlalchemy_rows import state_of
from cqrs.saga.storage.sqlalchemy_statements import Line, SagaStatements

if TYPE_CHECKING:
    from cqrs._sql.transactions import Transactions
    from cqrs.saga.storage.sqlalchemy import SqlAlchemySagaStorage

__all__ = ["SqlAlchemySagaRun"]


class SqlAlchemySagaRun:
    """A ``SagaStorageRun`` of a ``SqlAlchemySagaStorage``, and the context manager around it.

    No connection is held between two calls. Each set of writes has a version number of its own, its *target*:
    that the row has it and belongs to this run says that the set is durable.
    """

    def __init__(
        self, storage: SqlAlchemySagaStorage, transactions: Transactions, statements: SagaStatements
    ) -> None:
        self._storage = storage
        self._transactions = transactions
        self._statements = statements
        self._owner = f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex}"
        self._saga_id: uuid.UUID | None = None
        self._unsure = False
        """Whether a lease may be held that ``_saga_id`` does not tell: of a creation that was given up."""
        self._name: str | None = None
        """The name of a saga that is still to be created."""
        self._version = 0
        """The version that is known to be durable."""
        self._target = 0
        """The highest version that may be."""
        self._attempted = False
        """Whether the collected writes are those of the target."""
        self._context: str | None = None
        self._status: SagaStatus | None = None
        self._lines: list[Line] = []

    async def __aenter__(self) -> SqlAlchemySagaRun:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._forget()

    # ------------------------------------------------------------------ collecting

    async def create_saga(self, saga_id: uuid.UUID, name: str, context: dict[str, Any]) -> None:
        self._context = encode_context(saga_id, context)
        if saga_id != self._saga_id:
            self._unsure = False
            self._version = self._target = 0
        # Else an earlier creation was given up that may be durable: its target must not be that of this one.
        self._saga_id, self._name = saga_id, name

    async def update_context(
        self, saga_id: uuid.UUID, context: dict[str, Any], current_version: int | None = None
    ) -> None:
        checked_write(self._saga_id, saga_id)
        checked_version(saga_id, self._version, current_version)
        self._context = encode_context(saga_id, context)

    async def update_status(self, saga_id: uuid.UUID, status: SagaStatus) -> None:
        checked_write(self._saga_id, saga_id)
        self._status = SagaStatus(status)

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
        checked_write(self._saga_id, saga_id)
        self._lines.append(
            (step_name, action, SagaStepStatus(status).value, stored_details(details), position)
        )

    async def rollback(self) -> None:
        self._forget()

    # ------------------------------------------------------------------ reading

    async def load_saga_state(self, saga_id: uuid.UUID, *, read_for_update: bool = False) -> SagaState:
        return await self._storage.load_saga_state(saga_id, read_for_update=read_for_update)

    async def get_step_history(self, saga_id: uuid.UUID) -> list[SagaLogEntry]:
        return await self._storage.get_step_history(saga_id)

    # ------------------------------------------------------------------ the lease

    async def acquire(self, saga_id: uuid.UUID, *, recovering: bool = False) -> SagaState:
        statements, mine = self._statements, {"own_id": saga_id, "owner": self._owner}
        self._forget()
        self._saga_id, self._unsure = saga_id, True

        async def take(connection: aio.AsyncConnection) -> Any:
            taken = await connection.execute(statements.acquire(recovering=recovering), mine)
            found = (await connection.execute(statements.state, {"own_id": saga_id})).one_or_none()
            return taken.rowcount, found

        rowcount, found = await self._transactions.run(take)
        if not rowcount:
            self._let_go()
        if found is None:
            raise SagaNotFoundError(saga_id)
        status, context, version = state_of(saga_id, found)
        if rowcount:
            self._unsure = False
            self._version = self._target = version
        elif not (status is SagaStatus.COMPLETED or (status is SagaStatus.FAILED and not recovering)):
            raise _leased(saga_id, found)
        return status, context, version

    async def renew(self) -> bool:
        saga_id, owner = self._saga_id, self._owner
        if saga_id is None or self._name is not None:
            return True
        statements, mine = self._statements, {"own_id": saga_id, "owner": owner}

        async def prolong(connection: aio.AsyncConnection) -> bool:
            return bool((await connection.execute(statements.renew, mine)).rowcount)

        return await self._transactions.run(prolong) or self._saga_id != saga_id

    async def release(self, *, not_before: float = 0.0) -> None:
        wait = checked_seconds("not_before", not_before)
        saga_id, durable = self._saga_id, self._unsure or self._name is None or self._attempted
        self._forget()
        self._let_go()
        if saga_id is None or not durable:
            return
        statements, mine = self._statements, {"own_id": saga_id, "owner": self._owner, "wait": wait}

        async def give_back(connection: aio.AsyncConnection) -> None:
            await connection.execute(statements.release, mine)

        await self._transactions.run(give_back)

    # ------------------------------------------------------------------ commit

    async def commit(self) -> None:
        saga_id = self._saga_id
        if saga_id is None or not (self._lines or self._name or self._context or self._status):
            return
        if not self._attempted:
            self._target += 1
            self._attempted = True
        done = await (self._create(saga_id) if self._name is not None else self._update(saga_id))
        if not done:
            created = self._name is not None
            self._forget()
            self._let_go()
            raise already_exists(saga_id) if created else taken_over(saga_id)
        self._version, self._name = self._target, None
        ended = self._status is not None and self._status.is_final
        self._forget()
        if ended:
            self._let_go()

    async def _create(self, saga_id: uuid.UUID) -> bool:
        """Insert the saga; return whether it is the one of this run."""
        status = self._status or SagaStatus.PENDING
        values = {
            "id": saga_id,
            "name": self._name,
            "status": status.value,
            "context": self._context,
            "version": self._target,
            "recovery_attempts": 0,
            "lease_owner": self._owner,
        }
        statement = self._statements.insert
        if status.is_final:
            statement = self._statements.insert_unleased

        async def insert(connection: aio.AsyncConnection) -> None:
            await connection.execute(statement, values)
            await self._insert_lines(connection, saga_id)

        try:
            await self._transactions.run(insert)
        except exc.IntegrityError:
            stored = await self._transactions.run(lambda connection: self._holder(connection, saga_id))
            if stored is None:
                raise  # not because of the id
            return self._is_mine(stored)
        return True

    async def _update(self, saga_id: uuid.UUID) -> bool:
        """Write to the saga; return whether the writes are durable."""
        context, status = self._context, self._status
        progress = any(line[1:3] == ("act", "completed") for line in self._lines)
        statement = self._statements.commit(
            context=context is not None,
            status=status is not None,
            ends=status is not None and status.is_final,
            progress=progress,
        )
        values: dict[str, Any] = {
            "own_id": saga_id,
            "owner": self._owner,
            "known": self._version,
            "target": self._target,
        }
        if context is not None:
            values["new_context"] = context
        if status is not None:
            values["new_status"] = status.value

        async def write(connection: aio.AsyncConnection) -> bool:
            if (await connection.execute(statement, values)).rowcount:
                await self._insert_lines(connection, saga_id)
                return True
            stored = await self._holder(connection, saga_id)
            return stored is not None and self._is_mine(stored)

        return await self._transactions.run(write)

    async def _insert_lines(self, connection: aio.AsyncConnection, saga_id: uuid.UUID) -> None:
        lines = self._lines
        if lines:
            statement = self._statements.insert_lines(len(lines), connection.dialect)
            parameters = self._statements.line_parameters(lines)
            await connection.execute(statement, {"own_id": saga_id, **parameters})

    async def _holder(self, connection: aio.AsyncConnection, saga_id: uuid.UUID) -> Any:
        return (await connection.execute(self._statements.holder, {"own_id": saga_id})).one_or_none()

    def _is_mine(self, stored: Any) -> bool:
        version, owner = stored
        return bool(version == self._target and owner == self._owner)

    def _forget(self) -> None:
        """Drop what was collected; whether an attempt to write it has succeeded stays open."""
        if self._name is not None:
            self._unsure = self._unsure or self._attempted
            self._name = None
            if not self._unsure:
                self._saga_id = None
        self._attempted = False
        self._context = self._status = None
        self._lines = []

    def _let_go(self) -> None:
        self._saga_id, self._unsure = None, False


def _leased(saga_id: uuid.UUID, found: Any) -> SagaConcurrencyError:
    owner, left = found[3], found[4]
    reason = "its recovery is put off" if owner is None else f"another run executes it ({owner})"
    return SagaConcurrencyError(saga_id, reason, None if left is None else max(0.0, float(left)))

"""What a storage of sagas must offer.

Whoever executes a saga opens a *run* (``ISagaStorage.create_run``): its writes are collected until ``commit``
makes them durable together. A run holds the *lease* of its saga, so that no two processes execute it at once:

- ``create_saga`` and ``acquire`` take the lease; while another run holds it, ``acquire`` raises
  ``SagaConcurrencyError``.
- Every commit, and ``renew``, prolongs it. A final status gives it back, and so does ``release``.
- The *version* fences: taking the lease and every commit increment it, and a commit whose version is not the
  stored one fails with ``SagaConcurrencyError`` and changes nothing. A process that was paused until after
  the end of its lease can therefore not write any more once another one has taken over.
- An expired lease alone takes nothing from its holder: only that another run may take it.

Leases are compared with the clock of the storage, never with that of a client.
"""

from __future__ import annotations

import abc
import datetime
import uuid
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

from cqrs.exceptions import ConfigurationTypeError
from cqrs.saga.storage.enums import SagaAction, SagaStatus, SagaStepStatus
from cqrs.saga.storage.models import SagaLogEntry

__all__ = ["ISagaStorage", "SagaState", "SagaStorageRun"]

SagaState: TypeAlias = tuple[SagaStatus, dict[str, Any], int]
"""Status, context and version of a saga."""

DEFAULT_LEASE_SECONDS = 30.0


class SagaStorageRun(Protocol):
    """The writes of one executor of one saga; they become durable at ``commit``, all or none.

    Reads see what is durable. After an error of ``commit`` it is unknown whether the writes are durable: they
    stay collected, and calling ``commit`` again is safe, as it recognises its own earlier success. After
    ``rollback``, other writes may be committed instead: they take effect whether the earlier ones did or not.

    A run is for one saga and one task at a time; only ``renew`` may be called beside the other methods.
    """

    async def create_saga(self, saga_id: uuid.UUID, name: str, context: dict[str, Any]) -> None:
        """Create a saga in status ``pending``, leased to this run.

        Raises:
            SagaConcurrencyError: there is a saga with this id already; ``commit`` raises it at the latest.
        """
        ...

    async def acquire(self, saga_id: uuid.UUID, *, recovering: bool = False) -> SagaState:
        """Take the lease of a saga, durably and at once, and return its state.

        With ``recovering``, its ``recovery_attempts`` are incremented in the same write. A ``completed`` saga
        is returned without a lease, and nothing is written; so is a ``failed`` one, unless ``recovering``:
        compensations that were given up may then be tried again. Calling it again is safe.

        Raises:
            SagaConcurrencyError: another run holds the lease, or, when ``recovering``, ``release`` has put
                off the recovery; ``retry_after`` tells for how long.
            SagaNotFoundError: there is no such saga.
        """
        ...

    async def update_context(
        self, saga_id: uuid.UUID, context: dict[str, Any], current_version: int | None = None
    ) -> None:
        """Replace the context; ``current_version`` is for callers that keep track of it themselves."""
        ...

    async def update_status(self, saga_id: uuid.UUID, status: SagaStatus) -> None:
        """Replace the status; a final one gives the lease back."""
        ...

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
        """Append a line to the log; a completed ``act``, being progress, sets ``recovery_attempts`` to 0."""
        ...

    async def load_saga_state(self, saga_id: uuid.UUID, *, read_for_update: bool = False) -> SagaState:
        """Return what is durable, as ``ISagaStorage.load_saga_state``."""
        ...

    async def get_step_history(self, saga_id: uuid.UUID) -> list[SagaLogEntry]:
        """Return what is durable, as ``ISagaStorage.get_step_history``."""
        ...

    async def commit(self) -> None:
        """Make the collected writes durable together and prolong the lease; without writes, do nothing.

        Raises:
            SagaConcurrencyError: another run has taken over; nothing was written, nothing stays collected.
        """
        ...

    async def rollback(self) -> None:
        """Forget the collected writes."""
        ...

    async def renew(self) -> bool:
        """Prolong the lease; return ``False`` when another run has taken over. Collected writes stay.

        A run that holds nothing (any more) has nothing to lose: ``True``.
        """
        ...

    async def release(self, *, not_before: float = 0.0) -> None:
        """Give the lease back, if this run still holds it; collected writes are forgotten.

        Args:
            not_before: seconds for which nobody recovers the saga (``acquire`` without ``recovering`` is not
                held up); at least 0.
        """
        ...


def check_storage(storage: Any) -> None:
    """Refuse what is no storage of sagas.

    Raises:
        ConfigurationTypeError: it is a class, or has no ``log_step``.
    """
    if isinstance(storage, type) or not callable(getattr(storage, "log_step", None)):
        raise ConfigurationTypeError(
            f"storage must be an ISagaStorage, such as MemorySagaStorage(), not {storage!r}"
        )


class ISagaStorage(abc.ABC):
    """Keeps sagas and their logs; what a method here has written is durable when it returns.

    Sagas are executed safely through ``create_run``; a storage without it is for one process at a time only.
    """

    lease_seconds: float = DEFAULT_LEASE_SECONDS
    """How long a process may be silent before another one may go on with its sagas; runs renew in time."""

    @abc.abstractmethod
    async def create_saga(self, saga_id: uuid.UUID, name: str, context: dict[str, Any]) -> None:
        """Create a saga in status ``pending``, version 1, without a lease.

        Args:
            saga_id: identity of the saga.
            name: name of its class.
            context: its context, JSON-ready.

        Raises:
            SagaConcurrencyError: there is a saga with this id already.
        """

    @abc.abstractmethod
    async def update_context(
        self, saga_id: uuid.UUID, context: dict[str, Any], current_version: int | None = None
    ) -> None:
        """Replace the context and increment the version.

        Raises:
            SagaConcurrencyError: the stored version is not ``current_version``.
            SagaNotFoundError: there is no such saga.
        """

    @abc.abstractmethod
    async def update_status(self, saga_id: uuid.UUID, status: SagaStatus) -> None:
        """Replace the status and increment the version; a final one gives the lease back.

        Raises:
            SagaNotFoundError: there is no such saga.
        """

    @abc.abstractmethod
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
        """Append a line to the log of a saga."""

    @abc.abstractmethod
    async def load_saga_state(self, saga_id: uuid.UUID, *, read_for_update: bool = False) -> SagaState:
        """Return status, context and version.

        Args:
            saga_id: the saga.
            read_for_update: wait for a transaction that is changing it, where the storage has transactions.

        Raises:
            SagaNotFoundError: there is no such saga.
        """

    @abc.abstractmethod
    async def get_step_history(self, saga_id: uuid.UUID) -> list[SagaLogEntry]:
        """Return the log, oldest line first; empty when there is none."""

    @abc.abstractmethod
    async def get_sagas_for_recovery(
        self,
        limit: int,
        max_recovery_attempts: int = 5,
        stale_after_seconds: float | None = None,
        saga_name: str | Collection[str] | None = None,
    ) -> list[uuid.UUID]:
        """Return sagas in no final status whose lease nobody holds, those untouched for longest first.

        Args:
            limit: how many at most, at least 1.
            max_recovery_attempts: sagas that were recovered as often in vain are left out.
            stale_after_seconds: leave out what was changed more recently; ``None``: leave out nothing.
            saga_name: only sagas of this name, or of these.
        """

    @abc.abstractmethod
    async def increment_recovery_attempts(
        self, saga_id: uuid.UUID, new_status: SagaStatus | None = None
    ) -> None:
        """Count one more attempt to recover a saga, and replace its status if one is given."""

    @abc.abstractmethod
    async def set_recovery_attempts(self, saga_id: uuid.UUID, attempts: int) -> None:
        """Set the number of attempts to recover a saga; 0 makes it recoverable again."""

    async def get_named_sagas_for_recovery(
        self,
        limit: int,
        max_recovery_attempts: int = 5,
        stale_after_seconds: float | None = None,
        saga_name: str | Collection[str] | None = None,
    ) -> list[tuple[uuid.UUID, str]]:
        """Return what ``get_sagas_for_recovery`` does, each with its name: all a worker asks per interval.

        Here by one question for each name in ``saga_name``; a storage that can answer at once overrides it.
        """
        names = (
            [saga_name]
            if isinstance(saga_name, str)
            else list(saga_name or await self.get_unfinished_names())
        )
        found: list[tuple[uuid.UUID, str]] = []
        for name in names:
            ids = await self.get_sagas_for_recovery(limit, max_recovery_attempts, stale_after_seconds, name)
            found += [(saga_id, name) for saga_id in ids]
        return found

    async def get_exhausted_sagas(
        self, limit: int, max_recovery_attempts: int = 5, saga_name: str | Collection[str] | None = None
    ) -> list[uuid.UUID]:
        """Return sagas in no final status that are left out of recovery, as it was tried so often in vain."""
        return []

    async def get_unfinished_names(self) -> set[str]:
        """Return the names of all sagas in no final status, to find those that no worker knows."""
        return set()

    async def get_sagas_with_failed_compensation(
        self, limit: int, saga_name: str | Collection[str] | None = None
    ) -> list[uuid.UUID]:
        """Return ``failed`` sagas in which the compensation of a step was given up."""
        raise NotImplementedError

    async def purge_finished(
        self,
        older_than: float | datetime.timedelta,
        *,
        limit: int | None = None,
        with_failed_compensation: bool = False,
    ) -> int:
        """Remove sagas in a final status, and their logs; return how many.

        Args:
            older_than: seconds (or a timedelta) since their last change; at least 0.
            limit: how many at most, at least 1; ``None``: all.
            with_failed_compensation: also ``failed`` sagas in which a compensation was given up, which
                somebody has to look at otherwise.
        """
        raise NotImplementedError

    def create_run(self) -> AbstractAsyncContextManager[SagaStorageRun]:
        """Return a run; leaving it forgets what was not committed, and does not release the lease.

        Raises:
            NotImplementedError: the storage has none.
        """
        raise NotImplementedError

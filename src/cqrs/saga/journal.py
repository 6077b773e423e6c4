"""The run of one saga: commits that are tried again, the lease, and its end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from cqrs.exceptions import ConfigurationError, SagaConcurrencyError, SagaContextError, SagaNotFoundError
from cqrs.saga.leases import Clock, Lease, Renewer, running_renewer
from cqrs.saga.plain_run import PlainRun
from cqrs.saga.storage.protocol import ISagaStorage, SagaStorageRun

_logger = logging.getLogger(__name__)

Sleep: TypeAlias = Callable[[float], Awaitable[object]]
"""``await sleep(seconds)``."""

COMMIT_DELAYS = (0.05, 0.25)
"""Seconds between the tries of a commit; there is one try more."""

RELEASE_SECONDS = 5.0
"""How long the end of a transaction waits for the lease to be given back."""

_HOPELESS = (SagaConcurrencyError, SagaContextError, SagaNotFoundError, ConfigurationError)

# A task that nobody refers to could be collected before it has ended.
_releasing: set[asyncio.Task[None]] = set()


class Journal:
    """What a transaction writes, and the lease under which it does.

    Args:
        storage: where the saga is kept.
        saga_id: the saga.
        sleep: waits between the tries of a commit.
        clock: monotonic seconds, by which leases are renewed.
        not_before: seconds for which nobody should recover the saga after it was released.

    Attributes:
        clock: monotonic seconds.
        run: collects the writes.
        lease: the lease, once the saga is durable and leased.
        must_release: whether there may be a lease to give back.
    """

    run: SagaStorageRun
    lease: Lease | None = None
    must_release = False
    _renewer: Renewer
    _context_manager: AbstractAsyncContextManager[SagaStorageRun] | None = None

    def __init__(
        self,
        storage: ISagaStorage,
        saga_id: uuid.UUID,
        sleep: Sleep,
        clock: Clock,
        not_before: float,
    ) -> None:
        self._storage = storage
        self._sleep = sleep
        self.clock = clock
        self._not_before = not_before
        self.saga_id = saga_id

    def create_run(self) -> AbstractAsyncContextManager[SagaStorageRun]:
        """Return a run of the storage, or one over a storage that has none."""
        try:
            return self._storage.create_run()
        except NotImplementedError:
            return PlainRun(self._storage)

    def use(self, run: SagaStorageRun, context_manager: AbstractAsyncContextManager[SagaStorageRun]) -> None:
        """Write to ``run``, which ``context_manager`` has opened, until ``close``."""
        self.run = run
        self._context_manager = context_manager

    def hold(self, since: float) -> None:
        """Note that the saga is leased to this run, and have the lease renewed.

        Args:
            since: when what took the lease was begun.
        """
        self.must_release = True
        if self.lease is None and not isinstance(self.run, PlainRun):
            self.lease = Lease(self.run, self.saga_id, self._storage.lease_seconds, self.clock, since)
            self._renewer = running_renewer()
            self._renewer.add(self.lease)

    async def commit(self) -> None:
        """Make the collected writes durable; a failure is tried again.

        Raises:
            SagaConcurrencyError: another run has taken over; nothing was written.
            Exception: what the storage raised last; it is unknown whether the writes are durable.
        """
        began = self.clock()
        try:
            await self.run.commit()
        except Exception as error:
            await self.commit_again(error)
        if self.lease is None:
            self.hold(began)
        else:
            self.lease.touched = began

    async def commit_again(self, error: Exception) -> None:
        """Go on with a commit that raised ``error``, unless that is hopeless.

        Raises:
            Exception: what the storage raised last.
        """
        if isinstance(error, _HOPELESS):
            raise error
        for delay in COMMIT_DELAYS:
            _logger.warning("a commit of saga %s failed; trying again", self.saga_id, exc_info=error)
            await self._sleep(delay)
            try:
                return await self.run.commit()
            except _HOPELESS:
                raise
            except Exception as latest:
                error = latest
        try:
            raise error
        finally:
            del error  # its traceback holds this frame

    async def ensure_lease(self) -> None:
        """Return when nobody else can be executing the saga.

        Raises:
            SagaConcurrencyError: another run has taken over.
            Exception: the storage failed, so it is not known.
        """
        if self.lease is not None:
            await self.lease.ensure()

    def is_over(self) -> None:
        """Note that the saga is in a final status: its lease is given back."""
        self.must_release = False

    async def close(self, error: BaseException | None) -> None:
        """End the run and give back the lease; what fails is logged: the lease runs out.

        Args:
            error: what ended the transaction.
        """
        is_renewing = False
        if self.lease is not None:
            self._renewer.remove(self.lease)
            is_renewing = self.lease.renewing is not None and not self.lease.renewing.done()
        is_closed = isinstance(error, GeneratorExit)  # a coroutine that is being closed must not wait
        if not (self.must_release or is_closed or is_renewing):
            return await self._leave()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a coroutine that was forgotten is closed by the garbage collector
            _logger.warning("saga %s was dropped after its event loop; its lease runs out", self.saga_id)
            return None
        # In a task of its own, as this one may have been cancelled, and may be again.
        task = loop.create_task(self._release_and_leave())
        _releasing.add(task)
        task.add_done_callback(_releasing.discard)
        if not is_closed:
            await asyncio.wait({task}, timeout=RELEASE_SECONDS)
        return None

    async def _release_and_leave(self) -> None:
        if self.lease is not None and self.lease.renewing is not None:
            await asyncio.wait({self.lease.renewing})  # nothing of a saga outlives its transaction
        try:
            if self.must_release:
                await self.run.release(not_before=self._not_before)
        except Exception:
            _logger.warning(
                "the lease of saga %s could not be given back; it runs out", self.saga_id, exc_info=True
            )
        finally:
            await self._leave()

    async def _leave(self) -> None:
        manager, self._context_manager = self._context_manager, None
        if manager is None:
            return
        try:
            await manager.__aexit__(None, None, None)
        except Exception:
            # What had to be durable is durable.
            _logger.warning("the run of saga %s could not be ended", self.saga_id, exc_info=True)

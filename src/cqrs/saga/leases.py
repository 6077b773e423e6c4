"""Leases of the sagas that this process executes: renewed in time, and doubted when they were not."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from cqrs.exceptions import SagaConcurrencyError

_logger = logging.getLogger(__name__)

Clock: TypeAlias = Callable[[], float]
"""Monotonic seconds."""


class Renewable(Protocol):
    """The part of a run that prolongs its lease."""

    def renew(self) -> Awaitable[bool]:
        """Prolong the lease; return ``False`` when another run has taken over."""
        ...


class Lease:
    """What this process knows of the lease of one saga.

    Attributes:
        run: prolongs it.
        saga_id: the saga.
        interval: seconds since ``touched`` after which it is to be renewed: a third of its length.
        patience: seconds since ``touched`` after which it is doubtful.
        touched: when what prolonged it last was begun, by ``clock``.
        lost: whether another run has taken over.
        clock: monotonic seconds.
    """

    __slots__ = ("clock", "interval", "lost", "patience", "renewing", "run", "saga_id", "touched")

    def __init__(
        self, run: Renewable, saga_id: uuid.UUID, lease_seconds: float, clock: Clock, touched: float
    ) -> None:
        self.run = run
        self.saga_id = saga_id
        self.interval = lease_seconds / 3
        self.patience = 2 * self.interval
        self.touched = touched
        self.lost = False
        self.clock = clock
        self.renewing: asyncio.Task[None] | None = None

    @property
    def is_doubtful(self) -> bool:
        """Whether another run may have taken over: this process was busy, or asleep, for too long."""
        return self.lost or self.clock() - self.touched > self.patience

    async def ensure(self) -> None:
        """Return when nobody else can be executing the saga.

        Raises:
            SagaConcurrencyError: another run has taken over.
            Exception: the storage failed, so it is not known.
        """
        if not self.lost and self.is_doubtful:
            await self.prolong()
        if self.lost:
            raise SagaConcurrencyError(self.saga_id, "its lease was lost, another run has taken over")

    async def prolong(self) -> None:
        """Renew the lease, or notice that it is lost."""
        began = self.clock()
        if await self.run.renew():
            self.touched = max(self.touched, began)
        else:
            self.lost = True

    async def renew(self) -> None:
        """Renew the lease in the background; errors are logged, and it is tried again.

        A storage that does not answer for as long as the lease lasts counts as one that fails.
        """
        try:
            async with asyncio.timeout(3 * self.interval):
                await self.prolong()
        except Exception:
            _logger.warning("the lease of saga %s could not be renewed", self.saga_id, exc_info=True)
        else:
            if self.lost:
                _logger.warning("the lease of saga %s was lost: another run has taken over", self.saga_id)


class Renewer:
    """Renews the leases of one event loop: one timer for all of them, and a task only for a renewal.

    Args:
        loop: runs the renewals.
    """

    MOST_AT_ONCE = 16
    """So many renewals use the storage at the same time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._leases: set[Lease] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._places = asyncio.Semaphore(self.MOST_AT_ONCE)

    def add(self, lease: Lease) -> None:
        """Renew ``lease`` until it is removed."""
        self._leases.add(lease)
        # The timer is left to run out when the last lease is removed: most sagas are shorter.
        if self._timer is None or time.monotonic() + lease.interval < self._wakes_at:
            self._wake_in(lease.interval)

    def remove(self, lease: Lease) -> None:
        """Renew ``lease`` no more."""
        self._leases.discard(lease)

    def tick(self) -> None:
        """Renew what is due, and look again when the next one is, as long as there are leases."""
        self._timer = None
        wait = float("inf")
        for lease in list(self._leases):
            due_in = lease.touched + lease.interval - lease.clock()
            if due_in > 0:
                wait = min(wait, due_in)
                continue
            wait = min(wait, lease.interval / 4)
            if not lease.lost and (lease.renewing is None or lease.renewing.done()):
                lease.renewing = self.loop.create_task(self._renew(lease))
        if self._leases:
            shortest = min(lease.interval for lease in self._leases) / 10
            self._wake_in(max(wait, shortest))

    async def _renew(self, lease: Lease) -> None:
        async with self._places:
            if lease in self._leases:
                await lease.renew()

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = time.monotonic() + seconds
        self._timer = self.loop.call_later(seconds, self.tick)


_local = threading.local()


def running_renewer() -> Renewer:
    """Return the renewer of the running event loop."""
    renewer: Renewer | None = getattr(_local, "renewer", None)
    loop = asyncio.get_running_loop()
    if renewer is None or renewer.loop is not loop:
        # Leases of an event loop that is gone cannot be renewed by anybody.
        renewer = _local.renewer = Renewer(loop)
    return renewer

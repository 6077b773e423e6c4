"""What the processes of a crowd do: execute many sagas at once, recover what is offered, wait for the end."""

from __future__ import annotations

import asyncio
import signal
import uuid
from pathlib import Path
from typing import Any

from cqrs.circuit_breaker.timing import Backoff
from cqrs.exceptions import SagaConcurrencyError
from cqrs.saga.worker import RecoveryWorker
from tests.crash.effects import Effects
from tests.crash.orders import VARIANTS, OrderFailed, OrderSaga, PlainContainer, World, enter
from tests.crash.points import CrashPoints
from tests.crash.storages import with_storage

AT_ONCE = 8
POLL_SECONDS = 0.05
POOL = {"pool_size": AT_ONCE, "max_overflow": 4}


def execute_orders(url: str, effects: Path, points: CrashPoints, orders: list[tuple[uuid.UUID, str]]) -> None:
    """Execute sagas, some at once."""
    enter(World(Effects(effects), points.reach))

    async def work(storage: Any) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def execute(saga_id: uuid.UUID, variant: str) -> None:
            async with places:
                try:
                    transaction = OrderSaga().transaction(
                        context=VARIANTS[variant].new_context(),
                        container=PlainContainer(),
                        storage=storage,
                        saga_id=saga_id,
                        compensation_retry_delay=0.001,
                    )
                    async with transaction:
                        async for _ in transaction:
                            pass
                except (OrderFailed, SagaConcurrencyError):  # it was slow: somebody has taken over
                    pass

        async with asyncio.TaskGroup() as group:
            for order in orders:
                group.create_task(execute(*order))

    asyncio.run(with_storage(url, work, points.reach, **POOL))


def recover_until_told(url: str, effects: Path, points: CrashPoints) -> None:
    """Recover what the storage offers, until SIGTERM."""
    enter(World(Effects(effects), points.reach))

    async def work(storage: Any) -> None:
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        worker = RecoveryWorker(
            [OrderSaga],
            PlainContainer(),
            storage,
            interval=POLL_SECONDS,
            concurrency=AT_ONCE,
            max_recovery_attempts=1000,
            retry_backoff=Backoff(initial=POLL_SECONDS, multiplier=2.0, max=1.0, jitter=0.2),
            compensation_retry_delay=0.001,
        )
        async with worker:
            await told.wait()

    asyncio.run(with_storage(url, work, points.reach, **POOL))


def wait_until_settled(url: str) -> None:
    """Return when every saga is in a final status."""

    async def work(storage: Any) -> None:
        while await storage.get_unfinished_names():  # noqa: ASYNC110 - others change it
            await asyncio.sleep(POLL_SECONDS)

    asyncio.run(with_storage(url, work))

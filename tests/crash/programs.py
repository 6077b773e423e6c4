"""What the child processes do: execute an order saga, recover it, look at what is durable."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

from cqrs.exceptions import SagaConcurrencyError, SagaNotFoundError
from cqrs.saga.leases import Renewer
from cqrs.saga.recovery import recover_saga
from tests.crash.effects import Effects
from tests.crash.facts import Facts
from tests.crash.orders import (
    VARIANTS,
    OrderContext,
    OrderFailed,
    OrderSaga,
    PlainContainer,
    World,
    enter,
)
from tests.crash.points import CrashPoints
from tests.crash.storages import with_storage

SHORTEST_WAIT = 0.01


def execute_order(url: str, effects: Path, points: CrashPoints, saga_id: uuid.UUID, variant: str) -> None:
    """Execute a saga from its beginning; dies at the chosen crash point."""
    enter(World(Effects(effects), points.reach))
    if points.paused:
        # One that stood still while a renewal is under way would hold the locks of that transaction for ever.
        Renewer.tick = lambda self: None  # type: ignore[method-assign]

    async def work(storage: Any) -> None:
        try:
            async with OrderSaga().transaction(
                context=VARIANTS[variant].new_context(),
                container=PlainContainer(),
                storage=storage,
                saga_id=saga_id,
                compensation_retry_delay=0.001,
            ) as transaction:
                async for _ in transaction:
                    pass
        except OrderFailed:
            pass
        except SagaConcurrencyError:
            if not points.paused:
                raise

    asyncio.run(with_storage(url, work, points.reach))
    points.survived()


def recover_order(
    url: str,
    effects: Path,
    points: CrashPoints,
    saga_id: uuid.UUID,
    before: Path | None = None,
    after: Path | None = None,
) -> None:
    """Recover a saga, as soon as its lease lets: to its end, unless this process dies before.

    Writes what is durable at the beginning and at the end into the files ``before`` and ``after``.
    """
    enter(World(Effects(effects), points.reach))
    recovering = False

    def reach(name: str) -> None:
        if recovering:  # and not only looking
            points.reach(name)

    async def work(storage: Any) -> None:
        nonlocal recovering
        if before is not None:
            _write(before, await look(storage, effects, saga_id))
        recovering = True
        await recover(storage, saga_id)
        recovering = False
        if after is not None:
            _write(after, await look(storage, effects, saga_id))

    asyncio.run(with_storage(url, work, reach))
    points.survived()


async def recover(storage: Any, saga_id: uuid.UUID) -> None:
    """Recover a saga to its end, waiting for whoever else executes it."""
    while True:
        try:
            await recover_saga(
                OrderSaga, saga_id, OrderContext, PlainContainer(), storage, compensation_retry_delay=0.001
            )
        except SagaConcurrencyError as busy:
            await asyncio.sleep(max(busy.retry_after or 0.0, SHORTEST_WAIT))
            continue
        except (OrderFailed, SagaNotFoundError):
            return
        except RuntimeError as error:
            if "recovered in" not in str(error):
                raise
        return


def look_at_order(url: str, effects: Path, saga_id: uuid.UUID, file: Path) -> None:
    """Write what is durable now into a file."""

    async def work(storage: Any) -> None:
        _write(file, await look(storage, effects, saga_id))

    asyncio.run(with_storage(url, work))


def _write(file: Path, facts: Facts) -> None:
    file.write_text(facts.to_json())


async def look(storage: Any, effects: Path, saga_id: uuid.UUID) -> Facts:
    """Return what is durable now."""
    done = tuple(Effects(effects).of(str(saga_id)))
    try:
        status, context, _ = await storage.load_saga_state(saga_id)
    except SagaNotFoundError:
        return Facts(None, {}, (), done)
    log = tuple(
        (line.position, line.action, str(line.status), line.step_name)
        for line in await storage.get_step_history(saga_id)
    )
    offered = saga_id in await storage.get_sagas_for_recovery(1_000_000, max_recovery_attempts=1_000_000)
    return Facts(str(status), context, log, done, offered)

"""One order saga in this process, on a database that misbehaves, and what must be true of it afterwards."""

from __future__ import annotations

import asyncio
import itertools
import types
import uuid
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from cqrs.exceptions import SagaConcurrencyError
from tests.crash.effects import Effects
from tests.crash.facts import Expected, Facts, problems_of_end, problems_of_moment, problems_of_progress
from tests.crash.orders import VARIANTS, OrderFailed, OrderSaga, PlainContainer, World, enter
from tests.crash.programs import look, recover
from tests.crash.storages import storage_of
from tests.servers.databases import Database

PATIENCE = 20.0  # s: what takes longer is stuck
SHORT_LEASE = 0.15


class Order:
    """One execution of an order saga, and the recovery of what it leaves.

    Args:
        database: where healthy connections go.
        folder: for the effects of the steps.
        variant: a key of ``VARIANTS``.
        lease_seconds: of the storages.
    """

    def __init__(
        self, database: Database, folder: Path, variant: str = "completes", lease_seconds: float = SHORT_LEASE
    ) -> None:
        self.saga_id = uuid.uuid4()
        self.variant = VARIANTS[variant]
        self.lease_seconds = lease_seconds
        self.effects = folder / f"effects-{self.saga_id}"
        self.healthy = self.storage_of(database.engine)
        self.moments: list[Facts] = []

    def storage_of(self, engine: Any) -> Any:
        return storage_of(engine, self.lease_seconds)

    async def execute(self, storage: Any) -> None:
        """Execute the saga, raising what it raises."""
        enter(World(Effects(self.effects)))
        transaction = OrderSaga().transaction(
            context=self.variant.new_context(),
            container=PlainContainer(),
            storage=storage,
            saga_id=self.saga_id,
            compensation_retry_delay=0.001,
            sleep=_hurry,
        )
        async with transaction:
            async for _ in transaction:
                pass

    async def error_of(self, storage: Any) -> BaseException | None:
        """Execute the saga; return what it raises, other than what the variant wants.

        Raises:
            AssertionError: it takes longer than `PATIENCE`.
        """
        limit = asyncio.timeout(PATIENCE)
        try:
            async with limit:
                await self.execute(storage)
        except OrderFailed:
            return None
        except Exception as error:
            assert not limit.expired(), "stuck"
            return error
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"outlived by {left}"
        return None

    async def look(self) -> Facts:
        facts = await look(self.healthy, self.effects, self.saga_id)
        self.moments.append(facts)
        return facts

    async def settle(self) -> list[str]:
        """Look, recover the saga to its end, look again; return what is wrong."""
        await self.look()
        enter(World(Effects(self.effects)))
        async with asyncio.timeout(PATIENCE):
            await recover(self.healthy, self.saga_id)
        await self.look()
        return self.problems()

    def problems(self) -> list[str]:
        found = [problem for moment in self.moments for problem in problems_of_moment(moment)]
        for before, after in itertools.pairwise(self.moments):
            found += problems_of_progress(before, after)
        last = self.moments[-1]
        found += problems_of_end(last, self.expected(last))
        return [*found, *map(str, self.moments)] if found else []

    def expected(self, last: Facts) -> Expected:
        """Return how the saga must have ended: a storage error after a step may have compensated all."""
        wanted = self.variant.expected
        if last.status == "failed" and wanted.status == "completed":
            acted = len(set(last.positions("act", "completed")))
            return Expected("failed", wanted.acted[:acted])
        return wanted


async def _hurry(_seconds: float) -> None:
    await asyncio.sleep(0.001)


def is_honest(error: BaseException | None, moment: Facts, wanted: str) -> bool:
    """Tell whether an execution that raised nothing has reached its end, durably."""
    return error is not None or moment.status == wanted


# -- cancelling


async def cancelled_at(await_number: int, work: Coroutine[Any, Any, Any]) -> bool:
    """Run ``work`` in a task that is cancelled when it suspends for the n-th time; return whether it was.

    Raises:
        AssertionError: it was cancelled, yet ended otherwise than with ``CancelledError``.
    """
    counted = _Counted(work, await_number)
    task = asyncio.ensure_future(counted.run())
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait({task})
    if not counted.cancelled:
        if not isinstance(task.exception(), OrderFailed):
            task.result()
        return False
    if not task.cancelled():
        # Cancelled at its last await, it may have had its answer already.
        assert counted.suspensions >= await_number, task
        error = task.exception()
        assert error is None or isinstance(error, OrderFailed), f"a cancellation became {error!r}"
    return True


class _Counted:
    def __init__(self, work: Coroutine[Any, Any, Any], number: int) -> None:
        self._work = work
        self._number = number
        self.suspensions = 0
        self.cancelled = False

    async def run(self) -> Any:
        return await self._drive()

    @types.coroutine
    def _drive(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = lambda: self._work.send(None)  # noqa: E731
        while True:
            try:
                awaited = step()
            except StopIteration as ended:
                return ended.value
            self.suspensions += 1
            if self.suspensions == self._number:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                self.cancelled = True
            try:
                yield awaited
            except BaseException as error:
                thrown = error
                step = lambda: self._work.throw(thrown)  # noqa: E731, B023
            else:
                step = lambda: self._work.send(None)  # noqa: E731


async def is_leased(storage: Any, saga_id: uuid.UUID) -> bool:
    """Tell whether somebody holds the lease of a saga; a free one is taken and given back."""
    async with storage.create_run() as run:
        try:
            await run.acquire(saga_id)
        except SagaConcurrencyError:
            return True
        await run.release()
    return False

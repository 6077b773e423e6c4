"""A world for the recovery worker: sagas that were interrupted, fake time, and what is told."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Collection
from typing import Any

from cqrs.circuit_breaker import Backoff
from cqrs.saga.saga import Saga
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from cqrs.saga.storage.protocol import ISagaStorage
from cqrs.saga.worker import RecoveryEvent, RecoveryWorker
from cqrs.testing import FakeClock
from tests.unit.saga.shop import Shop, Steps, effects, fail, run, status_of, wishes

STEADY = Backoff(initial=10.0, multiplier=2.0, max=1000.0, jitter=0.0)


async def crashed(storage: ISagaStorage, at: str = "act A", saga: type[Saga[Any]] = Shop) -> uuid.UUID:
    """Return the id of a saga that was interrupted, and is nobody's."""
    saga_id = uuid.uuid4()
    kept = dict(wishes)
    wishes.clear()
    wishes[at] = fail(asyncio.CancelledError())
    with contextlib.suppress(asyncio.CancelledError):
        await run(storage, saga, saga_id=saga_id)
    wishes.clear()
    wishes.update(kept)
    effects.clear()
    return saga_id


class Storage(MemorySagaStorage):
    """A memory storage that notes what a worker asks, and is down when a test wants it."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.questions: list[str] = []
        self.down = False

    def _asked(self, what: str) -> None:
        self.questions.append(what)
        if self.down:
            raise ConnectionError("the storage is down")

    async def get_named_sagas_for_recovery(self, *args: Any, **kwargs: Any) -> list[tuple[uuid.UUID, str]]:
        self._asked("sagas")
        return await super().get_named_sagas_for_recovery(*args, **kwargs)

    async def get_unfinished_names(self) -> set[str]:
        self._asked("names")
        return await super().get_unfinished_names()

    async def get_exhausted_sagas(self, *args: Any, **kwargs: Any) -> list[uuid.UUID]:
        self._asked("exhausted")
        return await super().get_exhausted_sagas(*args, **kwargs)

    async def get_sagas_with_failed_compensation(
        self, limit: int, saga_name: str | Collection[str] | None = None
    ) -> list[uuid.UUID]:
        self._asked("compensations")
        return await super().get_sagas_with_failed_compensation(limit, saga_name)


class World:
    """A storage, a clock, and what a worker tells."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.storage = Storage(self.clock)
        self.events: list[RecoveryEvent] = []

    def worker(self, sagas: Any = None, **options: Any) -> RecoveryWorker:
        given: dict[str, Any] = {
            "clock": self.clock,
            "sleep": self.clock.sleep,
            "random": lambda: 0.0,
            "on_event": self.events.append,
            "retry_backoff": STEADY,
            **options,
        }
        return RecoveryWorker([Shop] if sagas is None else sagas, Steps(), self.storage, **given)

    async def crashed(self, at: str = "act A", saga: type[Saga[Any]] = Shop) -> uuid.UUID:
        """Return the id of a saga that was interrupted, and is nobody's."""
        return await crashed(self.storage, at, saga)

    def told(self) -> list[str]:
        return [event.kind for event in self.events]


async def settle() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


class Blocked:
    """A wish that makes a step wait until it is let go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, _: Any) -> None:
        self.reached.set()
        await self.open.wait()


async def until_completed(storage: ISagaStorage, saga_ids: list[uuid.UUID]) -> None:
    for saga_id in saga_ids:
        while await status_of(storage, saga_id) is not SagaStatus.COMPLETED:  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0)


class Torn(BaseException):
    """What is no ``Exception``, as what some test frameworks raise."""

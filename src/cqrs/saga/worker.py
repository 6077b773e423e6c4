"""The background service that goes on with sagas which nobody executes any more."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.timing import Backoff
from cqrs.container.protocol import Resolver
from cqrs.dispatcher.request import Deliver
from cqrs.exceptions import ConfigurationTypeError, SagaConcurrencyError, SagaNotFoundError
from cqrs.saga.compensation import checked_retries
from cqrs.saga.errors import SagaCompensatedError
from cqrs.saga.recovery import recover_saga
from cqrs.saga.saga import Saga
from cqrs.saga.storage.protocol import ISagaStorage
from cqrs.saga.worker_reports import RecoveryEvent, RecoveryListener, RecoveryResult, Telling
from cqrs.saga.worker_sagas import KnownSaga, known_sagas
from cqrs.saga.worker_surveys import Surveys
from cqrs.saga.worker_waiting import Overdue, unless_cancelled, until_first, within

__all__ = ["RecoveryEvent", "RecoveryResult", "RecoveryWorker"]

_logger = logging.getLogger(__name__)

JITTER = 0.2
"""An interval is longer by up to this share, so that the workers of a fleet do not ask in step."""

STORAGE_BACKOFF = Backoff(initial=1.0, multiplier=2.0, max=60.0, jitter=0.2)
MOST_REMEMBERED = 10_000


class RecoveryWorker:
    """Asks the storage for sagas that nobody executes, and recovers them; many processes may run one each.

    One question per interval: for sagas to recover, and now and then, in place of it, for names that are not
    known, sagas that were tried too often, and compensations that were given up; each is told once. The next
    question does not wait for the answers of slow steps.

    Args:
        sagas: a ``SagaMap`` (or any mapping from context types to saga classes), or saga classes that are
            declared for a context: ``class OrderSaga(Saga[OrderContext])``.
        container: builds the steps.
        storage: keeps the sagas.
        interval: seconds between two questions, up to 20 % more at random; > 0.
        limit: how many sagas are asked for at once, at least 1. More are asked for at once when all came.
        concurrency: how many are recovered at the same time, at least 1.
        max_recovery_attempts: a saga that was recovered so often without progress is left alone; at least 1.
        stale_after_seconds: leave alone what was changed more recently; ``None``: nothing.
        recovery_timeout: a recovery that takes longer, in seconds, is cancelled and counts as failed, so that
            it keeps no others from being recovered; > 0. ``None``: none is.
        retry_backoff: how long a saga waits after its k-th failure in a row in this process.
        on_event: called with each ``RecoveryEvent``; a plain function. Its errors are logged.
        deliver: takes the events of recovered steps, as for ``recover_saga``.
        compensation_retry_count: as for ``recover_saga``, as are the next two.
        compensation_retry_delay: seconds.
        compensation_retry_backoff: a factor.
        clock: monotonic seconds.
        sleep: waits.
        random: numbers in [0, 1).

    Raises:
        ConfigurationError: an argument has the wrong type or is out of range, or the container cannot build a
            step.

    ::

        async with RecoveryWorker(saga_map, container, storage):
            await serve()
    """

    def __init__(
        self,
        sagas: Mapping[type[Any], type[Any]] | Iterable[type[Saga[Any]]],
        container: Resolver,
        storage: ISagaStorage,
        *,
        interval: float = 5.0,
        limit: int = 100,
        concurrency: int = 10,
        max_recovery_attempts: int = 5,
        stale_after_seconds: float | None = None,
        recovery_timeout: float | None = None,
        retry_backoff: Backoff = Backoff(initial=5.0, multiplier=2.0, max=300.0, jitter=0.2),  # noqa: B008
        on_event: RecoveryListener | None = None,
        deliver: Deliver | None = None,
        compensation_retry_count: int = 3,
        compensation_retry_delay: float = 1.0,
        compensation_retry_backoff: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        if isinstance(storage, type) or not hasattr(storage, "get_sagas_for_recovery"):
            raise ConfigurationTypeError(f"storage must be an ISagaStorage, not {storage!r}")
        if not isinstance(retry_backoff, Backoff):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"retry_backoff must be a Backoff, not {retry_backoff!r}")
        if on_event is not None:
            validation.plain_function("on_event", on_event)
        validation.clock_and_random(clock, random)
        self._retries = (compensation_retry_count, compensation_retry_delay, compensation_retry_backoff)
        checked_retries(*self._retries)
        self._sagas = known_sagas(sagas, container, storage)
        self._container = container
        self._storage = storage
        self._interval = validation.seconds("interval", interval)
        self._limit = validation.count("limit", limit)
        self._concurrency = validation.count("concurrency", concurrency)
        self._attempts = validation.count("max_recovery_attempts", max_recovery_attempts)
        self._stale = stale_after_seconds
        if stale_after_seconds is not None:
            self._stale = validation.seconds("stale_after_seconds", stale_after_seconds, strict=False)
        self._timeout = recovery_timeout
        if recovery_timeout is not None:
            self._timeout = validation.seconds("recovery_timeout", recovery_timeout)
        self._backoff = retry_backoff
        self._deliver = deliver
        self._clock, self._sleep, self._random = clock, sleep, random
        self._telling = Telling(on_event)
        self._surveys = Surveys(storage, self._sagas, self._limit, self._attempts, self._telling)
        self._failures: dict[uuid.UUID, tuple[int, float]] = {}
        """How often a saga has failed here in a row, and until when it should not come again."""
        self._active: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._loop_task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    # ------------------------------------------------------------------ life

    @property
    def is_running(self) -> bool:
        """Whether the worker was started and has not ended."""
        return self._loop_task is not None and not self._loop_task.done()

    def start(self) -> None:
        """Begin to work in a task of the running event loop.

        Raises:
            RuntimeError: it was started already, or no event loop runs.
        """
        if self.is_running:
            raise RuntimeError("the recovery worker was started already")
        self._stopping = asyncio.Event()
        self._loop_task = asyncio.get_running_loop().create_task(self._work(), name="saga-recovery-worker")

    async def stop(self, timeout: float = 30.0) -> None:
        """End the work: ask no more, let running recoveries finish, cancel what has not after ``timeout``.

        A recovery that is cancelled leaves its saga as it is, for another worker. Calling it again, or before
        ``start``, is harmless.

        Args:
            timeout: seconds; at least 0.
        """
        limit = validation.seconds("timeout", timeout, strict=False)
        self._stopping.set()
        try:
            if self._tasks():
                await until_first([self._sleep(limit), self._until_idle()])
        finally:
            left = self._tasks()
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        loop_task, self._loop_task = self._loop_task, None
        if loop_task is not None and not loop_task.cancelled():
            loop_task.result()

    def _tasks(self) -> list[asyncio.Task[None]]:
        tasks = [*self._active.values(), *([] if self._loop_task is None else [self._loop_task])]
        return [task for task in tasks if not task.done()]

    async def _until_idle(self) -> None:
        while tasks := self._tasks():
            await asyncio.wait(tasks)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def run_once(self) -> RecoveryResult:
        """Ask once for everything, recover what there is, and return what came of it.

        For cron jobs and tests; it may run beside a started worker.

        Raises:
            Exception: what the storage raised when it was asked.
            BaseException: what a step raised that is no ``Exception``.
        """
        result = RecoveryResult()
        tasks: list[asyncio.Task[None]] = []
        try:
            for saga_id, name in await self._find():
                task = await self._begin(saga_id, name, result)
                tasks += [] if task is None else [task]
            if tasks:
                await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._surveys.make_all(result)
        return result

    # ------------------------------------------------------------------ the loop

    async def _work(self) -> None:
        turn = errors = 0
        more = False
        while not self._stopping.is_set():
            try:
                more = await self._turn(turn, more)
                errors, pause = 0, 0.0 if more else self._interval * (1.0 + JITTER * self._random())
            except (Exception, asyncio.CancelledError) as raised:
                error = unless_cancelled(raised, "the storage cancelled what it was asked")
                errors, pause = errors + 1, STORAGE_BACKOFF.duration(errors + 1, self._random())
                self._telling.storage_failed(error, pause, errors)
            turn += 1  # also after an error: a survey that always fails must not keep others from their turn
            if pause:
                await until_first([self._sleep(pause), self._stopping.wait()])

    async def _turn(self, number: int, more: bool) -> bool:
        """Ask the storage one question; return whether to ask again at once, as there is probably more."""
        survey = self._surveys.of_turn(number)
        if survey is not None:
            await survey()
            return more
        began = False
        found = await self._find()
        for saga_id, name in found:
            if self._stopping.is_set():
                break
            began = await self._begin(saga_id, name, None) is not None or began
        return began and len(found) >= self._limit

    async def _find(self) -> list[tuple[uuid.UUID, str]]:
        return await self._storage.get_named_sagas_for_recovery(
            self._limit, self._attempts, self._stale, list(self._sagas)
        )

    # ------------------------------------------------------------------ recoveries

    async def _begin(
        self, saga_id: uuid.UUID, name: str, result: RecoveryResult | None
    ) -> asyncio.Task[None] | None:
        """Recover a saga in a task of its own, as soon as there is room; return the task if it was begun."""
        saga = self._sagas.get(name)
        if saga is None or saga_id in self._active:
            return None
        failures, until = self._failures.get(saga_id, (0, 0.0))
        if until > self._clock():
            # Its recovery was to be put off, but the storage offers it again: most likely it had not even
            # begun, and so was not counted.
            self._failures[saga_id] = (failures, 0.0)
            await self._storage.increment_recovery_attempts(saga_id)
            return None
        while len(self._active) >= self._concurrency:
            await self._wait_for_room(heeds_stop=result is None)
            if result is None and self._stopping.is_set():
                return None
        if saga_id in self._active:
            return None
        task = asyncio.get_running_loop().create_task(self._recover(saga_id, saga, result))
        self._active[saga_id] = task
        task.add_done_callback(lambda ended: self._ended(saga_id, ended))
        return task

    def _ended(self, saga_id: uuid.UUID, task: asyncio.Task[None]) -> None:
        self._active.pop(saga_id, None)
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                _logger.critical("the recovery of saga %s was torn down", saga_id, exc_info=error)
        elif not self._stopping.is_set():
            _logger.warning("the recovery of saga %s was cancelled; it is tried again", saga_id)

    async def _wait_for_room(self, *, heeds_stop: bool) -> None:
        stopping = [self._stopping.wait()] if heeds_stop else []
        await until_first(stopping, self._active.values())
        await asyncio.sleep(0)  # for the callbacks that make room

    async def _recover(self, saga_id: uuid.UUID, saga: KnownSaga, result: RecoveryResult | None) -> None:
        failures = self._failures.get(saga_id, (0, 0.0))[0] + 1
        pause = self._backoff.duration(failures, self._random())
        name = saga.saga.saga_name
        try:
            recovery = recover_saga(
                saga.saga,
                saga_id,
                saga.context_builder,
                self._container,
                self._storage,
                *self._retries,
                deliver=self._deliver,
                not_before=pause,
                sleep=self._sleep,
                clock=self._clock,
            )
            await within(self._timeout, recovery, self._sleep)
            event = RecoveryEvent("completed", saga_id, name)
        except (SagaCompensatedError, SagaConcurrencyError, SagaNotFoundError) as error:
            if error.saga_id == saga_id:
                was_undone = isinstance(error, SagaCompensatedError)
                event = RecoveryEvent("compensated" if was_undone else "busy", saga_id, name, error)
            else:  # what a step met with another saga
                event = await self._after_error(saga_id, name, error, pause)
        except Overdue as error:
            event = RecoveryEvent("failed", saga_id, name, error, pause)
        except (Exception, asyncio.CancelledError) as raised:
            cause = unless_cancelled(raised, "a step or the storage let out a CancelledError of its own")
            event = await self._after_error(saga_id, name, cause, pause)
        if event.kind == "failed":
            self._remember(saga_id, failures, pause)
        else:
            self._failures.pop(saga_id, None)
        self._telling.ended(event)
        if result is not None:
            result.add(event)

    async def _after_error(
        self, saga_id: uuid.UUID, name: str, error: Exception, pause: float
    ) -> RecoveryEvent:
        """Find out whether the error has ended the saga, as that of a step does, or only its recovery."""
        try:
            status, _, _ = await self._storage.load_saga_state(saga_id)
        except Exception:
            _logger.warning("the status of saga %s could not be read", saga_id, exc_info=True)
        else:
            if status.is_final:
                return RecoveryEvent("compensated", saga_id, name, error)
        return RecoveryEvent("failed", saga_id, name, error, pause)

    def _remember(self, saga_id: uuid.UUID, failures: int, pause: float) -> None:
        self._failures.pop(saga_id, None)
        # Half of it: the clock of the storage may be a little ahead.
        self._failures[saga_id] = (failures, self._clock() + pause / 2)
        while len(self._failures) > MOST_REMEMBERED:
            del self._failures[next(iter(self._failures))]

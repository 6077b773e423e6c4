"""The recovery worker: what it recovers, what it tells, how it lives and ends; in fake time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Collection
from typing import Any

import pytest

from cqrs.circuit_breaker import Backoff
from cqrs.dispatcher.saga_map import SagaMap
from cqrs.exceptions import ConfigurationError, ResolutionError, SagaConcurrencyError, SagaNotFoundError
from cqrs.saga.saga import Saga
from cqrs.saga.storage.enums import SagaStatus, SagaStepStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from cqrs.saga.storage.protocol import ISagaStorage
from cqrs.saga.worker import RecoveryEvent, RecoveryWorker
from cqrs.testing import FakeClock
from tests.unit.saga.shop import A, Order, Shop, Step, Steps, effects, fail, run, status_of, wishes

STEADY = Backoff(initial=10.0, multiplier=2.0, max=1000.0, jitter=0.0)


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
        saga_id = uuid.uuid4()
        kept = dict(wishes)
        wishes.clear()
        wishes[at] = fail(asyncio.CancelledError())
        with contextlib.suppress(asyncio.CancelledError):
            await run(self.storage, saga, saga_id=saga_id)
        wishes.clear()
        wishes.update(kept)
        effects.clear()
        return saga_id

    def told(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def world() -> World:
    return World()


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


# ---------------------------------------------------------------------------------------------- one round


async def test_what_was_interrupted_goes_forward_to_its_end(world: World) -> None:
    saga_id = await world.crashed("act B")
    result = await world.worker().run_once()
    assert result.completed == [saga_id]
    assert effects == ["act B", "act C"]
    assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert world.events == [RecoveryEvent("completed", saga_id, "Shop")]
    again = await world.worker().run_once()
    assert again.completed == []


async def test_a_saga_that_was_created_and_no_more_is_recovered(world: World) -> None:
    saga_id = uuid.uuid4()
    await world.storage.create_saga(saga_id, "Shop", {})
    assert (await world.worker().run_once()).completed == [saga_id]


async def test_what_is_being_compensated_is_compensated_to_its_end(world: World) -> None:
    saga_id = uuid.uuid4()
    wishes["act C"] = fail()
    wishes["undo B"] = fail(asyncio.CancelledError())
    with contextlib.suppress(asyncio.CancelledError):
        await run(world.storage, saga_id=saga_id)
    wishes.clear()
    effects.clear()
    result = await world.worker().run_once()
    assert result.compensated == [saga_id]
    assert effects == ["undo B", "undo A"]
    assert await status_of(world.storage, saga_id) is SagaStatus.FAILED
    assert world.told() == ["compensated"]


async def test_a_step_that_fails_in_recovery_compensates_the_saga_which_is_an_end(world: World) -> None:
    saga_id = await world.crashed("act B")
    wishes["act C"] = fail()
    result = await world.worker().run_once()
    assert (result.compensated, result.failed) == ([saga_id], {})
    assert effects == ["act B", "act C", "undo B", "undo A"]


@pytest.mark.parametrize(
    "error", [SagaConcurrencyError(uuid.uuid4(), "busy"), SagaNotFoundError(uuid.uuid4())]
)
async def test_what_a_step_meets_with_another_saga_fails_the_step(world: World, error: Exception) -> None:
    saga_id = await world.crashed()
    wishes["act B"] = fail(error)
    result = await world.worker().run_once()
    assert (result.busy, result.compensated) == ([], [saga_id])
    assert await status_of(world.storage, saga_id) is SagaStatus.FAILED


async def test_a_leased_saga_is_left_alone(world: World) -> None:
    saga_id = uuid.uuid4()
    blocked = wishes["act B"] = Blocked()
    task = asyncio.create_task(run(world.storage, saga_id=saga_id))
    await blocked.reached.wait()
    result = await world.worker().run_once()
    assert (result.completed, result.busy) == ([], [])
    blocked.open.set()
    await task
    assert effects == ["act A", "act B", "act C"]


async def test_three_workers_act_once(world: World) -> None:
    saga_ids = [await world.crashed() for _ in range(10)]
    results = await asyncio.gather(*(world.worker().run_once() for _ in range(3)))
    assert {saga_id for result in results for saga_id in result.completed} == set(saga_ids)
    assert len(effects) == 10 * 3
    assert all(not result.failed for result in results)
    assert set(world.told()) <= {"completed", "busy"}


async def test_at_most_so_many_are_recovered_at_once(world: World) -> None:
    for _ in range(7):
        await world.crashed()
    running = most = 0

    async def count(_: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1

    wishes["act B"] = count
    result = await world.worker(concurrency=3).run_once()
    assert (len(result.completed), most) == (7, 3)


async def test_one_bad_saga_does_not_disturb_the_others(world: World) -> None:
    bad = await world.crashed()
    await world.storage.update_context(bad, {"done": 5})
    good = [await world.crashed() for _ in range(3)]
    result = await world.worker().run_once()
    assert result.completed == good
    assert list(result.failed) == [bad]


async def test_a_saga_map_is_understood(world: World) -> None:
    sagas = SagaMap()
    sagas.bind(Order, Shop)
    saga_id = await world.crashed()
    assert (await world.worker(sagas).run_once()).completed == [saga_id]


async def test_the_events_of_recovered_steps_are_delivered(world: World) -> None:
    await world.crashed("act B")
    delivered: list[object] = []

    async def deliver(events: Any, scope: Any) -> None:
        delivered.extend(events)

    await world.worker(deliver=deliver).run_once()
    assert delivered == ["B acted", "C acted"]


async def test_an_error_of_the_storage_is_raised_to_who_asked_once(world: World) -> None:
    world.storage.down = True
    with pytest.raises(ConnectionError):
        await world.worker().run_once()


async def test_a_cancelled_round_leaves_no_recovery_behind(world: World) -> None:
    saga_id = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    task = asyncio.create_task(world.worker().run_once())
    await blocked.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await status_of(world.storage, saga_id) is SagaStatus.RUNNING
    del wishes["act B"]
    world.clock.advance(100)
    assert (await world.worker().run_once()).completed == [saga_id]


# ---------------------------------------------------------------------------------------------- failures


async def test_a_failed_recovery_waits_longer_each_time(world: World) -> None:
    saga_id = await world.crashed()
    context = (await world.storage.load_saga_state(saga_id))[1]
    await world.storage.update_context(saga_id, {"done": 5})
    worker = world.worker()
    for wait in (10, 20, 40):
        assert list((await worker.run_once()).failed) == [saga_id]
        assert world.events[-1].kind == "failed"
        assert world.events[-1].retry_after == wait
        world.clock.advance(wait - 1)
        assert not (await worker.run_once()).failed
        world.clock.advance(2)
    await world.storage.update_context(saga_id, context)
    assert (await worker.run_once()).completed == [saga_id]


async def test_a_saga_that_fails_too_often_is_left_alone_and_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    saga_id = await world.crashed()
    context = (await world.storage.load_saga_state(saga_id))[1]
    await world.storage.update_context(saga_id, {"done": 5})
    worker = world.worker(max_recovery_attempts=2)
    results = []
    for _ in range(5):
        results.append(await worker.run_once())
        world.clock.advance(1000)
    assert [list(result.failed) for result in results] == [[saga_id], [saga_id], [], [], []]
    assert [result.exhausted for result in results] == [[], [], [saga_id], [], []]
    assert world.told().count("exhausted") == 1
    (record,) = [record for record in caplog.records if "left alone" in record.message]
    assert record.levelno == logging.ERROR
    assert "set_recovery_attempts(saga_id, 0)" in record.message
    await world.storage.update_context(saga_id, context)
    await world.storage.set_recovery_attempts(saga_id, 0)
    assert (await worker.run_once()).completed == [saga_id]


async def test_a_compensation_that_was_given_up_is_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    saga_id = await world.crashed("act C")
    wishes["act C"] = fail()
    wishes["undo A"] = fail()
    worker = world.worker(compensation_retry_delay=0.0)
    results = [await worker.run_once() for _ in range(3)]
    assert [result.compensated for result in results] == [[saga_id], [], []]
    assert [result.failed_compensations for result in results] == [[saga_id], [], []]
    assert world.told() == ["compensated", "failed_compensation"]
    assert any("could not be compensated: get_step_history" in record.message for record in caplog.records)


async def test_names_that_nobody_knows_are_told_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("Refund", "Refund", "Gift"):
        await world.storage.create_saga(uuid.uuid4(), name, {})
    worker = world.worker()
    assert (await worker.run_once()).unknown_names == ["Gift", "Refund"]
    assert (await worker.run_once()).unknown_names == []
    assert [event.saga_name for event in world.events] == ["Gift", "Refund"]
    assert caplog.text.count("this worker does not know") == 2


async def test_a_saga_whose_recovery_does_not_even_begin_is_exhausted_in_the_end(world: World) -> None:
    saga_id = await world.crashed()
    worker = world.worker()

    def broken() -> Any:
        raise ConnectionError("no runs today")

    world.storage.create_run = broken  # type: ignore[method-assign]
    results = [await worker.run_once() for _ in range(12)]
    assert [list(result.failed) for result in results] == [[saga_id], []] * 5 + [[], []]
    assert world.told() == ["failed"] * 5 + ["exhausted"]
    assert await world.storage.get_exhausted_sagas(10) == [saga_id]


async def test_a_listener_that_raises_disturbs_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    saga_ids = [await world.crashed() for _ in range(2)]

    def listener(event: RecoveryEvent) -> None:
        raise ValueError("not listening")

    assert (await world.worker(on_event=listener).run_once()).completed == saga_ids
    assert "the listener" in caplog.text


# ---------------------------------------------------------------------------------------------- the service


async def test_it_polls_and_recovers_until_it_is_stopped(world: World) -> None:
    async with world.worker() as worker:
        assert worker.is_running
        await settle()
        saga_id = await world.crashed()
        await world.clock.elapse(15, turns=50)
        assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert not worker.is_running
    questions = len(world.storage.questions)
    await world.clock.elapse(100)
    assert len(world.storage.questions) == questions
    assert world.clock.sleepers == 0


async def test_an_idle_worker_asks_at_most_once_per_interval(world: World) -> None:
    async with world.worker(interval=5.0):
        await world.clock.elapse(5.0 * 100 - 1)
        asked = list(world.storage.questions)
    assert len(asked) == 100
    assert asked[:7] == ["sagas", "names", "sagas", "exhausted", "sagas", "compensations", "sagas"]
    assert asked.count("sagas") > 85
    assert all(asked.count(survey) >= 2 for survey in ("names", "exhausted", "compensations"))


async def test_the_interval_is_stretched_at_random(world: World) -> None:
    numbers = iter([0.0, 0.5, 1.0] + [0.0] * 100)
    async with world.worker(interval=10.0, random=lambda: next(numbers)):
        times = []
        for _ in range(350):
            await world.clock.elapse(0.1)
            if len(world.storage.questions) > len(times):
                times.append(world.clock() - 1000)
    assert times == pytest.approx([0.1, 10.1, 21.1, 33.1], abs=0.15)


async def test_a_backlog_is_worked_off_without_waiting(world: World) -> None:
    saga_ids = [await world.crashed() for _ in range(20)]
    async with world.worker(limit=5, concurrency=2):
        await asyncio.wait_for(until_completed(world.storage, saga_ids), 10)
        assert world.clock() == 1000


async def until_completed(storage: ISagaStorage, saga_ids: list[uuid.UUID]) -> None:
    for saga_id in saga_ids:
        while await status_of(storage, saga_id) is not SagaStatus.COMPLETED:  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0)


async def test_a_saga_that_hangs_holds_up_nobody(world: World) -> None:
    stuck = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    async with world.worker(concurrency=2):
        await blocked.reached.wait()
        del wishes["act B"]
        later = await world.crashed()
        await world.clock.elapse(15, turns=50)
        assert await status_of(world.storage, later) is SagaStatus.COMPLETED
        assert await status_of(world.storage, stuck) is SagaStatus.RUNNING
        blocked.open.set()
    assert await status_of(world.storage, stuck) is SagaStatus.COMPLETED


async def test_a_recovery_that_takes_too_long_makes_room_and_is_tried_again(world: World) -> None:
    stuck = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    async with world.worker(concurrency=1, recovery_timeout=20):
        await blocked.reached.wait()
        del wishes["act B"]
        later = await world.crashed()
        await world.clock.elapse(19, turns=50)
        assert await status_of(world.storage, later) is SagaStatus.RUNNING
        await world.clock.elapse(10, turns=50)
        assert await status_of(world.storage, later) is SagaStatus.COMPLETED
        [event] = [event for event in world.events if event.kind == "failed"]
        assert (event.saga_id, event.retry_after) == (stuck, 10.0)
        assert isinstance(event.error, TimeoutError)
        assert str(event.error) == "it took longer than 20 s, and was cancelled"
        await world.clock.elapse(20, turns=50)
        assert await status_of(world.storage, stuck) is SagaStatus.COMPLETED
    assert len(asyncio.all_tasks()) == 1


async def test_errors_of_the_storage_are_waited_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    saga_id = await world.crashed()
    world.storage.down = True
    async with world.worker():
        await world.clock.elapse(20)
        asked = len(world.storage.questions)
        assert 3 <= asked <= 6  # after 0, 1, 3, 7, 15 s
        assert set(world.told()) == {"storage_error"}
        waits = [event.retry_after for event in world.events]
        assert waits == sorted(waits, key=lambda wait: wait or 0)
        world.storage.down = False
        await world.clock.elapse(60, turns=50)
    assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert sum(record.exc_info is not None for record in caplog.records) == 1


async def test_a_survey_that_always_fails_keeps_nobody_from_being_recovered(world: World) -> None:
    async def broken() -> set[str]:
        raise ConnectionError("no names today")

    world.storage.get_unfinished_names = broken  # type: ignore[method-assign]
    async with world.worker():
        await world.clock.elapse(20)
        saga_id = await world.crashed()
        await world.clock.elapse(20, turns=50)
        assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert world.told().count("storage_error") == 1


async def test_a_driver_that_lets_out_a_cancellation_does_not_end_the_worker(world: World) -> None:
    saga_id = await world.crashed()
    find = world.storage.get_named_sagas_for_recovery
    raised = [asyncio.CancelledError(), asyncio.CancelledError()]

    async def cancelled(*args: Any, **kwargs: Any) -> Any:
        if raised:
            raise raised.pop()
        return await find(*args, **kwargs)

    world.storage.get_named_sagas_for_recovery = cancelled  # type: ignore[method-assign]
    async with world.worker() as worker:
        await world.clock.elapse(60, turns=50)
        assert worker.is_running
        assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert [type(event.error) for event in world.events[:2]] == [RuntimeError, RuntimeError]


async def test_a_worker_task_that_is_cancelled_ends(world: World) -> None:
    before = asyncio.all_tasks()
    worker = world.worker()
    worker.start()
    await settle()
    (task,) = [task for task in asyncio.all_tasks() - before if task.get_name() == "saga-recovery-worker"]
    task.cancel()
    await settle()
    assert not worker.is_running
    await worker.stop()


@pytest.mark.parametrize("recovery_timeout", [None, 20.0])
async def test_a_step_that_lets_out_a_cancellation_has_failed_and_is_tried_again(
    world: World, recovery_timeout: float | None
) -> None:
    saga_id = await world.crashed()
    wishes["act B"] = fail(asyncio.CancelledError())
    worker = world.worker(recovery_timeout=recovery_timeout)
    result = await worker.run_once()
    assert list(result.failed) == [saga_id]
    assert [(event.kind, event.retry_after) for event in world.events] == [("failed", 10.0)]
    assert isinstance(result.failed[saga_id].__cause__, asyncio.CancelledError)
    assert effects == ["act A", "act B"]
    assert await status_of(world.storage, saga_id) is SagaStatus.RUNNING
    del wishes["act B"]
    assert (await worker.run_once()).completed == []
    world.clock.advance(11)
    assert (await worker.run_once()).completed == [saga_id]


async def test_a_step_that_cancels_its_own_task_is_logged_and_tried_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    saga_id = await world.crashed()

    async def cancel(_: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    wishes["act B"] = cancel
    assert (await world.worker().run_once()).completed == []
    assert f"the recovery of saga {saga_id} was cancelled" in caplog.text
    del wishes["act B"]
    world.clock.advance(100)
    assert (await world.worker().run_once()).completed == [saga_id]


class Torn(BaseException):
    """What is no ``Exception``, as what some test frameworks raise."""


async def test_what_is_no_exception_is_raised_to_who_asked_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    torn = await world.crashed()
    wishes["act B"] = fail(Torn("this test has failed"))
    with pytest.raises(Torn, match="this test has failed"):
        await world.worker().run_once()
    assert await status_of(world.storage, torn) is SagaStatus.RUNNING
    assert f"the recovery of saga {torn} was torn down" in caplog.text


async def test_what_is_no_exception_does_not_end_the_service(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    torn = await world.crashed()
    wishes["act B"] = fail(Torn("no exception"))
    async with world.worker() as worker:
        await settle()
        assert f"the recovery of saga {torn} was torn down" in caplog.text
        del wishes["act B"]
        await world.clock.elapse(30, turns=50)
        assert worker.is_running
        assert await status_of(world.storage, torn) is SagaStatus.COMPLETED


async def test_stopping_waits_for_what_runs(world: World) -> None:
    saga_id = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    worker = world.worker()
    worker.start()
    await blocked.reached.wait()
    stopping = asyncio.create_task(worker.stop(timeout=10.0))
    await settle()
    assert not stopping.done()
    blocked.open.set()
    await stopping
    assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED


async def test_stopping_cancels_what_does_not_end_in_time(world: World) -> None:
    saga_id = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    worker = world.worker()
    worker.start()
    await blocked.reached.wait()
    stopping = asyncio.create_task(worker.stop(timeout=10.0))
    await world.clock.elapse(9)
    assert not stopping.done()
    await world.clock.elapse(2, turns=100)
    await stopping
    assert await status_of(world.storage, saga_id) is SagaStatus.RUNNING
    assert world.told() == []
    del wishes["act B"]
    world.clock.advance(100)
    assert (await world.worker().run_once()).completed == [saga_id]
    assert len(asyncio.all_tasks()) == 1


async def test_stopping_ends_the_wait_for_room(world: World) -> None:
    for _ in range(5):
        await world.crashed()
    blocked = wishes["act B"] = Blocked()
    worker = world.worker(concurrency=1)
    worker.start()
    await blocked.reached.wait()
    await settle()
    stopping = asyncio.create_task(worker.stop(timeout=10.0))
    await settle()
    blocked.open.set()
    await stopping
    assert world.told() == ["completed"]


async def test_a_cancelled_stop_still_ends_everything(world: World) -> None:
    await world.crashed()
    blocked = wishes["act B"] = Blocked()
    worker = world.worker()
    worker.start()
    await blocked.reached.wait()
    stopping = asyncio.create_task(worker.stop())
    await settle()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert len(asyncio.all_tasks()) == 1


async def test_it_can_be_started_again_but_not_twice(world: World) -> None:
    worker = world.worker()
    await worker.stop()
    worker.start()
    with pytest.raises(RuntimeError, match="started already"):
        worker.start()
    await worker.stop()
    await worker.stop()
    saga_id = await world.crashed()
    async with worker:
        await until_completed(world.storage, [saga_id])


async def test_an_error_in_the_block_stops_it_and_crosses(world: World) -> None:
    worker = world.worker()
    with pytest.raises(ValueError, match="mine"):
        async with worker:
            raise ValueError("mine")
    assert not worker.is_running


# ---------------------------------------------------------------------------------------------- arguments


class Untold(Saga):  # type: ignore[type-arg]
    steps = [A]


class Namesake(Saga[Order]):
    saga_name = "Shop"
    steps = [A]


class Needy(Step):
    pass


class NeedySaga(Saga[Order]):
    steps = [Needy]


@pytest.mark.parametrize(
    "options",
    [
        {"interval": 0},
        {"recovery_timeout": 0},
        {"limit": 0},
        {"concurrency": 0},
        {"max_recovery_attempts": 0},
        {"stale_after_seconds": -1},
        {"retry_backoff": 5},
        {"on_event": 5},
        {"clock": None},
        {"random": 5},
        {"compensation_retry_count": 0},
    ],
    ids=lambda options: next(iter(options)),
)
def test_wrong_options_are_refused(world: World, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        world.worker(**options)


@pytest.mark.parametrize("sagas", [[], 5, [str], [Untold], [Shop, Namesake], [Shop()], {str: Shop}])
def test_wrong_sagas_are_refused(world: World, sagas: Any) -> None:
    with pytest.raises((ConfigurationError, KeyError)):
        world.worker(sagas)


def test_a_storage_and_a_container_are_needed(world: World) -> None:
    with pytest.raises(ConfigurationError, match="storage"):
        RecoveryWorker([Shop], Steps(), MemorySagaStorage)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="container"):
        RecoveryWorker([Shop], object(), world.storage)  # type: ignore[arg-type]


def test_a_step_that_cannot_be_built_is_noticed_at_once(world: World) -> None:
    class Picky:
        async def resolve(self, type_: type[Any]) -> Any:
            return type_()

        def factory_for(self, type_: type[Any]) -> Any:
            if type_ is Needy:
                raise ResolutionError("no way to build Needy")

    with pytest.raises(ResolutionError, match="Needy"):
        RecoveryWorker([NeedySaga], Picky(), world.storage)


async def test_stale_sagas_alone_are_recovered_when_asked_for(world: World) -> None:
    saga_id = await world.crashed()
    worker = world.worker(stale_after_seconds=60)
    assert (await worker.run_once()).completed == []
    world.clock.advance(61)
    assert (await worker.run_once()).completed == [saga_id]


async def test_a_storage_that_cannot_tell_of_compensations_will_do(world: World) -> None:
    class Plain(MemorySagaStorage):
        get_sagas_with_failed_compensation = ISagaStorage.get_sagas_with_failed_compensation

    storage = Plain()
    saga_id = uuid.uuid4()
    await storage.create_saga(saga_id, "Shop", {})
    await storage.log_step(saga_id, "A", "act", SagaStepStatus.COMPLETED, position=0)
    assert (await RecoveryWorker([Shop], Steps(), storage).run_once()).completed == [saga_id]
    assert effects == ["act B", "act C"]

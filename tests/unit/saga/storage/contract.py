"""Situations that every storage of sagas must master; each is a coroutine that takes a `Subject`.

They run against the memory storage in tests/unit/saga/storage, and against databases in
tests/integration/saga_storage.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from cqrs.exceptions import (
    ConfigurationError,
    SagaConcurrencyError,
    SagaContextError,
    SagaNotFoundError,
)
from cqrs.saga.storage import ISagaStorage, SagaStatus, SagaStepStatus, SagaStorageRun

LEASE = 30.0
RUNNING, COMPENSATING = SagaStatus.RUNNING, SagaStatus.COMPENSATING
COMPLETED, FAILED = SagaStatus.COMPLETED, SagaStatus.FAILED
STARTED, DONE, GIVEN_UP = SagaStepStatus.STARTED, SagaStepStatus.COMPLETED, SagaStepStatus.FAILED


class Subject:
    """A storage whose time a test can move.

    Args:
        storage: the storage.
        pass_time: makes so many seconds pass for all sagas.
    """

    def __init__(self, storage: ISagaStorage, pass_time: Callable[[float], Awaitable[None]]) -> None:
        self.storage = storage
        self.pass_time = pass_time

    async def start(
        self, name: str = "Order", context: dict[str, Any] | None = None
    ) -> tuple[uuid.UUID, Any]:
        """Return the id and the run of a saga whose first step is about to act."""
        saga_id = uuid.uuid4()
        run = await self.storage.create_run().__aenter__()
        await run.create_saga(saga_id, name, context or {"orderId": 7})
        await run.update_status(saga_id, RUNNING)
        await run.log_step(saga_id, "Charge", "act", STARTED, position=0)
        await run.commit()
        return saga_id, run

    async def abandoned(self, name: str = "Order", status: SagaStatus | None = None) -> uuid.UUID:
        """Return the id of a saga that nobody executes any more."""
        saga_id, run = await self.start(name)
        if status is not None:
            await run.update_status(saga_id, status)
            await run.commit()
        await run.release()
        return saga_id

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[SagaStorageRun]:
        async with self.storage.create_run() as run:
            yield run

    async def recoverable(self, **arguments: Any) -> list[uuid.UUID]:
        return await self.storage.get_sagas_for_recovery(100, **arguments)

    async def lines(self, saga_id: uuid.UUID) -> list[tuple[Any, ...]]:
        history = await self.storage.get_step_history(saga_id)
        return [(line.step_name, line.action, line.status, line.position, line.details) for line in history]


# ---------------------------------------------------------------------------------------------- commits


async def a_commit_is_durable_as_a_whole(subject: Subject) -> None:
    saga_id, run = await subject.start(context={"orderId": 7})
    assert await subject.storage.load_saga_state(saga_id) == (RUNNING, {"orderId": 7}, 1)
    await run.log_step(saga_id, "Charge", "act", DONE, position=0)
    await run.update_context(saga_id, {"orderId": 7, "paid": True})
    await run.log_step(saga_id, "Ship", "act", STARTED, position=1)
    assert await subject.storage.load_saga_state(saga_id) == (RUNNING, {"orderId": 7}, 1)
    assert await subject.lines(saga_id) == [("Charge", "act", STARTED, 0, None)]
    await run.commit()
    assert await subject.storage.load_saga_state(saga_id) == (RUNNING, {"orderId": 7, "paid": True}, 2)
    assert await subject.lines(saga_id) == [
        ("Charge", "act", STARTED, 0, None),
        ("Charge", "act", DONE, 0, None),
        ("Ship", "act", STARTED, 1, None),
    ]
    history = await run.get_step_history(saga_id)
    assert [line.timestamp for line in history] == sorted(line.timestamp for line in history)
    assert all(line.timestamp.tzinfo is not None and line.saga_id == saga_id for line in history)
    assert await run.load_saga_state(saga_id) == await subject.storage.load_saga_state(saga_id)


async def a_commit_without_writes_does_nothing(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await run.commit()
    assert (await subject.storage.load_saga_state(saga_id))[2] == 1
    async with subject.run() as other:
        await other.commit()


async def what_was_rolled_back_is_not_written(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await run.update_status(saga_id, COMPENSATING)
    await run.update_context(saga_id, {"wrong": 1})
    await run.log_step(saga_id, "Wrong", "act", DONE, position=0)
    await run.rollback()
    await run.log_step(saga_id, "Charge", "act", DONE, position=0)
    await run.commit()
    assert await subject.storage.load_saga_state(saga_id) == (RUNNING, {"orderId": 7}, 2)
    assert len(await subject.lines(saga_id)) == 2


async def leaving_a_run_forgets_what_was_not_committed(subject: Subject) -> None:
    saga_id = uuid.uuid4()
    async with subject.run() as run:
        await run.create_saga(saga_id, "Order", {})
    await run.commit()
    with pytest.raises(SagaNotFoundError, match=str(saga_id)):
        await subject.storage.load_saga_state(saga_id)


async def an_id_is_used_once(subject: Subject) -> None:
    saga_id, _ = await subject.start()
    before = await subject.storage.load_saga_state(saga_id)
    async with subject.run() as other:
        with pytest.raises(SagaConcurrencyError, match="exists already"):
            await other.create_saga(saga_id, "Order", {"mine": True})
            await other.log_step(saga_id, "Charge", "act", STARTED, position=0)
            await other.commit()
        await other.release()
    with pytest.raises(SagaConcurrencyError, match="exists already"):
        await subject.storage.create_saga(saga_id, "Order", {})
    assert await subject.storage.load_saga_state(saga_id) == before
    assert len(await subject.lines(saga_id)) == 1
    with pytest.raises(SagaConcurrencyError):
        await _acquire(subject, saga_id)


async def writes_need_a_saga(subject: Subject) -> None:
    saga_id, run = await subject.start()
    other = uuid.uuid4()
    async with subject.run() as empty:
        with pytest.raises(ConfigurationError, match="create_saga or acquire first"):
            await empty.update_status(saga_id, RUNNING)
    with pytest.raises(ConfigurationError, match=f"holds saga {saga_id} and cannot write to saga {other}"):
        await run.log_step(other, "Charge", "act", DONE)
    await run.release()
    with pytest.raises(ConfigurationError, match="holds none"):
        await run.update_context(saga_id, {})


async def a_version_that_the_caller_has_kept_is_compared(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await run.update_context(saga_id, {"a": 1}, current_version=1)
    await run.commit()
    with pytest.raises(SagaConcurrencyError, match="its version is 2, not 1"):
        await run.update_context(saga_id, {"a": 2}, current_version=1)


# ---------------------------------------------------------------------------------------------- leases


async def a_lease_keeps_others_out_until_it_ends(subject: Subject) -> None:
    saga_id, _ = await subject.start()
    with pytest.raises(SagaConcurrencyError, match="another run executes it") as caught:
        await _acquire(subject, saga_id)
    assert caught.value.saga_id == saga_id
    assert caught.value.retry_after is not None
    assert LEASE - 10 < caught.value.retry_after <= LEASE
    assert await subject.recoverable() == []
    await subject.pass_time(LEASE + 1)
    assert await subject.recoverable() == [saga_id]
    _, (status, context, version) = await _acquire(subject, saga_id)
    assert (status, context, version) == (RUNNING, {"orderId": 7}, 2)
    assert await subject.recoverable() == []


async def commits_and_renewals_prolong_a_lease(subject: Subject) -> None:
    saga_id, run = await subject.start()
    for prolong in (run.renew, lambda: _log(run, saga_id)):
        await subject.pass_time(LEASE * 0.7)
        await prolong()
    await subject.pass_time(LEASE * 0.7)
    assert await run.renew() is True
    with pytest.raises(SagaConcurrencyError):
        await _acquire(subject, saga_id)


async def a_renewal_leaves_what_was_collected(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await run.log_step(saga_id, "Charge", "act", DONE, position=0)
    assert await run.renew() is True
    await run.commit()
    assert len(await subject.lines(saga_id)) == 2


async def an_expired_lease_that_nobody_took_is_kept(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await subject.pass_time(LEASE * 10)
    assert await run.renew() is True
    await subject.pass_time(LEASE * 10)
    await _log(run, saga_id)
    with pytest.raises(SagaConcurrencyError):
        await _acquire(subject, saga_id)


async def a_zombie_cannot_write(subject: Subject) -> None:
    saga_id, zombie = await subject.start()
    await subject.pass_time(LEASE + 1)
    winner, _ = await _acquire(subject, saga_id)
    before = await subject.storage.load_saga_state(saga_id)
    assert await zombie.renew() is False
    await zombie.log_step(saga_id, "Charge", "act", DONE, position=0)
    await zombie.update_status(saga_id, COMPLETED)
    with pytest.raises(SagaConcurrencyError, match="another run has taken over"):
        await zombie.commit()
    await zombie.commit()  # nothing stays collected
    assert await subject.storage.load_saga_state(saga_id) == before
    assert len(await subject.lines(saga_id)) == 1
    await zombie.release(not_before=1000.0)
    assert await winner.renew() is True
    await _log(winner, saga_id)
    with pytest.raises(SagaConcurrencyError):
        await _acquire(subject, saga_id)


async def the_release_of_a_zombie_disturbs_nobody(subject: Subject) -> None:
    for not_before in (0.0, 1000.0):
        saga_id, zombie = await subject.start()
        await subject.pass_time(LEASE + 1)
        winner, _ = await _acquire(subject, saga_id)
        await zombie.release(not_before=not_before)
        with pytest.raises(SagaConcurrencyError):
            await _acquire(subject, saga_id)
        assert await winner.renew() is True
        await _log(winner, saga_id)


async def a_release_lets_others_in_at_once(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await run.log_step(saga_id, "Charge", "act", DONE, position=0)
    await run.release()
    assert len(await subject.lines(saga_id)) == 1
    assert await subject.recoverable() == [saga_id]
    await _acquire(subject, saga_id)
    await run.release()
    with pytest.raises(SagaConcurrencyError):
        await _acquire(subject, saga_id)


async def a_recovery_can_be_put_off(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await run.release(not_before=60.0)
    assert await subject.recoverable() == []
    with pytest.raises(SagaConcurrencyError, match="put off") as caught:
        await _acquire(subject, saga_id, recovering=True)
    assert caught.value.retry_after is not None
    assert 50 < caught.value.retry_after <= 60
    await subject.pass_time(61)
    assert await subject.recoverable() == [saga_id]
    await _acquire(subject, saga_id, recovering=True)


async def what_is_put_off_is_the_recovery_alone(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await run.release(not_before=60.0)
    await _acquire(subject, saga_id)


async def only_one_of_twenty_gets_a_lease(subject: Subject) -> None:
    saga_id = await subject.abandoned()
    results = await asyncio.gather(
        *(_acquire(subject, saga_id, recovering=True) for _ in range(20)), return_exceptions=True
    )
    errors = [result for result in results if isinstance(result, BaseException)]
    assert len(errors) == 19
    assert all(isinstance(error, SagaConcurrencyError) for error in errors)
    (run,) = [result[0] for result in results if not isinstance(result, BaseException)]
    await _log(run, saga_id)
    assert (await subject.storage.load_saga_state(saga_id))[2] == 3


async def only_one_of_twenty_creates_a_saga(subject: Subject) -> None:
    saga_id = uuid.uuid4()

    async def create(number: int) -> int:
        async with subject.run() as run:
            await run.create_saga(saga_id, "Order", {"number": number})
            await run.log_step(saga_id, "Charge", "act", STARTED, position=0)
            await run.commit()
            return number

    results = await asyncio.gather(*map(create, range(20)), return_exceptions=True)
    winners = [result for result in results if isinstance(result, int)]
    assert len(winners) == 1
    assert all(isinstance(result, int | SagaConcurrencyError) for result in results)
    assert (await subject.storage.load_saga_state(saga_id))[1] == {"number": winners[0]}
    assert len(await subject.lines(saga_id)) == 1


async def acquiring_twice_is_safe(subject: Subject) -> None:
    saga_id = await subject.abandoned()
    async with subject.run() as run:
        await run.acquire(saga_id)
        await run.acquire(saga_id)
        await _log(run, saga_id)


async def acquiring_forgets_what_was_collected(subject: Subject) -> None:
    saga_id = await subject.abandoned()
    async with subject.run() as run:
        await run.acquire(saga_id)
        await run.log_step(saga_id, "Charge", "act", DONE, position=0)
        await run.acquire(saga_id)
        await run.commit()
    assert len(await subject.lines(saga_id)) == 1


async def an_unknown_saga_is_said_to_be(subject: Subject) -> None:
    saga_id = uuid.uuid4()
    storage = subject.storage
    for call in (
        _acquire(subject, saga_id),
        storage.load_saga_state(saga_id),
        storage.load_saga_state(saga_id, read_for_update=True),
        storage.update_status(saga_id, RUNNING),
        storage.update_context(saga_id, {}),
        storage.update_context(saga_id, {}, 1),
        storage.log_step(saga_id, "Charge", "act", DONE),
        storage.set_recovery_attempts(saga_id, 0),
        storage.increment_recovery_attempts(saga_id),
        storage.increment_recovery_attempts(saga_id, RUNNING),
    ):
        with pytest.raises(SagaNotFoundError):
            await call
    assert await storage.get_step_history(saga_id) == []


async def a_final_status_gives_the_lease_back(subject: Subject) -> None:
    for status in (COMPLETED, FAILED):
        saga_id, run = await subject.start()
        await run.update_status(saga_id, status)
        await run.commit()
        assert await run.renew() is True
        await run.release(not_before=1000.0)
        async with subject.run() as other:
            state = await other.acquire(saga_id)
            assert state == (status, {"orderId": 7}, 2)
            with pytest.raises(ConfigurationError):
                await other.update_status(saga_id, RUNNING)
        assert await subject.storage.load_saga_state(saga_id) == state
    assert await subject.recoverable() == []


async def a_failed_saga_is_leased_to_who_recovers_it(subject: Subject) -> None:
    saga_id = await subject.abandoned(status=FAILED)
    run, (status, _, _) = await _acquire(subject, saga_id, recovering=True)
    assert status is FAILED
    with pytest.raises(SagaConcurrencyError):
        await _acquire(subject, saga_id, recovering=True)
    await run.log_step(saga_id, "Charge", "compensate", DONE, position=0)
    await run.commit()
    await run.release()
    await _acquire(subject, saga_id, recovering=True)


async def a_completed_saga_is_leased_to_nobody(subject: Subject) -> None:
    saga_id = await subject.abandoned(status=COMPLETED)
    for _ in range(2):
        _, (status, _, version) = await _acquire(subject, saga_id, recovering=True)
        assert (status, version) == (COMPLETED, 2)


# ---------------------------------------------------------------------------------------------- contexts


async def contexts_come_back_as_they_were(subject: Subject) -> None:
    context = {
        "text": "naïve ☃ 😀 \"quoted\" \\ 'single' %s :x \n\t\x00\x1f",
        "numbers": [0, -1, 2**53, 1.5, 1e-7],
        "nothing": None,
        "truth": [True, False],
        "nested": {"a": {"b": [{"c": []}, {}]}},
        "": "empty key",
        "large": "x" * 200_000,
    }
    saga_id, run = await subject.start(context=context)
    assert (await subject.storage.load_saga_state(saga_id))[1] == context
    await run.update_context(saga_id, {"again": context})
    await run.commit()
    assert (await subject.storage.load_saga_state(saga_id))[1] == {"again": context}


async def contexts_are_nobody_elses(subject: Subject) -> None:
    for context in ({"items": [1], "inner": {"a": 1}}, {"flat": 1}):
        expected = {key: value.copy() if hasattr(value, "copy") else value for key, value in context.items()}
        saga_id, run = await subject.start(context=context)
        _spoil(context)
        read = (await subject.storage.load_saga_state(saga_id))[1]
        assert read == expected
        _spoil(read)
        assert (await subject.storage.load_saga_state(saga_id))[1] == expected
        later: dict[str, Any] = {"items": [1]}
        await run.update_context(saga_id, later)
        _spoil(later)
        await run.commit()
        _spoil(later)
        assert (await subject.storage.load_saga_state(saga_id))[1] == {"items": [1]}


async def contexts_are_json(subject: Subject) -> None:
    saga_id, run = await subject.start()
    for context, named in (
        ({"id": uuid.uuid4()}, "'id' (UUID)"),
        ({"fine": 1, "amount": math.nan}, "'amount' (float)"),
        ({"amount": math.inf}, "'amount' (float)"),
        ({"deep": [{"x": object()}]}, "'deep' (list)"),
        ({"text": ["half \ud83d"]}, "'text' (list)"),
        ([], "not list"),
    ):
        with pytest.raises(SagaContextError) as caught:
            await run.update_context(saga_id, context)
        assert named in str(caught.value)
        assert str(saga_id) in str(caught.value)
    await run.commit()
    assert await subject.storage.load_saga_state(saga_id) == (RUNNING, {"orderId": 7}, 1)


async def tuples_and_numbers_as_keys_become_json(subject: Subject) -> None:
    saga_id, _ = await subject.start(context={"pair": (1, 2), "by": {1: "one"}})
    assert (await subject.storage.load_saga_state(saga_id))[1] == {"pair": [1, 2], "by": {"1": "one"}}


async def details_of_any_kind_are_kept(subject: Subject) -> None:
    saga_id, run = await subject.start()
    text = "ValueError: 😀 'quoted' %s :name"
    await run.log_step(saga_id, "Charge", "act", GIVEN_UP, text, position=0)
    await run.log_step(saga_id, "Charge", "act", GIVEN_UP, "nul \x00 lone \ud800", position=0)
    await run.log_step(saga_id, "Charge", "act", GIVEN_UP, "x" * 100_000, position=0)
    await run.commit()
    lines = await subject.lines(saga_id)
    assert lines[1][4] == text
    assert lines[2][4].startswith("nul ")
    assert lines[3][4].startswith("x" * 10_000)


# ---------------------------------------------------------------------------------------------- direct writes


async def it_can_be_used_without_a_run(subject: Subject) -> None:
    storage, saga_id = subject.storage, uuid.uuid4()
    await storage.create_saga(saga_id, "Order", {"a": 1})
    assert await storage.load_saga_state(saga_id) == (SagaStatus.PENDING, {"a": 1}, 1)
    await storage.update_status(saga_id, RUNNING)
    await storage.log_step(saga_id, "Charge", "act", STARTED)
    await storage.log_step(saga_id, "Charge", "act", GIVEN_UP, "why", position=3)
    await storage.update_context(saga_id, {"a": 2}, current_version=2)
    assert await storage.load_saga_state(saga_id, read_for_update=True) == (RUNNING, {"a": 2}, 3)
    with pytest.raises(SagaConcurrencyError, match="its version is 3, not 2"):
        await storage.update_context(saga_id, {"a": 3}, current_version=2)
    await storage.update_context(saga_id, {"a": 4})
    assert await subject.lines(saga_id) == [
        ("Charge", "act", STARTED, None, None),
        ("Charge", "act", GIVEN_UP, 3, "why"),
    ]
    await storage.update_status(saga_id, FAILED)
    assert await storage.load_saga_state(saga_id) == (FAILED, {"a": 4}, 5)


async def a_direct_write_fences_the_run(subject: Subject) -> None:
    for write in (
        lambda saga_id: subject.storage.update_status(saga_id, COMPENSATING),
        lambda saga_id: subject.storage.update_context(saga_id, {"changed": True}),
    ):
        saga_id, run = await subject.start()
        await write(saga_id)
        assert await run.renew() is False
        with pytest.raises(SagaConcurrencyError):
            await _log(run, saga_id)
        assert len(await subject.lines(saga_id)) == 1
        # Whoever executes it may be within a step.
        with pytest.raises(SagaConcurrencyError):
            await _acquire(subject, saga_id)


async def counting_attempts_does_not_disturb_the_run(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await subject.storage.increment_recovery_attempts(saga_id)
    await subject.storage.set_recovery_attempts(saga_id, 3)
    await subject.storage.log_step(saga_id, "Note", "act", STARTED)
    assert await run.renew() is True
    await _log(run, saga_id)


# ---------------------------------------------------------------------------------------------- recovery


async def unfinished_sagas_are_found_oldest_first(subject: Subject) -> None:
    storage = subject.storage
    pending = uuid.uuid4()
    await storage.create_saga(pending, "Order", {})
    await subject.pass_time(1)
    running = await subject.abandoned()
    await subject.pass_time(1)
    compensating = await subject.abandoned(status=COMPENSATING)
    await subject.pass_time(1)
    for status in (COMPLETED, FAILED):
        await subject.abandoned(status=status)
    await subject.start()
    assert await subject.recoverable() == [pending, running, compensating]
    assert await storage.get_sagas_for_recovery(2) == [pending, running]
    await subject.pass_time(1)
    run, _ = await _acquire(subject, pending, recovering=True)
    await run.release()
    assert await subject.recoverable() == [running, compensating, pending]


async def recovery_is_by_name(subject: Subject) -> None:
    order, refund = await subject.abandoned("Order"), await subject.abandoned("Refund")
    other = await subject.abandoned("Ord")
    assert await subject.recoverable(saga_name="Order") == [order]
    assert set(await subject.recoverable(saga_name=["Refund", "Ord"])) == {refund, other}
    assert await subject.recoverable(saga_name=[]) == []
    named = subject.storage.get_named_sagas_for_recovery
    assert await named(10, saga_name="Order") == [(order, "Order")]
    assert set(await named(10)) == {(order, "Order"), (refund, "Refund"), (other, "Ord")}
    assert set(await ISagaStorage.get_named_sagas_for_recovery(subject.storage, 10)) == set(await named(10))
    assert len(await named(2)) == 2
    assert await subject.storage.get_unfinished_names() == {"Order", "Refund", "Ord"}


async def stale_sagas_alone_can_be_asked_for(subject: Subject) -> None:
    old = await subject.abandoned()
    await subject.pass_time(100.5)
    new = await subject.abandoned()
    assert await subject.recoverable(stale_after_seconds=50.25) == [old]
    assert await subject.recoverable(stale_after_seconds=500) == []
    assert await subject.recoverable(stale_after_seconds=0) == [old, new]


async def attempts_are_counted_and_progress_forgives_them(subject: Subject) -> None:
    storage, saga_id = subject.storage, await subject.abandoned()
    for attempt in range(1, 4):
        run, _ = await _acquire(subject, saga_id, recovering=True)
        await run.release()
        assert await subject.recoverable(max_recovery_attempts=attempt) == []
        assert await storage.get_exhausted_sagas(10, attempt) == [saga_id]
        assert await subject.recoverable(max_recovery_attempts=attempt + 1) == [saga_id]
        assert await storage.get_exhausted_sagas(10, attempt + 1) == []
    assert await storage.get_exhausted_sagas(10, 1, "Refund") == []
    run, _ = await _acquire(subject, saga_id)
    await run.log_step(saga_id, "Charge", "compensate", DONE, position=0)
    await run.log_step(saga_id, "Charge", "act", STARTED, position=0)
    await run.commit()
    await run.release()
    assert await storage.get_exhausted_sagas(10, 3) == [saga_id]
    run, _ = await _acquire(subject, saga_id)
    await _log(run, saga_id)
    await run.release()
    assert await storage.get_exhausted_sagas(10, 1) == []


async def attempts_can_be_set(subject: Subject) -> None:
    storage, saga_id = subject.storage, await subject.abandoned()
    await storage.set_recovery_attempts(saga_id, 7)
    assert await subject.recoverable() == []
    await storage.set_recovery_attempts(saga_id, 0)
    assert await subject.recoverable() == [saga_id]
    await storage.increment_recovery_attempts(saga_id)
    await storage.increment_recovery_attempts(saga_id, COMPENSATING)
    assert (await storage.load_saga_state(saga_id))[0] is COMPENSATING
    assert await storage.get_exhausted_sagas(10, 2) == [saga_id]
    await storage.increment_recovery_attempts(saga_id, FAILED)
    assert await storage.get_exhausted_sagas(10, 1) == []


async def wrong_numbers_are_refused(subject: Subject) -> None:
    storage, (saga_id, run) = subject.storage, await subject.start()
    for call in (
        lambda: storage.get_sagas_for_recovery(0),
        lambda: storage.get_sagas_for_recovery(10, 0),
        lambda: storage.get_sagas_for_recovery(10, stale_after_seconds=-1),
        lambda: storage.get_sagas_for_recovery(10, saga_name=[3]),  # type: ignore[list-item]
        lambda: storage.get_exhausted_sagas(0),
        lambda: storage.get_sagas_with_failed_compensation(0),
        lambda: storage.set_recovery_attempts(saga_id, -1),
        lambda: storage.purge_finished(-1),
        lambda: storage.purge_finished(1, limit=0),
        lambda: run.release(not_before=-1),
    ):
        with pytest.raises(ConfigurationError):
            await call()


async def failed_compensations_are_found_until_they_are_done(subject: Subject) -> None:
    storage = subject.storage
    fine = await subject.abandoned(status=FAILED)
    saga_id, run = await subject.start()
    await run.update_status(saga_id, COMPENSATING)
    await run.log_step(saga_id, "Ship", "compensate", DONE, position=1)
    await run.log_step(saga_id, "Charge", "compensate", GIVEN_UP, "refused", position=0)
    await run.commit()
    assert await storage.get_sagas_with_failed_compensation(10) == []
    await run.update_status(saga_id, FAILED)
    await run.commit()
    assert await storage.get_sagas_with_failed_compensation(10) == [saga_id]
    assert await storage.get_sagas_with_failed_compensation(10, "Order") == [saga_id]
    assert await storage.get_sagas_with_failed_compensation(10, ["Refund"]) == []
    assert await storage.purge_finished(0) == 1  # the fine one
    with pytest.raises(SagaNotFoundError):
        await storage.load_saga_state(fine)
    run, _ = await _acquire(subject, saga_id, recovering=True)
    await run.log_step(saga_id, "Charge", "compensate", DONE, position=0)
    await run.commit()
    await run.release()
    assert await storage.get_sagas_with_failed_compensation(10) == []
    assert await storage.purge_finished(0) == 1


async def the_same_step_twice_is_told_apart(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await run.log_step(saga_id, "Charge", "compensate", GIVEN_UP, position=0)
    await run.log_step(saga_id, "Charge", "compensate", DONE, position=1)
    await run.update_status(saga_id, FAILED)
    await run.commit()
    assert await subject.storage.get_sagas_with_failed_compensation(10) == [saga_id]


async def finished_sagas_are_purged(subject: Subject) -> None:
    storage = subject.storage
    old = [await subject.abandoned(status=status) for status in (COMPLETED, FAILED)]
    running = await subject.abandoned()
    leased, _ = await subject.start()
    await subject.pass_time(100)
    new = await subject.abandoned(status=COMPLETED)
    recovered, _ = await _acquire(subject, old[1], recovering=True)
    assert await storage.purge_finished(50, limit=5) == 1
    await recovered.release()
    await subject.pass_time(60)
    assert await storage.purge_finished(50.5, limit=1) == 1
    assert await storage.purge_finished(50.5) == 1
    for saga_id in (*old, new):
        with pytest.raises(SagaNotFoundError):
            await storage.load_saga_state(saga_id)
        assert await storage.get_step_history(saga_id) == []
    for saga_id in (running, leased):
        assert (await storage.load_saga_state(saga_id))[0] is RUNNING
        assert len(await storage.get_step_history(saga_id)) == 1


async def given_up_compensations_are_purged_on_demand_only(subject: Subject) -> None:
    saga_id, run = await subject.start()
    await run.log_step(saga_id, "Charge", "compensate", GIVEN_UP, position=0)
    await run.update_status(saga_id, FAILED)
    await run.commit()
    assert await subject.storage.purge_finished(0) == 0
    assert await subject.storage.purge_finished(0, with_failed_compensation=True) == 1


async def _acquire(subject: Subject, saga_id: uuid.UUID, *, recovering: bool = False) -> tuple[Any, Any]:
    run = await subject.storage.create_run().__aenter__()
    return run, await run.acquire(saga_id, recovering=recovering)


async def _log(run: Any, saga_id: uuid.UUID) -> None:
    await run.log_step(saga_id, "Charge", "act", DONE, position=0)
    await run.commit()


def _spoil(context: dict[str, Any]) -> None:
    for value in list(context.values()):
        if isinstance(value, list):
            value.append("spoilt")
        elif isinstance(value, dict):
            value["spoilt"] = True
    context["spoilt"] = True


SITUATIONS: list[Callable[[Subject], Awaitable[None]]] = [
    situation
    for name, situation in list(globals().items())
    if asyncio.iscoroutinefunction(situation) and not name.startswith("_")
]

"""A storage, or a context, that does not let be stored what a step has done; and leases that are lost."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from cqrs.exceptions import SagaConcurrencyError, SagaContextError
from cqrs.saga.recovery import recover_saga
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from cqrs.testing import FakeClock
from tests.unit.saga.faulty import FaultySagaStorage, NoRuns, StorageDown, When
from tests.unit.saga.shop import (
    Careful,
    Naps,
    Order,
    Shop,
    Steps,
    effects,
    lines_of,
    recoverable,
    run,
    status_of,
    transaction,
    wishes,
)


class CommitFails:
    """Lets some commits after now fail; a wish."""

    def __init__(self, storage: FaultySagaStorage, times: int) -> None:
        self._storage = storage
        self._left = times

    def __call__(self, _: Any) -> None:
        self._storage.fails = self._fails

    def _fails(self, _: int, name: str) -> bool:
        if name != "commit" or not self._left:
            return False
        self._left -= 1
        return True


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["A", "B", "C"])
@pytest.mark.parametrize("times", [1, 2])
async def test_a_commit_is_tried_again(when: When, step: str, times: int, saga_id: uuid.UUID) -> None:
    storage, naps = FaultySagaStorage(when=when), Naps()
    wishes[f"act {step}"] = CommitFails(storage, times)
    assert await run(storage, Careful, saga_id=saga_id, sleep=naps) == ["A", "B", "C"]
    assert naps.seconds == [0.05, 0.25][:times]
    assert effects == ["act A", "act B", "act C"]
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED
    assert len(await lines_of(storage, saga_id)) == 6


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["A", "B"])
async def test_a_step_that_cannot_be_stored_is_compensated_and_no_fallback_acts(
    when: When, step: str, saga_id: uuid.UUID
) -> None:
    storage = FaultySagaStorage(when=when)
    wishes[f"act {step}"] = CommitFails(storage, 3)
    with pytest.raises(StorageDown):
        await run(storage, Careful, saga_id=saga_id)
    assert effects == {"A": ["act A", "undo A"], "B": ["act A", "act B", "undo B", "undo A"]}[step]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_the_last_step_too(saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage()
    wishes["act C"] = CommitFails(storage, 3)
    with pytest.raises(StorageDown):
        await run(storage, saga_id=saga_id)
    assert effects[3:] == ["undo C", "undo B", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_a_saga_that_is_completed_unknown_to_all_is_consistent(saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage(when="after")
    wishes["act C"] = CommitFails(storage, 3)
    with pytest.raises(StorageDown):
        await run(storage, saga_id=saga_id)
    undone = [effect for effect in effects if effect.startswith("undo")]
    status = await status_of(storage, saga_id)
    assert (status, undone) in [
        (SagaStatus.COMPLETED, []),
        (SagaStatus.FAILED, ["undo C", "undo B", "undo A"]),
    ]


async def test_if_the_compensation_cannot_be_begun_either_a_recovery_goes_forward(saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage()
    wishes["act B"] = CommitFails(storage, 1000)
    with pytest.raises(StorageDown) as caught:
        await run(storage, Careful, saga_id=saga_id)
    assert any("B has acted, which could not be stored" in note for note in caught.value.__notes__)
    assert effects == ["act A", "act B"]
    assert await status_of(storage, saga_id) is SagaStatus.RUNNING
    assert await recoverable(storage) == [saga_id]
    wishes.clear()
    storage.heal()
    await recover_saga(Careful, saga_id, Order, Steps(), storage)
    assert effects == ["act A", "act B", "act B", "act C"]


async def test_a_commit_is_not_tried_again_once_another_run_has_taken_over(saga_id: uuid.UUID) -> None:
    storage, naps = FaultySagaStorage(), Naps()
    errors: list[Exception] = [StorageDown(), SagaConcurrencyError(saga_id, "taken over"), StorageDown()]
    storage.error = lambda: errors.pop(0)
    wishes["act B"] = CommitFails(storage, 3)
    with pytest.raises(SagaConcurrencyError, match="taken over"):
        await run(storage, Careful, saga_id=saga_id, sleep=naps)
    assert naps.seconds == [0.05]
    assert effects == ["act A", "act B"]


class Stumbling(NoRuns):
    """One without runs, some writes of which fail."""

    failures = 0

    async def update_context(self, *args: Any, **kwargs: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise StorageDown
        await super().update_context(*args, **kwargs)


@pytest.mark.parametrize("times", [2, 3])
async def test_a_storage_without_runs_goes_on_with_the_write_that_failed(
    saga_id: uuid.UUID, times: int
) -> None:
    storage = Stumbling()
    wishes["act B"] = lambda _: setattr(storage, "failures", times)
    if times < 3:
        assert await run(storage, saga_id=saga_id) == ["A", "B", "C"]
        assert len(await lines_of(storage, saga_id)) == 6
        return
    with pytest.raises(StorageDown):
        await run(storage, saga_id=saga_id)
    assert effects == ["act A", "act B", "undo B", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_saga_that_cannot_be_created_does_nothing(when: When, saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage(lambda number, name: name == "commit", when)
    with pytest.raises(StorageDown):
        await run(storage, saga_id=saga_id)
    assert effects == []
    assert await recoverable(storage) == ([saga_id] if when == "after" else [])


@pytest.mark.parametrize("step", ["A", "B", "C"])
async def test_a_context_that_cannot_be_stored(
    storage: MemorySagaStorage, saga_id: uuid.UUID, step: str
) -> None:
    wishes[f"act {step}"] = lambda order: setattr(order, "extra", object())
    with pytest.raises(SagaContextError, match=r"Order.extra .* an object of type object"):
        await run(storage, Careful, saga_id=saga_id)
    acted = "ABC"[: "ABC".index(step) + 1]
    assert effects == [*(f"act {name}" for name in acted), *(f"undo {name}" for name in reversed(acted))]
    status, context, _ = await storage.load_saga_state(saga_id)
    assert (status, context["done"]) == (SagaStatus.FAILED, list(acted[:-1]))


async def test_a_context_that_cannot_be_stored_from_the_start(storage: MemorySagaStorage) -> None:
    with pytest.raises(SagaContextError):
        await run(storage, context=Order(extra=object()))
    assert effects == []
    assert await storage.get_unfinished_names() == set()


# ---------------------------------------------------------------- leases


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_zombie_does_not_act(clock: FakeClock, saga_id: uuid.UUID) -> None:
    storage = MemorySagaStorage(clock=clock)
    async with transaction(storage, saga_id=saga_id, clock=clock) as zombie:
        await anext(zombie)
        clock.advance(31)
        await recover_saga(Shop, saga_id, Order, Steps(), storage)
        with pytest.raises(SagaConcurrencyError, match="another run has taken over"):
            await anext(zombie)
    assert effects == ["act A", "act B", "act C"]
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED


async def test_a_zombie_that_acts_already_writes_nothing(clock: FakeClock, saga_id: uuid.UUID) -> None:
    storage = MemorySagaStorage(clock=clock)

    async def take_over(_: Order) -> None:
        wishes.clear()
        clock.advance(31)
        await recover_saga(Shop, saga_id, Order, Steps(), storage)

    wishes["act B"] = take_over
    with pytest.raises(SagaConcurrencyError):
        await run(storage, saga_id=saga_id, clock=clock)
    assert effects == ["act A", "act B", "act B", "act C"]  # nothing is undone
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED


async def test_a_zombie_whose_step_fails_undoes_nothing(clock: FakeClock, saga_id: uuid.UUID) -> None:
    storage = MemorySagaStorage(clock=clock)

    async def take_over(_: Order) -> None:
        wishes.clear()
        clock.advance(31)
        await recover_saga(Shop, saga_id, Order, Steps(), storage)
        raise ConnectionError

    wishes["act B"] = take_over
    with pytest.raises(SagaConcurrencyError):
        await run(storage, saga_id=saga_id, clock=clock)
    assert not [effect for effect in effects if effect.startswith("undo")]


async def test_a_zombie_stops_compensating(clock: FakeClock, saga_id: uuid.UUID) -> None:
    storage = MemorySagaStorage(clock=clock)

    async def take_over(_: Order) -> None:
        del wishes["undo B"]
        clock.advance(31)
        with pytest.raises(RuntimeError, match="recovered in compensating state"):
            await recover_saga(Shop, saga_id, Order, Steps(), storage)
        raise ConnectionError

    wishes.update({"act C": lambda _: 1 / 0, "undo B": take_over})
    with pytest.raises(SagaConcurrencyError):
        await run(storage, saga_id=saga_id, clock=clock)
    assert effects[3:] == ["undo B", "undo B", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_a_doubtful_lease_is_renewed_before_a_step_acts(clock: FakeClock, saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage(clock=clock)
    async with transaction(storage, saga_id=saga_id, clock=clock) as saga:
        await anext(saga)
        clock.advance(25)
        assert (await anext(saga)).response == "B"
        assert storage.calls.count("renew") == 1
        clock.advance(25)
        storage.fails = lambda number, name: name == "renew"
        with pytest.raises(StorageDown):  # it is not known whether somebody has taken over
            await anext(saga)
    assert effects == ["act A", "act B"]
    assert await recoverable(storage) == [saga_id]


async def test_no_fallback_acts_for_a_zombie(clock: FakeClock, saga_id: uuid.UUID) -> None:
    storage = MemorySagaStorage(clock=clock)

    async def take_over(_: Order) -> None:
        wishes.clear()
        clock.advance(31)
        await recover_saga(Careful, saga_id, Order, Steps(), storage)
        raise ConnectionError

    wishes["act B"] = take_over
    with pytest.raises(SagaConcurrencyError):
        await run(storage, Careful, saga_id=saga_id, clock=clock)
    assert effects == ["act A", "act B", "act B", "act C"]

"""Steps of which nobody knows whether they have acted: ``compensate_on_failure``."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cqrs.saga.fallback import Fallback
from cqrs.saga.recovery import SagaCompensatedError, recover_saga
from cqrs.saga.saga import Saga
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from cqrs.testing import FakeClock
from tests.unit.saga.faulty import FaultySagaStorage, StorageDown, When
from tests.unit.saga.shop import (
    A,
    Boom,
    Naps,
    Order,
    Spare,
    Step,
    Steps,
    current,
    effects,
    fail,
    lines_of,
    run,
    status_of,
    transaction,
    wishes,
)
from tests.unit.saga.stepping import Stepped


class Card(Step):
    compensate_on_failure = True


class Bank(Step):
    compensate_on_failure = True


class Parcel(Step):
    compensate_on_failure = True


class Pay(Saga[Order]):
    steps = [A, Card, Parcel]


class PayAnyhow(Saga[Order]):
    steps = [A, Fallback(Card, Bank), Parcel]


class Rejected(Exception):
    pass


class Breaker:
    """A breaker that has only what every breaker must have."""

    def __init__(self, *, rejects: bool = False, times_out: bool = False) -> None:
        self.rejects = rejects
        self.times_out = times_out

    async def call(
        self, identifier: type[Any], func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> Any:
        if self.rejects:
            raise Rejected
        result = await func(*args, **kwargs)
        if self.times_out:
            raise TimeoutError
        return result

    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        return isinstance(exc, Rejected)


async def recover(storage: Any, saga_id: uuid.UUID, saga: type[Saga[Any]] = PayAnyhow, **options: Any) -> Any:
    return await recover_saga(saga, saga_id, Order, Steps(), storage, sleep=Naps(), **options)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def undone() -> list[str]:
    return [effect for effect in effects if effect.startswith("undo")]


def test_the_flag_is_off_by_default() -> None:
    assert A.compensate_on_failure is False


async def test_a_step_that_raises_is_compensated_first(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    seen: list[Any] = []
    wishes["act Card"] = fail(TimeoutError("no answer"))
    wishes["undo Card"] = wishes["undo A"] = lambda _: seen.append(current())
    container = Steps()
    with pytest.raises(TimeoutError):
        await run(storage, Pay, saga_id=saga_id, container=container)
    assert effects == ["act A", "act Card", "undo Card", "undo A"]
    assert await lines_of(storage, saga_id) == [
        "0 A act started",
        "0 A act completed",
        "1 Card act started",
        "1 Card act failed",
        "1 Card compensate started",
        "1 Card compensate completed",
        "0 A compensate started",
        "0 A compensate completed",
    ]
    log = await storage.get_step_history(saga_id)
    assert log[3].details == "TimeoutError: no answer"
    assert [info.act_failed for info in seen] == [True, False]
    assert [info.idempotency_key for info in seen] == [
        f"{saga_id}:1:compensate:Card",
        f"{saga_id}:0:compensate",
    ]
    assert len(container.built) == 2  # the instance that acted is the one that is compensated


async def test_also_after_a_crash_and_once(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    wishes["act Card"] = fail()
    wishes["undo Card"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        await run(storage, Pay, saga_id=saga_id)
    wishes["undo Card"] = lambda context: context.done.append("seen")
    wishes["undo A"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        await recover(storage, saga_id, Pay)
    del wishes["undo A"]
    with pytest.raises(SagaCompensatedError):
        await recover(storage, saga_id, Pay)
    assert undone() == ["undo Card", "undo Card", "undo A", "undo A"]
    with pytest.raises(SagaCompensatedError):
        await recover(storage, saga_id, Pay)
    assert len(undone()) == 4


async def test_what_a_step_noted_before_it_raised_is_there_after_a_crash(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    def note(context: Order) -> None:
        context.extra = "payment 7"
        raise Boom

    wishes["act Card"] = note
    wishes["undo Card"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        await run(storage, Pay, saga_id=saga_id)
    seen: list[Any] = []
    wishes["undo Card"] = lambda context: seen.append(context.extra)
    with pytest.raises(SagaCompensatedError):
        await recover(storage, saga_id, Pay)
    assert seen == ["payment 7"]


async def test_notes_that_cannot_be_stored_hold_up_nothing(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    def note(context: Order) -> None:
        context.extra = object()
        raise Boom

    wishes["act Card"] = note
    with pytest.raises(Boom):
        await run(storage, Pay, saga_id=saga_id)
    assert undone() == ["undo Card", "undo A"]
    assert (await storage.load_saga_state(saga_id))[1]["extra"] is None


async def test_a_step_that_failed_is_compensated_after_the_one_that_acted_in_its_place(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act Card"] = fail(TimeoutError("no answer"))
    wishes["act Parcel"] = fail()
    wishes["undo Bank"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        await run(storage, PayAnyhow, saga_id=saga_id)
    assert undone() == ["undo Parcel", "undo Bank"]
    assert "1 Card act failed" in await lines_of(storage, saga_id)
    del wishes["undo Bank"]
    with pytest.raises(SagaCompensatedError):
        await recover(storage, saga_id)
    assert undone()[2:] == ["undo Bank", "undo Card", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_a_saga_that_completes_compensates_nothing(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act Card"] = fail()
    assert await run(storage, PayAnyhow, saga_id=saga_id) == ["A", "Bank", "Parcel"]
    assert undone() == []


async def test_all_that_failed_at_one_position_are_compensated(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act Card"] = wishes["act Bank"] = fail()
    with pytest.raises(Boom):
        await run(storage, PayAnyhow, saga_id=saga_id)
    assert undone() == ["undo Bank", "undo Card", "undo A"]


async def test_a_fallback_that_derives_from_the_class_it_replaces_is_told_apart(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    class Better(Card):
        pass

    class Related(Saga[Order]):
        steps = [A, Fallback(Card, Better)]

    wishes["act Card"] = wishes["act Better"] = fail()
    with pytest.raises(Boom):
        await run(storage, Related, saga_id=saga_id)
    assert undone() == ["undo Better", "undo Card", "undo A"]


async def test_a_class_that_the_container_puts_in_place_of_another_goes_by_its_name(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    class FastBank(Bank):
        pass

    class Replacing(Steps):
        async def resolve(self, type_: type[Any]) -> Any:
            return await super().resolve(FastBank if type_ is Bank else type_)

    wishes["act Card"] = wishes["act FastBank"] = fail()
    with pytest.raises(Boom):
        await run(storage, PayAnyhow, saga_id=saga_id, container=Replacing())
    assert undone() == ["undo FastBank", "undo Card", "undo A"]
    assert "1 Bank act failed" in await lines_of(storage, saga_id)


async def test_a_failure_of_another_class_is_still_logged(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    class Mixed(Saga[Order]):
        steps = [A, Fallback(Spare, Card)]

    wishes["act Spare"] = wishes["act Card"] = fail()
    with pytest.raises(Boom):
        await run(storage, Mixed, saga_id=saga_id)
    assert undone() == ["undo Card", "undo A"]
    assert {"1 Spare act failed", "1 Card act failed"} < set(await lines_of(storage, saga_id))


@pytest.mark.parametrize("crashes", [False, True])
async def test_a_step_that_was_not_asked_is_not_compensated(
    storage: MemorySagaStorage, saga_id: uuid.UUID, crashes: bool
) -> None:
    class Guarded(Saga[Order]):
        steps = [
            A,
            Fallback(Card, Spare, failure_exceptions=(TimeoutError,), circuit_breaker=Breaker(rejects=True)),
            Parcel,
        ]

    wishes["act Spare"] = fail()
    if crashes:
        wishes["undo A"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt if crashes else Boom):
        await run(storage, Guarded, saga_id=saga_id)
    if crashes:
        del wishes["undo A"]
        with pytest.raises(SagaCompensatedError):
            await recover(storage, saga_id, Guarded)
    assert set(undone()) == {"undo A"}


async def test_a_breaker_that_gives_up_on_a_step_that_has_acted(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    class Guarded(Saga[Order]):
        steps = [A, Fallback(Card, Bank, circuit_breaker=Breaker(times_out=True)), Parcel]

    wishes["act Parcel"] = fail()
    with pytest.raises(Boom):
        await run(storage, Guarded, saga_id=saga_id)
    assert undone() == ["undo Parcel", "undo Bank", "undo Card", "undo A"]


async def test_a_step_whose_events_cannot_be_read_has_acted(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    class Broken(Step):
        @property
        def events(self) -> list[object]:
            raise Boom

    class Shown(Saga[Order]):
        steps = [A, Broken]

    with pytest.raises(Boom):
        await run(storage, Shown, saga_id=saga_id)
    assert effects == ["act A", "act Broken", "undo Broken", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_a_step_that_was_interrupted_and_rejected_later(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    breaker = Breaker()

    class Guarded(Saga[Order]):
        steps = [A, Fallback(Card, Spare, circuit_breaker=breaker), Parcel]

    wishes["act Card"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        await run(storage, Guarded, saga_id=saga_id)
    breaker.rejects = True
    wishes["act Parcel"] = fail()
    with pytest.raises(Boom):
        await recover(storage, saga_id, Guarded)
    assert undone() == ["undo Parcel", "undo Spare", "undo Card", "undo A"]


async def test_a_step_that_was_interrupted_and_is_not_begun_again(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act Card"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        await run(storage, Pay, saga_id=saga_id)
    wishes["undo Card"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        async with transaction(storage, Pay, saga_id=saga_id):
            raise Boom
    del wishes["undo Card"]
    with pytest.raises(SagaCompensatedError):
        await recover(storage, saga_id, Pay)
    assert effects == ["act A", "act Card", "undo Card", "undo Card", "undo A"]


async def test_a_doubt_outlives_a_commit_that_failed(saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage()
    wishes["act Card"] = fail()
    calls: list[str] = []

    def fails(_: int, name: str) -> bool:
        calls.append(name)
        return name == "commit" and calls.count("commit") <= 3

    wishes["act Bank"] = lambda _: setattr(storage, "fails", fails)
    with pytest.raises(StorageDown):
        await run(storage, PayAnyhow, saga_id=saga_id)
    assert undone() == ["undo Bank", "undo Card", "undo A"]
    assert (await lines_of(storage, saga_id)).count("1 Card act failed") == 1


@pytest.mark.parametrize("strike", [None, asyncio.CancelledError()], ids=["closed", "cancelled"])
@pytest.mark.parametrize("failing", [["Card"], ["Card", "Parcel"], ["Card", "Bank"], ["Parcel"]], ids=str)
async def test_struck_at_every_suspension_no_doubt_is_left(failing: list[str], strike: Any) -> None:
    at, has_struck = 0, True
    while has_struck:
        effects.clear()
        wishes.clear()
        wishes.update({f"act {name}": fail() for name in failing})
        storage, saga_id = FaultySagaStorage(), uuid.uuid4()
        stepped = Stepped(run(storage, PayAnyhow, saga_id=saga_id), at, strike)
        with contextlib.suppress(Boom, asyncio.CancelledError):
            await stepped
        for _ in range(30):
            await asyncio.sleep(0)
        wishes.pop("act Card", None)  # it may well answer now
        with contextlib.suppress(Boom, SagaCompensatedError, LookupError):
            await recover(storage, saga_id)
        if await storage.get_step_history(saga_id) and await status_of(storage, saga_id) is SagaStatus.FAILED:
            doubtful = {name for name in ("Card", "Bank", "Parcel") if f"act {name}" in effects}
            assert {f"undo {name}" for name in doubtful} <= set(effects), at
            first = effects.index(undone()[0])
            assert not [effect for effect in effects[first:] if effect.startswith("act")]
        has_struck, at = stepped.has_struck, at + 1
    assert at > 20


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [1, 3, 99])
@pytest.mark.parametrize("failing", [["Card"], ["Card", "Parcel"], ["Card", "Bank"], ["Parcel"]], ids=str)
async def test_failed_by_the_storage_at_every_call_no_doubt_is_left(
    failing: list[str], times: int, when: When, clock: FakeClock
) -> None:
    at, has_failed = 0, True
    while has_failed:
        effects.clear()
        wishes.clear()
        wishes.update({f"act {name}": fail() for name in failing})
        first, saga_id = at, uuid.uuid4()
        storage = FaultySagaStorage(lambda number, _: first <= number < first + times, when, clock=clock)  # noqa: B023
        with contextlib.suppress(Boom, StorageDown):
            await run(storage, PayAnyhow, saga_id=saga_id, clock=clock)
        has_failed, at = len(storage.calls) > first, at + 1
        storage.heal()
        for _ in range(30):
            await asyncio.sleep(0)
        clock.advance(100)
        wishes.pop("act Card", None)
        with contextlib.suppress(Boom, SagaCompensatedError, LookupError):
            await recover(storage, saga_id, clock=clock)
        if await storage.get_step_history(saga_id) and await status_of(storage, saga_id) is SagaStatus.FAILED:
            acted = {name for name in ("A", "Card", "Bank", "Parcel") if f"act {name}" in effects}
            assert {f"undo {name}" for name in acted} <= set(effects), (first, effects)
    assert at > 20


async def test_a_doubt_outlives_a_context_that_cannot_be_stored(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act Card"] = fail()
    wishes["act Bank"] = lambda context: setattr(context, "extra", object())
    wishes["undo Bank"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        await run(storage, PayAnyhow, saga_id=saga_id)
    del wishes["undo Bank"]
    with pytest.raises(SagaCompensatedError):
        await recover(storage, saga_id)
    assert undone()[1:] == ["undo Bank", "undo Card", "undo A"]

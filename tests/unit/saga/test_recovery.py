"""Recovery: forward from running, backward from the rest, and never twice."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from cqrs.exceptions import (
    ConfigurationTypeError,
    SagaConcurrencyError,
    SagaContextError,
    SagaDefinitionError,
    SagaNotFoundError,
)
from cqrs.saga.recovery import SagaCompensatedError, recover_saga
from cqrs.saga.saga import Saga
from cqrs.saga.storage.enums import SagaStatus, SagaStepStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from tests.unit.saga.faulty import NoRuns
from tests.unit.saga.shop import (
    A,
    B,
    Boom,
    C,
    Careful,
    Naps,
    Order,
    Shop,
    Spare,
    Steps,
    current,
    effects,
    fail,
    lines_of,
    recoverable,
    run,
    status_of,
    transaction,
    wishes,
)


async def recover(storage: Any, saga_id: uuid.UUID, saga: Any = Shop, **options: Any) -> None:
    builder = options.pop("context_builder", Order)
    await recover_saga(saga, saga_id, builder, Steps(), storage, sleep=Naps(), **options)


async def interrupt(storage: Any, saga_id: uuid.UUID, name: str, saga: Any = Shop) -> None:
    """Execute a saga until the effect ``name``, and cancel it there."""
    wishes[name] = fail(asyncio.CancelledError())
    with contextlib.suppress(asyncio.CancelledError):
        await run(storage, saga, saga_id=saga_id)
    del wishes[name]
    effects.clear()


async def test_a_running_saga_goes_forward_from_the_stored_context(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    await interrupt(storage, saga_id, "act B")
    attempts: list[int] = []
    wishes["act B"] = lambda _: attempts.append(current().attempt)
    wishes["act C"] = lambda order: attempts.append(current().attempt)
    await recover(storage, saga_id)
    assert effects == ["act B", "act C"]
    assert attempts == [2, 1]
    status, context, _ = await storage.load_saga_state(saga_id)
    assert (status, context["done"]) == (SagaStatus.COMPLETED, ["A", "B", "C"])


async def test_a_pending_saga_goes_forward(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    await storage.create_saga(saga_id, "Shop", Order().to_dict())
    await recover(storage, saga_id, Shop())
    assert effects == ["act A", "act B", "act C"]
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED


async def test_a_completed_saga_needs_nothing(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    await run(storage, saga_id=saga_id)
    effects.clear()
    await recover(storage, saga_id)
    assert effects == []


async def test_a_compensating_saga_goes_backward(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    wishes["act C"] = fail()
    await interrupt(storage, saga_id, "undo B")
    with pytest.raises(RuntimeError, match="recovered in compensating state") as caught:
        await recover(storage, saga_id)
    assert isinstance(caught.value, SagaCompensatedError)
    assert str(saga_id) in str(caught.value)
    assert effects == ["undo B", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED
    assert await recoverable(storage) == []


async def test_a_compensation_that_is_durable_does_not_run_again(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act C"] = fail()
    await interrupt(storage, saga_id, "undo A")
    with pytest.raises(SagaCompensatedError):
        await recover(storage, saga_id)
    assert effects == ["undo A"]


async def test_a_failed_saga_has_what_was_given_up_tried_again(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes.update({"act C": fail(), "undo B": fail()})
    with pytest.raises(Boom):
        await run(storage, saga_id=saga_id)
    effects.clear()
    with pytest.raises(SagaCompensatedError, match="recovered in failed state: 1 of its") as caught:
        await recover(storage, saga_id, compensation_retry_count=1)
    assert [failed.step for failed in caught.value.failed_compensations] == [B]
    assert await storage.get_sagas_with_failed_compensation(10) == [saga_id]
    del wishes["undo B"]
    with pytest.raises(SagaCompensatedError, match="recovered in failed state"):
        await recover(storage, saga_id)
    assert effects == ["undo B", "undo B"]
    assert await storage.get_sagas_with_failed_compensation(10) == []
    with pytest.raises(RuntimeError, match="recovered in failed state"):
        await recover(storage, saga_id)
    assert len(effects) == 2
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_a_transaction_resumes_backward_too(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    wishes["act C"] = fail()
    await interrupt(storage, saga_id, "undo B")
    with pytest.raises(SagaCompensatedError):
        await run(storage, saga_id=saga_id)
    assert effects == ["undo B", "undo A"]
    with pytest.raises(SagaCompensatedError, match="failed state"):
        await run(storage, saga_id=saga_id)


async def test_the_step_that_acted_is_compensated(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    wishes["act B"] = fail()
    await interrupt(storage, saga_id, "act C", Careful)
    wishes["act C"] = fail()
    with pytest.raises(Boom):
        await recover(storage, saga_id, Careful)
    assert effects == ["act C", "undo Spare", "undo A"]
    assert Spare.__name__ in (await lines_of(storage, saga_id))[3]


async def test_an_error_of_a_recovered_step_compensates(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    await interrupt(storage, saga_id, "act B")
    wishes["act B"] = fail(error := Boom())
    with pytest.raises(Boom) as caught:
        await recover(storage, saga_id)
    assert caught.value is error
    assert effects == ["act B", "undo A"]


async def test_rows_without_positions_and_other_keys(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    await storage.create_saga(saga_id, "Shop", {"orderId": "old", "done": ["A"], "gone": 1})
    await storage.update_status(saga_id, SagaStatus.RUNNING)
    await storage.log_step(saga_id, "A", "act", SagaStepStatus.STARTED)
    await storage.log_step(saga_id, "A", "act", SagaStepStatus.COMPLETED)
    await recover(storage, saga_id)
    assert effects == ["act B", "act C"]


async def test_a_context_may_be_built_by_a_function(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    await interrupt(storage, saga_id, "act B")
    await recover(storage, saga_id, context_builder=lambda data: Order.from_dict(data))
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED


async def test_what_cannot_be_recovered_is_left_as_it_is(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    class Renamed(Saga[Order]):
        steps = [B, A, C]

    def unreadable(_: Any) -> Order:
        raise KeyError("order_id")

    await interrupt(storage, saga_id, "act B")
    before = await lines_of(storage, saga_id)
    with pytest.raises(SagaDefinitionError):
        await recover(storage, saga_id, Renamed)
    with pytest.raises(SagaContextError, match="order_id"):
        await recover(storage, saga_id, context_builder=unreadable)
    with pytest.raises(ConfigurationTypeError, match="context_builder"):
        await recover(storage, saga_id, context_builder=1)
    with pytest.raises(ConfigurationTypeError, match="saga must be a Saga or a class of one"):
        await recover_saga(Order, saga_id, Order, Steps(), storage)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(SagaNotFoundError):
        await recover(storage, uuid.uuid4())
    assert await lines_of(storage, saga_id) == before
    assert effects == []
    await recover(storage, saga_id)
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED


async def test_a_saga_that_somebody_executes_is_left_alone(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    async with transaction(storage, saga_id=saga_id) as saga:
        await anext(saga)
        with pytest.raises(SagaConcurrencyError, match=r"; try again in [\d.]+ s$") as caught:
            await recover(storage, saga_id)
        assert caught.value.retry_after is not None
        assert 0 < caught.value.retry_after <= storage.lease_seconds
        assert [result.response async for result in saga] == ["B", "C"]
    assert effects == ["act A", "act B", "act C"]


@pytest.mark.parametrize("state", ["act A", "act B", "act C", "undo A", "undo B"])
async def test_of_three_recoverers_one_goes_on(
    storage: MemorySagaStorage, saga_id: uuid.UUID, state: str
) -> None:
    if state.startswith("undo"):
        wishes["act C"] = fail()
    await interrupt(storage, saga_id, state)
    outcomes = await asyncio.gather(*(recover(storage, saga_id) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(SagaConcurrencyError) == 2
    assert len(effects) == len(set(effects))
    assert (await status_of(storage, saga_id)).is_final


async def test_events_are_delivered_on_request(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    delivered: list[object] = []

    async def deliver(events: Sequence[object], scope: Any) -> None:
        delivered.extend(events)

    await interrupt(storage, saga_id, "act B")
    await recover(storage, saga_id, deliver=deliver)
    assert delivered == ["B acted", "C acted"]


async def test_a_recovery_that_fails_may_put_the_next_one_off(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    await interrupt(storage, saga_id, "act B")
    wishes["act B"] = fail(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await recover(storage, saga_id, not_before=60)
    assert await recoverable(storage) == []
    with pytest.raises(SagaConcurrencyError):
        await recover(storage, saga_id)


@pytest.mark.parametrize("state", ["act A", "act B", "act C", "undo A", "undo B"])
async def test_a_storage_without_runs_serves_one_process(saga_id: uuid.UUID, state: str) -> None:
    storage = NoRuns()
    if state.startswith("undo"):
        wishes["act C"] = fail()
    await interrupt(storage, saga_id, state)
    with contextlib.suppress(SagaCompensatedError):
        await recover(storage, saga_id)
    assert (await status_of(storage, saga_id)).is_final
    assert effects[0] == state


async def test_the_last_write_of_a_storage_without_runs_may_be_missing(saga_id: uuid.UUID) -> None:
    storage = NoRuns()
    await run(storage, saga_id=saga_id)
    await storage.update_status(saga_id, SagaStatus.RUNNING)
    effects.clear()
    await recover(storage, saga_id)
    assert effects == []
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED

"""Sagas that are under way while their code is changed: each row of the table in ``docs/sagas.md``."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from typing import Any

import pytest

from cqrs.exceptions import SagaContextError, SagaDefinitionError
from cqrs.saga.fallback import Fallback
from cqrs.saga.models import SagaContext
from cqrs.saga.recovery import SagaCompensatedError, recover_saga
from cqrs.saga.saga import Saga
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from cqrs.saga.worker import RecoveryWorker
from tests.unit.saga.shop import (
    A,
    B,
    Boom,
    C,
    Naps,
    Order,
    Shop,
    Spare,
    Step,
    Steps,
    effects,
    fail,
    recoverable,
    run,
    status_of,
    wishes,
)


@dataclasses.dataclass
class Later(Order):
    gift: bool = True


@dataclasses.dataclass
class Lighter(SagaContext):
    done: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(kw_only=True)
class Stricter(Order):
    gift: bool


class D(Step):
    pass


@pytest.fixture(params=["act B", "undo A"])
async def begun(request: pytest.FixtureRequest, storage: MemorySagaStorage, saga_id: uuid.UUID) -> str:
    """Execute a saga until it is interrupted, going forward or backward; return where that was."""
    at: str = request.param
    wishes[at] = fail(asyncio.CancelledError())
    if at == "undo A":
        wishes["act C"] = fail()
    with contextlib.suppress(asyncio.CancelledError):
        await run(storage, saga_id=saga_id)
    wishes.clear()
    effects.clear()
    return at


async def go_on(storage: MemorySagaStorage, saga_id: uuid.UUID, steps: Any, context: Any = Order) -> None:
    changed: Any = type("Shop", (Saga,), {"steps": steps})
    with contextlib.suppress(SagaCompensatedError):
        await recover_saga(changed, saga_id, context, Steps(), storage, sleep=Naps())


@pytest.mark.parametrize(("context", "gift"), [(Later, True), (Lighter, None)])
async def test_a_field_with_a_default_is_added_or_one_is_gone(
    storage: MemorySagaStorage, saga_id: uuid.UUID, begun: str, context: Any, gift: bool | None
) -> None:
    seen: list[Any] = []
    wishes[begun] = seen.append
    await go_on(storage, saga_id, [A, B, C], context)
    assert effects[0] == begun
    assert type(seen[0]) is context
    assert seen[0].done[0] == "A"  # what was stored
    assert getattr(seen[0], "gift", None) is gift  # the default
    assert (await status_of(storage, saga_id)).is_final


async def test_a_field_without_default_is_added(
    storage: MemorySagaStorage, saga_id: uuid.UUID, begun: str
) -> None:
    with pytest.raises(
        SagaContextError, match=rf"{saga_id} \(Shop\).*field gift of Stricter; give the field"
    ):
        await go_on(storage, saga_id, [A, B, C], Stricter)
    assert effects == []
    assert await recoverable(storage) == [saga_id]
    await go_on(storage, saga_id, [A, B, C], Later)
    assert (await status_of(storage, saga_id)).is_final


async def test_steps_are_added_at_the_end(storage: MemorySagaStorage, saga_id: uuid.UUID, begun: str) -> None:
    await go_on(storage, saga_id, [A, B, C, D])
    forward = begun == "act B"
    assert effects == (["act B", "act C", "act D"] if forward else ["undo A"])
    assert await status_of(storage, saga_id) is (SagaStatus.COMPLETED if forward else SagaStatus.FAILED)


async def test_what_was_added_can_fail_like_any_step(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    wishes["act B"] = fail(asyncio.CancelledError())
    with contextlib.suppress(asyncio.CancelledError):
        await run(storage, saga_id=saga_id)
    wishes.update({"act D": fail()})
    del wishes["act B"]
    with pytest.raises(Boom):
        await go_on(storage, saga_id, [A, B, C, D])
    assert effects[-3:] == ["undo C", "undo B", "undo A"]


@pytest.mark.parametrize(
    ("steps", "part"),
    [
        ([A], "position 1 is B, but nothing is declared there"),  # removed
        ([A, C], "position 1 is B, but C is declared there"),
        ([A, D, C], "position 1 is B, but D is declared there"),  # renamed
        ([B, A, C], "position 0 is A, but B is declared there"),  # moved
        ([D, A, B, C], "position 0 is A, but D is declared there"),
    ],
)
async def test_steps_are_removed_renamed_or_moved(
    storage: MemorySagaStorage, saga_id: uuid.UUID, begun: str, steps: Any, part: str
) -> None:
    with pytest.raises(SagaDefinitionError, match=rf"{saga_id}: its log says that {part}"):
        await go_on(storage, saga_id, steps)
    assert effects == []
    assert await recoverable(storage) == [saga_id]  # whoever has the right steps can go on
    await go_on(storage, saga_id, [A, B, C])
    assert (await status_of(storage, saga_id)).is_final


async def test_a_fallback_is_added_to_a_step(
    storage: MemorySagaStorage, saga_id: uuid.UUID, begun: str
) -> None:
    await go_on(storage, saga_id, [A, Fallback(B, Spare), C])
    assert effects == (["act B", "act C"] if begun == "act B" else ["undo A"])


async def test_a_class_is_renamed_that_keeps_its_name_in_the_storage(
    storage: MemorySagaStorage, saga_id: uuid.UUID, begun: str
) -> None:
    class Department(Saga[Order]):
        saga_name = "Shop"
        steps = [A, B, C]

    assert await storage.get_unfinished_names() == {Shop.saga_name}
    await RecoveryWorker([Department], Steps(), storage).run_once()
    assert effects[0] == begun
    assert await storage.get_unfinished_names() == set()

"""Sagas with other contexts, breakers and containers than the usual ones."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import pydantic
import pytest

from cqrs.adapters.circuit_breaker import AioBreakerAdapter
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.container import BuiltinContainer, Lifetime
from cqrs.exceptions import ResolutionError
from cqrs.saga.fallback import Fallback
from cqrs.saga.models import SagaStepResult
from cqrs.saga.recovery import SagaCompensatedError, recover_saga
from cqrs.saga.saga import Saga
from cqrs.saga.step import SagaStepHandler
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
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
    run,
    status_of,
    wishes,
)


class Model(pydantic.BaseModel):
    notes: list[str] = []


@dataclasses.dataclass(slots=True)
class Slotted:
    notes: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Frozen:
    notes: list[str] = dataclasses.field(default_factory=list)


class Note(SagaStepHandler[Any, None]):
    async def act(self, context: Any) -> SagaStepResult[Any, None]:
        context.notes.append(type(self).__name__)
        return self._generate_step_result(None)

    async def compensate(self, context: Any) -> None:
        effects.append(f"undo {context.notes}")


class Fails(Note):
    async def act(self, context: Any) -> SagaStepResult[Any, None]:
        await super().act(context)
        raise Boom


class Stops(Note):
    async def act(self, context: Any) -> SagaStepResult[Any, None]:
        if effects:
            return await super().act(context)
        effects.append("stopped")
        raise KeyboardInterrupt


class Noting(Saga[Any]):
    steps = [Note, Fallback(Fails, Note), Stops]


@pytest.mark.parametrize("kind", [Model, Slotted, Frozen])
async def test_any_kind_of_context_falls_back_and_is_resumed(
    storage: MemorySagaStorage, saga_id: uuid.UUID, kind: Any
) -> None:
    context = kind()
    with pytest.raises(KeyboardInterrupt):
        await run(storage, Noting, context=context, saga_id=saga_id)
    assert context.notes == ["Note", "Note"]
    again = kind()
    await run(storage, Noting, context=again, saga_id=saga_id)
    assert again.notes == ["Note", "Note", "Stops"]
    assert (await storage.load_saga_state(saga_id))[1] == {"notes": again.notes}


@pytest.mark.parametrize(
    "breaker",
    [CircuitBreakers(CircuitBreakerPolicy(consecutive_failures=2)), AioBreakerAdapter(fail_max=2)],
    ids=["native", "aiobreaker"],
)
async def test_an_open_circuit_leads_to_the_fallback_without_the_step(
    storage: MemorySagaStorage, breaker: Any
) -> None:
    class Guarded(Saga[Order]):
        steps = [A, Fallback(B, Spare, circuit_breaker=breaker)]

    wishes["act B"] = fail()
    for _ in range(4):
        assert await run(storage, Guarded) == ["A", "Spare"]
    assert effects.count("act B") == 2
    assert effects.count("act Spare") == 4


async def test_an_error_outside_the_filter_leads_to_no_fallback(storage: MemorySagaStorage) -> None:
    class Filtered(Saga[Order]):
        steps = [A, Fallback(B, Spare, (ConnectionError,))]

    wishes["act B"] = fail()
    with pytest.raises(Boom):
        await run(storage, Filtered)
    assert effects == ["act A", "act B", "undo A"]


class Session:
    pass


async def _session() -> Any:
    yield Session()


class Scoped(Step):
    def __init__(self, session: Session) -> None:
        super().__init__()
        assert isinstance(session, Session)


class ScopedSaga(Saga[Order]):
    steps = [Scoped, C]


async def test_a_recovered_compensation_is_built_in_a_scope(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    container = BuiltinContainer()
    container.register(Session, _session, lifetime=Lifetime.SCOPED)
    wishes.update({"act C": fail(), "undo Scoped": fail(KeyboardInterrupt())})
    with pytest.raises(KeyboardInterrupt):
        await run(storage, ScopedSaga, saga_id=saga_id, container=container)
    wishes.clear()
    with pytest.raises(SagaCompensatedError):
        await recover_saga(ScopedSaga, saga_id, Order, container, storage)
    assert effects[-1] == "undo Scoped"


async def test_a_recovered_compensation_is_built_by_the_container(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes.update({"act C": fail(), "undo B": fail(KeyboardInterrupt())})
    with pytest.raises(KeyboardInterrupt):
        await run(storage, saga_id=saga_id, container=BuiltinContainer())
    del wishes["undo B"]
    with pytest.raises(SagaCompensatedError):
        await recover_saga(Shop, saga_id, Order, BuiltinContainer(), storage)
    assert effects[-2:] == ["undo B", "undo A"]


async def test_a_step_that_cannot_be_built_leaves_its_compensation_to_a_later_recovery(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    class Broken(Steps):
        async def resolve(self, type_: type[Any]) -> Any:
            raise ResolutionError("not registered")

    wishes.update({"act C": fail(), "undo B": fail(KeyboardInterrupt())})
    with pytest.raises(KeyboardInterrupt):
        await run(storage, saga_id=saga_id)
    wishes.clear()
    with pytest.raises(ResolutionError):
        await recover_saga(Shop, saga_id, Order, Broken(), storage)
    assert await status_of(storage, saga_id) is SagaStatus.COMPENSATING
    with pytest.raises(SagaCompensatedError):
        await recover_saga(Shop, saga_id, Order, Steps(), storage, sleep=Naps())
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_long_texts_of_errors_are_cut(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    wishes["act A"] = fail(Boom("x" * 10_000))
    with pytest.raises(Boom):
        await run(storage, saga_id=saga_id)
    details = (await storage.get_step_history(saga_id))[-1].details
    assert details is not None
    assert len(details) == 2000

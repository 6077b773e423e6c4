"""Transactions: forward, left early, resumed, interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from cqrs.container import BuiltinContainer, Lifetime
from cqrs.dispatcher.answers import current_fallback
from cqrs.exceptions import ConfigurationError, HandlerTypeError, SagaConcurrencyError, SagaDefinitionError
from cqrs.saga.fallback import Fallback
from cqrs.saga.models import SagaStepResult
from cqrs.saga.saga import Saga
from cqrs.saga.step import SagaStepHandler, current_step
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from tests.unit.saga.faulty import FaultySagaStorage
from tests.unit.saga.shop import (
    A,
    B,
    Boom,
    C,
    Careful,
    Order,
    Shop,
    Spare,
    Step,
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


async def test_the_steps_act_in_order_and_the_saga_is_completed(storage: MemorySagaStorage) -> None:
    order = Order()
    async with transaction(storage, context=order) as saga:
        results = [result async for result in saga]
    assert [(result.response, result.step_type) for result in results] == [("A", A), ("B", B), ("C", C)]
    assert {result.saga_id for result in results} == {saga.saga_id}
    assert saga.completed_steps == (A, B, C)
    status, context, _ = await storage.load_saga_state(saga.saga_id)
    assert (status, context["done"]) == (SagaStatus.COMPLETED, ["A", "B", "C"])
    assert await lines_of(storage, saga.saga_id) == [
        "0 A act started",
        "0 A act completed",
        "1 B act started",
        "1 B act completed",
        "2 C act started",
        "2 C act completed",
    ]


async def test_there_is_one_commit_more_than_there_are_steps() -> None:
    storage = FaultySagaStorage()
    await run(storage)
    assert storage.calls.count("commit") == 4


async def test_a_start_is_durable_before_its_step_acts(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    seen: list[Any] = []

    async def look(_: Order) -> None:
        seen.append((await lines_of(storage, saga_id))[-1])

    for step in "ABC":
        wishes[f"act {step}"] = look
    await run(storage, saga_id=saga_id)
    assert seen == ["0 A act started", "1 B act started", "2 C act started"]


async def test_a_step_is_durable_before_its_result_is_seen(storage: MemorySagaStorage) -> None:
    async with transaction(storage) as saga:
        async for result in saga:
            _, context, _ = await storage.load_saga_state(saga.saga_id)
            assert context["done"][-1] == result.response
            assert f"{len(context['done']) - 1} {result.response} act completed" in await lines_of(
                storage, saga.saga_id
            )


async def test_the_same_class_may_act_twice(storage: MemorySagaStorage) -> None:
    class Twice(Saga[Order]):
        steps = [A, B, A]

    wishes["act A"] = lambda order: fail()(order) if order.done.count("A") == 2 else None
    with pytest.raises(Boom):
        await run(storage, Twice)
    assert effects == ["act A", "act B", "act A", "undo B", "undo A"]


async def test_a_step_knows_who_it_is(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    seen: list[Any] = []
    wishes["act B"] = lambda _: seen.append(current())
    wishes["undo A"] = lambda _: seen.append(current())
    wishes["act C"] = fail()
    with pytest.raises(Boom):
        await run(storage, saga_id=saga_id)
    assert seen[0] == (saga_id, "Shop", "B", 1, "act", 1, False)
    assert seen[0].idempotency_key == f"{saga_id}:1:act"
    assert seen[1] == (saga_id, "Shop", "A", 0, "compensate", 1, False)
    assert current_step() is None


async def test_events_are_those_of_the_latest_step(storage: MemorySagaStorage) -> None:
    async with transaction(storage) as saga:
        assert [saga.events async for _ in saga] == [("A acted",), ("B acted",), ("C acted",)]


async def test_a_result_with_an_error_is_a_result(storage: MemorySagaStorage) -> None:
    class Lenient(Step):
        async def act(self, context: Order) -> SagaStepResult[Order, str]:
            return self._generate_step_result("?", True, "too late", ["line"], ValueError)

    class Mild(Saga[Order]):
        steps = [Lenient, C]

    async with transaction(storage, Mild) as saga:
        first, second = [result async for result in saga]
    assert (first.with_error, first.error_message, first.error_type) == (True, "too late", ValueError)
    assert second.response == "C"
    assert await status_of(storage, saga.saga_id) is SagaStatus.COMPLETED


async def test_a_new_saga_may_be_given_its_id(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    assert await run(storage, saga_id=saga_id) == ["A", "B", "C"]
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED
    async with transaction(storage, saga_id=saga_id) as again:
        assert [result async for result in again] == []
        assert again.completed_steps == (A, B, C)
    assert len(effects) == 3


# ---------------------------------------------------------------- left early


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_a_saga_that_is_left_early_can_be_resumed_at_once(
    storage: MemorySagaStorage, saga_id: uuid.UUID, taken: int
) -> None:
    async with transaction(storage, saga_id=saga_id) as saga:
        for _ in range(taken):
            await anext(saga)
    assert await recoverable(storage) == ([saga_id] if taken else [])
    order = Order()
    async with transaction(storage, saga_id=saga_id, context=order) as saga:
        assert len(saga.completed_steps) == taken
        assert order.done == ["A", "B", "C"][:taken]  # what is stored, in the object that was given
        assert [result.response async for result in saga] == ["A", "B", "C"][taken:]
    assert effects == ["act A", "act B", "act C"]
    assert order.done == ["A", "B", "C"]


async def test_an_iteration_can_be_taken_up_again_in_the_same_transaction(storage: MemorySagaStorage) -> None:
    async with transaction(storage) as saga:
        async for _ in saga:
            break
        assert [result.response async for result in saga] == ["B", "C"]
        assert [result async for result in saga] == []


# ---------------------------------------------------------------- errors


async def test_a_step_that_raises_has_those_before_it_compensated(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    error = Boom("no stock")
    wishes["act C"] = fail(error)
    with pytest.raises(Boom) as caught:
        await run(storage, saga_id=saga_id)
    assert caught.value is error
    assert effects == ["act A", "act B", "act C", "undo B", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED
    assert (await lines_of(storage, saga_id))[5:] == [
        "2 C act failed",
        "1 B compensate started",
        "1 B compensate completed",
        "0 A compensate started",
        "0 A compensate completed",
    ]
    log = await storage.get_step_history(saga_id)
    assert log[5].details == "Boom: no stock"


async def test_a_failure_is_durable_before_anything_is_compensated(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    seen: list[Any] = []

    async def look(_: Order) -> None:
        seen.append((await status_of(storage, saga_id), (await lines_of(storage, saga_id))[-1]))

    wishes.update({"act C": fail(), "undo A": look, "undo B": look})
    with pytest.raises(Boom):
        await run(storage, saga_id=saga_id)
    assert seen == [
        (SagaStatus.COMPENSATING, "1 B compensate started"),
        (SagaStatus.COMPENSATING, "0 A compensate started"),
    ]


async def test_a_first_step_that_raises_leaves_nothing_to_compensate(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act A"] = fail()
    with pytest.raises(Boom):
        await run(storage, saga_id=saga_id)
    assert effects == ["act A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_the_instance_that_acted_is_the_one_that_is_compensated(storage: MemorySagaStorage) -> None:
    acted: list[Any] = []

    class Own(Step):
        async def act(self, context: Order) -> SagaStepResult[Order, str]:
            acted.append(self)
            return self._generate_step_result("own")

        async def compensate(self, context: Order) -> None:
            acted.append(self)

    class Single(Saga[Order]):
        steps = [Own, C]

    wishes["act C"] = fail()
    with pytest.raises(Boom):
        await run(storage, Single)
    assert acted[0] is acted[1]


async def test_an_error_of_the_body_compensates(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    error = Boom("consumer")
    with pytest.raises(Boom) as caught:
        async with transaction(storage, saga_id=saga_id) as saga:
            async for result in saga:
                if result.response == "B":
                    raise error
    assert caught.value is error
    assert effects == ["act A", "act B", "undo B", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_an_error_of_the_body_before_the_first_step_leaves_nothing(storage: MemorySagaStorage) -> None:
    with pytest.raises(Boom):
        async with transaction(storage) as saga:
            raise Boom
    assert await storage.get_step_history(saga.saga_id) == []


async def test_an_error_of_the_body_after_the_last_step_undoes_nothing(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    with pytest.raises(Boom):
        async with transaction(storage, saga_id=saga_id) as saga:
            async for _ in saga:
                pass
            raise Boom
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED


async def test_an_error_that_the_body_keeps_to_itself_has_compensated(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act B"] = fail()
    async with transaction(storage, saga_id=saga_id) as saga:
        with contextlib.suppress(Boom):
            await anext(saga)
            await anext(saga)
        assert await status_of(storage, saga_id) is SagaStatus.FAILED
        with pytest.raises(RuntimeError, match="has ended with an error"):
            await anext(saga)
    assert effects == ["act A", "act B", "undo A"]


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()]
)
@pytest.mark.parametrize("where", ["step", "body"])
async def test_what_is_no_exception_compensates_nothing(
    storage: MemorySagaStorage, saga_id: uuid.UUID, error: BaseException, where: str
) -> None:
    if where == "step":
        wishes["act B"] = fail(error)
    with pytest.raises(type(error)):
        async with transaction(storage, saga_id=saga_id) as saga:
            await anext(saga)
            if where == "body":
                raise error
            await anext(saga)
    for _ in range(5):
        await asyncio.sleep(0)  # a closed coroutine must not wait for the lease to be given back
    assert not [effect for effect in effects if effect.startswith("undo")]
    assert await status_of(storage, saga_id) is SagaStatus.RUNNING
    assert await recoverable(storage) == [saga_id]


async def test_an_interrupted_step_is_not_compensated_by_what_the_body_makes_of_it(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act B"] = lambda _: asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        async with transaction(storage, saga_id=saga_id) as saga:
            await anext(saga)
            async with asyncio.timeout(0):
                await anext(saga)
    assert await status_of(storage, saga_id) is SagaStatus.RUNNING
    assert await recoverable(storage) == [saga_id]


async def test_a_result_of_the_wrong_type_is_refused_and_undone(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    wishes["act B"] = lambda _: "B"
    with pytest.raises(HandlerTypeError, match=r"B.act returned an object of type str.*_generate"):
        await run(storage, saga_id=saga_id)
    assert effects == ["act A", "act B", "undo B", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_no_error_of_a_step_passes_for_the_end_of_the_iteration(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    exhausted = StopAsyncIteration()  # what ``await anext(...)`` raises when there is nothing left
    wishes["act B"] = fail(exhausted)
    with pytest.raises(RuntimeError, match=r"\(Shop\): a step or .* raised StopAsyncIteration$") as raised:
        await run(storage, saga_id=saga_id)
    assert raised.value.__cause__ is exhausted
    assert effects == ["act A", "act B", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


@pytest.mark.parametrize("call", ["create_saga", "update_status", "log_step", "update_context", "commit"])
@pytest.mark.parametrize("failing", [[], ["act B"], ["act B", "undo A"]])
async def test_no_error_of_a_storage_does_either(call: str, failing: list[str]) -> None:
    wishes.update({name: fail() for name in failing})
    at, ends = 0, []
    while True:
        storage = FaultySagaStorage(error=StopAsyncIteration)

        def fails(_: int, name: str, at: int = at, made: list[str] = storage.calls) -> bool:
            return name == call and made.count(call) >= at  # that one, and all after it

        storage.fails = fails
        with contextlib.suppress(Boom, RuntimeError):
            async with transaction(storage) as saga:
                async for _ in saga:
                    pass
                ends.append(await status_of(storage, saga.saga_id))
        if storage.calls.count(call) < at:
            break
        at += 1
    assert at > 1
    assert ends == ([] if failing else [SagaStatus.COMPLETED])


# ---------------------------------------------------------------- fallbacks


async def test_a_fallback_acts_on_the_context_as_it_was_and_is_compensated(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    order = Order()
    wishes.update({"act B": fail(), "act C": fail()})
    with pytest.raises(Boom):
        async with transaction(storage, Careful, saga_id=saga_id, context=order) as saga:
            async for result in saga:
                if result.response == "Spare":
                    assert order.done == ["A", "Spare"]
                    assert saga.events == ("Spare acted",)
                    assert saga.completed_steps == (A, Spare)
                    answer = current_fallback()
                    assert answer is not None
                    assert (answer.message_type, answer.primary, answer.handler) == (Order, B, Spare)
                else:
                    assert current_fallback() is None
    assert effects == ["act A", "act B", "act Spare", "act C", "undo Spare", "undo A"]
    assert "1 Spare act completed" in await lines_of(storage, saga_id)


async def test_a_fallback_that_raises_too_fails_the_step(storage: MemorySagaStorage) -> None:
    first, second = Boom("first"), Boom("second")
    wishes.update({"act B": fail(first), "act Spare": fail(second)})
    with pytest.raises(Boom) as caught:
        await run(storage, Careful)
    assert caught.value is second
    assert second.__cause__ is first
    assert effects[-1] == "undo A"


async def test_the_primary_that_succeeds_keeps_its_changes(storage: MemorySagaStorage) -> None:
    order = Order()
    await run(storage, Careful, context=order)
    assert order.done == ["A", "B", "C"]


async def test_a_chain_of_fallbacks_restores_before_each(storage: MemorySagaStorage) -> None:
    class Chain(Saga[Order]):
        steps = [Fallback(A, Fallback(B, Spare))]

    order = Order()
    wishes.update({"act A": fail(), "act B": fail()})
    assert await run(storage, Chain, context=order) == ["Spare"]
    assert order.done == ["Spare"]


# ---------------------------------------------------------------- use


async def test_wrong_arguments_are_refused_at_once(storage: MemorySagaStorage) -> None:
    for wrong in (
        {"context": 1},
        {"container": None},
        {"storage": None},
        {"saga_id": "1"},
        {"compensation_retry_count": 0},
        {"compensation_retry_delay": -1},
        {"compensation_retry_backoff": 0.5},
    ):
        with pytest.raises(ConfigurationError):
            transaction(**{"storage": storage, **wrong})
    with pytest.raises(SagaDefinitionError, match="declares no steps"):
        Saga[Order]().transaction(Order(), Steps(), storage)


async def test_a_transaction_is_entered_once_and_iterated_inside(storage: MemorySagaStorage) -> None:
    saga = transaction(storage)
    with pytest.raises(RuntimeError, match="was not entered"):
        await anext(saga)
    async with saga:
        await anext(saga)
    with pytest.raises(RuntimeError, match="was left"):
        await anext(saga)
    with pytest.raises(RuntimeError, match="entered once"):
        await saga.__aenter__()


async def test_two_tasks_cannot_iterate_one_transaction(storage: MemorySagaStorage) -> None:
    async with transaction(storage) as saga:
        first = asyncio.ensure_future(anext(saga))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="is executing a step"):
            await anext(saga)
        assert (await first).response == "A"


async def test_the_same_id_cannot_be_created_or_executed_twice(
    storage: MemorySagaStorage, saga_id: uuid.UUID
) -> None:
    async with (
        transaction(storage, saga_id=saga_id) as first,
        transaction(storage, saga_id=saga_id) as second,
    ):
        await anext(first)
        with pytest.raises(SagaConcurrencyError):
            await anext(second)
        with pytest.raises(SagaConcurrencyError):
            await transaction(storage, saga_id=saga_id).__aenter__()
        assert [result.response async for result in first] == ["B", "C"]
    assert effects == ["act A", "act B", "act C"]


async def test_a_log_of_other_steps_is_refused(storage: MemorySagaStorage, saga_id: uuid.UUID) -> None:
    class Renamed(Saga[Order]):
        steps = [B, A, C]

    async with transaction(storage, saga_id=saga_id) as saga:
        await anext(saga)
    with pytest.raises(SagaDefinitionError, match="position 0 is A, but B is declared"):
        await run(storage, Renamed, saga_id=saga_id)
    assert await recoverable(storage) == [saga_id]  # whoever has the right steps can go on


class Session:
    pass


async def _session() -> AsyncGenerator[Session, None]:
    effects.append("opened")
    try:
        yield Session()
    finally:
        effects.append("closed")


class Scoped(SagaStepHandler[Order, Session]):
    def __init__(self, session: Session) -> None:
        self.session = session

    async def act(self, context: Order) -> SagaStepResult[Order, Session]:
        effects.append("act")
        return self._generate_step_result(self.session)

    async def compensate(self, context: Order) -> None:
        effects.append("undo")


class Failing(Scoped):
    async def act(self, context: Order) -> SagaStepResult[Order, Session]:
        raise Boom


@pytest.mark.parametrize("last", [Scoped, Failing])
async def test_one_scope_lasts_as_long_as_the_transaction(
    storage: MemorySagaStorage, last: type[Scoped]
) -> None:
    class Scopes(Saga[Order]):
        steps = [Scoped, last]

    container = BuiltinContainer()
    container.register(Session, _session, lifetime=Lifetime.SCOPED)
    with contextlib.suppress(Boom):
        responses = await run(storage, Scopes, container=container)
        assert responses[0] is responses[1]
    expected = ["opened", "act", "act", "closed"] if last is Scoped else ["opened", "act", "undo", "closed"]
    assert effects == expected


async def test_plans_of_containers_do_not_pile_up(storage: MemorySagaStorage) -> None:
    for _ in range(20):
        assert await run(storage, Shop) == ["A", "B", "C"]
    assert Shop._plans is not None
    assert len(Shop._plans._plans) <= Shop._plans.LIMIT

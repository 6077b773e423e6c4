"""The mediator of sagas: events before results, start-up, wiring."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Any

import pytest

import cqrs
from cqrs.dispatcher.startup import Startup
from cqrs.exceptions import ConfigurationError
from cqrs.mediator import SagaMediator
from cqrs.saga.bootstrap import bootstrap, setup_saga_mediator
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from tests.unit.saga.faulty import FaultySagaStorage
from tests.unit.saga.shop import (
    Boom,
    Order,
    Shop,
    Step,
    Steps,
    effects,
    fail,
    recoverable,
    status_of,
    wishes,
)


@pytest.fixture(autouse=True)
def _clean_shop() -> None:
    effects.clear()
    wishes.clear()


@pytest.fixture
def storage() -> MemorySagaStorage:
    return MemorySagaStorage()


class Charged:
    pass


class OnCharged(cqrs.EventHandler[Charged]):
    async def handle(self, event: Charged) -> None:
        effects.append("handled")
        await asyncio.sleep(0)
        wish = wishes.get("handle")
        if wish is not None:
            wish(event)


class Charge(Step):
    async def act(self, context: Order) -> cqrs.SagaStepResult[Order, str]:
        result = await super().act(context)
        self.recorded[:] = [Charged()]
        return result


class Paying(cqrs.Saga[Order]):
    steps = [Charge, Step]


def bind_saga(sagas: cqrs.SagaMap) -> None:
    sagas.bind(Order, Paying)


def bind_events(events: cqrs.EventMap) -> None:
    events.bind(Charged, OnCharged)


def wired(storage: MemorySagaStorage, **options: Any) -> SagaMediator:
    return bootstrap(
        Steps(),
        sagas_mapper=bind_saga,
        domain_events_mapper=bind_events,
        saga_storage=storage,
        compensation_retry_delay=0,
        **options,
    )


async def test_events_are_processed_before_the_result_of_their_step(storage: MemorySagaStorage) -> None:
    async for result in wired(storage).stream(Order()):
        effects.append(f"result {result.response}")
    assert effects == ["act Charge", "handled", "result Charge", "act Step", "result Step"]


async def test_events_are_processed_after_their_step_is_durable(storage: MemorySagaStorage) -> None:
    saga_id = uuid.uuid4()
    seen: list[Any] = []
    wishes["handle"] = lambda _: seen.append(storage._table.get(saga_id).context["done"])
    async for _ in wired(storage).stream(Order(), saga_id):
        pass
    assert seen == [["Charge"]]


async def test_an_error_of_an_event_handler_compensates(storage: MemorySagaStorage) -> None:
    saga_id, error = uuid.uuid4(), Boom("handler")
    wishes["handle"] = fail(error)
    with pytest.raises(Boom) as caught:
        async for _ in wired(storage).stream(Order(), saga_id=saga_id):
            pass
    assert caught.value is error
    assert effects == ["act Charge", "handled", "undo Charge"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED


async def test_an_error_of_an_event_handler_after_the_last_step_undoes_nothing(
    storage: MemorySagaStorage,
) -> None:
    class Last(cqrs.Saga[Order]):
        steps = [Step, Charge]

    saga_id = uuid.uuid4()
    mediator = bootstrap(
        Steps(),
        sagas_mapper=lambda sagas: sagas.bind(Order, Last),
        domain_events_mapper=bind_events,
        saga_storage=storage,
    )
    wishes["handle"] = fail()
    with pytest.raises(Boom):
        async for _ in mediator.stream(Order(), saga_id):
            pass
    assert effects == ["act Step", "act Charge", "handled"]
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED


async def test_an_error_that_is_only_logged_does_not(storage: MemorySagaStorage) -> None:
    wishes["handle"] = fail()
    results = [result async for result in wired(storage, event_errors="log").stream(Order())]
    assert len(results) == 2


async def test_a_notification_without_a_broker_compensates(storage: MemorySagaStorage) -> None:
    class Notify(Step):
        async def act(self, context: Order) -> cqrs.SagaStepResult[Order, str]:
            result = await super().act(context)
            self.recorded[:] = [cqrs.NotificationEvent[str](event_name="n", payload="p")]
            return result

    class Notifying(cqrs.Saga[Order]):
        steps = [Notify, Step]

    saga_id = uuid.uuid4()
    mediator = SagaMediator(
        cqrs.SagaMap({Order: Notifying}), Steps(), event_map=cqrs.EventMap(), storage=storage
    )
    with pytest.raises(RuntimeError, match="message broker"):
        async for _ in mediator.stream(Order(), saga_id):
            pass
    assert effects == ["act Notify", "undo Notify"]


async def test_a_consumer_that_leaves_lets_the_saga_be_resumed(storage: MemorySagaStorage) -> None:
    saga_id = uuid.uuid4()
    mediator = wired(storage)
    results = mediator.stream(Order(), saga_id)
    async with contextlib.aclosing(results):  # type: ignore[type-var]  # it is a generator
        async for _ in results:
            break
    assert await status_of(storage, saga_id) is SagaStatus.RUNNING
    assert await recoverable(storage) == [saga_id]
    assert [result.response async for result in mediator.stream(Order(), saga_id)] == ["Step"]


async def test_what_starts_up_does_so_before_the_first_step(storage: MemorySagaStorage) -> None:
    async def start() -> None:
        await asyncio.sleep(0)
        effects.append("started")

    mediator = wired(storage, on_startup=[start])
    for _ in range(2):
        async for _ in mediator.stream(Order()):
            pass
    assert effects[:2] == ["started", "act Charge"]
    assert effects.count("started") == 1


async def test_without_a_storage_sagas_are_kept_in_memory_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mediator = SagaMediator(cqrs.SagaMap({Order: Shop}), Steps())
    assert "lost with the process" in caplog.text
    assert [result.response async for result in mediator.stream(Order())] == ["A", "B", "C"]


async def test_compensation_settings_reach_the_saga(storage: MemorySagaStorage) -> None:
    wishes.update({"act B": fail(), "undo A": fail()})
    mediator = SagaMediator(
        cqrs.SagaMap({Order: Shop}),
        Steps(),
        storage=storage,
        compensation_retry_count=2,
        compensation_retry_delay=0,
        compensation_retry_backoff=1,
    )
    with pytest.raises(Boom):
        async for _ in mediator.stream(Order()):
            pass
    assert effects.count("undo A") == 2


async def test_a_context_that_nothing_is_bound_to(storage: MemorySagaStorage) -> None:
    with pytest.raises(LookupError, match="no saga is bound to int"):
        wired(storage).stream(1)


async def test_a_mediator_can_be_set_up_from_its_parts() -> None:
    storage = FaultySagaStorage()
    emitter = cqrs.EventEmitter(cqrs.EventMap(), Steps())
    mediator = setup_saga_mediator(
        emitter, Steps(), sagas_mapper=bind_saga, saga_storage=storage, startup=Startup(None)
    )
    assert len([result async for result in mediator.stream(Order())]) == 2
    assert "commit" in storage.calls


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"saga_storage": 1}, "storage must be an ISagaStorage"),
        ({"saga_storage": MemorySagaStorage}, "storage must be an ISagaStorage"),
        ({"compensation_retry_count": 0}, "compensation_retry_count=0"),
        ({"compensation_retry_delay": -1.0}, "compensation_retry_delay=-1"),
        (
            {"compensation_retry_backoff": 0.5},
            r"backoff=0\.5 is not allowed: it must be a finite number >= 1$",
        ),
        ({"compensation_retry_backoff": 10**400}, "a finite number >= 1"),
    ],
)
def test_what_each_saga_would_be_refused_for_is_refused_at_once(wrong: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        bootstrap(Steps(), **{"saga_storage": MemorySagaStorage(), **wrong})

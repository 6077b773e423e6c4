"""Sagas by the type of their context: binding, dispatching, middlewares."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cqrs
import cqrs.requests.map
from cqrs.dispatcher import SagaDispatcher
from cqrs.dispatcher.exceptions import SagaDoesNotExist
from cqrs.exceptions import ConfigurationError, SagaDefinitionError
from cqrs.middlewares import MiddlewareChain
from cqrs.middlewares.base import Middleware
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from tests.unit.saga import shop
from tests.unit.saga.shop import A, Boom, Careful, Order, Shop, Steps, effects, fail, recoverable, wishes


@pytest.fixture(autouse=True)
def _clean_shop() -> None:
    effects.clear()
    wishes.clear()


@pytest.fixture
def storage() -> MemorySagaStorage:
    return MemorySagaStorage()


class Gift(Order):
    pass


def dispatcher(storage: Any, saga: Any = Shop, chain: MiddlewareChain | None = None) -> SagaDispatcher:
    return SagaDispatcher(cqrs.SagaMap({Order: saga}), Steps(), storage, chain)


# ---------------------------------------------------------------- the map


def test_a_context_is_bound_once_and_stays_bound() -> None:
    sagas = cqrs.SagaMap()
    sagas.bind(Order, Shop)
    assert sagas[Order] is Shop
    with pytest.raises(KeyError, match="already exists in registry"):
        sagas.bind(Order, Shop)
    with pytest.raises(TypeError):
        del sagas[Order]
    assert cqrs.requests.map.SagaMap is cqrs.SagaMap


def test_what_is_no_saga_for_the_context_is_refused() -> None:
    class Unfinished(cqrs.Saga[Order]):
        pass

    class Other:
        pass

    for wrong in (A, Shop(), "Shop"):
        with pytest.raises(TypeError, match="must be a Saga class"):
            cqrs.SagaMap().bind(Order, wrong)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match="Shop handles Order"):
        cqrs.SagaMap().bind(Other, Shop)
    with pytest.raises(TypeError, match="Unfinished declares no steps"):
        cqrs.SagaMap().bind(Order, Unfinished)


def test_two_sagas_of_one_name_are_refused() -> None:
    class Express(Order):
        pass

    namesake = type("Shop", (Shop,), {})
    sagas = cqrs.SagaMap({Order: Shop})
    with pytest.raises(SagaDefinitionError, match=r"both named 'Shop' in the storage"):
        sagas.bind(Express, namesake)
    sagas.bind(Express, Shop)


# ---------------------------------------------------------------- dispatching


async def test_each_step_is_dispatched_with_its_events(storage: MemorySagaStorage) -> None:
    results = [result async for result in dispatcher(storage).dispatch(Order())]
    assert [result.step_result.response for result in results] == ["A", "B", "C"]
    assert [result.events for result in results] == [("A acted",), ("B acted",), ("C acted",)]
    assert len({result.saga_id for result in results}) == 1


async def test_a_fallback_is_told(storage: MemorySagaStorage) -> None:
    wishes["act B"] = fail()
    told = []
    async for result in dispatcher(storage, Careful).dispatch(Order()):
        told.append(
            (result.step_result.response, bool(result.fallbacks), cqrs.current_fallback() is not None)
        )
    assert told == [("A", False, False), ("Spare", True, True), ("C", False, False)]


async def test_what_cannot_be_dispatched_is_refused_at_once(storage: MemorySagaStorage) -> None:
    with pytest.raises(SagaDoesNotExist, match=r"no saga is bound to int .*saga_map.bind\(int"):
        dispatcher(storage).dispatch(1)
    with pytest.raises(SagaDoesNotExist, match=r"bound to Gift .*its base Order does not answer for it"):
        dispatcher(storage).dispatch(Gift())
    with pytest.raises(SagaDoesNotExist, match="send an instance of it"):
        dispatcher(storage).dispatch(Order)
    with pytest.raises(ConfigurationError, match="saga_id"):
        dispatcher(storage).dispatch(Order(), "1")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match="saga_map must be a map of sagas"):
        SagaDispatcher(cqrs.RequestMap(), Steps(), storage)
    with pytest.raises(ConfigurationError):
        SagaDispatcher(cqrs.SagaMap(), None, storage)  # type: ignore[arg-type]  # what is tested


async def test_closing_early_leaves_the_saga_resumable_at_once(storage: MemorySagaStorage) -> None:
    saga_id = uuid.uuid4()
    sagas = dispatcher(storage)
    async with contextlib.aclosing(sagas.dispatch(Order(), saga_id)) as results:  # type: ignore[type-var]
        await anext(results)
    assert await recoverable(storage) == [saga_id]
    assert [result.step_result.response async for result in sagas.dispatch(Order(), saga_id)] == ["B", "C"]


async def test_an_error_of_delivery_compensates(storage: MemorySagaStorage) -> None:
    saga_id = uuid.uuid4()

    async def deliver(events: Any, scope: Any) -> None:
        if events == ("B acted",):
            raise Boom

    with pytest.raises(Boom):
        async for _ in dispatcher(storage).dispatch(Order(), saga_id, deliver):
            pass
    assert effects == ["act A", "act B", "undo B", "undo A"]
    assert await shop.status_of(storage, saga_id) is SagaStatus.FAILED


# ---------------------------------------------------------------- middlewares


class Streaming(Middleware):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def __call__(self, request: Any, handle: Any) -> Any:
        raise AssertionError("a saga is a stream")

    async def stream(self, request: Any, handle: Any) -> AsyncIterator[Any]:
        self.seen.append(type(request))
        async for item in handle(request):
            yield item
        self.seen.append("end")


class Calling(Middleware):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def __call__(self, request: Any, handle: Any) -> Any:
        self.seen.append(type(request))
        try:
            return await handle(request)
        finally:
            self.seen.append("end")


@pytest.mark.parametrize("middleware", [Streaming, Calling])
async def test_a_middleware_runs_once_around_the_saga(
    storage: MemorySagaStorage, middleware: type[Streaming | Calling]
) -> None:
    around = middleware()
    wishes["act B"] = fail()
    results = []
    async for result in dispatcher(storage, Careful, MiddlewareChain([around])).dispatch(Order()):
        results.append((result.step_result.response, result.events, cqrs.current_fallback() is not None))
    assert around.seen == [Order, "end"]
    assert results == [
        ("A", ("A acted",), False),
        ("Spare", ("Spare acted",), True),
        ("C", ("C acted",), False),
    ]


@pytest.mark.parametrize("middleware", [Streaming, Calling])
async def test_closing_early_passes_through_middlewares(
    storage: MemorySagaStorage, middleware: type[Streaming | Calling]
) -> None:
    saga_id = uuid.uuid4()
    results = dispatcher(storage, chain=MiddlewareChain([middleware()])).dispatch(Order(), saga_id)
    await anext(results)
    await results.aclose()  # type: ignore[attr-defined]  # it is a generator
    for _ in range(10):
        await asyncio.sleep(0)  # what a middleware does not close itself, the event loop closes
    assert await recoverable(storage) == [saga_id]


async def test_a_middleware_may_refuse_a_saga(storage: MemorySagaStorage) -> None:
    class Refusing(Middleware):
        async def __call__(self, request: Any, handle: Any) -> Any:
            raise Boom

    with pytest.raises(Boom):
        async for _ in dispatcher(storage, chain=MiddlewareChain([Refusing()])).dispatch(Order()):
            pass
    assert effects == []

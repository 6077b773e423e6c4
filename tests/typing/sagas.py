"""What type checkers infer about sagas; read by mypy and pyright, never run."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar, assert_type

import cqrs
from cqrs.adapters.circuit_breaker import AioBreakerAdapter
from cqrs.container.protocol import Resolver
from cqrs.saga import SagaStepInfo, SagaTransaction, current_step, recover_saga
from cqrs.saga.circuit_breaker import ISagaStepCircuitBreaker
from cqrs.saga.storage.protocol import ISagaStorage


@dataclass
class OrderContext(cqrs.SagaContext):
    order_id: str


class Reserve(cqrs.SagaStepHandler[OrderContext, int]):
    async def act(self, context: OrderContext) -> cqrs.SagaStepResult[OrderContext, int]:
        return self._generate_step_result(len(context.order_id))

    async def compensate(self, context: OrderContext) -> None:
        assert_type(current_step(), SagaStepInfo | None)


class ReserveLater(Reserve):
    pass


breaker: ISagaStepCircuitBreaker = AioBreakerAdapter()


class OrderSaga(cqrs.Saga[OrderContext]):
    steps = [Reserve, cqrs.Fallback(step=Reserve, fallback=ReserveLater, circuit_breaker=breaker)]


class AnnotatedSaga(cqrs.Saga[OrderContext]):
    steps: ClassVar[list[type[cqrs.SagaStepHandler[Any, Any]] | cqrs.Fallback]] = [Reserve]
    saga_name: ClassVar[str] = "orders"


async def a_transaction_yields_results(container: Resolver, storage: ISagaStorage) -> None:
    saga = OrderSaga()
    async with saga.transaction(
        context=OrderContext("o-1"), container=container, storage=storage, saga_id=uuid.uuid4()
    ) as transaction:
        assert_type(transaction, SagaTransaction[OrderContext])
        assert_type(transaction.saga_id, uuid.UUID)
        async for result in transaction:
            assert_type(result, cqrs.SagaStepResult[OrderContext, Any])
    await recover_saga(saga, uuid.uuid4(), OrderContext, container, storage)
    await recover_saga(OrderSaga, uuid.uuid4(), OrderContext.from_dict, container, storage)


async def a_mediator_streams_results(mediator: cqrs.SagaMediator) -> None:
    results = mediator.stream(OrderContext("o-1"))
    assert_type(results, AsyncIterator[cqrs.SagaStepResult[OrderContext, Any]])


def bind(sagas: cqrs.SagaMap) -> None:
    sagas.bind(OrderContext, OrderSaga)

"""A saga of three steps in memory: what the machinery costs when nothing is stored outside the process."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.environments import CQRS_5_SQL, DURABLE
from harness.model import Case, Prepared, Target

PEER = "python-cqrs 5.3"

SAGA = Case(
    key="saga-memory",
    title="saga of 3 steps, memory storage",
    what=(
        "`async with saga.transaction(...)` around `async for result in transaction`: three steps that set a "
        "field of the context and return a constant, in `MemorySagaStorage`, with the least container that "
        "both libraries accept (one `resolve` that calls the class); Holdfast also with its built-in one. "
        "The saga is created, each step is logged before and after it acts, the context is stored after "
        "each, and the saga ends as completed. The floor is what one writes without a library: the three "
        "steps built and called, and their context turned into a dictionary and kept after each."
    ),
    targets=(
        Target("Holdfast", "value", 25.0),
        Target("Holdfast", "growth", 1 / 3, against=PEER),
    ),
    group="durable",
)
CASES = (SAGA,)


@SAGA.subject("floor: await Step().act(context), by hand", DURABLE, CQRS_5_SQL, floor=True)
def _by_hand() -> Prepared:
    from .app import DONE, ChargeCard, OrderContext, ReserveStock, ShipOrder

    kept: list[dict[str, Any]] = []

    async def loop(count: int) -> None:
        for _ in range(count):
            context = OrderContext("o-1", 4200)
            kept.clear()
            for step in (ReserveStock, ChargeCard, ShipOrder):
                result = await step().act(context)
                assert result.response is DONE
                kept.append(dataclasses.asdict(context))

    return Prepared(loop)


async def _prepared(container: Any) -> Prepared:
    import uuid

    from cqrs.saga.storage.enums import SagaStatus
    from cqrs.saga.storage.memory import MemorySagaStorage

    from .app import STEPS, OrderSaga, run_order

    saga, storage, saga_id = OrderSaga(), MemorySagaStorage(), uuid.uuid4()
    await run_order(saga, container, storage, saga_id)
    status, context, _ = await storage.load_saga_state(saga_id)
    assert status == SagaStatus.COMPLETED, f"the saga is {status}"
    assert "s-1" in context.values(), f"the context was not stored: {context}"
    lines = len(await storage.get_step_history(saga_id))
    assert lines == 2 * STEPS, f"{lines} lines of log"

    async def loop(count: int) -> None:
        # A storage of its own for each sample: neither library pays for what the samples before have left.
        storage = MemorySagaStorage()
        for _ in range(count):
            await run_order(saga, container, storage)

    return Prepared(loop)


@SAGA.subject("Holdfast, one-method container", DURABLE)
@SAGA.subject(PEER, CQRS_5_SQL)
async def _one_method() -> Prepared:
    from .app import OneMethodContainer

    return await _prepared(OneMethodContainer())


@SAGA.subject("Holdfast", DURABLE)
async def _built_in() -> Prepared:
    from cqrs.container import BuiltinContainer

    return await _prepared(BuiltinContainer())

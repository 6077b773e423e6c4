"""Steps of which nobody knows whether they have acted, and which are compensated therefore."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from cqrs.saga.compensation import Acted
from cqrs.saga.errors import describe
from cqrs.saga.plan import StepPlan
from cqrs.saga.step import Asked, SagaStepHandler
from cqrs.saga.storage.enums import SagaStepStatus
from cqrs.saga.storage.protocol import SagaStorageRun


def doubts(
    step: StepPlan, interrupted: Iterable[str], asked: Iterable[Asked], acted: str | None
) -> list[Acted]:
    """Return the classes of one position that may have acted in vain, in order, and are to be compensated.

    Args:
        step: the position.
        interrupted: names of those that may have, in a process that is gone.
        asked: those that have here.
        acted: name of the one that has acted successfully in the end, if one has.
    """
    found: dict[str, tuple[SagaStepHandler | None, str]] = {}
    for name in interrupted:
        found[name] = None, "it may have been interrupted"
    for handler, failure in asked:
        name = step.name_of(handler)
        if name in step.uncertain:
            found.pop(name, None)  # what it did here came later
            found[name] = (handler, failure or "its outcome was lost")
    return [
        Acted(step.position, name, handler, failure)
        for name, (handler, failure) in found.items()
        if name != acted
    ]


async def log_failure(
    run: SagaStorageRun, saga_id: uuid.UUID, step: StepPlan, doubtful: Iterable[Acted], error: Exception
) -> None:
    """Write to the log of a saga that a step has failed, unless that of ``doubtful`` says so already."""
    name, position = step.name, step.position
    if name in [each.name for each in doubtful]:
        return
    await run.log_step(saga_id, name, "act", SagaStepStatus.FAILED, describe(error), position=position)
    if name in step.uncertain:
        status, details = SagaStepStatus.COMPLETED, "it was not asked to act"
        await run.log_step(saga_id, name, "compensate", status, details, position=position)

"""How far one execution of a saga has come: who has acted, or may have, and who is compensated."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from cqrs.saga.compensation import Acted
from cqrs.saga.doubts import doubts
from cqrs.saga.history import History, Place
from cqrs.saga.plan import SagaPlan, StepPlan
from cqrs.saga.step import Asked
from cqrs.saga.storage.enums import SagaStepStatus
from cqrs.saga.storage.protocol import SagaStorageRun


class Progress:
    """What has become of the steps of one saga.

    Attributes:
        acted: the steps that have acted, in order.
        starts: how often the next step was begun before, in processes that are gone.
        interrupted: names of its classes that may have acted then; those that are compensated in doubt.
        doubtful: those that may have acted in vain, and are to be compensated therefore.
    """

    # What most sagas never change is not set for each of them.
    starts = 0
    interrupted: tuple[str, ...] = ()
    doubtful: tuple[Acted, ...] = ()
    _compensated: frozenset[Place] = frozenset()

    def __init__(self) -> None:
        self.acted: list[Acted] = []

    def take_over(self, history: History, plan: SagaPlan, *, goes_forward: bool) -> None:
        """Go on from what the log of the saga says."""
        self.acted = [Acted(place, name, None) for place, name in enumerate(history.acted)]
        self.starts = history.starts
        self._compensated = frozenset(history.compensated)
        self.doubtful = tuple(
            Acted(position, name, None, failure)
            for (position, name), failure in history.raised.items()
            if name in plan.steps[position].uncertain
        )
        if history.starts and goes_forward:
            self.interrupted = plan.steps[len(self.acted)].uncertain

    def doubt(self, step: StepPlan, asked: Iterable[Asked], acted: str | None) -> list[Acted]:
        """Note who may have acted in vain at one position, and return them; see ``doubts``."""
        found = doubts(step, self.interrupted, asked, acted)
        self.interrupted = ()
        self.doubtful += tuple(found)
        return found

    async def log_doubts(self, run: SagaStorageRun, saga_id: uuid.UUID, position: int) -> None:
        """Write to the log of the saga who may have acted in vain at one position."""
        for place, name, _, failure in self.doubtful:
            if place == position:
                await run.log_step(saga_id, name, "act", SagaStepStatus.FAILED, failure, position=place)

    def to_compensate(self) -> list[Acted]:
        """Return what is to be compensated, last first; at one position, those in doubt came before."""
        steps = sorted([*self.doubtful, *self.acted], key=lambda step: step.position)[::-1]
        return [step for step in steps if (step.position, step.name) not in self._compensated]

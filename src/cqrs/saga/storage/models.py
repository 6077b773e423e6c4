"""What a storage returns."""

from __future__ import annotations

import dataclasses
import datetime
import uuid

from cqrs.saga.storage.enums import SagaAction, SagaStepStatus

__all__ = ["SagaLogEntry"]


@dataclasses.dataclass(frozen=True, slots=True)
class SagaLogEntry:
    """One line of the log of a saga.

    Attributes:
        saga_id: the saga.
        step_name: name of the step class that acted, or was compensated.
        action: ``"act"`` or ``"compensate"``.
        status: how far the action had come.
        timestamp: when the line was written (UTC).
        details: text of the error, for a failure.
        position: place of the step in the saga, from 0; ``None`` in lines that were written without it.
    """

    saga_id: uuid.UUID
    step_name: str
    action: SagaAction
    status: SagaStepStatus
    timestamp: datetime.datetime
    details: str | None = None
    position: int | None = None

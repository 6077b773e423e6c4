"""What can be said about a saga, and about one action of one of its steps."""

from __future__ import annotations

import enum
from typing import Literal, TypeAlias

__all__ = ["SagaAction", "SagaStatus", "SagaStepStatus"]

SagaAction: TypeAlias = Literal["act", "compensate"]
"""What a step is asked to do."""


class SagaStatus(enum.StrEnum):
    """Where a saga is.

    ::

        pending ──> running ──> completed
                       └──────> compensating ──> failed
    """

    PENDING = "pending"
    """Created; no step was started."""
    RUNNING = "running"
    """Steps act, forward."""
    COMPENSATING = "compensating"
    """Steps are compensated, backward; no step acts any more."""
    COMPLETED = "completed"
    """Every step has acted."""
    FAILED = "failed"
    """Every completed step was compensated, or its compensation was given up: the log tells which."""

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to do."""
        return self in (SagaStatus.COMPLETED, SagaStatus.FAILED)


class SagaStepStatus(enum.StrEnum):
    """How far an action of a step has come."""

    STARTED = "started"
    """It may have run: this is stored before it does."""
    COMPLETED = "completed"
    """It has succeeded, and never runs again."""
    FAILED = "failed"
    """It has raised; a compensation only after its last attempt."""

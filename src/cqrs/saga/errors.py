"""What is raised when a saga was begun forward and is ended backward."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from cqrs.exceptions import CqrsError
from cqrs.saga.models import FailedCompensation
from cqrs.saga.storage.enums import SagaStatus

__all__ = ["SagaCompensatedError", "describe"]


class SagaCompensatedError(CqrsError, RuntimeError):
    """A saga that was to be resumed had begun to be compensated; that is finished now, it never goes forward.

    Attributes:
        saga_id: the saga.
        saga_name: its name in the storage.
        status: what its status was: ``compensating`` or ``failed``.
        failed_compensations: the compensations that were given up now.
    """

    def __init__(
        self,
        saga_id: uuid.UUID,
        saga_name: str,
        status: SagaStatus,
        failed_compensations: Sequence[FailedCompensation] = (),
    ) -> None:
        super().__init__(saga_id, saga_name, status, failed_compensations)
        self.saga_id = saga_id
        self.saga_name = saga_name
        self.status = status
        self.failed_compensations = tuple(failed_compensations)

    def __str__(self) -> str:
        given_up = len(self.failed_compensations)
        what = f"{given_up} of its compensations failed again" if given_up else "it is compensated now"
        return (
            f"saga {self.saga_id} ({self.saga_name}) was recovered in {self.status} state: {what}, and does "
            "not go forward any more"
        )


LONGEST_DETAILS = 2000
"""So many characters of the text of an error are kept in the log of a saga."""


def describe(error: BaseException) -> str:
    """Return class and text of an error, for the log of a saga."""
    try:
        text = f"{type(error).__qualname__}: {error}"
        return text if len(text) <= LONGEST_DETAILS else text[: LONGEST_DETAILS - 1] + "…"
    except Exception as unprintable:
        return f"{type(error).__qualname__} (its text cannot be had: {type(unprintable).__qualname__})"

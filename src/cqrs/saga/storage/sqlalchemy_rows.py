"""Rows of the tables of sagas, read."""

from __future__ import annotations

import datetime
import uuid
from typing import Any, cast

from cqrs.exceptions import SagaContextError
from cqrs.saga.storage.arguments import status_of
from cqrs.saga.storage.enums import SagaStepStatus
from cqrs.saga.storage.models import SagaLogEntry
from cqrs.saga.storage.protocol import SagaState

__all__ = ["entry_of", "state_of"]

_STEP_STATUSES = {text: status for status in SagaStepStatus for text in (status.value, status.name)}
_LONG_AGO = datetime.datetime.fromtimestamp(0, datetime.UTC)


def state_of(saga_id: uuid.UUID, row: Any) -> SagaState:
    """Return a state from a row that begins with status, context and version.

    Raises:
        SagaContextError: the context is no dictionary.
    """
    context = cast("object", row[1])
    if not isinstance(context, dict):
        kind = type(context).__name__
        raise SagaContextError(f"the stored context of saga {saga_id} is no dictionary: it is a {kind}")
    return status_of(str(row[0])), cast("dict[str, Any]", context), int(row[2])


def entry_of(row: Any) -> SagaLogEntry:
    """Return a line of the log from a row of ``saga_logs``."""
    return SagaLogEntry(
        row.saga_id,
        row.step_name,
        "compensate" if str(row.action).lower() == "compensate" else "act",
        _STEP_STATUSES.get(str(row.status)) or SagaStepStatus(str(row.status).lower()),
        row.created_at or _LONG_AGO,
        row.details,
        row.position,
    )

"""Where the state of sagas is kept: the port, and its implementations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.saga.storage.enums import SagaStatus as SagaStatus
    from cqrs.saga.storage.enums import SagaStepStatus as SagaStepStatus
    from cqrs.saga.storage.memory import MemorySagaStorage as MemorySagaStorage
    from cqrs.saga.storage.models import SagaLogEntry as SagaLogEntry
    from cqrs.saga.storage.protocol import ISagaStorage as ISagaStorage
    from cqrs.saga.storage.protocol import SagaStorageRun as SagaStorageRun
    from cqrs.saga.storage.sqlalchemy import SqlAlchemySagaStorage as SqlAlchemySagaStorage

_EXPORTS = {
    "ISagaStorage": "cqrs.saga.storage.protocol",
    "MemorySagaStorage": "cqrs.saga.storage.memory",
    "SagaLogEntry": "cqrs.saga.storage.models",
    "SagaStatus": "cqrs.saga.storage.enums",
    "SagaStepStatus": "cqrs.saga.storage.enums",
    "SagaStorageRun": "cqrs.saga.storage.protocol",
    "SqlAlchemySagaStorage": "cqrs.saga.storage.sqlalchemy",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

"""The transactional outbox: events are stored with the data they tell about, and published afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.outbox.map import OutboxedEventMap as OutboxedEventMap
    from cqrs.outbox.models import OutboxModel as OutboxModel
    from cqrs.outbox.models import rebind_outbox_model as rebind_outbox_model
    from cqrs.outbox.producer import EventProducer as EventProducer
    from cqrs.outbox.relay import OutboxRelay as OutboxRelay
    from cqrs.outbox.repository import EventStatus as EventStatus
    from cqrs.outbox.repository import OutboxedEvent as OutboxedEvent
    from cqrs.outbox.repository import OutboxedEventRepository as OutboxedEventRepository
    from cqrs.outbox.sqlalchemy import SqlAlchemyOutboxedEventRepository as SqlAlchemyOutboxedEventRepository
    from cqrs.outbox.statistics import RelayStatistics as RelayStatistics

_EXPORTS = {
    "EventProducer": "cqrs.outbox.producer",
    "EventStatus": "cqrs.outbox.repository",
    "OutboxRelay": "cqrs.outbox.relay",
    "OutboxModel": "cqrs.outbox.models",
    "OutboxedEvent": "cqrs.outbox.repository",
    "OutboxedEventMap": "cqrs.outbox.map",
    "OutboxedEventRepository": "cqrs.outbox.repository",
    "RelayStatistics": "cqrs.outbox.statistics",
    "SqlAlchemyOutboxedEventRepository": "cqrs.outbox.sqlalchemy",
    "rebind_outbox_model": "cqrs.outbox.models",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

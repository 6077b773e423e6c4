"""The transactional outbox: events are stored with the data they tell about, and published afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.outbox.map import OutboxedEventMap as OutboxedEventMap
    from cqrs.outbox.models import OutboxModel as OutboxModel
    from cqrs.outbox.models import rebind_outbox_model as rebind_outbox_model
    from cqrs.outbox.operations import DeadLetter as DeadLetter
    from cqrs.outbox.operations import dead_letters as dead_letters
    from cqrs.outbox.operations import purge_produced as purge_produced
    from cqrs.outbox.operations import requeue_dead_letters as requeue_dead_letters
    from cqrs.outbox.producer import EventProducer as EventProducer
    from cqrs.outbox.relay import OutboxRelay as OutboxRelay
    from cqrs.outbox.repository import EventStatus as EventStatus
    from cqrs.outbox.repository import OutboxedEvent as OutboxedEvent
    from cqrs.outbox.repository import OutboxedEventRepository as OutboxedEventRepository
    from cqrs.outbox.schema import upgrade_outbox as upgrade_outbox
    from cqrs.outbox.sqlalchemy import SqlAlchemyOutboxedEventRepository as SqlAlchemyOutboxedEventRepository
    from cqrs.outbox.statistics import RelayStatistics as RelayStatistics

_EXPORTS = {
    "DeadLetter": "cqrs.outbox.operations",
    "EventProducer": "cqrs.outbox.producer",
    "EventStatus": "cqrs.outbox.repository",
    "OutboxModel": "cqrs.outbox.models",
    "OutboxRelay": "cqrs.outbox.relay",
    "OutboxedEvent": "cqrs.outbox.repository",
    "OutboxedEventMap": "cqrs.outbox.map",
    "OutboxedEventRepository": "cqrs.outbox.repository",
    "RelayStatistics": "cqrs.outbox.statistics",
    "SqlAlchemyOutboxedEventRepository": "cqrs.outbox.sqlalchemy",
    "dead_letters": "cqrs.outbox.operations",
    "purge_produced": "cqrs.outbox.operations",
    "rebind_outbox_model": "cqrs.outbox.models",
    "requeue_dead_letters": "cqrs.outbox.operations",
    "upgrade_outbox": "cqrs.outbox.schema",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

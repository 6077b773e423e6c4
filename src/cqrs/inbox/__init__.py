"""The inbox: each message is handled once, however often a broker delivers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.inbox.memory import MemoryInboxRepository as MemoryInboxRepository
    from cqrs.inbox.models import InboxModel as InboxModel
    from cqrs.inbox.models import rebind_inbox_model as rebind_inbox_model
    from cqrs.inbox.processor import InboxProcessor as InboxProcessor
    from cqrs.inbox.processor import Processed as Processed
    from cqrs.inbox.processor import current_session as current_session
    from cqrs.inbox.repository import InboxRepository as InboxRepository
    from cqrs.inbox.sqlalchemy import SqlAlchemyInboxRepository as SqlAlchemyInboxRepository

_EXPORTS = {
    "InboxModel": "cqrs.inbox.models",
    "InboxProcessor": "cqrs.inbox.processor",
    "InboxRepository": "cqrs.inbox.repository",
    "MemoryInboxRepository": "cqrs.inbox.memory",
    "Processed": "cqrs.inbox.processor",
    "SqlAlchemyInboxRepository": "cqrs.inbox.sqlalchemy",
    "current_session": "cqrs.inbox.processor",
    "rebind_inbox_model": "cqrs.inbox.models",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

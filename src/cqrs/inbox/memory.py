"""An inbox in memory, for tests."""

from __future__ import annotations

import uuid

from cqrs.inbox.repository import InboxRepository, checked_consumer, checked_message_id

__all__ = ["MemoryInboxRepository"]


class MemoryInboxRepository(InboxRepository):
    """Remembers messages as long as it lives; without transactions: whoever fails calls ``forget``.

    >>> import asyncio
    >>> inbox = MemoryInboxRepository()
    >>> asyncio.run(inbox.register("mailer", "7")), asyncio.run(inbox.register("mailer", "7"))
    (True, False)
    """

    def __init__(self) -> None:
        self._deliveries: dict[tuple[str, str], int] = {}

    async def register(
        self, consumer: str, message_id: uuid.UUID | str, *, event_name: str | None = None
    ) -> bool:
        key = checked_consumer(consumer), checked_message_id(message_id)
        self._deliveries[key] = self._deliveries.get(key, 0) + 1
        return self._deliveries[key] == 1

    async def finish(self, consumer: str, message_id: uuid.UUID | str) -> None: ...

    def forget(self, consumer: str, message_id: uuid.UUID | str) -> None:
        """Take a message for new again."""
        self._deliveries.pop((consumer, checked_message_id(message_id)), None)

"""One attempt to handle the event of a message."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from cqrs.consumers.current import handling
from cqrs.consumers.tracing import Tracing
from cqrs.deadlines import deadline
from cqrs.exceptions import MessageRefusedError
from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["Inbox", "Mediator"]


class Mediator(Protocol):
    """What handles events: an ``EventMediator``."""

    async def send(self, event: Any, /) -> object:
        """Handle an event."""
        ...


class Inbox(Protocol):
    """What handles each message once: a ``cqrs.inbox.InboxProcessor``."""

    async def process(
        self,
        message_id: uuid.UUID,
        handler: Callable[[Any], Awaitable[Any]],
        /,
        *,
        event_name: str | None = None,
    ) -> object:
        """Call ``handler`` with what belongs to the transaction, unless the message was handled before.

        Returns:
            Something whose ``is_duplicate`` is true when it was.
        """
        ...


class EventHandling:
    """Sends events through a mediator, in the context of their message.

    Args:
        mediator: handles events.
        inbox: handles each message once; ``None``: nobody does.
        timeout: seconds for all handlers of an event together; ``None``: any.
        tracing: makes the spans.
    """

    def __init__(
        self, mediator: Mediator, inbox: Inbox | None, timeout: float | None, tracing: Tracing
    ) -> None:
        self._mediator = mediator
        self._inbox = inbox
        self._timeout = timeout
        self._tracing = tracing

    async def handle(self, message: ReceivedMessage, event: Any, attempt: int) -> bool:
        """Handle the event; ``False``: the inbox knew the message, and no handler ran.

        Raises:
            TimeoutError: it took longer than ``timeout``.
            MessageRefusedError: there is an inbox, and the message has no identity.
            Exception: what a handler, a middleware or the inbox raised.
        """
        with handling(message), self._tracing.span(message, attempt):
            if self._timeout is None:
                return await self._send(message, event)
            limit = asyncio.timeout(self._timeout)
            try:
                async with limit:
                    with deadline(self._timeout):
                        return await self._send(message, event)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise TimeoutError(f"the handlers did not end within {self._timeout:g} s") from error

    async def _send(self, message: ReceivedMessage, event: Any) -> bool:
        if self._inbox is None:
            await self._mediator.send(event)
            return True
        identity = message.message_id or getattr(event, "event_id", None)
        if not isinstance(identity, uuid.UUID):
            raise MessageRefusedError(
                message.topic, "the message has no identity (UUID), by which the inbox could know it again"
            )

        async def handle(_: Any) -> None:
            await self._mediator.send(event)

        processed = await self._inbox.process(identity, handle, event_name=message.message_name)
        return not getattr(processed, "is_duplicate", False)

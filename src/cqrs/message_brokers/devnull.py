"""A broker that goes nowhere: for tests, demonstrations and services that have no broker yet."""

from __future__ import annotations

import collections

from cqrs.message_brokers.protocol import Message

__all__ = ["MESSAGE_BUS", "DevnullMessageBroker"]

MESSAGE_BUS: collections.deque[Message] = collections.deque(maxlen=1000)
"""The last 1000 messages that any ``DevnullMessageBroker`` of the process was given, oldest first."""


class DevnullMessageBroker:
    """Keeps the last messages in ``MESSAGE_BUS`` and sends nothing."""

    async def send_message(self, message: Message) -> None:
        """Append the message to ``MESSAGE_BUS``; beyond 1000, the oldest one is dropped."""
        MESSAGE_BUS.append(message)

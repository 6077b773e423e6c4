"""Message brokers: the port and its adapters."""

from __future__ import annotations

from cqrs.message_brokers.protocol import Message, MessageBroker

__all__ = ["Message", "MessageBroker"]

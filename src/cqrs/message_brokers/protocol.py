"""What a message broker must offer, and what it is given."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

__all__ = ["BatchMessageBroker", "Message", "MessageBroker"]


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """A message on its way to a broker.

    Args:
        message_name: what it tells, as consumers know it.
        topic: where it goes.
        payload: its content, usually a dictionary; the broker serialises it.
        message_id: its identity, the same at every attempt to send it; random (UUID 4) by default.
        headers: text that travels beside the content; empty by default.
        key: what belongs together has the same key, and keeps its order where the broker can (a partition of
            Kafka, for example); ``None`` by default.

    >>> Message("UserJoined", "users", {"user_id": 7}).headers
    {}
    """

    message_name: str
    topic: str
    payload: Any
    message_id: uuid.UUID = dataclasses.field(default_factory=uuid.uuid4)
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    key: str | None = None


@runtime_checkable
class MessageBroker(Protocol):
    """Takes messages out of the process."""

    async def send_message(self, message: Message) -> None:
        """Send one message; return when the broker has taken it over.

        Raises:
            MessageRefusedError: the broker will never take it.
            BrokerUnavailableError: the broker could not take it now; the message may be sent again.
        """
        ...


@runtime_checkable
class BatchMessageBroker(MessageBroker, Protocol):
    """A broker that takes many messages faster together than one after the other."""

    async def send_messages(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Send all messages; return what became of each, in their order.

        ``None``: the broker has taken it over; else the error that ``send_message`` would have raised for it.
        Messages of the same key keep their order where the broker can. If the call is cancelled, any of them
        may have been sent.
        """
        ...

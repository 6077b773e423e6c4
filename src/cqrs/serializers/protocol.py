"""What a serializer must offer."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from cqrs.message_brokers.protocol import Message

__all__ = ["Serializer", "content_type_of"]


@runtime_checkable
class Serializer(Protocol):
    """Makes bytes of what a message carries: any function from the one to the other.

    It may have an attribute ``content_type``, such as ``"application/json"``, which travels beside the bytes.
    """

    def __call__(self, message: Any, /) -> bytes:
        """Return the bytes of a payload; of a ``Message``, those of its payload.

        Raises:
            SerializationError: there is no form for the payload; no retry can help.
        """
        ...


def content_type_of(serializer: Serializer) -> str:
    """Return the media type of what ``serializer`` makes: ``application/octet-stream`` if it does not say."""
    declared = getattr(serializer, "content_type", None)
    return declared if isinstance(declared, str) else "application/octet-stream"


def payload_of(message: Any) -> Any:
    """Return the payload of a ``Message``, and anything else as it is."""
    return message.payload if isinstance(message, Message) else message

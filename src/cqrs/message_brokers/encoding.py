"""Making of a message what travels: a body and headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cqrs.exceptions import MessageRefusedError
from cqrs.message_brokers.headers import headers_of
from cqrs.message_brokers.protocol import Message

if TYPE_CHECKING:
    from cqrs.serializers.protocol import Serializer

__all__ = ["Encoder"]

BYTES = "application/octet-stream"


class Encoder:
    """Serialises payloads; a payload of ``bytes`` is serialised already, and travels as it is.

    Args:
        serializer: makes the body of a payload; ``None``: JSON (``cqrs.serializers.default_serializer``).
    """

    def __init__(self, serializer: Serializer | Callable[[Any], bytes] | None = None) -> None:
        from cqrs import serializers  # refers to this package itself

        self._serializer: Callable[[Any], bytes] = serializer or serializers.default_serializer
        self._content_type = serializers.content_type_of(self._serializer)

    def encode(self, message: Message) -> tuple[bytes, dict[str, str]]:
        """Return body and headers.

        Raises:
            MessageRefusedError: the payload cannot be serialised, or topic, key or a header is no text.
        """
        if not isinstance(message.topic, str) or not message.topic:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MessageRefusedError(
                str(message.topic), f"{message.message_name} needs a topic, not {message.topic!r}"
            )
        for name, value in message.headers.items():
            if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise MessageRefusedError(
                    message.topic, f"header {name!r} of {message.message_name} must be text, not {value!r}"
                )
        if message.key is not None and not isinstance(message.key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MessageRefusedError(
                message.topic, f"the key of {message.message_name} must be text, not {message.key!r}"
            )
        if isinstance(message.payload, bytes):
            return message.payload, headers_of(message, BYTES)
        try:
            body = self._serializer(message.payload)
        except Exception as error:
            raise MessageRefusedError(
                message.topic, f"the payload of {message.message_name} cannot be serialised: {error}"
            ) from error
        return body, headers_of(message, self._content_type)

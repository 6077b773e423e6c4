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
            MessageRefusedError: the payload cannot be serialised, or topic, name, key or a header is no text.
        """
        _check_texts(message)
        if isinstance(message.payload, bytes):
            return message.payload, headers_of(message, BYTES)
        try:
            body = self._serializer(message.payload)
        except Exception as error:
            raise MessageRefusedError(
                message.topic, f"the payload of {message.message_name} cannot be serialised: {error}"
            ) from error
        return body, headers_of(message, self._content_type)


def _check_texts(message: Message) -> None:
    """Refuse what cannot travel, before it spoils a batch, or a connection that others use as well."""
    texts: dict[str, Any] = {
        "topic": message.topic,
        "message_name": message.message_name,
        "key": "" if message.key is None else message.key,
    }
    for name, value in message.headers.items():
        texts |= {f"name of the header {name!r}": name, f"header {name!r}": value}
    for what, value in texts.items():
        if not isinstance(value, str):
            problem = f"must be text, not {value!r}"
        elif not value and what == "topic":
            problem = "must not be empty"
        elif not _is_unicode(value):
            problem = f"has no form in UTF-8: {value!r}"
        else:
            continue
        raise MessageRefusedError(str(message.topic), f"the {what} of {message.message_name} {problem}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

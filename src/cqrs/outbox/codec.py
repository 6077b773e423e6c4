"""Events to rows and back."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import pydantic_core

from cqrs.deserializers.protocol import told
from cqrs.events.event import INotificationEvent, partition_key_of
from cqrs.exceptions import ConfigurationTypeError, OutboxedEventError
from cqrs.outbox.map import OutboxedEventMap, shown
from cqrs.outbox.trace_context import trace_headers
from cqrs.serializers.json import default_serializer

if TYPE_CHECKING:
    from cqrs.compressors.protocol import Compressor

__all__ = ["MAX_PAYLOAD_BYTES", "EncodedEvent", "UndecodableEvent", "check_compressor", "decode", "encode"]

MAX_PAYLOAD_BYTES = 16 * 1024 * 1024 - 1
"""What a MEDIUMBLOB holds, which the table of another program may have."""

_LONGEST_TEXT = 255


class UndecodableEvent(Exception):
    """A row cannot be read as an event; its text is the reason."""


@dataclasses.dataclass(frozen=True, slots=True)
class EncodedEvent:
    """The columns that an event fills; ``headers`` are JSON."""

    event_id: uuid.UUID
    event_name: str
    topic: str
    payload: bytes
    headers: str | None
    message_key: str | None


def check_compressor(compressor: object) -> None:
    """Check that a compressor has what the outbox calls.

    Raises:
        ConfigurationTypeError: it has not.
    """
    methods = (getattr(compressor, name, None) for name in ("compress", "decompress"))
    if compressor is not None and not all(callable(method) for method in methods):
        raise ConfigurationTypeError(
            f"a compressor has compress(bytes) and decompress(bytes), unlike {compressor!r}; "
            "give an instance such as ZlibCompressor()"
        )


def encode(
    event: INotificationEvent[Any],
    compressor: Compressor | None = None,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
) -> EncodedEvent:
    """Return the columns of an event, after having read them back: what is stored can be published.

    Raises:
        ConfigurationTypeError: its name is not registered, or registered for another type.
        OutboxedEventError: it has no form in JSON, cannot be read back, or is too large.
    """
    OutboxedEventMap.check(event)
    if not isinstance(event.event_id, uuid.UUID):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OutboxedEventError(event.event_name, f"event_id must be a uuid.UUID, not {event.event_id!r}")
    topic = _short(event, "topic", event.topic)
    try:
        plain = default_serializer(event.to_dict())
    except ValueError as error:
        raise OutboxedEventError(event.event_name, str(error)) from error
    payload = plain if compressor is None else compressor.compress(plain)
    if len(payload) > max_payload_bytes:
        raise OutboxedEventError(
            event.event_name,
            f"its payload has {len(payload)} bytes and may have {max_payload_bytes}; "
            "send a reference to the data instead, or use a compressor",
        )
    try:
        decode(event.event_name, payload, compressor)
    except UndecodableEvent as error:
        raise OutboxedEventError(event.event_name, f"it could not be read back: {error}") from error
    return EncodedEvent(event.event_id, event.event_name, topic, payload, _headers(event), _key(event))


def decode(
    event_name: str, payload: bytes, compressor: Compressor | None = None, *, build: bool = True
) -> tuple[dict[str, Any], INotificationEvent[Any] | None]:
    """Return the stored dictionary of an event and, with ``build``, the event.

    Raises:
        UndecodableEvent: the name is unknown, or the payload is not that of such an event.
    """
    event_type = OutboxedEventMap.get(event_name)
    if event_type is None:
        raise UndecodableEvent(f"event name {event_name!r} is not registered in OutboxedEventMap")
    try:
        plain = bytes(payload) if compressor is None else compressor.decompress(bytes(payload))
        data: Any = pydantic_core.from_json(plain)
    except Exception as error:
        raise UndecodableEvent(f"the payload is not what the outbox writes: {told(error)}") from error
    if not isinstance(data, dict):
        raise UndecodableEvent(f"the payload is not a JSON object but a {type(data).__name__}")
    found = cast("dict[str, Any]", data)
    if not build:
        return found, None
    try:
        return found, event_type.from_dict(**found)
    except Exception as error:
        raise UndecodableEvent(f"the payload is no {shown(event_type)}: {told(error)}") from error


def decode_headers(text: str | None) -> dict[str, str]:
    """Return stored headers.

    Raises:
        UndecodableEvent: they are not a JSON object of texts.
    """
    if not text:
        return {}
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise UndecodableEvent(f"the headers are not JSON: {error}") from error
    if not isinstance(found, dict) or not all(
        isinstance(value, str) for value in cast("dict[str, Any]", found).values()
    ):
        raise UndecodableEvent("the headers are not a JSON object of texts")
    return cast("dict[str, str]", found)


def _headers(event: INotificationEvent[Any]) -> str | None:
    own: Any = getattr(event, "headers", None) or {}
    if not isinstance(own, Mapping):
        raise OutboxedEventError(event.event_name, f"headers must be a mapping, not a {type(own).__name__}")
    headers: dict[Any, Any] = {**trace_headers(), **own}
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise OutboxedEventError(
                event.event_name, f"headers are texts, but {name!r} is a {type(value).__name__}"
            )
    return json.dumps(headers) if headers else None


def _key(event: INotificationEvent[Any]) -> str | None:
    key = partition_key_of(event)
    return None if key is None else _short(event, "partition_key", key)


def _short(event: INotificationEvent[Any], name: str, value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_TEXT or not _is_storable(value):
        raise OutboxedEventError(
            event.event_name,
            f"{name} must be a str of 1 to {_LONGEST_TEXT} characters without NUL and lone surrogates, "
            f"not {value!r:.300}",
        )
    return value


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)

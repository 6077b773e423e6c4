"""Protocol buffers.

Needs ``pip install "holdfast[protobuf]"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from cqrs.exceptions import ConfigurationTypeError, SerializationError
from cqrs.message_brokers.protocol import Message
from cqrs.serializers.protocol import payload_of

__all__ = ["ProtobufSerializer"]


class ProtobufSerializer:
    """Makes the binary form of protobuf messages, of events that have ``proto()``, and of their dictionaries.

    An event emitter and an outbox send events as the dictionaries that ``to_dict()`` made. To make a protobuf
    message of one, the event is built again: that takes ``events``.

    Args:
        events: event name -> event type, for payloads that are dictionaries; the name is that of the
            ``Message``, else its ``event_name`` or ``eventName``. Empty by default.
    """

    content_type = "application/x-protobuf"

    def __init__(self, events: Mapping[str, type[Any]] | None = None) -> None:
        if events is not None and not isinstance(events, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"events must map event names to event types, not {events!r}")
        self._events: Mapping[str, type[Any]] = {} if events is None else events

    def __call__(self, message: Any, /) -> bytes:
        """Return the binary form of a payload; of a ``Message``, that of its payload.

        Raises:
            SerializationError: the payload is no protobuf message and does not lead to one.
        """
        payload = payload_of(message)
        if isinstance(payload, Mapping):
            payload = self._event(message, cast("Mapping[str, Any]", payload))
        try:
            proto = payload if hasattr(payload, "SerializeToString") else payload.proto()
            binary: bytes = proto.SerializeToString()
        except Exception as error:
            # Required fields that are missing, values out of range, a proto() that is not there or not done.
            kind = type(payload).__qualname__
            raise SerializationError(f"{kind} has no form in protobuf: {error}") from error
        return binary

    def _event(self, message: Any, data: Mapping[str, Any]) -> Any:
        if isinstance(message, Message):
            name: Any = message.message_name
        else:
            name = data.get("event_name", data.get("eventName"))
        event_type = self._events.get(name)
        if event_type is None:
            raise SerializationError(
                f"a dictionary named {name!r} has no form in protobuf: give its event type to "
                "ProtobufSerializer(events={name: type})"
            )
        try:
            return cast("Any", event_type).from_dict(**data)
        except Exception as error:
            raise SerializationError(f"no {event_type.__qualname__} can be built: {error}") from error

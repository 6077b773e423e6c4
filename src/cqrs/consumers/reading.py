"""From a message to an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from cqrs.deserializers.protocol import Deserializer, DeserializerFactory
from cqrs.exceptions import ConfigurationTypeError, DeserializationError
from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["EventTypes", "UnknownEventError"]


class EventTypes(Protocol):
    """Event name -> event type: any mapping, or an ``OutboxedEventMap``."""

    def get(self, key: str, /) -> Any:
        """Return the type, or ``None``."""
        ...


class UnknownEventError(DeserializationError):
    """The message does not say which event it tells of, or a name that stands for none."""


class EventReader:
    """Finds the event type by the name of the message, and builds the event.

    Args:
        events: event name -> event type; names may be added later.
        deserializer: makes what reads an event type from bytes.

    Raises:
        ConfigurationTypeError: an argument is of another kind, or the deserializer of an event type cannot be
            made.
    """

    def __init__(self, events: EventTypes, deserializer: DeserializerFactory) -> None:
        if not callable(getattr(events, "get", None)):
            raise ConfigurationTypeError(f"events must map event names to event types, not {events!r}")
        if not callable(deserializer):
            raise ConfigurationTypeError(
                f"deserializer must be like JsonDeserializer: called with a type, not {deserializer!r}"
            )
        self._events = events
        self._factory = deserializer
        self._readers: dict[str, tuple[Any, Deserializer[Any]]] = {}
        if isinstance(events, Mapping):
            for name in events:  # pyright: ignore[reportUnknownVariableType]
                self._reader(name)  # pyright: ignore[reportUnknownArgumentType]  # what cannot be read is told early

    def read(self, message: ReceivedMessage) -> Any:
        """Return the event.

        Raises:
            UnknownEventError: the name is missing, or stands for no event type.
            DeserializationError: the body is not that of the event type.
        """
        name = message.message_name
        if name is None:
            raise UnknownEventError("an event", "the message has no name")
        reader = self._reader(name)
        if reader is None:
            raise UnknownEventError("an event", f"no event type has the name {name!r}")
        return reader(message.body)

    def _reader(self, name: str) -> Deserializer[Any] | None:
        event_type = self._events.get(name)
        if event_type is None:
            return None
        known = self._readers.get(name)
        if known is None or known[0] is not event_type:
            known = self._readers[name] = (event_type, self._factory(event_type))
        return known[1]

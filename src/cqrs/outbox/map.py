"""Which event type belongs to which event name, for everything that reads outboxed events back."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, ClassVar, cast, get_origin

from cqrs.events.event import INotificationEvent
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError

__all__ = ["OutboxedEventMap"]


class OutboxedEventMap:
    """The event types that may go through the outbox, by event name; one map for the whole process.

    >>> import cqrs
    >>> OutboxedEventMap.register("user_joined", cqrs.NotificationEvent[int])
    >>> OutboxedEventMap.get("user_joined").__name__
    'NotificationEvent[int]'
    >>> OutboxedEventMap.unregister("user_joined")
    """

    _types: ClassVar[dict[str, Any]] = {}

    @classmethod
    def register(cls, event_name: str, event_type: Any) -> None:
        """Let events of this name through the outbox; registering the same type again changes nothing.

        Args:
            event_name: the name, 1 to 255 characters.
            event_type: a class of notification events, also a parameterised one such as
                ``NotificationEvent[UserJoined]``.

        Raises:
            ConfigurationTypeError: the name is no such text, or the type is no notification event.
            ConfigurationError: the name belongs to another type.
        """
        if not isinstance(event_name, str) or not 1 <= len(event_name) <= 255:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"an event name is a str of 1 to 255 characters, not {event_name!r}")
        if not issubclass(_class_of(event_type), INotificationEvent):
            raise ConfigurationTypeError(
                f"{event_name!r}: only notification events go through the outbox (subclasses of "
                f"NotificationEvent, DCNotificationEvent or INotificationEvent), not {event_type!r}"
            )
        known = cls._types.setdefault(event_name, event_type)
        if known != event_type:
            raise ConfigurationError(
                f"event name {event_name!r} is registered for {shown(known)} already, "
                f"so it cannot stand for {shown(event_type)}; choose another name"
            )

    @classmethod
    def unregister(cls, event_name: str) -> None:
        """Forget a name; an unknown one is nothing to forget."""
        cls._types.pop(event_name, None)

    @classmethod
    def get(cls, event_name: str) -> Any:
        """Return the type registered for a name, or ``None``."""
        return cls._types.get(event_name)

    @classmethod
    def types(cls) -> Mapping[str, Any]:
        """Return a read-only view, name -> type; say, for a consumer of the same events."""
        return types.MappingProxyType(cls._types)

    @classmethod
    def check(cls, event: INotificationEvent[Any]) -> None:
        """Check that an event could be read back as what it is.

        Raises:
            ConfigurationTypeError: it is no notification event, or its name is not registered, or registered
                for another type.
        """
        event_type = type(event)
        registered = cls._types.get(getattr(event, "event_name", None) or "")
        if registered is event_type:
            return
        if not isinstance(event, INotificationEvent):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"{event_type.__qualname__} is not a notification event")
        if registered is None:
            raise ConfigurationTypeError(
                f"event name {event.event_name!r} is unknown to the outbox: when the program starts, call "
                f"OutboxedEventMap.register({event.event_name!r}, {shown(event_type)})"
            )
        # The instances of an alias such as DCNotificationEvent[X] are of the bare class.
        if get_origin(registered) is not event_type:
            raise ConfigurationTypeError(
                f"event name {event.event_name!r} is registered for {shown(registered)}, "
                f"but this event is a {shown(event_type)}; consumers could not read it"
            )


def shown(event_type: Any) -> str:
    """Return the name of an event type for people."""
    name: str = getattr(event_type, "__qualname__", None) or repr(event_type)
    return repr(event_type) if get_origin(event_type) is not None else name


def _class_of(event_type: Any) -> type[Any]:
    found = get_origin(event_type) or event_type
    return cast("type[Any]", found) if isinstance(found, type) else type(None)

"""Events: what happened.

Domain events are handled in the process that saw them happen; notification events travel through a message
broker. Both exist as frozen pydantic models and as frozen dataclasses (``DC...``); any other class may be an
event too, as long as a handler is bound to it.
"""

from __future__ import annotations

import abc
import dataclasses
import datetime
import functools
import os
import types
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Generic, Self, dataclass_transform

import pydantic

from cqrs import _conversion
from cqrs.exceptions import ConfigurationTypeError
from cqrs.types import PayloadT

__all__ = [
    "DCDomainEvent",
    "DCEvent",
    "DCNotificationEvent",
    "DomainEvent",
    "Event",
    "IDomainEvent",
    "IEvent",
    "INotificationEvent",
    "NotificationEvent",
    "PydanticDomainEvent",
    "PydanticEvent",
    "PydanticNotificationEvent",
    "default_output_topic",
    "partition_key_of",
]


@functools.cache
def default_output_topic() -> str:
    """Return the topic of notification events that name none.

    It is the environment variable ``DEFAULT_OUTPUT_TOPIC`` at the first call, else ``"output_topic"``; also
    readable as ``cqrs.events.event.DEFAULT_OUTPUT_TOPIC``.
    """
    return os.environ.get("DEFAULT_OUTPUT_TOPIC", "output_topic")


def __getattr__(name: str) -> Any:
    if name == "DEFAULT_OUTPUT_TOPIC":
        return default_output_topic()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _aware(timestamp: datetime.datetime) -> datetime.datetime:
    """Read a timestamp without time zone as UTC."""
    return timestamp if timestamp.tzinfo is not None else timestamp.replace(tzinfo=datetime.UTC)


def partition_key_of(event: object) -> str | None:
    """Return the ``partition_key`` of an event, an optional attribute or property, as text.

    Events with the same key keep their order, where the broker can.

    Raises:
        ConfigurationTypeError: it is no str, int or UUID, nor ``None``.

    >>> partition_key_of(types.SimpleNamespace(partition_key=7)), partition_key_of("has none")
    ('7', None)
    """
    key: Any = getattr(event, "partition_key", None)
    if key is None or isinstance(key, str):
        return key
    if isinstance(key, bool) or not isinstance(key, (int, uuid.UUID)):
        raise ConfigurationTypeError(
            f"{type(event).__qualname__}.partition_key must be an attribute or property that gives "
            f"a str, an int, a UUID or None, not {key!r}"
        )
    return str(key)


class IEvent(abc.ABC):
    """An event that can be turned into a dictionary and back."""

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the event as a dictionary."""

    @classmethod
    @abc.abstractmethod
    def from_dict(cls, **kwargs: Any) -> Self:
        """Build the event from the items of a dictionary."""


class IDomainEvent(IEvent):
    """Marks an event that is handled inside the process, by the handlers bound to its class."""


class INotificationEvent(IEvent, Generic[PayloadT]):
    """Marks an event that is sent to other services through a message broker."""

    if TYPE_CHECKING:
        # Hidden at run time: pydantic would take the annotations for fields, in this order.
        event_name: str
        payload: PayloadT
        event_id: uuid.UUID
        event_timestamp: datetime.datetime
        topic: str
        headers: Mapping[str, str]

    def proto(self) -> Any:
        """Return the event as a protobuf message; classes that have one override this.

        Raises:
            NotImplementedError: always, unless overridden.
        """
        raise NotImplementedError("Method not implemented")

    @classmethod
    def from_proto(cls, proto: Any) -> Self:
        """Build the event from its protobuf message; classes that have one override this.

        Raises:
            NotImplementedError: always, unless overridden.
        """
        raise NotImplementedError("Method not implemented")

    def __hash__(self) -> int:
        return hash(self.event_id)


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass

    @dataclass_transform(
        kw_only_default=True, frozen_default=True, field_specifiers=(pydantic.Field, pydantic.PrivateAttr)
    )
    class _FrozenByDefault(ModelMetaclass):
        """Tells type checkers that subclasses are frozen whether or not they say so."""

else:
    _FrozenByDefault = type(pydantic.BaseModel)


class Event(pydantic.BaseModel, IEvent, frozen=True, metaclass=_FrozenByDefault):
    """An event as a frozen pydantic model.

    >>> class UserJoined(Event):
    ...     user_id: int
    >>> UserJoined.from_dict(user_id=7).to_dict()
    {'user_id': 7}
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as Python objects (nested models become dictionaries)."""
        return self.model_dump(mode="python")

    @classmethod
    def from_dict(cls, **kwargs: Any) -> Self:
        """Validate the fields and build the event.

        Raises:
            pydantic.ValidationError: a field is missing or of the wrong type.
        """
        return cls.model_validate(kwargs)


class DomainEvent(Event, IDomainEvent, frozen=True):
    """A domain event as a frozen pydantic model."""


class NotificationEvent(Event, INotificationEvent[PayloadT], Generic[PayloadT], frozen=True):
    """A notification event as a frozen pydantic model; equal ids hash equally.

    Args:
        event_name: what happened, as consumers know it.
        payload: the data of the event.
        event_id: identity of the event; random (UUID 4) by default.
        event_timestamp: when it happened; now by default. A value without time zone is taken as UTC.
        topic: where to publish it; ``default_output_topic()`` by default.
        headers: text that travels beside the payload, such as a trace context; empty by default.

    >>> NotificationEvent[int](event_name="Counted", payload=3).topic
    'output_topic'
    """

    event_name: str
    payload: PayloadT
    event_id: uuid.UUID = pydantic.Field(default_factory=uuid.uuid4)
    event_timestamp: Annotated[datetime.datetime, pydantic.AfterValidator(_aware)] = pydantic.Field(
        default_factory=_now
    )
    topic: str = pydantic.Field(default_factory=default_output_topic)
    headers: Mapping[str, str] = pydantic.Field(default_factory=dict[str, str])

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as Python objects; ``headers`` only when not empty."""
        return self.model_dump(mode="python", exclude=None if self.headers else {"headers"})

    def __hash__(self) -> int:
        return hash(self.event_id)


@dataclasses.dataclass(frozen=True)
class DCEvent(IEvent):
    """An event as a frozen dataclass; subclasses carry ``@dataclass(frozen=True)`` too."""

    def to_dict(self) -> dict[str, Any]:
        """Return values that are ready for JSON, under the field names in camelCase."""
        return _conversion.encode_fields(self)

    @classmethod
    def from_dict(cls, **kwargs: Any) -> Self:
        """Build the event from camelCase or field names, converting each value to the type of its field.

        Raises:
            TypeError: a field without default is missing.
            ValueError: a value cannot be read as the type of its field; the message names the field.
        """
        return _conversion.decode(cls, kwargs)


@dataclasses.dataclass(frozen=True)
class DCDomainEvent(DCEvent, IDomainEvent):
    """A domain event as a frozen dataclass; subclasses carry ``@dataclass(frozen=True)`` too."""


class _ParameterisedEvent(types.GenericAlias):
    """``DCNotificationEvent[X]``, whose ``from_dict`` reads the payload as ``X``."""

    def __getattribute__(self, name: str) -> Any:
        if name == "from_dict":
            return functools.partial(_decode_keywords, self)
        return super().__getattribute__(name)


def _decode_keywords(event_type: Any, /, **kwargs: Any) -> Any:
    return _conversion.decode(event_type, kwargs)


@dataclasses.dataclass(frozen=True)
class DCNotificationEvent(DCEvent, INotificationEvent[PayloadT], Generic[PayloadT]):
    """A notification event as a frozen dataclass; equal ids hash equally.

    Args:
        event_name: what happened, as consumers know it.
        payload: the data of the event.
        event_id: identity of the event; random (UUID 4) by default.
        event_timestamp: when it happened; now by default. A value without time zone is taken as UTC.
        topic: where to publish it; ``default_output_topic()`` by default.
        headers: text that travels beside the payload, such as a trace context; empty by default.

    >>> DCNotificationEvent("Counted", 3).topic
    'output_topic'
    """

    event_name: str
    payload: PayloadT
    event_id: uuid.UUID = dataclasses.field(default_factory=uuid.uuid4)
    event_timestamp: datetime.datetime = dataclasses.field(default_factory=_now)
    topic: str = dataclasses.field(default_factory=default_output_topic)
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])

    if not TYPE_CHECKING:

        def __class_getitem__(cls, item: Any) -> types.GenericAlias:
            return _ParameterisedEvent(cls, item)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__hash__" not in vars(cls):
            # Without this, ``@dataclass(frozen=True)`` on the subclass would hash the payload.
            cls.__hash__ = DCNotificationEvent.__hash__  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_timestamp", _aware(self.event_timestamp))

    def to_dict(self) -> dict[str, Any]:
        """Return values that are ready for JSON, under camelCase names; ``headers`` only when not empty."""
        data = super().to_dict()
        if not self.headers:
            del data["headers"]
        return data

    def __hash__(self) -> int:
        return hash(self.event_id)


PydanticEvent = Event
PydanticDomainEvent = DomainEvent
PydanticNotificationEvent = NotificationEvent

"""Reading what messages carry: from bytes to an event, or any other model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.deserializers.json import DeserializeJsonError as DeserializeJsonError
    from cqrs.deserializers.json import JsonDeserializer as JsonDeserializer
    from cqrs.deserializers.msgspec import DeserializeMsgspecError as DeserializeMsgspecError
    from cqrs.deserializers.msgspec import MsgspecDeserializer as MsgspecDeserializer
    from cqrs.deserializers.protobuf import DeserializeProtobufError as DeserializeProtobufError
    from cqrs.deserializers.protobuf import ProtobufValueDeserializer as ProtobufValueDeserializer
    from cqrs.deserializers.protocol import Deserializer as Deserializer
    from cqrs.deserializers.protocol import DeserializerFactory as DeserializerFactory

_EXPORTS = {
    "DeserializeJsonError": "cqrs.deserializers.json",
    "DeserializeMsgspecError": "cqrs.deserializers.msgspec",
    "DeserializeProtobufError": "cqrs.deserializers.protobuf",
    "Deserializer": "cqrs.deserializers.protocol",
    "DeserializerFactory": "cqrs.deserializers.protocol",
    "JsonDeserializer": "cqrs.deserializers.json",
    "MsgspecDeserializer": "cqrs.deserializers.msgspec",
    "ProtobufValueDeserializer": "cqrs.deserializers.protobuf",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

"""Making bytes of what messages carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.serializers.json import JsonSerializer as JsonSerializer
    from cqrs.serializers.json import default_serializer as default_serializer
    from cqrs.serializers.msgspec import MsgspecSerializer as MsgspecSerializer
    from cqrs.serializers.protobuf import ProtobufSerializer as ProtobufSerializer
    from cqrs.serializers.protocol import Serializer as Serializer
    from cqrs.serializers.protocol import content_type_of as content_type_of

_EXPORTS = {
    "JsonSerializer": "cqrs.serializers.json",
    "MsgspecSerializer": "cqrs.serializers.msgspec",
    "ProtobufSerializer": "cqrs.serializers.protobuf",
    "Serializer": "cqrs.serializers.protocol",
    "content_type_of": "cqrs.serializers.protocol",
    "default_serializer": "cqrs.serializers.json",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

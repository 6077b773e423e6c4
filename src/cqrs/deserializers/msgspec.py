"""Reading JSON and MessagePack by msgspec.

Needs ``pip install "holdfast[msgspec]"``.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_origin

from cqrs.circuit_breaker import validation
from cqrs.deserializers._base import ModelDeserializer
from cqrs.deserializers._models import builder_of, name_of
from cqrs.exceptions import DeserializationError

__all__ = ["DeserializeMsgspecError", "MsgspecDeserializer"]

T = TypeVar("T")


class DeserializeMsgspecError(DeserializationError):
    """It is not JSON or MessagePack, or not that of the model."""


class MsgspecDeserializer(ModelDeserializer[T]):
    """Reads a model from JSON or MessagePack: structs in one pass, others as ``JsonDeserializer`` does.

    Args:
        model: what to build.
        format: ``"json"`` (default) or ``"msgpack"``.
        errors: ``"raise"`` (default), or ``"return"``: what cannot be read becomes a returned
            ``DeserializeMsgspecError``.

    Raises:
        ImportError: msgspec is not installed.
        ConfigurationTypeError: nothing knows how to build the model.
        PolicyError: another format.
    """

    error_type = DeserializeMsgspecError

    def __init__(
        self,
        model: type[T],
        format: Literal["json", "msgpack"] = "json",
        *,
        errors: Literal["raise", "return"] = "raise",
    ) -> None:
        validation.choice("format", format, ("json", "msgpack"))
        try:
            import msgspec
        except ImportError as error:
            raise ImportError('MsgspecDeserializer needs pip install "holdfast[msgspec]"') from error
        module: Any = msgspec.json if format == "json" else msgspec.msgpack
        kind = get_origin(model) or model
        is_struct = hasattr(kind, "__struct_fields__") and not hasattr(model, "from_dict")
        read: Any = module.Decoder(model if is_struct else Any).decode
        super().__init__(name_of(model), read, None if is_struct else builder_of(model), errors)

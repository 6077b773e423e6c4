"""Reading protocol buffers.

Needs ``pip install "holdfast[protobuf]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from cqrs.deserializers._base import ModelDeserializer
from cqrs.deserializers._models import name_of
from cqrs.exceptions import ConfigurationTypeError, DeserializationError

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["DeserializeProtobufError", "ProtobufValueDeserializer"]

T = TypeVar("T")


class DeserializeProtobufError(DeserializationError):
    """It is not the binary form of the protobuf message, or not that of the model."""


class ProtobufValueDeserializer(ModelDeserializer[T]):
    """Reads a model from the binary form of its protobuf message, through its ``from_proto``.

    Args:
        model: what to build, such as an event class with ``from_proto``.
        protobuf_model: the generated class of the protobuf message.
        errors: ``"raise"`` (default), or ``"return"``: what cannot be read becomes a returned
            ``DeserializeProtobufError``.

    Raises:
        ConfigurationTypeError: the model has no ``from_proto``, or the other class is not a generated one.
    """

    error_type = DeserializeProtobufError

    def __init__(
        self,
        model: type[T],
        protobuf_model: type[Message],
        *,
        errors: Literal["raise", "return"] = "raise",
    ) -> None:
        if not callable(getattr(model, "from_proto", None)):
            raise ConfigurationTypeError(f"{model!r} needs a classmethod from_proto(message)")
        if not callable(getattr(protobuf_model, "FromString", None)):
            raise ConfigurationTypeError(f"{protobuf_model!r} is no generated class of a protobuf message")
        build: Any = getattr(model, "from_proto")  # noqa: B009  (type[T] is not known to have it)
        read: Any = protobuf_model.FromString
        super().__init__(f"{name_of(model)} ({name_of(protobuf_model)})", read, build, errors)

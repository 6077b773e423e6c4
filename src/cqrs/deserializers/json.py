"""Reading JSON."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import pydantic_core

from cqrs.deserializers._base import ModelDeserializer
from cqrs.deserializers._models import builder_of, name_of
from cqrs.exceptions import DeserializationError

__all__ = ["DeserializeJsonError", "JsonDeserializer"]

T = TypeVar("T")


class DeserializeJsonError(DeserializationError):
    """It is not JSON, or not that of the model."""


class JsonDeserializer(ModelDeserializer[T]):
    """Reads a model from JSON: through its ``from_dict``, else as its kind asks for.

    Kinds: pydantic models, dataclasses (field names or camelCase), msgspec structs, attrs classes,
    ``TypedDict`` and whatever else pydantic validates. Integers of any size are read exactly.

    Args:
        model: what to build, possibly parameterised.
        errors: ``"raise"`` (default), or ``"return"``: what cannot be read becomes a returned
            ``DeserializeJsonError``, for consumers that look at it in their handler.

    Raises:
        ConfigurationTypeError: nothing knows how to build the model.

    >>> import dataclasses
    >>> @dataclasses.dataclass
    ... class UserJoined:
    ...     user_id: int
    >>> JsonDeserializer(UserJoined)(b'{"userId":7}')
    UserJoined(user_id=7)
    """

    error_type = DeserializeJsonError

    def __init__(self, model: type[T], *, errors: Literal["raise", "return"] = "raise") -> None:
        super().__init__(name_of(model), _read, builder_of(model), errors)


def _read(data: bytes) -> Any:
    # Unlike orjson it keeps integers beyond 64 bits, and it is there wherever pydantic is.
    return pydantic_core.from_json(data, allow_inf_nan=False)

"""What a deserializer must offer, and what makes one for a type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from cqrs.exceptions import ConfigurationTypeError

__all__ = ["Data", "Deserializer", "DeserializerFactory"]

T_co = TypeVar("T_co", covariant=True)

Data: TypeAlias = bytes | bytearray | memoryview | str
"""What travels; text stands for its UTF-8 form."""


class Deserializer(Protocol[T_co]):
    """Reads one model: any function from bytes to it."""

    def __call__(self, data: bytes, /) -> T_co:
        """Return the model.

        Raises:
            DeserializationError: the bytes cannot be read as the model; no retry can help.
        """
        ...


DeserializerFactory: TypeAlias = Callable[[type[Any]], Deserializer[Any]]
"""Makes the deserializer of an event type, such as ``JsonDeserializer`` itself."""


def as_bytes(data: Data) -> bytes:
    """Return what travels as bytes.

    Raises:
        ConfigurationTypeError: it is of another kind.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode("utf-8", "surrogatepass")  # refused as invalid by whoever reads it
    if isinstance(data, bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
        return bytes(data)
    raise ConfigurationTypeError(f"a deserializer takes bytes or text, not {cast('object', data)!r}")


def told(error: BaseException) -> str:
    """Return why something could not be read, without what was in it, as far as pydantic is concerned."""
    errors = getattr(error, "errors", None)
    if callable(errors) and hasattr(error, "error_count"):
        found: Any = errors(include_url=False, include_context=False, include_input=False)
        places = [f"{'.'.join(map(str, item['loc'])) or 'the whole'}: {item['msg']}" for item in found]
        return "; ".join(places)
    return f"{type(error).__qualname__}: {error}"
